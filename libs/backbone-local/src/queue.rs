//! The bounded queue in front of the committer.

use std::sync::Arc;
use std::sync::mpsc;

use backbone::{LogError, Record};
use clock::Env;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::partition::PartitionLog;

/// The queue's name, as metrics and errors show it.
pub(crate) const QUEUE: &str = "log.local.commits";
/// What a request costs beside its records' bytes.
const REQUEST_BYTES: usize = 64;
/// What a record costs beside its bytes.
const RECORD_BYTES: usize = 64;

/// How full the queue in front of the committer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueDepth {
    /// What metrics call it.
    pub name: &'static str,
    /// Bytes that wait or are being written.
    pub used_bytes: usize,
    /// Bytes that may.
    pub capacity_bytes: usize,
}

/// Records for one partition, in order.
pub(crate) type Part = (Arc<PartitionLog>, Vec<Record>);

/// Why a write did not happen.
#[derive(Debug)]
pub(crate) enum WriteError {
    Aborted(LogError),
    Fenced,
    Unknown,
}

/// A claim at a time: a later one of the same name has a higher epoch.
#[derive(Clone, Debug)]
pub(crate) struct Claim {
    pub(crate) name: Arc<str>,
    pub(crate) epoch: u64,
}

/// What the committer is asked to do.
pub(crate) enum Request {
    /// Write it all, or nothing; says the first offset of each part.
    Write {
        claim: Option<Claim>,
        parts: Vec<Part>,
        done: oneshot::Sender<Result<Vec<u64>, WriteError>>,
    },
    /// Fence earlier writers of this name, once their writes are decided.
    Claim { name: Arc<str>, done: oneshot::Sender<Claim> },
}

/// A request and its share of the queue.
pub(crate) struct Queued {
    pub(crate) request: Request,
    pub(crate) bytes: usize,
    share: OwnedSemaphorePermit,
}

impl Queued {
    /// The request, and what keeps its share of the queue until it is dropped.
    pub(crate) fn split(self) -> (Request, OwnedSemaphorePermit) {
        (self.request, self.share)
    }
}

/// The sending half. Bounded by bytes: the channel itself holds no more than the shares given out.
pub(crate) struct Queue {
    shares: Arc<Semaphore>,
    capacity_bytes: usize,
    full_after_ms: u64,
    sender: mpsc::Sender<Queued>,
}

impl Queue {
    pub(crate) fn new(capacity_bytes: usize, full_after_ms: u64) -> (Self, mpsc::Receiver<Queued>) {
        let capacity_bytes = capacity_bytes.clamp(REQUEST_BYTES, Semaphore::MAX_PERMITS);
        let (sender, receiver) = mpsc::channel();
        let shares = Arc::new(Semaphore::new(capacity_bytes));
        (Self { shares, capacity_bytes, full_after_ms, sender }, receiver)
    }

    pub(crate) fn depth(&self) -> QueueDepth {
        let used_bytes = self.capacity_bytes.saturating_sub(self.shares.available_permits());
        QueueDepth { name: QUEUE, used_bytes, capacity_bytes: self.capacity_bytes }
    }

    /// Waits for room, for a while. Nothing has been queued after an error.
    pub(crate) async fn send(&self, env: &Arc<dyn Env>, request: Request) -> Result<(), LogError> {
        let bytes = size(&request);
        let full = || LogError::Full(format!("{bytes} bytes more do not fit into {QUEUE}"));
        if bytes > self.capacity_bytes {
            return Err(full());
        }
        let share = self.shares.clone().acquire_many_owned(bytes as u32);
        let share = clock::timeout(env, self.full_after_ms, share).await.map_err(|_| full())?;
        let share = share.map_err(|_| stopped())?;
        self.sender.send(Queued { request, bytes, share }).map_err(|_| stopped())
    }
}

pub(crate) fn stopped() -> LogError {
    LogError::Fatal("the log has stopped; restart the process to recover it".to_owned())
}

fn size(request: &Request) -> usize {
    match request {
        Request::Claim { .. } => REQUEST_BYTES,
        Request::Write { parts, .. } => {
            let records = parts.iter().flat_map(|(_, records)| records);
            records.map(|record| RECORD_BYTES + record.size()).sum::<usize>() + REQUEST_BYTES
        }
    }
}
