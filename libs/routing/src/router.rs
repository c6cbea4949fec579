//! Whom to ask, and in which order: everything that is known of the targets, put together.
//!
//! It takes what was heard, measured and answered, with the time; it says whom to ask. It never
//! waits, and it has no clock and no randomness of its own.

use std::sync::Arc;

use crate::breaker::{Breaker, BreakerSettings, Outcome, State};
use crate::freshness::{Health, Need, demoted, lags_ms};
use crate::home::{Candidate, Home, HomeSettings, Move};
use crate::ramp::share_percent;
use crate::standing::Standing;
use crate::table::Row;
use crate::target::Target;

/// Everything that can be set.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Each target's breaker.
    pub breaker: BreakerSettings,
    /// The share of the targets that breakers leave out at most, percent, rounded down.
    pub max_ejected_percent: u64,
    /// When the home moves.
    pub home: HomeSettings,
    /// After this a round trip weighs 63 % of the average, ms.
    pub tau_ms: u64,
    /// A step of a target's return, ms.
    pub step_ms: u64,
    /// Further behind its peers in an origin, a target is demoted for it, ms.
    pub lag_ms: i64,
    /// Silent for longer, a target is unknown, ms.
    pub silent_ms: u64,
    /// With so many requests at the home, a target that is clearly cheaper is asked instead.
    pub spill_outstanding: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            breaker: BreakerSettings::default(),
            max_ejected_percent: 67,
            home: HomeSettings::default(),
            tau_ms: 1_000,
            step_ms: 1_000,
            lag_ms: 2_000,
            silent_ms: 2_000,
            spill_outstanding: 32,
        }
    }
}

/// A target to ask.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pick {
    /// Which.
    pub target: usize,
    /// How fit it is.
    pub standing: Standing,
}

/// A request under way; give it back to [`Router::finish`].
#[derive(Debug)]
#[must_use = "its end must be told, or its target counts it for ever"]
pub struct Try {
    target: usize,
    probe: bool,
    started_ms: u64,
    usual: bool,
    changed: Option<Transition>,
}

impl Try {
    /// Of a read like most, from which it can be told how long those take there.
    pub fn usual(self, usual: bool) -> Self {
        Self { usual, ..self }
    }

    /// What its start did to the target's breaker.
    #[must_use]
    pub fn changed(&self) -> Option<Transition> {
        self.changed
    }
}

/// A breaker went from one state to another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Transition {
    /// Whose.
    pub target: usize,
    /// From this.
    pub from: State,
    /// To this.
    pub to: State,
}

/// A target began to lag its peers in an origin, or does no more.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lagging {
    /// Which.
    pub target: usize,
    /// In this origin.
    pub origin: Arc<str>,
    /// How far it lags now, ms; `None`: not by enough, or it is not known.
    pub lag_ms: Option<i64>,
}

/// All targets.
#[derive(Clone, Debug)]
pub struct Router {
    settings: Settings,
    targets: Vec<Target>,
    home: Home,
    /// Moves of the home that nobody has been told of.
    moves: Vec<Move>,
    /// Of whom nobody has been told that they lag, or do no more.
    lagging: Vec<Lagging>,
    /// So many of the first are alike.
    alike: usize,
}

impl Router {
    /// Knows nothing of them yet. In this order where round trips do not tell them apart; the number
    /// is a bias: so many times as near.
    #[must_use]
    pub fn new(settings: Settings, targets: &[(Arc<str>, f64)], now_ms: u64) -> Self {
        let target = |(name, bias): &(Arc<str>, f64)| {
            Target::new(name.clone(), *bias, Breaker::new(settings.breaker, now_ms), now_ms)
        };
        let targets = targets.iter().map(target).collect();
        let (home, moves, lagging) = (Home::default(), Vec::new(), Vec::new());
        Self { settings, targets, home, moves, lagging, alike: 1 }
    }

    /// So many of the first targets are alike, as the nodes of a region are: while one of them is the
    /// home, each is as good, and the cheapest is asked.
    #[must_use]
    pub fn with_alike(self, alike: usize) -> Self {
        Self { alike, ..self }
    }

    /// A target said how it is.
    pub fn heard(&mut self, target: usize, health: Health, now_ms: u64) {
        if let Some(of) = self.targets.get_mut(target) {
            of.heard = Some((now_ms, health));
            self.compare();
        }
        self.look(now_ms);
    }

