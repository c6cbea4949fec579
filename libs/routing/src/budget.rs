//! How many extra requests may be made of those that came in: retries and hedges must not turn
//! trouble into overload.
//!
//! Source: Finagle's `RetryBudget` (a share of the requests, plus a few a second so that a client
//! with little traffic can retry at all), kept in a bucket instead of a window of ten seconds.

use crate::bucket::{MILLI, TokenBucket};

/// Extra requests that may pile up while none is made: what a region that dies costs at once.
const RETRY_DEPTH: u64 = 1_000;
/// Hedges that may pile up: few, as a burst of them is a burst of load.
const HEDGE_DEPTH: u64 = 10;

/// A share of the requests, and a rate.
#[derive(Clone, Debug)]
pub struct Budget {
    bucket: TokenBucket,
    milli_per_request: u64,
}

impl Budget {
    /// Retries: `percent` of the requests and `per_s` a second; starts with ten seconds' worth.
    #[must_use]
    pub fn retries(percent: u64, per_s: u64, now_ms: u64) -> Self {
        let mut bucket = TokenBucket::empty(RETRY_DEPTH, per_s, now_ms);
        bucket.deposit(per_s * 10 * MILLI);
        Self { bucket, milli_per_request: percent * MILLI / 100 }
    }

    /// Hedges: `percent` of the requests, never more.
    #[must_use]
    pub fn hedges(percent: u64, now_ms: u64) -> Self {
        let bucket = TokenBucket::empty(HEDGE_DEPTH, 0, now_ms);
        Self { bucket, milli_per_request: percent * MILLI / 100 }
    }

    /// A request came in.
    pub fn request(&mut self) {
        self.bucket.deposit(self.milli_per_request);
    }

    /// Whether one more may be made; it is paid for.
    pub fn try_spend(&mut self, now_ms: u64) -> bool {
        self.bucket.try_take(now_ms)
    }
}
