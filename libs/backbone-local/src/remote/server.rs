//! The serving half: any log's reading side, for other regions.

use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::sync::Arc;

use api::log::v1::log_server::{Log, LogServer};
use api::log::v1::{self as proto};
use backbone::{LogError, Partition, Tail, Tailer};
use futures::stream::try_unfold;
use futures::{FutureExt, Stream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::{Code, Request, Response, Status};

use super::convert::{At, MESSAGE_BYTES, messages, size};
use super::failure::{coded, from_proto, status};

/// Positions in one tail; the contract names it.
const MAX_POSITIONS: usize = 4096;
/// Records of one partition before the others have their turn.
const MAX_RECORDS: usize = 1024;
/// Streams at once. Each region's mirror needs one, or a few while it reconnects.
const MAX_TAILS: usize = 64;

/// Serves the topics that `offered` says yes to, and nothing else.
pub struct LogService {
    log: Arc<dyn Tailer>,
    offered: Box<dyn Fn(&str) -> bool + Send + Sync>,
    tails: Arc<Semaphore>,
}

impl LogService {
    /// The service, ready to be added to a gRPC server.
    pub fn new(
        log: Arc<dyn Tailer>,
        offered: impl Fn(&str) -> bool + Send + Sync + 'static,
    ) -> LogServer<Self> {
        let tails = Arc::new(Semaphore::new(MAX_TAILS));
        LogServer::new(Self { log, offered: Box::new(offered), tails })
    }

    fn check_topic(&self, topic: &str) -> Result<(), Status> {
        if (self.offered)(topic) {
            return Ok(());
        }
        let text = format!("topic '{topic}' is not offered to other regions");
        Err(coded(Code::PermissionDenied, LogError::Fatal(text)))
    }

    fn partition(&self, partition: Option<proto::Partition>) -> Result<Partition, Status> {
        let partition = partition.ok_or_else(|| invalid("a partition is missing".to_owned()))?;
        self.check_topic(&partition.topic)?;
        Ok(from_proto(partition))
    }

    fn positions(&self, request: proto::TailRequest) -> Result<Vec<(Partition, u64)>, Status> {
        if request.from.len() > MAX_POSITIONS {
            let count = request.from.len();
            return Err(invalid(format!(
                "{count} positions, at most {MAX_POSITIONS} are possible"
            )));
        }
        let position =
            |at: proto::Position| Ok::<_, Status>((self.partition(at.partition)?, at.offset));
        request.from.into_iter().map(position).collect()
    }
}

fn invalid(text: String) -> Status {
    coded(Code::InvalidArgument, LogError::Fatal(text))
}

#[tonic::async_trait]
impl Log for LogService {
    async fn topic(
        &self,
        request: Request<proto::TopicRequest>,
    ) -> Result<Response<proto::TopicResponse>, Status> {
        let name = request.into_inner().name;
        self.check_topic(&name)?;
        let info = self.log.topic(&name).await.map_err(status)?;
        let topic = info
            .map(|info| proto::Topic { id: info.id.to_vec().into(), partitions: info.partitions });
        Ok(Response::new(proto::TopicResponse { topic }))
    }

    async fn bounds(
        &self,
        request: Request<proto::BoundsRequest>,
    ) -> Result<Response<proto::BoundsResponse>, Status> {
        let partition = self.partition(request.into_inner().partition)?;
        let bounds = self.log.bounds(&partition).await.map_err(status)?;
        let (start, committed_end) = (bounds.start, bounds.committed_end);
        Ok(Response::new(proto::BoundsResponse { start, committed_end }))
    }

    type TailStream = Pin<Box<dyn Stream<Item = Result<proto::TailResponse, Status>> + Send>>;

    async fn tail(
        &self,
        request: Request<proto::TailRequest>,
    ) -> Result<Response<Self::TailStream>, Status> {
        let from = self.positions(request.into_inner())?;
        let share = self.tails.clone().try_acquire_owned().map_err(|_| {
            status(LogError::Full(format!("{MAX_TAILS} tails are open to other regions")))
        })?;
        let positions: HashMap<_, _> =
            from.iter().map(|(partition, _)| partition.clone()).zip(0..).collect();
        if positions.len() < from.len() {
            return Err(invalid("a partition is named twice".to_owned()));
        }
        let tail = self.log.tail(from).await.map_err(status)?;
        let sending =
            Sending { tail, positions, ready: VecDeque::new(), failed: None, _share: share };
        Ok(Response::new(Box::pin(try_unfold(sending, Sending::next))))
    }
}

/// One open tail. Nothing is read ahead of what HTTP/2 lets through.
struct Sending {
    tail: Box<dyn Tail>,
    positions: HashMap<Partition, u32>,
    ready: VecDeque<proto::TailResponse>,
    failed: Option<LogError>,
    _share: OwnedSemaphorePermit,
}

impl Sending {
    async fn next(mut self) -> Result<Option<(proto::TailResponse, Self)>, Status> {
        loop {
            if let Some(message) = self.ready.pop_front() {
                return Ok(Some((message, self)));
            }
            if let Some(error) = self.failed.take() {
                return Err(status(error));
            }
            let batches = self.gather().await;
            if !batches.is_empty() {
                self.ready.extend(messages(batches));
            }
        }
    }

    /// Waits for a batch, and takes what else is there: a message of its own for each heartbeat
    /// of each partition would cost more than what it carries.
    async fn gather(&mut self) -> Vec<At> {
        let (mut batches, mut bytes) = (Vec::new(), 0);
        let mut next = Some(self.tail.next(MAX_RECORDS).await);
        while let Some(outcome) = next.take() {
            match outcome {
                Ok(batch) => {
                    bytes += size(&batch.records);
                    // One of a partition that was not asked for is not passed on.
                    let position = self.positions.get(&batch.partition);
                    batches.extend(position.map(|at| (*at, batch.records, batch.next)));
                    if bytes < MESSAGE_BYTES {
                        next = self.tail.next(MAX_RECORDS).now_or_never();
                    }
                }
                // After what came before it.
                Err(error) => self.failed = Some(error),
            }
        }
        batches
    }
}
