//! `meridian.v1.Mesh`: the same calls as over HTTP, and `Push` as a stream.

use std::sync::Arc;

use api::node::v1::AppendRequest;
use api::v1;
use api::v1::mesh_server::Mesh;
use clock::Stopwatch;
use tokio_stream::StreamExt;
use tonic::{Code, Request, Response, Status, Streaming};

use super::Replies;
use crate::caller::Caller;
use crate::door::{Door, pushed};
use crate::hop;
use crate::metrics::Ending;
use crate::refusal::Refusal;

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
        let ended = |code, route: &str| {
            self.door.instruments.request(call, Ending::Grpc(code), route, started.elapsed());
        };
        match answer {
            Ok(answer) => {
                ended(Code::Ok, &route(&answer));
                Ok(Response::new(answer))
            }
            Err(refusal) => {
                let status = Status::from(refusal);
                ended(status.code(), "");
                Err(status)
            }
        }
    }
}

fn route(mesh: Option<&v1::MeshInfo>) -> String {
    mesh.map(|mesh| mesh.route.clone()).unwrap_or_default()
}

#[tonic::async_trait]
impl Mesh for MeshService {
    async fn get_features(
        &self,
        request: Request<v1::GetFeaturesRequest>,
    ) -> Result<Response<v1::GetFeaturesResponse>, Status> {
        let started = Stopwatch::start();
        let answer = match Caller::from_headers(request.metadata().as_ref()) {
            Ok(caller) => self.door.get_features(&caller, request.into_inner().into()).await,
            Err(refusal) => Err(refusal),
        };
        self.answer("GetFeatures", started, answer, |answer| route(answer.mesh.as_ref()))
    }

    type PushStream = Replies<v1::PushResponse>;

    /// Passed through as it comes, so that the client can have several requests under way.
    async fn push(
        &self,
        request: Request<Streaming<v1::PushRequest>>,
    ) -> Result<Response<Self::PushStream>, Status> {
        // A client that breaks off ends the stream; what it had sent is still answered.
        let requests = request.into_inner().map_while(Result::ok);
        let appends =
            requests.map(|push| AppendRequest { source: push.source, events: push.events });
        let mut client = self.door.regions.own().client.clone();
        let door = self.door.clone();
        let refuse = move |status: Status| match status.code() {
            Code::NotFound => status,
            _ => door.not_pushed("", &status).into(),
        };
        let answers = client.append(hop::first(appends)).await.map_err(&refuse)?.into_inner();
        let answers = answers.map(move |answer| answer.map(pushed).map_err(&refuse));
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
        _: Request<v1::StatusRequest>,
    ) -> Result<Response<v1::StatusResponse>, Status> {
        let started = Stopwatch::start();
        let answer = self.door.status().await;
        self.answer("Status", started, answer, |_| "local".to_owned())
    }

    async fn routes(
        &self,
        _: Request<v1::RoutesRequest>,
    ) -> Result<Response<v1::RoutesResponse>, Status> {
        Ok(Response::new(self.door.routes()))
    }
}
