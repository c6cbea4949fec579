//! When an answer is of no use any more: taken from the caller once, handed on with what is left.

use clock::Env;

/// A point of the environment's monotonic time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    at_us: u64,
}

impl Deadline {
    pub(crate) fn after(env: &dyn Env, ms: u64) -> Self {
        Self { at_us: env.monotonic_us().saturating_add(ms.saturating_mul(1_000)) }
    }

    /// What is left of it, ms.
    pub(crate) fn left_ms(self, env: &dyn Env) -> u64 {
        self.at_us.saturating_sub(env.monotonic_us()) / 1_000
    }
}
