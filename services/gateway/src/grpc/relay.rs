//! `meridian.node.v1.Node` for other regions' gateways: what they ask is passed to this region's
//! node, and never further, so that no request can go round in circles.

use std::sync::Arc;
use std::time::Duration;

use api::node::v1 as node;
use api::node::v1::node_client::NodeClient;
use api::node::v1::node_server::Node;
use api::v1::{ExplainResponse, StatusRequest, StatusResponse};
use clock::Stopwatch;
use futures::future::{Either, select};
use routing::Finish;
use tokio_stream::StreamExt;
use tonic::transport::Channel;
use tonic::{Code, Request, Response, Status, Streaming};
use tracing::Instrument;

use super::{Replies, count};
use crate::caller::{self, Caller};
use crate::deadline::{Deadline, in_time};
use crate::door::Door;
use crate::hop;
use crate::lines::Lines;
use crate::regions::Region;

/// A watcher is told at least this often, changed or not.
const WATCH: Duration = Duration::from_millis(500);
/// What a read's span is called, whether it shares a stream or is a call of its own.
const READ: &str = "meridian.node.v1.Node/Read";

/// The node of this region, seen through its gateway.
pub(crate) struct Relay {
    door: Arc<Door>,
    /// By node of the region.
    lines: Arc<[Lines]>,
}

impl Relay {
    pub(crate) fn new(door: Arc<Door>) -> Self {
        let line = |region: &Region| Lines::new(&region.client, hop::PASSED_ON, &door.env);
        let lines = door.regions.own_nodes().iter().map(line).collect();
        Self { door, lines }
    }

    fn own(&self) -> NodeClient<Channel> {
        self.door.regions.own().client.clone()
    }

    /// Passed on with what is left of its time.
    fn onward<T>(
        &self,
        caller: &Caller,
        deadline: Deadline,
        message: T,
    ) -> Result<Request<T>, Status> {
        let mut request = hop::next(caller, message)?;
        request.set_timeout(Duration::from_millis(deadline.left_ms(&*self.door.env)));
        Ok(request)
    }

    async fn read_own(
        &self,
        request: Request<node::ReadRequest>,
    ) -> Result<Response<node::ReadResponse>, Status> {
        let caller = Caller::from_headers(request.metadata().as_ref())?;
        let deadline = caller.deadline(&*self.door.env, self.door.config.deadline_ms);
        let permit = self.door.gate.relayed(caller.priority, deadline).await?;
        let asked = request.into_inner();
        let call = async { self.own().read(self.onward(&caller, deadline, asked)?).await };
        let answer = pass(&self.door, deadline, call).await;
        permit.finish(finish(&answer, self.door.is_patient(caller.timeout_ms)));
        answer.map_err(failing)
    }

    async fn explain_own(
        &self,
        request: Request<node::ExplainRequest>,
    ) -> Result<Response<ExplainResponse>, Status> {
        let caller = Caller::from_headers(request.metadata().as_ref())?;
        let deadline = caller.deadline(&*self.door.env, self.door.config.deadline_ms);
        let _permit = self.door.gate.relayed(caller.priority, deadline).await?;
        let asked = request.into_inner();
        let call = async { self.own().explain(self.onward(&caller, deadline, asked)?).await };
        pass(&self.door, deadline, call).await.map_err(failing)
    }

    fn refuse<T>(&self, call: &str) -> Result<Response<T>, Status> {
        let region = &self.door.config.region;
        Err(Status::unimplemented(format!(
            "{call} is not relayed; ask the node of {region} itself"
        )))
    }
}

#[tonic::async_trait]
impl Node for Relay {
    async fn read(
        &self,
        request: Request<node::ReadRequest>,
    ) -> Result<Response<node::ReadResponse>, Status> {
        let started = Stopwatch::start();
        let answer = self.read_own(request).await;
        relayed(&self.door, "Relay.Read", started, answer)
    }

    type ReadsStream = Replies<node::ReadsResponse>;

    async fn reads(
        &self,
        request: Request<Streaming<node::ReadsRequest>>,
    ) -> Result<Response<Self::ReadsStream>, Status> {
        let caller = Caller::from_headers(request.metadata().as_ref())?;
        hop::check(&caller)?;
        let (door, lines) = (self.door.clone(), self.lines.clone());
        let answer = move |asked: node::NumberedRead| -> api::Answer {
            // Each read has a trace of its own.
            let span = telemetry::resumed(&asked.trace_context, READ);
            let (door, lines) = (door.clone(), lines.clone());
            let answer = async move {
                let started = Stopwatch::start();
                let own = &lines[door.regions.own_target()];
                let answer = pass_on(&door, own, asked).await.map_err(failing);
                relayed(&door, "Relay.Read", started, answer)
            };
            Box::pin(answer.instrument(span))
        };
        Ok(Response::new(Box::pin(api::Reads::new(request.into_inner(), answer))))
    }

    async fn explain(
        &self,
        request: Request<node::ExplainRequest>,
    ) -> Result<Response<ExplainResponse>, Status> {
        let started = Stopwatch::start();
        let answer = self.explain_own(request).await;
        relayed(&self.door, "Relay.Explain", started, answer)
    }

    async fn ping(
        &self,
        request: Request<node::PingRequest>,
    ) -> Result<Response<node::PingResponse>, Status> {
        let caller = Caller::from_headers(request.metadata().as_ref())?;
        self.own().ping(hop::next(&caller, request.into_inner())?).await
    }

