//! What Meridian asks of a log: little enough that Kafka, an embedded store and a faulty one in
//! memory implement it naturally.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::watch;

/// One partition of a topic.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition {
    /// The topic's name in this log; a mirrored one is `<region>.<topic>`.
    pub topic: Arc<str>,
    /// From 0.
    pub index: u32,
}

impl Partition {
    /// `topic/index`.
    pub fn new(topic: impl Into<Arc<str>>, index: u32) -> Self {
        Self { topic: topic.into(), index }
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.topic, self.index)
    }
}

impl fmt::Debug for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a producer writes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Record {
    /// A compacted topic keeps the newest record of each key.
    pub key: Option<Bytes>,
    /// `None` is a null: in a compacted topic it removes the key.
    pub value: Option<Bytes>,
    /// Beside the content.
    pub headers: Vec<(Arc<str>, Bytes)>,
}

impl Record {
    /// A record with a key and a value.
    pub fn new(key: impl Into<Bytes>, value: impl Into<Bytes>) -> Self {
        Self { key: Some(key.into()), value: Some(value.into()), headers: Vec::new() }
    }

    /// Bytes of key, value and headers.
    #[must_use]
    pub fn size(&self) -> usize {
        let headers: usize = self.headers.iter().map(|(k, v)| k.len() + v.len()).sum();
        headers
            + self.key.as_ref().map_or(0, Bytes::len)
            + self.value.as_ref().map_or(0, Bytes::len)
    }
}

/// A record in its place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stored {
    /// Its offset; a partition's offsets grow and may have gaps.
    pub offset: u64,
    /// The log's own stamp, ms since the epoch. Never decreases within a partition, but in topics that
    /// others have made, where it may be their producers'.
    pub appended_ms: i64,
    /// The content.
    pub record: Record,
}

/// Committed records of one partition, in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Batch {
    /// Where they stand.
    pub partition: Partition,
    /// May be empty, when only `next` moved (aborted or compacted records).
    pub records: Vec<Stored>,
    /// The offset after the batch: where a tail would go on.
    pub next: u64,
}

/// What is in a partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bounds {
    /// The first offset that may still be read.
    pub start: u64,
    /// The offset after the last record whose fate is decided.
    pub committed_end: u64,
}

/// A topic as it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TopicInfo {
    /// The log's identity of it; another after it was deleted and made again.
    pub id: [u8; 16],
    /// How many partitions; may grow.
    pub partitions: u32,
}

/// A topic as it should be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TopicSpec {
    /// Its name.
    pub name: Arc<str>,
    /// How many partitions, if it is made.
    pub partitions: u32,
    /// What may be dropped.
    pub retention: Retention,
}

/// What a log may drop.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Retention {
    /// Records older than `ms`, and the oldest above `bytes` per partition.
    Delete {
        /// Age by append time.
        ms: i64,
        /// Size of a partition.
        bytes: u64,
    },
    /// All but the newest record of each key; a null goes too, after `null_ms`.
    Compact {
        /// How long a null can be read at least.
        null_ms: i64,
    },
}

/// Why a log did not do what it was asked to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// There is no such topic or partition (yet).
    #[error("{0} does not exist in this log")]
    NoSuchPartition(Partition),
    /// The wanted offset has been dropped.
    #[error("{partition} now begins at offset {start}; what was before it is gone")]
    Truncated {
        /// Which.
        partition: Partition,
        /// Where it begins.
        start: u64,
    },
    /// A bound was reached; try again later, or with less.
    #[error("the log takes no more: {0}")]
    Full(String),
    /// It may work when tried again.
    #[error("the log did not answer: {0}")]
    Transient(String),
    /// It will not work when tried again.
    #[error("{0}")]
    Fatal(String),
}

/// How a commit ended when it did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// Nothing was written. Drop the overlay and go on.
    #[error("the commit was aborted: {0}")]
    Aborted(LogError),
    /// Another writer has claimed since. Nothing was written. Stop.
    #[error("another writer holds the claim")]
    Fenced,
    /// All or nothing was written; only reading tells. Claim again, and read.
    #[error("it is unknown whether the commit was written")]
    Unknown,
}

/// Reading: what a gRPC client to another region's log implements too.
#[async_trait]
pub trait Tailer: Send + Sync + 'static {
    /// The topic as it is now; `None` if there is none.
    async fn topic(&self, name: &str) -> Result<Option<TopicInfo>, LogError>;
    /// What can be read. A record below `committed_end` is visible to every later `tail`.
    async fn bounds(&self, partition: &Partition) -> Result<Bounds, LogError>;
    /// Committed records from these offsets on. Waits at the end for more. An offset below a
    /// partition's start is [`LogError::Truncated`], from here or from [`Tail::next`] — except
    /// for offset 0, which means the start.
    async fn tail(&self, from: Vec<(Partition, u64)>) -> Result<Box<dyn Tail>, LogError>;
}

/// A position in some partitions of a log, moving forward. Cancel-safe: dropping a pending `next`
/// loses nothing.
#[async_trait]
pub trait Tail: Send {
    /// The next records of any one of the partitions, at most `max` of them. Partitions take
    /// turns. After an error the tail must be opened again.
    async fn next(&mut self, max: usize) -> Result<Batch, LogError>;
}

/// A durable, partitioned, transactional log.
#[async_trait]
pub trait Log: Tailer {
    /// Makes the topic if it is not there, adds partitions if it has too few, and says what is.
    async fn ensure(&self, topic: &TopicSpec) -> Result<TopicInfo, LogError>;
    /// Appends in order, contiguously, and returns the offsets when durable and committed.
    async fn append(
        &self,
        partition: &Partition,
        records: Vec<Record>,
    ) -> Result<Vec<u64>, LogError>;
    /// The offset after the last record, whether its fate is decided or not: all that was appended before
    /// lies below it. In a log that shows nothing before it is decided that is the committed end.
    async fn end(&self, partition: &Partition) -> Result<u64, LogError> {
        Ok(self.bounds(partition).await?.committed_end)
    }
    /// The most bytes ([`Record::size`]) that a record may have; a larger one may be refused for good.
    fn max_record_bytes(&self) -> usize;
    /// Fences every earlier writer of this name, and returns when their commits are decided: what
    /// they wrote is below `committed_end`, and nothing of theirs comes later.
    async fn claim(&self, name: &str) -> Result<Box<dyn Writer>, LogError>;
    /// A hint: which partitions of `topic` this process should try to fold. Two holders at once
    /// are harmless. Grows when partitions are added.
    async fn assignments(
        &self,
        group: &str,
        topic: &str,
    ) -> Result<watch::Receiver<Vec<Partition>>, LogError>;
    /// Returns when the group knows that this process, which listens to its assignments no more, has
    /// left it: only then are its partitions another's. Who ends without waiting is missed by the
    /// group until its session is over.
    async fn left(&self, _group: &str, _topic: &str) {}
    /// How far a member of the group is in a partition that is assigned to it, for people's tools
    /// that look at groups. Nothing is ever read from it, and it may be lost.
    fn note_progress(&self, _group: &str, _partition: &Partition, _next: u64) {}
}

/// A claim's writer.
#[async_trait]
pub trait Writer: Send {
    /// All or nothing, over any partitions of this log; within a partition in the given order and
    /// contiguous. Dropping the future leaves the outcome unknown.
    async fn commit(&mut self, records: Vec<(Partition, Record)>) -> Result<(), CommitError>;
}
