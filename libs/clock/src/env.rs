//! The seam between code that waits and whoever decides what time it is.

use std::sync::Arc;

use futures::future::{BoxFuture, Either, select};

/// Time, timers, tasks and randomness. One per process in production, one per simulated node in
/// tests. Implementations must be cheap to share behind an `Arc`.
pub trait Env: Send + Sync + 'static {
    /// Wall-clock time, milliseconds since the Unix epoch. May step; never used for ordering.
    fn now_ms(&self) -> i64;
    /// Microseconds since a point that this environment chose. Never steps and never goes back: for
    /// how long things take, and for what is due after a while.
    fn monotonic_us(&self) -> u64;
    /// The same in milliseconds.
    fn monotonic_ms(&self) -> u64 {
        self.monotonic_us() / 1_000
    }
    /// Completes after `ms` milliseconds of this environment's time.
    fn sleep_ms(&self, ms: u64) -> BoxFuture<'static, ()>;
    /// Runs `future` concurrently. Dropping the returned [`Task`] aborts it.
    fn spawn(&self, name: &'static str, future: BoxFuture<'static, ()>) -> Task;
    /// A uniformly random number; for jitter and names, never for anything that is folded.
    fn random_u64(&self) -> u64;
}

/// A running task. Aborted when dropped, so that what a value started ends with it.
pub struct Task {
    abort: Option<Box<dyn FnOnce() + Send + Sync>>,
}

impl Task {
    /// Wraps the function that aborts the task.
    pub fn new(abort: impl FnOnce() + Send + Sync + 'static) -> Self {
        Self { abort: Some(Box::new(abort)) }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        if let Some(abort) = self.abort.take() {
            abort();
        }
    }
}

/// A deadline passed before the future was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("deadline passed")]
pub struct Expired;

/// Waits for `future` for at most `ms` milliseconds. Biased towards the future.
pub async fn timeout<T>(
    env: &Arc<dyn Env>,
    ms: u64,
    future: impl Future<Output = T> + Send,
) -> Result<T, Expired> {
    let future = Box::pin(future);
    match select(future, env.sleep_ms(ms)).await {
        Either::Left((value, _)) => Ok(value),
        Either::Right(((), _)) => Err(Expired),
    }
}
