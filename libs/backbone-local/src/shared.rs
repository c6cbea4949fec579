//! What the log, its tails and its writers share.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use backbone::{LogError, Partition};
use clock::Env;
use parking_lot::RwLock;
use tokio::sync::{Mutex, oneshot, watch};

use crate::committer::Committer;
use crate::dir::{Dir, OpenError};
use crate::options::LogOptions;
use crate::partition::PartitionLog;
use crate::queue::{Claim, Part, Queue, Request, WriteError, stopped};
use crate::store::{PartitionId, Store, StoreError};
use crate::topic::{Topic, TopicRecord};

/// An open log. The fields' order is the order in which it is taken down: no more requests, the
/// committer done, the store closed, the directory unlocked.
pub(crate) struct Shared {
    pub(crate) queue: Queue,
    _committer: Committer,
    pub(crate) store: Store,
    pub(crate) topics: RwLock<HashMap<Arc<str>, Arc<Topic>>>,
    /// One change of topics at a time.
    pub(crate) ensuring: Mutex<()>,
    /// One round of retention and compaction at a time.
    pub(crate) maintaining: Mutex<()>,
    /// Counts groups of commits.
    pub(crate) commits: Arc<watch::Sender<u64>>,
    pub(crate) env: Arc<dyn Env>,
    pub(crate) options: LogOptions,
    _lock: File,
}

impl Shared {
    pub(crate) fn open(
        path: &Path,
        env: Arc<dyn Env>,
        options: LogOptions,
    ) -> Result<Self, OpenError> {
        let dir = Dir::open(path, &options)?;
        let failed = |error| open_error(path, error);
        let store = Store::open(&dir.data, &options).map_err(failed)?;
        let mut topics = HashMap::new();
        for record in store.topics().map_err(failed)? {
            let partitions = load(&store, &record, 0, &options).map_err(failed)?;
            topics.insert(record.name.clone(), Arc::new(Topic::new(record, partitions)));
        }
        let (queue, receiver) = Queue::new(options.queue_bytes, options.full_after_ms);
        let commits = Arc::new(watch::Sender::new(0));
        let committer = Committer::start(store.clone(), env.clone(), receiver, commits.clone())
            .map_err(|source| OpenError::Io { dir: path.to_owned(), source })?;
        Ok(Self {
            queue,
            _committer: committer,
            store,
            topics: RwLock::new(topics),
            ensuring: Mutex::new(()),
            maintaining: Mutex::new(()),
            commits,
            env,
            options,
            _lock: dir.lock,
        })
    }

    pub(crate) fn topic(&self, name: &str) -> Option<Arc<Topic>> {
        self.topics.read().get(name).cloned()
    }

    pub(crate) fn partition(&self, partition: &Partition) -> Result<Arc<PartitionLog>, LogError> {
        let topic = self.topic(&partition.topic);
        topic
            .and_then(|topic| topic.partition(partition.index))
            .ok_or_else(|| LogError::NoSuchPartition(partition.clone()))
    }

    /// Queues a write and waits until its fate is known.
    pub(crate) async fn write(
        &self,
        claim: Option<Claim>,
        parts: Vec<Part>,
    ) -> Result<Vec<u64>, WriteError> {
        let (done, answer) = oneshot::channel();
        let request = Request::Write { claim, parts, done };
        self.queue.send(&self.env, request).await.map_err(WriteError::Aborted)?;
        answer.await.unwrap_or(Err(WriteError::Unknown))
    }

    pub(crate) async fn claim(&self, name: &str) -> Result<Claim, LogError> {
        let (done, answer) = oneshot::channel();
        self.queue.send(&self.env, Request::Claim { name: name.into(), done }).await?;
        answer.await.map_err(|_| stopped())
    }
}

/// A topic's partitions from `first` on, as the store has them.
pub(crate) fn load(
    store: &Store,
    record: &TopicRecord,
    first: u32,
    options: &LogOptions,
) -> Result<Vec<Arc<PartitionLog>>, StoreError> {
    let partition = |index| {
        let name = Partition::new(record.name.clone(), index);
        let id = PartitionId { topic: record.number, index };
        Ok(Arc::new(PartitionLog::load(store, name, id, options.recent_bytes)?))
    };
    (first..record.partitions).map(partition).collect()
}

fn open_error(path: &Path, error: StoreError) -> OpenError {
    let dir = path.to_owned();
    match error {
        StoreError::Tree(fjall::Error::Io(source)) => OpenError::Io { dir, source },
        StoreError::Tree(fjall::Error::Locked) => OpenError::Locked { dir },
        StoreError::Tree(error) => OpenError::Damaged { dir, reason: error.to_string() },
        StoreError::Damaged(reason) => OpenError::Damaged { dir, reason },
    }
}

/// A store's error while the log runs. Reading may work again; damage stays.
pub(crate) fn log_error(error: StoreError) -> LogError {
    match error {
        StoreError::Tree(_) => LogError::Transient(error.to_string()),
        StoreError::Damaged(_) => LogError::Fatal(error.to_string()),
    }
}

/// Runs what blocks where it may.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, LogError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| LogError::Transient(format!("a blocking task ended early: {error}")))
}
