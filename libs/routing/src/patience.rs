//! What it says of a target that somebody did not wait for it as long as others do: nothing, if a target
//! that is well may take so long; but those who never wait for long should not ask one that hangs for ever.
//!
//! Three things must hold before it counts. It was a read like most. It had several times as long as
//! those usually take there, on the way and at work. And the target has answered nobody for a while,
//! though it was asked, so that a machine that stands still for a moment is not left out for it.

use crate::percentile::Percentile;

/// Nearly all are answered so fast.
const PERCENTILE: f64 = 99.0;
const WINDOW_MS: u64 = 10_000;
/// Of fewer reads nothing can be said.
const MIN_SAMPLES: u64 = 20;
/// What is usual is looked up once in so many ms.
const LOOK_MS: u64 = 1_000;
/// So many times as long as is usual must a read have had.
const TIMES: u64 = 4;
/// For so long must the target have answered nobody, ms: machines stand still for less.
const SILENT_MS: u64 = 200;

/// What is usual of a target, and since when it owes an answer.
#[derive(Clone, Debug)]
pub(crate) struct Patience {
    times: Percentile,
    /// What was usual when it last answered enough: one that hangs adds nothing to it.
    usual_ms: Option<u64>,
    looked_ms: u64,
    /// When it was first asked after its last answer.
    owes_since_ms: Option<u64>,
}

impl Patience {
    pub(crate) fn new(now_ms: u64) -> Self {
        let times = Percentile::new(PERCENTILE, WINDOW_MS, MIN_SAMPLES, now_ms);
        Self { times, usual_ms: None, looked_ms: now_ms, owes_since_ms: None }
    }

    /// It is asked.
    pub(crate) fn asked(&mut self, now_ms: u64) {
        self.owes_since_ms.get_or_insert(now_ms);
    }

    /// It answered; after so many ms, if it was a read like most.
    pub(crate) fn answered(&mut self, took_ms: Option<u64>, now_ms: u64) {
        self.owes_since_ms = None;
        let Some(took_ms) = took_ms else { return };
        // A millisecond that has begun counts: no time is told shorter than it was.
        self.times.observe((took_ms + 1) * 1_000, now_ms);
        if now_ms.saturating_sub(self.looked_ms) >= LOOK_MS {
            let usual_us = self.times.value_us(now_ms);
            self.usual_ms = usual_us.map(|us| us / 1_000).or(self.usual_ms);
            self.looked_ms = now_ms;
        }
    }

    /// Whether it should have answered a read like most that has waited for so long, given how far away it
    /// is now.
    pub(crate) fn is_over(&self, waited_ms: u64, round_trip_ms: u64, now_ms: u64) -> bool {
        let owes = |since_ms: u64| now_ms.saturating_sub(since_ms) >= SILENT_MS;
        let enough = |usual_ms: u64| waited_ms >= usual_ms.max(round_trip_ms).saturating_mul(TIMES);
        self.owes_since_ms.is_some_and(owes) && self.usual_ms.is_some_and(enough)
    }
}
