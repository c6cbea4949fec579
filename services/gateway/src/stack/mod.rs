//! The layers of a read. [`crate::door::Door::get_features`] stacks them, and says in which order.
//!
//! Each is thin: it brings the time and the world to a state machine of [`routing`], which decides.
//! Layers and services are tower's, and made of references: a request stacks its own, which are a few
//! pointers, so that nothing needs to be counted or copied for it.
//!
//! All of them are ready at all times. Readiness is asked for before there is a request, and so
//! nobody could tell who goes first by it, or who has to go: that depends on priority, quota and age.
//! Requests wait in the call of [`admission()`] instead, which is the only place where they do.

mod admission;
mod assembly;
mod breaker;
mod cache;
mod hedge;
mod retry;
mod split;

use std::sync::Arc;

use api::node::v1 as node;
use routing::{Pick, Priority};
use tower::layer::layer_fn;
use tower::{Layer, Service, ServiceExt, service_fn};

pub(crate) use admission::admission;
pub(crate) use assembly::assembly;
pub(crate) use breaker::{Unanswered, breaker};
pub(crate) use cache::cache;
pub(crate) use hedge::hedge;
pub(crate) use retry::retry;
pub(crate) use split::split;

use crate::answer::Answered;
use crate::caller::Caller;
use crate::deadline::Deadline;
use crate::door::Door;
use crate::given::Given;
use crate::refusal::Refusal;
use crate::request::FeatureRequest;
use crate::resolutions::Names;
use crate::rules::Rules;

/// What a layer finds below itself: a service of references, and so one for each request.
pub(crate) trait Below<Q, A, E = Refusal>:
    Service<Q, Response = A, Error = E, Future: Send> + Copy + Send + Sync
{
}

impl<S, Q, A, E> Below<Q, A, E> for S where
    S: Service<Q, Response = A, Error = E, Future: Send> + Copy + Send + Sync
{
}

/// A request as it came in.
pub(crate) struct Call {
    pub(crate) caller: Caller,
    pub(crate) request: FeatureRequest,
}

/// One that has so much time.
#[derive(Clone)]
pub(crate) struct Ask {
    call: Arc<Call>,
    deadline: Deadline,
}

/// One whose names have a meaning.
pub(crate) struct Named {
    ask: Ask,
    names: Names,
}

/// What is asked for, as nodes understand it.
pub(crate) struct Read {
    ask: Ask,
    question: node::ReadRequest,
}

impl Read {
    /// What an answer must be like.
    fn rules(&self) -> Rules<'_> {
        Rules::of(&self.ask.call.request.options)
    }
}

/// An answer to a read, with the question, which is as large.
pub(crate) type Reply = (Answered, node::ReadRequest);

/// A read, and who has not been asked yet, the best last.
pub(crate) struct Reading {
    read: Read,
    left: Vec<Pick>,
}

/// A question to one region, which has so long to answer it.
pub(crate) struct Try<Q> {
    pub(crate) pick: Pick,
    pub(crate) question: Q,
    pub(crate) ms: u64,
    /// Whether it is as small as most, and waits for nothing: such reads share messages.
    pub(crate) usual: bool,
    /// Another region's gateway may have to shed.
    pub(crate) priority: Priority,
}

/// How long the answer is of use.
pub(crate) fn deadline<S>(door: &Door) -> impl Layer<S, Service = impl Below<Call, Given>>
where
    S: Below<Ask, Given>,
{
    layer_fn(move |below: S| {
        service_fn(move |call: Call| {
            let deadline = call.caller.deadline(&*door.env, door.config.deadline_ms);
            below.oneshot(Ask { call: Arc::new(call), deadline })
        })
    })
}
