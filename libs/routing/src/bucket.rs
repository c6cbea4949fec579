//! A token bucket, in whole thousandths of a token, so that what it gives out can be counted to
//! the last one.
//!
//! Source: the token bucket of RFC 2697, with deposits beside its steady rate.

/// What one token is made of.
pub(crate) const MILLI: u64 = 1_000;

/// Fills at a steady rate and by deposits, up to its depth.
#[derive(Clone, Debug)]
pub struct TokenBucket {
    depth: u64,
    /// Tokens a second are thousandths of a token a millisecond.
    per_s: u64,
    level: u64,
    at_ms: u64,
}

impl TokenBucket {
    /// Holds `depth` tokens at most, and gets `per_s` of them a second; full.
    #[must_use]
    pub fn full(depth: u64, per_s: u64, now_ms: u64) -> Self {
        let depth = depth.saturating_mul(MILLI);
        Self { depth, per_s, level: depth, at_ms: now_ms }
    }

    /// The same, empty.
    #[must_use]
    pub fn empty(depth: u64, per_s: u64, now_ms: u64) -> Self {
        Self { level: 0, ..Self::full(depth, per_s, now_ms) }
    }

    /// Adds thousandths of a token; what is above the depth is lost.
    pub fn deposit(&mut self, milli: u64) {
        self.level = self.level.saturating_add(milli).min(self.depth);
    }

    /// Takes one token, if there is one.
    pub fn try_take(&mut self, now_ms: u64) -> bool {
        self.refill(now_ms);
        let enough = self.level >= MILLI;
        if enough {
            self.level -= MILLI;
        }
        enough
    }

    /// How long until there is a token, ms; `None`: it never fills by itself.
    pub fn wait_ms(&mut self, now_ms: u64) -> Option<u64> {
        self.refill(now_ms);
        let lacking = MILLI.saturating_sub(self.level);
        if self.per_s == 0 {
            (lacking == 0).then_some(0)
        } else {
            Some(lacking.div_ceil(self.per_s))
        }
    }

    /// Whether nothing has been taken that did not come back: it can be forgotten.
    pub fn is_full(&mut self, now_ms: u64) -> bool {
        self.refill(now_ms);
        self.level == self.depth
    }

    fn refill(&mut self, now_ms: u64) {
        let passed_ms = now_ms.saturating_sub(self.at_ms);
        self.at_ms = self.at_ms.max(now_ms);
        self.deposit(passed_ms.saturating_mul(self.per_s));
    }
}
