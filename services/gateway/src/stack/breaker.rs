//! A try at one region, whose end its breaker is told.

use routing::Outcome;
use tonic::{Code, Status};
use tower::layer::layer_fn;
use tower::{Layer, ServiceExt, service_fn};
use tracing::Instrument;

use super::{Below, Try};
use crate::deadline::in_time;
use crate::door::Door;
use crate::hop;

/// Why a region has given no answer.
pub(crate) enum Unanswered {
    /// Another request finds out whether it is well.
    NotAsked,
    /// It said why, or nothing in time.
    Status(Status),
}

/// Nothing but its time cuts a try short.
pub(crate) fn breaker<S, Q, A>(
    door: &Door,
) -> impl Layer<S, Service = impl Below<Try<Q>, A, Unanswered>>
where
    S: Below<Try<Q>, A, Status>,
    Q: Send,
    A: Send,
{
    layer_fn(move |below: S| {
        service_fn(move |asked: Try<Q>| async move {
            let (ms, pick, usual) = (asked.ms, &asked.pick, asked.usual);
            let under_way = door.regions.routes().start(pick, usual).ok_or(Unanswered::NotAsked)?;
            let span = telemetry::client("try", || {
                let region = &door.regions.at(pick.target).name;
                [("region", region.to_string()), ("standing", pick.standing.to_string())]
            });
            let tried = async move {
                let answer = in_time(&door.env, ms, below.oneshot(asked)).await;
                under_way.end(blame(&answer, ms >= door.config.try_ms));
                hop::ended(&answer);
                answer
            };
            tried.instrument(span).await.map_err(Unanswered::Status)
        })
    })
}

/// What an answer says about the region. Whether a try that had less time than others says anything by
/// being too late is for the router to tell, or one impatient caller could have a region left out for all.
fn blame<T>(answer: &Result<T, Status>, full: bool) -> Outcome {
    match answer.as_ref().map_err(Status::code) {
        Ok(_) => Outcome::Answered,
        Err(Code::DeadlineExceeded) if !full => Outcome::Hurried,
        // It is well: it says that it has not got what was asked for.
        Err(
            Code::FailedPrecondition | Code::NotFound | Code::InvalidArgument | Code::OutOfRange,
        ) => Outcome::Answered,
        Err(_) => Outcome::Failed,
    }
}