    /// From what the gateway knows: it does so when its node is down.
    async fn catalog(
        &self,
        request: Request<node::CatalogRequest>,
    ) -> Result<Response<node::CatalogResponse>, Status> {
        let catalog = self.door.catalog.now();
        let generation = catalog.generation();
        let entry = |(key, value): (&[u8], &bytes::Bytes)| node::CatalogEntry {
            key: bytes::Bytes::copy_from_slice(key),
            value: value.clone(),
        };
        let known = request.into_inner().known_generation == generation;
        let entries = if known { Vec::new() } else { catalog.entries().map(entry).collect() };
        Ok(Response::new(node::CatalogResponse { generation, entries }))
    }

    type WatchStream = Replies<node::Health>;

    async fn watch(
        &self,
        _: Request<node::WatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let door = self.door.clone();
        let ends = door.draining.subscribe();
        let told = futures::stream::unfold(
            (door, None, ends),
            async |(door, heard, mut ends): (Arc<Door>, Option<(usize, _)>, _)| {
                let own = door.regions.own_target();
                let (first, mut health) = match heard {
                    Some((of, health)) if of == own => (false, health),
                    // From another node than before, if the region has several.
                    _ => (true, door.regions.at(own).watch()),
                };
                if !first {
                    let news = select(Box::pin(health.changed()), Box::pin(ends.changed()));
                    // An error is the gateway's end: it closes the stream by itself.
                    if let Ok(Either::Left((Err(_), _)) | Either::Right((Err(_), _))) =
                        clock::timeout(&door.env, WATCH.as_millis() as u64, news).await
                    {
                        return None;
                    }
                }
                let said =
                    said(&door, health.borrow_and_update().as_ref().map(|said| &said.health));
                ends.mark_unchanged();
                Some((Ok(said), (door, Some((own, health)), ends)))
            },
        );
        Ok(Response::new(Box::pin(told)))
    }

    type AppendStream = Replies<node::AppendResponse>;

    async fn append(
        &self,
        request: Request<Streaming<node::AppendRequest>>,
    ) -> Result<Response<Self::AppendStream>, Status> {
        let caller = Caller::from_headers(request.metadata().as_ref())?;
        let door = self.door.clone();
        let answers = super::until_broken(request.into_inner()).then(move |append| {
            let (door, caller) = (door.clone(), caller.clone());
            async move {
                let (started, append) = (Stopwatch::start(), append?);
                let answer = door.append(&caller, append).await;
                relayed(&door, "Relay.Append", started, answer)
            }
        });
        Ok(Response::new(Box::pin(answers)))
    }

    async fn define(
        &self,
        _: Request<node::DefineRequest>,
    ) -> Result<Response<node::DefineResponse>, Status> {
        self.refuse("Define")
    }

    async fn status(&self, _: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        self.refuse("Status")
    }

    type DeadLettersStream = Replies<node::DeadLetter>;

    async fn dead_letters(
        &self,
        _: Request<node::DeadLettersRequest>,
    ) -> Result<Response<Self::DeadLettersStream>, Status> {
        self.refuse("DeadLetters")
    }
}

/// What another gateway asked was answered or refused.
fn relayed<T>(
    door: &Door,
    call: &'static str,
    started: Stopwatch,
    answer: Result<T, Status>,
) -> Result<T, Status> {
    count(door, call, started, answer, |_| "relay".to_owned())
}

/// A call to the node, until the deadline, in a span of its own; both spans are told how it ended.
async fn pass<T>(
    door: &Door,
    deadline: Deadline,
    call: impl Future<Output = Result<T, Status>> + Send,
) -> Result<T, Status> {
    let region = || [("region", door.config.region.to_string())];
    let asked = async {
        let answer = in_time(&door.env, deadline.left_ms(&*door.env), call).await;
        hop::ended(&answer);
        answer
    };
    let answer = asked.instrument(telemetry::client("relay", region)).await;
    hop::ended(&answer);
    answer
}

/// One of the reads that share a stream.
async fn pass_on(
    door: &Door,
    lines: &Lines,
    asked: node::NumberedRead,
) -> Result<node::ReadResponse, Status> {
    let (asked_ms, priority) = (asked.timeout_ms.into(), caller::priority(&asked.priority)?);
    let deadline = Deadline::after(&*door.env, door.config.deadline_ms.min(asked_ms));
    let permit = door.gate.relayed(priority, deadline).await?;
    let ms = deadline.left_ms(&*door.env);
    let answer =
        pass(door, deadline, lines.read(asked.read.unwrap_or_default(), ms, priority)).await;
    permit.finish(finish(&answer, door.is_patient(Some(asked_ms))));
    answer
}

/// What the limit learns from an answer.
fn finish<T>(answer: &Result<T, Status>, patient: bool) -> Finish {
    match answer {
        Ok(_) => Finish::InTime,
        Err(status) if status.code() == Code::DeadlineExceeded && patient => Finish::TooLate,
        Err(_) => Finish::Neither,
    }
}

/// A node that fails is as good as none, to who asks from another region.
fn failing(status: Status) -> Status {
    match status.code() {
        Code::Internal => Status::unavailable(format!("the node fails: {}", status.message())),
        _ => status,
    }
}

/// What the node says; a gateway that ends takes the way to it along.
fn said(door: &Door, health: Option<&node::Health>) -> node::Health {
    let unknown = || node::Health {
        region: door.config.region.to_string(),
        generation: door.catalog.now().generation(),
        reason: "the gateway does not hear the node".into(),
        ..node::Health::default()
    };
    let mut said = health.cloned().unwrap_or_else(unknown);
    said.draining |= *door.draining.borrow();
    said
}
