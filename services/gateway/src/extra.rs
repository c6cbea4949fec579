//! What reads may ask in addition to what they must, and when: retries and hedges.

use std::sync::Arc;

use clock::Env;
use parking_lot::Mutex;
use routing::{Budget, Percentile};

use crate::config::Config;

/// A read that takes longer than this share of all is slow, percent.
const SLOW_PERCENTILE: f64 = 95.0;
/// What is usual is told from a window of so many ms, and of no fewer reads.
const USUAL_MS: u64 = 10_000;
const USUAL_READS: u64 = 100;

/// Their budgets, and what is usual.
pub(crate) struct Extra {
    env: Arc<dyn Env>,
    state: Mutex<State>,
}

struct State {
    retries: Budget,
    hedges: Budget,
    usual: Percentile,
}

impl Extra {
    pub(crate) fn new(config: &Config, env: Arc<dyn Env>) -> Self {
        let now_ms = env.monotonic_ms();
        let state = State {
            retries: Budget::retries(config.retry_percent, config.retry_per_s, now_ms),
            hedges: Budget::hedges(config.hedge_percent, now_ms),
            usual: Percentile::new(SLOW_PERCENTILE, USUAL_MS, USUAL_READS, now_ms),
        };
        Self { env, state: Mutex::new(state) }
    }

    /// A read came in.
    pub(crate) fn read(&self) {
        let mut state = self.state.lock();
        state.retries.request();
        state.hedges.request();
    }

    /// Whether one more may be asked again.
    pub(crate) fn may_retry(&self) -> bool {
        self.state.lock().retries.try_spend(self.env.monotonic_ms())
    }

    /// Whether one more may be asked of two at once.
    pub(crate) fn may_hedge(&self) -> bool {
        self.state.lock().hedges.try_spend(self.env.monotonic_ms())
    }

    /// After how long a read is slow; `None`: too few are known.
    pub(crate) fn slow_after_ms(&self) -> Option<u64> {
        let mut state = self.state.lock();
        let usual_us = state.usual.value_us(self.env.monotonic_ms())?;
        Some(usual_us.div_ceil(1_000).max(1))
    }

    /// One that started then was answered.
    pub(crate) fn took(&self, started_us: u64) {
        let now_us = self.env.monotonic_us();
        self.state.lock().usual.observe(now_us - started_us, now_us / 1_000);
    }
}
