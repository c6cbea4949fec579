//! The embedded log as the rest of Meridian sees it.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use backbone::{
    Bounds, Log, LogError, Partition, Record, Tail, Tailer, TopicInfo, TopicSpec, Writer,
};
use clock::{Env, Task};
use tokio::sync::watch;

use crate::dir::OpenError;
use crate::ensure::ensure;
use crate::janitor;
use crate::options::LogOptions;
use crate::queue::{QueueDepth, WriteError, stopped};
use crate::shared::Shared;
use crate::tail::LocalTail;
use crate::writer::{LocalWriter, check_records};

/// A durable log in a directory of this process's own.
pub struct LocalLog {
    shared: Arc<Shared>,
    _janitor: Option<Task>,
}

impl LocalLog {
    /// Opens the log in `dir`, or makes one. Blocks while the journal is replayed; call it within
    /// the tokio runtime that the log is to use.
    ///
    /// # Errors
    /// If the directory belongs to another mesh or region, to a newer version or to another
    /// process, or cannot be read or written; see [`OpenError`].
    pub fn open(
        dir: impl AsRef<Path>,
        env: Arc<dyn Env>,
        options: LogOptions,
    ) -> Result<Arc<Self>, OpenError> {
        let shared = Arc::new(Shared::open(dir.as_ref(), env, options)?);
        let janitor = janitor::start(&shared);
        Ok(Arc::new(Self { shared, _janitor: janitor }))
    }

    /// One round of retention and compaction now, beside those at the interval.
    ///
    /// # Errors
    /// If the store fails; what had been dropped until then stays so.
    pub async fn maintain(&self) -> Result<(), LogError> {
        janitor::maintain(&self.shared).await
    }

    /// Compacts a partition now, whether or not it is worth it and whatever its topic's retention.
    /// Nulls go if their topic's retention lets them.
    ///
    /// # Errors
    /// If there is no such partition, or the store fails.
    pub async fn compact(&self, partition: &Partition) -> Result<(), LogError> {
        janitor::compact(&self.shared, partition).await
    }

    /// Drops the records of a partition before `start` now, whatever its topic's retention.
    ///
    /// # Errors
    /// If there is no such partition, or the store fails.
    pub async fn drop_before(&self, partition: &Partition, start: u64) -> Result<(), LogError> {
        janitor::drop_before(&self.shared, partition, start).await
    }

    /// How full the queue in front of the committer is.
    #[must_use]
    pub fn queue(&self) -> QueueDepth {
        self.shared.queue.depth()
    }

    /// Bytes of a partition's batches on the disk, before compression.
    ///
    /// # Errors
    /// If there is no such partition.
    pub fn partition_bytes(&self, partition: &Partition) -> Result<u64, LogError> {
        Ok(self.shared.partition(partition)?.bytes())
    }
}

#[async_trait]
impl Tailer for LocalLog {
    async fn topic(&self, name: &str) -> Result<Option<TopicInfo>, LogError> {
        Ok(self.shared.topic(name).map(|topic| topic.info()))
    }

    async fn bounds(&self, partition: &Partition) -> Result<Bounds, LogError> {
        Ok(self.shared.partition(partition)?.bounds())
    }

    async fn tail(&self, from: Vec<(Partition, u64)>) -> Result<Box<dyn Tail>, LogError> {
        Ok(Box::new(LocalTail::open(&self.shared, &from)?))
    }
}

#[async_trait]
impl Log for LocalLog {
    async fn ensure(&self, topic: &TopicSpec) -> Result<TopicInfo, LogError> {
        ensure(&self.shared, topic).await
    }

    async fn append(
        &self,
        partition: &Partition,
        records: Vec<Record>,
    ) -> Result<Vec<u64>, LogError> {
        let log = self.shared.partition(partition)?;
        if records.is_empty() {
            return Ok(Vec::new());
        }
        check_records(partition, &records)?;
        let count = records.len() as u64;
        match self.shared.write(None, vec![(log, records)]).await {
            Ok(first) => Ok(first.into_iter().flat_map(|base| base..base + count).collect()),
            Err(WriteError::Aborted(error)) => Err(error),
            Err(WriteError::Fenced | WriteError::Unknown) => Err(stopped()),
        }
    }

    fn max_record_bytes(&self) -> usize {
        // Others wait in the queue too, and a commit has more than one.
        self.shared.options.queue_bytes / 4
    }

    async fn claim(&self, name: &str) -> Result<Box<dyn Writer>, LogError> {
        let claim = self.shared.claim(name).await?;
        Ok(Box::new(LocalWriter::new(self.shared.clone(), claim)))
    }

    /// All partitions, whatever the group: this log has one process.
    async fn assignments(
        &self,
        _group: &str,
        topic: &str,
    ) -> Result<watch::Receiver<Vec<Partition>>, LogError> {
        let known = self.shared.topic(topic);
        known
            .map(|topic| topic.names())
            .ok_or_else(|| LogError::NoSuchPartition(Partition::new(topic, 0)))
    }
}
