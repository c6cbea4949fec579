//! When an answer is of no use any more: taken from the caller once, handed on with what is left.

use std::sync::Arc;

use clock::{Env, timeout};
use tonic::{Code, Status};

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

/// A call's answer, if it comes within so many ms. That it did not is said alike whoever noticed: a
/// channel that was told of the deadline has a timer of its own, and calls what it ends cancelled.
///
/// # Errors
/// Those of the call, and DEADLINE_EXCEEDED.
pub(crate) async fn in_time<T>(
    env: &Arc<dyn Env>,
    ms: u64,
    call: impl Future<Output = Result<T, Status>> + Send,
) -> Result<T, Status> {
    let deadline = Deadline::after(&**env, ms);
    match timeout(env, ms, call).await {
        Ok(Err(status)) if status.code() != Code::Cancelled || deadline.left_ms(&**env) > 0 => {
            Err(status)
        }
        Ok(Ok(answer)) => Ok(answer),
        _ => Err(Status::deadline_exceeded(format!("no answer within {ms} ms"))),
    }
}
