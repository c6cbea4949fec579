//! The partitions that this node tries to fold: whether it does, and how fast.

use std::collections::BTreeMap;

use backbone::Partition;

/// Rates are of so many ms of the steady clock, at least, and of no more than twice as many.
const SPAN_MS: u64 = 5_000;

/// By partition of this region's sources.
pub type Claims = BTreeMap<Partition, Claim>;

/// One of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Claim {
    /// Whether its fold is at work; why not.
    pub state: Result<(), String>,
    commits: Rate,
    events: Rate,
}

impl Claim {
    /// Held from now on.
    #[must_use]
    pub fn new(now_ms: u64) -> Self {
        Self { state: Ok(()), commits: Rate::new(now_ms), events: Rate::new(now_ms) }
    }

    /// One that is not held.
    #[must_use]
    pub fn failed(why: String, now_ms: u64) -> Self {
        Self { state: Err(why), ..Self::new(now_ms) }
    }

    /// A commit of so many events.
    pub fn committed(&mut self, events: u64, now_ms: u64) {
        self.commits.add(1, now_ms);
        self.events.add(events, now_ms);
    }

    /// Commits and events a second.
    #[must_use]
    pub fn rates(&self, now_ms: u64) -> (f64, f64) {
        (self.commits.per_s(now_ms), self.events.per_s(now_ms))
    }
}

/// How often something happens: counted over the span under way and the one before.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Rate {
    since_ms: u64,
    before: u64,
    now: u64,
}

impl Rate {
    fn new(now_ms: u64) -> Self {
        Self { since_ms: now_ms, before: 0, now: 0 }
    }

    fn add(&mut self, count: u64, now_ms: u64) {
        self.turn(now_ms);
        self.now += count;
    }

    fn turn(&mut self, now_ms: u64) {
        let passed = now_ms.saturating_sub(self.since_ms) / SPAN_MS;
        if passed > 0 {
            self.before = if passed == 1 { self.now } else { 0 };
            self.now = 0;
            self.since_ms += passed * SPAN_MS;
        }
    }

    fn per_s(mut self, now_ms: u64) -> f64 {
        self.turn(now_ms);
        let ms = SPAN_MS + now_ms.saturating_sub(self.since_ms);
        (self.before + self.now) as f64 * 1_000.0 / ms as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_follow_what_happens_and_end_with_it() {
        let mut claim = Claim::new(0);
        // Every 20 ms a commit of three events, for a minute.
        (1..=3_000).for_each(|n| claim.committed(3, n * 20));
        let (commits, events) = claim.rates(60_000);
        assert!((commits - 50.0).abs() < 1.0, "{commits}");
        assert!((events - 150.0).abs() < 3.0, "{events}");
        assert!(claim.rates(66_000).0 < commits, "nothing since");
        assert_eq!(claim.rates(75_000), (0.0, 0.0));
    }
}
