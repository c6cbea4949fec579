//! Names to plans and keys to shards, on the way down; rows to columns, with on-demand features, on
//! the way up.

use tower::layer::layer_fn;
use tower::{Layer, ServiceExt, service_fn};

use super::{Below, Named, Read, Reply};
use crate::door::Door;
use crate::given::Given;
use crate::question::Question;

pub(crate) fn assembly<S>(door: &Door) -> impl Layer<S, Service = impl Below<Named, Given>>
where
    S: Below<Read, Reply>,
{
    layer_fn(move |below: S| {
        service_fn(move |Named { ask, names }: Named| async move {
            let call = ask.call.clone();
            let mut asked = Question::new(door, &names, &call.request)?;
            let question = asked.read(door.env.now_ms());
            let (answered, question) = below.oneshot(Read { ask, question }).await?;
            asked.assemble(answered, question)
        })
    })
}
