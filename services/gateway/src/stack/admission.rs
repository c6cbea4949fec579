//! Quota, limit, queue: a request is shed here, or worked on to the end.

use routing::Finish;
use tower::layer::layer_fn;
use tower::{Layer, ServiceExt, service_fn};

use super::{Ask, Below};
use crate::door::Door;
use crate::given::Given;
use crate::refusal::Refusal;

pub(crate) fn admission<S>(door: &Door) -> impl Layer<S, Service = impl Below<Ask, Given>>
where
    S: Below<Ask, Given>,
{
    layer_fn(move |below: S| {
        service_fn(move |ask: Ask| async move {
            let permit = door.gate.enter(&ask.call.caller, ask.deadline).await?;
            let patient = door.is_patient(ask.call.caller.timeout_ms);
            let answer = below.oneshot(ask).await;
            // What the limit learns from it.
            permit.finish(match &answer {
                Ok(_) => Finish::InTime,
                Err(Refusal::TimedOut(_)) if patient => Finish::TooLate,
                Err(_) => Finish::Neither,
            });
            answer
        })
    })
}
