//! gRPC over the core: each call is one function of the core, and its errors as a status.

use std::pin::Pin;
use std::sync::Arc;

use api::node::v1 as proto;
use api::node::v1::node_server::Node;
use api::v1::{ExplainResponse, StatusRequest, StatusResponse};
use backbone::{LogError, Partition, Record};
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming};
use tracing::{Instrument, Span};

use crate::append::{AppendError, append};
use crate::core::Core;
use crate::load::Load;
use crate::reader::ReadError;
use crate::reading::read;
use crate::shared::Shared;
use crate::{dead_letters, explain, status, tokens};

/// A watcher hears of changes at once, and at least this often.
const WATCH_MS: u64 = 500;
const DEFINE_WAIT_MS: u64 = 5_000;

/// What a read's span is called, whether it shares a stream or is a call of its own.
const READ: &str = "meridian.node.v1.Node/Read";

type Replies<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// The node's service.
pub(crate) struct NodeService {
    core: Arc<Core>,
    load: Load,
}

impl NodeService {
    /// Serves this core, and counts what is under way.
    #[must_use]
    pub(crate) fn new(core: Arc<Core>, load: Load) -> Self {
        Self { core, load }
    }

    fn shared(&self) -> &Arc<Shared> {
        self.core.shared()
    }
}

#[tonic::async_trait]
impl Node for NodeService {
    async fn read(
        &self,
        request: Request<proto::ReadRequest>,
    ) -> Result<Response<proto::ReadResponse>, Status> {
        let answer = answer(self.shared(), &self.load, &request.into_inner()).await;
        answer.map(Response::new)
    }

    type ReadsStream = Replies<proto::ReadsResponse>;

    async fn reads(
        &self,
        request: Request<Streaming<proto::ReadsRequest>>,
    ) -> Result<Response<Self::ReadsStream>, Status> {
        let (shared, load) = (self.shared().clone(), self.load.clone());
        let answer = move |asked: proto::NumberedRead| -> api::Answer {
            // Each read has a trace of its own.
            let span = telemetry::resumed(&asked.trace_context, READ);
            let (shared, load) = (shared.clone(), load.clone());
            let request = asked.read.unwrap_or_default();
            let answer = async move { answer(&shared, &load, &request).await };
            Box::pin(answer.instrument(span))
        };
        Ok(Response::new(Box::pin(api::Reads::new(request.into_inner(), answer))))
    }

    type AppendStream = Replies<proto::AppendResponse>;

    async fn append(
        &self,
        request: Request<Streaming<proto::AppendRequest>>,
    ) -> Result<Response<Self::AppendStream>, Status> {
        // The stream outlives the call that opens it.
        let (shared, load, span) = (self.shared().clone(), self.load.clone(), Span::current());
        let replies = request.into_inner().then(move |request| {
            let (shared, under_way) = (shared.clone(), load.enter());
            let append = async move {
                let appended = append(&shared, request?).await.map_err(append_status);
                drop(under_way);
                appended
            };
            append.instrument(span.clone())
        });
        Ok(Response::new(Box::pin(replies)))
    }

    type WatchStream = Replies<proto::Health>;

    async fn watch(
        &self,
        _: Request<proto::WatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let (sender, receiver) = tokio::sync::mpsc::channel(1);
        let (shared, load) = (self.shared().clone(), self.load.clone());
        let watch = async move {
            let (mut catalog, mut draining) =
                (shared.catalog.subscribe(), shared.draining.subscribe());
            // Who sees the stream end does not ask for what would not be answered any more.
            while !*shared.leaving.borrow() {
                let health = proto::Health { load: load.now(), ..status::health(&shared) };
                if sender.send(Ok(health)).await.is_err() {
                    return;
                }
                tokio::select! {
                    biased;
                    () = shared.leaves() => {}
                    _ = catalog.changed() => {}
                    _ = draining.changed() => {}
                    () = shared.env.sleep_ms(WATCH_MS) => {}
                }
            }
        };
        tokio::spawn(watch);
        Ok(Response::new(Box::pin(tokio_stream::wrappers::ReceiverStream::new(receiver))))
    }

    async fn ping(
        &self,
        _: Request<proto::PingRequest>,
    ) -> Result<Response<proto::PingResponse>, Status> {
        Ok(Response::new(proto::PingResponse {}))
    }

