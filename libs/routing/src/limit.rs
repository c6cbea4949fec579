//! How many requests are worked on at once: found out, not guessed.
//!
//! Source: additive increase, multiplicative decrease (Chiu and Jain, 1989), as in Netflix's
//! `concurrency-limits`. A limit that compares latencies (Vegas, Gradient) takes a batch of ten
//! thousand rows, or a read that waits for its token, for congestion; so only requests that
//! were given up for want of time count here.

/// The share that is left of the limit after a cut, percent.
const KEPT_PERCENT: u64 = 90;
const MILLI: u64 = 1_000;

/// A limit between a floor and a cap.
#[derive(Clone, Debug)]
pub struct Limit {
    floor: u64,
    cap: u64,
    milli: u64,
    /// Cut at most once in this time: one stall is one sign, however many requests it met.
    pause_ms: u64,
    cut_ms: Option<u64>,
}

impl Limit {
    /// Starts at the cap.
    #[must_use]
    pub fn new(floor: u64, cap: u64, pause_ms: u64) -> Self {
        let (floor, cap) = (floor.clamp(1, cap.max(1)), cap.max(1));
        Self { floor, cap, milli: cap * MILLI, pause_ms, cut_ms: None }
    }

    /// What it is now.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.milli / MILLI
    }

    /// A request ended in time. The limit grows by about one for each round of so many, if they were
    /// many enough to have touched it.
    pub fn in_time(&mut self, in_flight: u64) {
        if in_flight * 2 >= self.now() {
            self.milli = (self.milli + MILLI * MILLI / self.milli.max(1)).min(self.cap * MILLI);
        }
    }

    /// A request was given up for want of time.
    pub fn too_late(&mut self, now_ms: u64) {
        let paused = self.cut_ms.is_some_and(|at| now_ms.saturating_sub(at) < self.pause_ms);
        if !paused {
            self.cut_ms = Some(now_ms);
            self.milli = (self.milli * KEPT_PERCENT / 100).max(self.floor * MILLI);
        }
    }
}