    /// A target ended its stream.
    pub fn lost(&mut self, target: usize, now_ms: u64) {
        if let Some(of) = self.targets.get_mut(target) {
            of.heard = None;
            self.compare();
        }
        self.look(now_ms);
    }

    /// A round trip to a target was measured.
    pub fn measured(&mut self, target: usize, took_us: u64, now_ms: u64) {
        let tau_ms = self.settings.tau_ms;
        if let Some(of) = self.targets.get_mut(target) {
            of.round_trip.observe(took_us, tau_ms, now_ms);
        }
        self.look(now_ms);
    }

    /// The home's moves since the last call. Whatever is told or asked may have moved it.
    pub fn take_moves(&mut self) -> Vec<Move> {
        std::mem::take(&mut self.moves)
    }

    /// Who began to lag since the last call, or does no more.
    pub fn take_lagging(&mut self) -> Vec<Lagging> {
        std::mem::take(&mut self.lagging)
    }

    /// Whom to ask, best first: all of them, as the last resort is better than nothing.
    pub fn plan(&mut self, need: &Need<'_>, now_ms: u64, random: u64) -> Vec<Pick> {
        self.look(now_ms);
        let standing = |target: &Target| target.standing(need, self.settings.silent_ms, now_ms);
        let standings = self.targets.iter().map(standing).enumerate();
        let mut picks: Vec<Pick> =
            standings.map(|(target, standing)| Pick { target, standing }).collect();
        // Before there is one, it is the first.
        let home = self.home.current().unwrap_or(0);
        let spared = self.spares_home(&picks, now_ms, random);
        let key = |pick: &Pick| {
            let target = &self.targets[pick.target];
            let turn = match pick.target {
                target if target == home && spared => 2,
                target if target == home || target.max(home) < self.alike => 0,
                _ => 1,
            };
            let stale_ms = target.stale_ms(&pick.standing, need);
            let before_cost = (pick.standing.place(), stale_ms, pick.standing.class(), turn);
            (before_cost, target.cost_us())
        };
        let order = |a: &Pick, b: &Pick| {
            let (a, b) = (key(a), key(b));
            a.0.cmp(&b.0).then(a.1.total_cmp(&b.1))
        };
        picks.sort_by(order);
        // One request in the time of an ejection finds out; two at once need not.
        let probes = picks.iter().filter(|pick| pick.standing == Standing::Probe).count();
        picks[..probes].iter_mut().skip(1).for_each(|pick| pick.standing = Standing::Ejected);
        if probes > 1 {
            picks[1..].sort_by(order);
        }
        picks
    }

    /// Whether this request goes past the home: it has only just returned, or it has a queue.
    fn spares_home(&self, picks: &[Pick], now_ms: u64, random: u64) -> bool {
        let Some(at) = self.home.current() else { return false };
        let home = &self.targets[at];
        let share = home.ramp_ms.map_or(100, |since_ms| {
            share_percent(now_ms.saturating_sub(since_ms), self.settings.step_ms)
        });
        let fit = |pick: &&Pick| pick.target != at && pick.standing == Standing::Fit;
        let others = picks.iter().filter(fit).map(|pick| self.targets[pick.target].cost_us());
        let Some(best_us) = others.min_by(f64::total_cmp) else { return false };
        let queues = home.outstanding >= self.settings.spill_outstanding
            && self.settings.home.leave.is_worse(home.cost_us(), best_us);
        random % 100 >= share || queues
    }

    /// A request to a target starts; `None`: another one has become its probe in the meantime.
    pub fn start(&mut self, pick: &Pick, now_ms: u64) -> Option<Try> {
        let of = self.targets.get_mut(pick.target)?;
        let from = of.breaker.state();
        let probe = of.breaker.start(now_ms);
        if pick.standing == Standing::Probe && of.breaker.state() == State::Probing && !probe {
            return None;
        }
        of.outstanding += 1;
        of.patience.asked(now_ms);
        let changed = changed(pick.target, from, of.breaker.state());
        Some(Try { target: pick.target, probe, started_ms: now_ms, usual: false, changed })
    }

