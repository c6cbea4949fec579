//! Quota, limit, queue: a request is shed here, or worked on to the end.

use api::v1;
use tower::layer::layer_fn;
use tower::{Layer, ServiceExt, service_fn};

use super::{Ask, Below};
use crate::door::Door;

pub(crate) fn admission<S>(
    door: &Door,
) -> impl Layer<S, Service = impl Below<Ask, v1::GetFeaturesResponse>>
where
    S: Below<Ask, v1::GetFeaturesResponse>,
{
    layer_fn(move |below: S| {
        service_fn(move |ask: Ask| async move {
            let permit = door.gate.enter(&ask.call.caller, ask.deadline).await?;
            let answer = below.oneshot(ask).await;
            // What the limit learns from it.
            permit.finish(&answer);
            answer
        })
    })
}
