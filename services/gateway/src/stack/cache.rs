//! An answer that was given before, for who said how old it may be; names are given their meaning
//! here, as an answer is of no use when they mean something else.

use futures::FutureExt;
use tower::layer::layer_fn;
use tower::{Layer, ServiceExt, service_fn};

use super::{Ask, Below, Named};
use crate::door::Door;
use crate::given::Given;
use crate::rules::Rules;

pub(crate) fn cache<S>(door: &Door) -> impl Layer<S, Service = impl Below<Ask, Given>>
where
    S: Below<Named, Given>,
{
    layer_fn(move |below: S| {
        service_fn(move |ask: Ask| async move {
            let request = &ask.call.request;
            let (names, rules) = (door.names(), Rules::of(&request.options));
            // Boxed: whoever finds an answer has no need of all that.
            let named = || Named { ask: ask.clone(), names: names.clone() };
            let read = || below.oneshot(named()).boxed();
            door.answers.get(request, names.clone(), &rules, ask.deadline, read).await
        })
    })
}
