//! `meridian.v1.Mesh`: the same calls as over HTTP, and `Push` as a stream.

use std::sync::Arc;

use api::GetFeaturesResponse;
use api::v1;
use api::v1::mesh_server::Mesh;
use clock::Stopwatch;
use tokio_stream::StreamExt;
use tonic::{Request, Response, Status, Streaming};
use tracing::{Instrument, Span};

use super::{Replies, count};
use crate::caller::Caller;
use crate::door::Door;
use crate::pushing::Push;
use crate::refusal::Refusal;
use crate::request::few;

/// The public service.
pub(crate) struct MeshService {
    door: Arc<Door>,
}

impl MeshService {
    pub(crate) fn new(door: Arc<Door>) -> Self {
        Self { door }
    }

    fn answer<T>(
        &self,
        call: &'static str,
        started: Stopwatch,
        answer: Result<T, Refusal>,
        route: impl FnOnce(&T) -> String,
    ) -> Result<Response<T>, Status> {
        count(&self.door, call, started, answer.map_err(Status::from), route).map(Response::new)
    }
}

async fn push_one(
    door: &Door,
    caller: &Caller,
    push: v1::PushRequest,
) -> Result<v1::PushResponse, Status> {
    let started = Stopwatch::start();
    let on_region_down = push.on_region_down();
    let push = Push { source: push.source, events: push.events, on_region_down };
    let pushed = match few(push.events.len()) {
        Ok(()) => door.push(caller, push).await,
        Err(refusal) => Err(refusal),
    };
    count(door, "Push", started, pushed.map_err(Status::from), |pushed| {
        door.pusher.route(pushed).to_owned()
    })
}

fn route(mesh: Option<&v1::MeshInfo>) -> String {
    mesh.map(|mesh| mesh.route.clone()).unwrap_or_default()
}

#[tonic::async_trait]
impl Mesh for MeshService {
    async fn get_features(
        &self,
        request: Request<v1::GetFeaturesRequest>,
    ) -> Result<Response<GetFeaturesResponse>, Status> {
        let started = Stopwatch::start();
        let asked = Caller::from_headers(request.metadata().as_ref())
            .and_then(|caller| Ok((caller, request.into_inner().try_into()?)));
        let answer = match asked {
            Ok((caller, asked)) => self.door.get_features(caller, asked).await,
            Err(refusal) => Err(refusal),
        };
        let given =
            count(&self.door, "GetFeatures", started, answer.map_err(Status::from), |given| {
                given.route().to_owned()
            });
        Ok(Response::new(given?.into_message()))
    }

    type PushStream = Replies<v1::PushResponse>;

    /// One request after the other, so that events of one stream stay in their order.
    async fn push(
        &self,
        request: Request<Streaming<v1::PushRequest>>,
    ) -> Result<Response<Self::PushStream>, Status> {
        let caller = Caller::from_headers(request.metadata().as_ref())?;
        // Answers are made while they are sent, when the call's span is left.
        let (door, span) = (self.door.clone(), Span::current());
        let answers = super::until_broken(request.into_inner()).then(move |push| {
            let (door, caller) = (door.clone(), caller.clone());
            async move { push_one(&door, &caller, push?).await }.instrument(span.clone())
        });
        Ok(Response::new(Box::pin(answers)))
    }

    async fn explain(
        &self,
        request: Request<v1::ExplainRequest>,
    ) -> Result<Response<v1::ExplainResponse>, Status> {
        let started = Stopwatch::start();
        let answer = match Caller::from_headers(request.metadata().as_ref()) {
            Ok(caller) => self.door.explain(&caller, request.into_inner()).await,
            Err(refusal) => Err(refusal),
        };
        self.answer("Explain", started, answer, |answer| route(answer.mesh.as_ref()))
    }

    async fn status(
        &self,
        request: Request<v1::StatusRequest>,
    ) -> Result<Response<v1::StatusResponse>, Status> {
        let started = Stopwatch::start();
        let answer = match Caller::from_headers(request.metadata().as_ref()) {
            Ok(caller) => self.door.status(&caller).await,
            Err(refusal) => Err(refusal),
        };
        self.answer("Status", started, answer, |_| "local".to_owned())
    }

    async fn routes(
        &self,
        _: Request<v1::RoutesRequest>,
    ) -> Result<Response<v1::RoutesResponse>, Status> {
        Ok(Response::new(self.door.routes()))
    }
}