    /// It ended.
    pub fn finish(
        &mut self,
        tried: Try,
        outcome: Outcome,
        now_ms: u64,
        random: u64,
    ) -> Option<Transition> {
        let may_open = (self.ejected() + 1) * 100
            <= self.targets.len() as u64 * self.settings.max_ejected_percent;
        let Try { target, probe, started_ms, usual, .. } = tried;
        let of = &mut self.targets[target];
        of.outstanding = of.outstanding.saturating_sub(1);
        let outcome = of.ended(outcome, (started_ms, usual), now_ms);
        let from = of.breaker.state();
        of.breaker.record((probe, outcome), may_open, (now_ms, random));
        let to = of.breaker.state();
        self.look(now_ms);
        changed(target, from, to)
    }

    /// How many targets their breakers leave out.
    #[must_use]
    pub fn ejected(&self) -> u64 {
        let open = |target: &&Target| target.breaker.state() != State::Closed;
        self.targets.iter().filter(open).count() as u64
    }

    /// Where requests go that need nothing in particular.
    #[must_use]
    pub fn home(&self) -> Option<usize> {
        self.home.current()
    }

    /// What is known of every target, for people.
    #[must_use]
    pub fn table(&self, now_ms: u64) -> Vec<Row> {
        let need = Need::default();
        let row = |(at, target): (usize, &Target)| {
            let standing = target.standing(&need, self.settings.silent_ms, now_ms);
            Row::new(target, standing, self.home.current() == Some(at), &self.settings, now_ms)
        };
        self.targets.iter().enumerate().map(row).collect()
    }

    /// Who lags whom, after one of them was heard.
    fn compare(&mut self) {
        let said: Vec<Option<(u64, Health)>> =
            self.targets.iter().map(|target| target.heard.clone()).collect();
        let said: Vec<Option<(u64, &Health)>> =
            said.iter().map(|heard| heard.as_ref().map(|(at, health)| (*at, health))).collect();
        for (at, target) in self.targets.iter_mut().enumerate() {
            target.lags_ms = lags_ms(&said, at);
            let now = demoted(&target.demoted, &target.lags_ms, self.settings.lag_ms);
            for origin in now.symmetric_difference(&target.demoted) {
                let lag_ms = now.get(origin).and_then(|origin| target.lags_ms.get(origin).copied());
                self.lagging.push(Lagging { target: at, origin: origin.clone(), lag_ms });
            }
            target.demoted = now;
        }
    }

    /// Whether the home should be another one. Whatever can answer could be the home; what is ready
    /// is preferred to what is not.
    fn look(&mut self, now_ms: u64) {
        let there: Vec<Standing> =
            self.targets.iter().map(|t| self.availability(t, now_ms)).collect();
        let Some(best) = there.iter().map(Standing::class).min() else { return };
        let most = Standing::NotReady(String::new()).class();
        let mut candidates = Vec::with_capacity(there.len());
        for (at, (target, standing)) in self.targets.iter_mut().zip(&there).enumerate() {
            let fits = standing.class() == best && best <= most;
            if fits && !target.was_there && target.was_ever_fit {
                target.returned_ms = Some(now_ms);
            }
            target.was_there = fits;
            if *standing == Standing::Fit && !target.was_ever_fit {
                target.was_ever_fit = true;
                self.home.renew(at);
            }
            let (cost_us, returned_ms) = (target.nearness_us(), target.returned_ms);
            let fit = *standing == Standing::Fit;
            candidates.push(fits.then_some(Candidate { cost_us, returned_ms, fit }));
        }
        let moved = self.home.look(&candidates, &self.settings.home, now_ms);
        let Some(moved) = moved else { return };
        let to = &mut self.targets[moved.to];
        to.ramp_ms = to.returned_ms.filter(|_| !moved.forced).map(|_| now_ms);
        self.moves.push(moved);
    }

    /// What speaks against a target for whatever request: not its freshness, which is a request's
    /// own affair.
    fn availability(&self, target: &Target, now_ms: u64) -> Standing {
        let Some(health) = target.health(self.settings.silent_ms, now_ms) else {
            return Standing::Unknown;
        };
        match target.breaker.state() {
            _ if !health.serving => Standing::NotServing,
            State::Open { .. } | State::Probing => Standing::Ejected,
            State::Closed if target.breaker.is_overdue(now_ms) => Standing::Failing,
            State::Closed if !health.ready => Standing::NotReady(String::new()),
            State::Closed if health.draining => Standing::Draining,
            State::Closed => Standing::Fit,
        }
    }
}

fn changed(target: usize, from: State, to: State) -> Option<Transition> {
    (from != to).then_some(Transition { target, from, to })
}
