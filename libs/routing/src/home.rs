//! The target that requests go to as long as nothing speaks against it, so that two near regions do
//! not take turns.
//!
//! A Schmitt trigger over cost: what is left must be clearly worse than the best, what is taken must
//! be nearly as good, and the band between is wider than the noise. Of those that are nearly as good
//! the first in the configured order is taken, which has the own region first. A move that nothing
//! forces waits until its reason has held for a while, until the last move is a while ago, and until
//! a target that was lost has been there for a while (BGP's route flap damping, RFC 2439, kept to
//! three fixed times). When everybody starts, the first home is chosen once: when the first target in
//! the order is fit, or a moment after anybody is there.

/// How much worse is worse.
#[derive(Clone, Copy, Debug)]
pub struct Margin {
    /// Times the best.
    pub ratio: f64,
    /// And this much, µs: below it a difference is not worth a move.
    pub plus_us: f64,
}

impl Margin {
    pub(crate) fn is_worse(&self, cost_us: f64, best_us: f64) -> bool {
        cost_us > best_us * self.ratio + self.plus_us
    }
}

/// When to move.
#[derive(Clone, Copy, Debug)]
pub struct HomeSettings {
    /// A home that is worse than the best by this is left.
    pub leave: Margin,
    /// A target that is worse by no more than this can become the home.
    pub enter: Margin,
    /// A reason to move must have held for this long, ms.
    pub confirm_ms: u64,
    /// Between a move and the next, ms, unless the home is lost.
    pub dwell_ms: u64,
    /// A target that was lost must have been there for this long, ms.
    pub settle_ms: u64,
    /// The first home waits for so long until the first target is fit, ms.
    pub first_ms: u64,
}

impl Default for HomeSettings {
    fn default() -> Self {
        Self {
            leave: Margin { ratio: 2.0, plus_us: 5_000.0 },
            enter: Margin { ratio: 1.25, plus_us: 2_000.0 },
            confirm_ms: 1_000,
            dwell_ms: 10_000,
            settle_ms: 5_000,
            first_ms: 1_000,
        }
    }
}

/// A target that could be the home.
#[derive(Clone, Copy, Debug)]
pub struct Candidate {
    /// How far away it is, µs, with its bias.
    pub cost_us: f64,
    /// Since when it has been there, if it was lost before, ms.
    pub returned_ms: Option<u64>,
    /// Whether nothing speaks against it; else it is makeshift.
    pub fit: bool,
}

/// The home moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Move {
    /// From there; `None`: there was none.
    pub from: Option<usize>,
    /// To here.
    pub to: usize,
    /// Whether the old one was lost.
    pub forced: bool,
}

/// Where requests go.
#[derive(Clone, Debug, Default)]
pub struct Home {
    current: Option<usize>,
    moved_ms: u64,
    /// Where it would rather be, and since when.
    wish: Option<(usize, u64)>,
    /// When anybody was there for the first time.
    begun_ms: Option<u64>,
    /// Targets that have been the home.
    been: Vec<usize>,
}

impl Home {
    /// Where it is.
    #[must_use]
    pub fn current(&self) -> Option<usize> {
        self.current
    }

    /// A target is fit for the first time: what it was the home for before was makeshift.
    pub fn renew(&mut self, target: usize) {
        self.been.retain(|been| *been != target);
    }

    /// Looks again; `candidates` in the configured order, `None` for those that are not there.
    pub fn look(
        &mut self,
        candidates: &[Option<Candidate>],
        settings: &HomeSettings,
        now_ms: u64,
    ) -> Option<Move> {
        let there = |at: usize| candidates.get(at).copied().flatten();
        let settled = |candidate: &Candidate| {
            candidate.returned_ms.is_none_or(|at| now_ms.saturating_sub(at) >= settings.settle_ms)
        };
        if self.current.is_none() && !self.begins(candidates, settings, now_ms) {
            return None;
        }
        let Some(here) = self.current.and_then(there) else {
            let to = nearest(candidates, settings, settled)
                .or_else(|| nearest(candidates, settings, |_| true))?;
            return Some(self.go(to, true, now_ms));
        };
        let to = self.wished(here, candidates, settings, settled);
        let Some(to) = to else {
            self.wish = None;
            return None;
        };
        let since_ms = match self.wish {
            Some((wish, since_ms)) if wish == to => since_ms,
            _ => now_ms,
        };
        self.wish = Some((to, since_ms));
        // One that comes first and is heard of later than others, as happens when all start.
        let late = there(to).is_some_and(|c| c.returned_ms.is_none())
            && !self.been.contains(&to)
            && self.current.is_some_and(|current| to < current);
        let ripe = now_ms.saturating_sub(since_ms) >= settings.confirm_ms
            && now_ms.saturating_sub(self.moved_ms) >= settings.dwell_ms;
        (late || ripe).then(|| self.go(to, false, now_ms))
    }

    /// Whether the first home is chosen now.
    fn begins(
        &mut self,
        candidates: &[Option<Candidate>],
        settings: &HomeSettings,
        now_ms: u64,
    ) -> bool {
        if candidates.iter().all(Option::is_none) {
            return false;
        }
        let begun_ms = *self.begun_ms.get_or_insert(now_ms);
        let first = candidates.first().copied().flatten();
        first.is_some_and(|first| first.fit) || now_ms.saturating_sub(begun_ms) >= settings.first_ms
    }

    /// Where it should be instead, if the times allowed it.
    fn wished(
        &self,
        here: Candidate,
        candidates: &[Option<Candidate>],
        settings: &HomeSettings,
        settled: impl Fn(&Candidate) -> bool,
    ) -> Option<usize> {
        let current = self.current?;
        let to = nearest(candidates, settings, &settled)?;
        let best_us = best_us(candidates, &settled)?;
        let clearly_worse = settings.leave.is_worse(here.cost_us, best_us);
        (to < current || (clearly_worse && to != current)).then_some(to)
    }

    fn go(&mut self, to: usize, forced: bool, now_ms: u64) -> Move {
        let from = self.current.replace(to);
        self.moved_ms = now_ms;
        self.wish = None;
        if !self.been.contains(&to) {
            self.been.push(to);
        }
        Move { from, to, forced }
    }
}

fn best_us(candidates: &[Option<Candidate>], fits: impl Fn(&Candidate) -> bool) -> Option<f64> {
    let costs = candidates.iter().flatten().filter(|candidate| fits(candidate));
    costs.map(|candidate| candidate.cost_us).min_by(f64::total_cmp)
}

/// The first that is nearly as good as the best.
fn nearest(
    candidates: &[Option<Candidate>],
    settings: &HomeSettings,
    fits: impl Fn(&Candidate) -> bool,
) -> Option<usize> {
    let best_us = best_us(candidates, &fits)?;
    candidates.iter().position(|candidate| {
        candidate.is_some_and(|c| fits(&c) && !settings.enter.is_worse(c.cost_us, best_us))
    })
}