    async fn catalog(
        &self,
        request: Request<proto::CatalogRequest>,
    ) -> Result<Response<proto::CatalogResponse>, Status> {
        let catalog = self.shared().catalog_now();
        let generation = catalog.generation();
        let mut response = proto::CatalogResponse { generation, entries: Vec::new() };
        if request.into_inner().known_generation != generation {
            response.entries = catalog
                .entries()
                .map(|(key, value)| proto::CatalogEntry {
                    key: key.to_vec().into(),
                    value: value.clone(),
                })
                .collect();
        }
        Ok(Response::new(response))
    }

    async fn define(
        &self,
        request: Request<proto::DefineRequest>,
    ) -> Result<Response<proto::DefineResponse>, Status> {
        let shared = self.shared();
        let entries = request.into_inner().entries;
        let mut expected = catalog::Catalog::clone(&shared.catalog_now());
        for entry in &entries {
            let taken = expected.insert(&entry.key, &entry.value);
            taken.map_err(|error| Status::invalid_argument(error.to_string()))?;
        }
        let topic = shared.identity.topics.catalog_spec();
        shared.log.ensure(&topic).await.map_err(log_status)?;
        let records =
            entries.into_iter().map(|entry| Record::new(entry.key, entry.value)).collect();
        let partition = Partition::new(topic.name, 0);
        shared.log.append(&partition, records).await.map_err(log_status)?;
        let taken = shared.wait_for(|| shared.catalog_now().generation() >= expected.generation());
        clock::timeout(&shared.env, DEFINE_WAIT_MS, taken).await.map_err(|_| {
            Status::deadline_exceeded(
                "the entries are in the log, but this node has not read them yet",
            )
        })?;
        Ok(Response::new(proto::DefineResponse { generation: shared.catalog_now().generation() }))
    }

    async fn explain(
        &self,
        request: Request<proto::ExplainRequest>,
    ) -> Result<Response<ExplainResponse>, Status> {
        let explained = explain::explain(self.shared(), &request.into_inner());
        let explained = explained.map_err(read_status);
        ended(&explained);
        explained.map(Response::new)
    }

    async fn status(&self, _: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        Ok(Response::new(status::status(&self.core).await))
    }

    type DeadLettersStream = Replies<proto::DeadLetter>;

    async fn dead_letters(
        &self,
        request: Request<proto::DeadLettersRequest>,
    ) -> Result<Response<Self::DeadLettersStream>, Status> {
        let source = request.into_inner().source;
        let sources = self.shared().catalog_now().sources();
        if !sources.iter().any(|known| *known.name == *source) {
            return Err(append_status(AppendError::NoSuchSource(source)));
        }
        let letters = dead_letters::read(self.shared(), &source).await.map_err(log_status)?;
        Ok(Response::new(Box::pin(tokio_stream::iter(letters.into_iter().map(Ok)))))
    }
}

/// Reads, at once but for tokens.
async fn answer(
    shared: &Shared,
    load: &Load,
    request: &proto::ReadRequest,
) -> Result<proto::ReadResponse, Status> {
    let _under_way = load.enter();
    let answer = match tokens::wait(shared, request).await {
        true => read(shared, request).map_err(read_status),
        false => Err(Status::failed_precondition(
            "the pushes that the tokens name have not reached this region yet",
        )),
    };
    ended(&answer);
    answer
}

/// Tells the request's span how it ended.
fn ended<T>(answer: &Result<T, Status>) {
    match answer {
        Ok(_) => telemetry::note("status", || "OK"),
        Err(status) => {
            telemetry::note("status", || format!("{:?}", status.code()));
            telemetry::failed(|| status.message().to_owned());
        }
    }
}

fn read_status(error: ReadError) -> Status {
    match error {
        ReadError::NoCatalog => Status::unavailable(error.to_string()),
        ReadError::NoSuchView { .. } => Status::not_found(error.to_string()),
        ReadError::NoSuchFeature { .. } | ReadError::NoSuchShard(_) | ReadError::Ragged { .. } => {
            Status::invalid_argument(error.to_string())
        }
        ReadError::Corrupt(_) => Status::data_loss(error.to_string()),
    }
}

fn append_status(error: AppendError) -> Status {
    match error {
        AppendError::NoSuchSource(_) => Status::not_found(error.to_string()),
        AppendError::NotReady(_) => Status::unavailable(error.to_string()),
        AppendError::Log(error) => log_status(error),
    }
}

fn log_status(error: LogError) -> Status {
    match error {
        LogError::Full(_) => Status::resource_exhausted(error.to_string()),
        LogError::NoSuchPartition(_) => Status::not_found(error.to_string()),
        LogError::Truncated { .. } => Status::out_of_range(error.to_string()),
        LogError::Transient(_) => Status::unavailable(error.to_string()),
        LogError::Fatal(_) => Status::internal(error.to_string()),
    }
}
