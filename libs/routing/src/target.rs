//! All that is known of one target.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::breaker::{Breaker, Outcome, State};
use crate::freshness::{Health, Need, behind_token, lagging, too_old};
use crate::latency::PeakEwma;
use crate::patience::Patience;
use crate::standing::Standing;

/// A region that can be asked.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) name: Arc<str>,
    /// Counts as so many times as near.
    pub(crate) bias: f64,
    /// When it was last heard, and what it said; `None`: it is lost.
    pub(crate) heard: Option<(u64, Health)>,
    pub(crate) breaker: Breaker,
    pub(crate) round_trip: PeakEwma,
    pub(crate) patience: Patience,
    pub(crate) outstanding: u64,
    /// Origins for which it is demoted.
    pub(crate) demoted: BTreeSet<Arc<str>>,
    /// By origin, how far it lags its peers, ms.
    pub(crate) lags_ms: BTreeMap<Arc<str>, i64>,
    /// Whether it was fit for the home when last looked at.
    pub(crate) was_there: bool,
    /// Whether it has ever been fit: only then can it return.
    pub(crate) was_ever_fit: bool,
    /// Since when it has been there again.
    pub(crate) returned_ms: Option<u64>,
    /// Since when its share of the traffic grows again.
    pub(crate) ramp_ms: Option<u64>,
}

impl Target {
    pub(crate) fn new(name: Arc<str>, bias: f64, breaker: Breaker, now_ms: u64) -> Self {
        Self {
            name,
            bias,
            heard: None,
            breaker,
            round_trip: PeakEwma::default(),
            patience: Patience::new(now_ms),
            outstanding: 0,
            demoted: BTreeSet::new(),
            lags_ms: BTreeMap::new(),
            was_there: false,
            was_ever_fit: false,
            returned_ms: None,
            ramp_ms: None,
        }
    }

    /// What it says, unless that was too long ago.
    pub(crate) fn health(&self, silent_ms: u64, now_ms: u64) -> Option<&Health> {
        let (heard_ms, health) = self.heard.as_ref()?;
        (now_ms.saturating_sub(*heard_ms) <= silent_ms).then_some(health)
    }

    /// What speaks against it, for a request; the worst of it.
    pub(crate) fn standing(&self, need: &Need<'_>, silent_ms: u64, now_ms: u64) -> Standing {
        let Some(health) = self.health(silent_ms, now_ms) else { return Standing::Unknown };
        if !health.serving {
            return Standing::NotServing;
        }
        match self.breaker.state() {
            _ if self.breaker.wants_probe(now_ms) => return Standing::Probe,
            State::Open { .. } | State::Probing => return Standing::Ejected,
            State::Closed if self.breaker.is_overdue(now_ms) => return Standing::Failing,
            State::Closed => {}
        }
        if let Some((region, _)) = too_old(health, need) {
            Standing::TooOld(region.clone())
        } else if let Some(region) = lagging(&self.demoted, need) {
            Standing::Lags(region.clone())
        } else if !health.ready {
            Standing::NotReady(health.reason.clone())
        } else if behind_token(health, need) {
            Standing::BehindToken
        } else if health.draining {
            Standing::Draining
        } else {
            Standing::Fit
        }
    }

    /// How a request to it ended, which started then, and was like most or not: one whose caller was in a
    /// hurry counts if it should have been answered all the same.
    pub(crate) fn ended(
        &mut self,
        outcome: Outcome,
        (started_ms, usual): (u64, bool),
        now_ms: u64,
    ) -> Outcome {
        let took_ms = now_ms.saturating_sub(started_ms);
        match outcome {
            Outcome::Answered => self.patience.answered(usual.then_some(took_ms), now_ms),
            Outcome::Hurried => {
                let away_ms = self.round_trip.value_us().unwrap_or(0.0) / 1_000.0;
                let over = usual && self.patience.is_over(took_ms, away_ms.ceil() as u64, now_ms);
                return if over { Outcome::Failed } else { Outcome::Abandoned };
            }
            Outcome::Failed | Outcome::Abandoned => {}
        }
        outcome
    }

    /// How near, with its bias, µs.
    pub(crate) fn nearness_us(&self) -> f64 {
        self.round_trip.cost_us(0) / self.bias
    }

    /// What one more request costs, µs.
    pub(crate) fn cost_us(&self) -> f64 {
        self.round_trip.cost_us(self.outstanding) / self.bias
    }

    /// How stale it is, where that decides who is asked first: of those that are not fresh enough, and of
    /// those that fail, to which no more than what it would be demoted for is a difference, ms.
    pub(crate) fn stale_ms(&self, standing: &Standing, need: &Need<'_>) -> i64 {
        let fails = matches!(standing, Standing::Failing | Standing::Ejected);
        let fresh = standing.is_fresh() || (fails && lagging(&self.demoted, need).is_none());
        if fresh { 0 } else { self.lag_ms(need) }
    }

    /// The furthest that it lags, of what concerns the request, ms.
    fn lag_ms(&self, need: &Need<'_>) -> i64 {
        let lags = self
            .lags_ms
            .iter()
            .filter(|(region, _)| !need.exclude.iter().any(|excluded| *excluded == ***region));
        lags.map(|(_, lag)| *lag).max().unwrap_or(i64::MAX)
    }
}
