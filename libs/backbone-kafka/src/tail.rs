//! Reading committed records from chosen offsets on.
//!
//! Each partition has a queue of librdkafka's, which wakes the tail when something comes; taking
//! from a queue never blocks. So a tail needs no thread, partitions take turns, and a dropped
//! `next` has taken nothing.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use backbone::{Batch, Bounds, LogError, Partition, Tail};
use futures::future::{BoxFuture, Either, select};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use tokio::sync::Notify;

use crate::blocking::{blocking, dispose};
use crate::cluster::Cluster;
use crate::context::{Door, Quiet};
use crate::error;
use crate::native;
use crate::record::incoming;

/// How many of the client's own events are served before each look at the partitions.
const EVENTS: usize = 8;
/// How many partitions' bounds are asked for at once.
const ASKED_AT_ONCE: usize = 16;
/// How long a new tail keeps partitions waiting that have had their first turn, until all that have
/// something have had it, ms: the first to answer would run away from the others. One whose leader
/// is gone must not keep them for longer.
const PATIENCE_MS: u64 = 2_000;

pub(crate) struct KafkaTail {
    cluster: Arc<Cluster>,
    wake: Arc<Notify>,
    /// Until all partitions have had their first turn.
    patience: Option<BoxFuture<'static, ()>>,
    /// `None` only while it is dropped.
    reader: Option<Reader>,
    /// Whose turn it is.
    turn: usize,
    failed: Option<Failed>,
}

struct Reader {
    parts: Vec<Part>,
    /// Of the same partitions, in the same order.
    positions: TopicPartitionList,
    consumer: Arc<BaseConsumer<Quiet>>,
}

struct Part {
    partition: Partition,
    queue: PartitionQueue<Quiet>,
    next: u64,
    /// Whether it had something when the tail was opened, and has not given it yet.
    owed: bool,
}

#[derive(Clone)]
enum Failed {
    /// The offset is not in the log (any more).
    OutOfRange(Partition, u64),
    Other(LogError),
}

pub(crate) async fn open(
    cluster: &Arc<Cluster>,
    from: Vec<(Partition, u64)>,
) -> Result<KafkaTail, LogError> {
    let starts = from.into_iter().map(|(partition, from)| start(cluster, partition, from));
    let starts: Vec<Start> = stream::iter(starts).buffered(ASKED_AT_ONCE).try_collect().await?;
    let wake = Arc::new(Notify::new());
    let (config, door, woken) = (cluster.options.tail(), cluster.door.clone(), wake.clone());
    let reader = blocking(move || Reader::open(&config, door, starts, &woken)).await?;
    let reader = reader.map_err(|error| error::general(&error))?;
    let patience = cluster.env.sleep_ms(PATIENCE_MS);
    Ok(KafkaTail {
        cluster: cluster.clone(),
        wake,
        patience: Some(patience),
        reader: Some(reader),
        turn: 0,
        failed: None,
    })
}

/// Where reading a partition begins.
struct Start {
    partition: Partition,
    next: u64,
    /// Whether there is something to read at once.
    owed: bool,
}

async fn start(cluster: &Cluster, partition: Partition, from: u64) -> Result<Start, LogError> {
    let bounds = cluster.bounds(&partition).await?;
    // librdkafka would ask for the start itself, but half a second later.
    let next = if from == 0 { bounds.start } else { from };
    if !(bounds.start..=bounds.committed_end).contains(&next) {
        return Err(out_of_range(partition, next, bounds));
    }
    Ok(Start { partition, next, owed: next < bounds.committed_end })
}

fn out_of_range(partition: Partition, wanted: u64, bounds: Bounds) -> LogError {
    if wanted < bounds.start {
        return LogError::Truncated { partition, start: bounds.start };
    }
    LogError::Transient(format!(
        "offset {wanted} of {partition} is beyond its end, {}: it was made again, or lost",
        bounds.committed_end
    ))
}

impl Reader {
    fn open(
        config: &ClientConfig,
        door: Door,
        starts: Vec<Start>,
        wake: &Arc<Notify>,
    ) -> Result<Self, KafkaError> {
        let ring = || {
            let wake = wake.clone();
            move || wake.notify_one()
        };
        let mut consumer: BaseConsumer<Quiet> = config.create_with_context(Quiet(door))?;
        consumer.set_nonempty_callback(ring());
        let consumer = Arc::new(consumer);
        let mut positions = TopicPartitionList::with_capacity(starts.len());
        let mut parts = Vec::with_capacity(starts.len());
        for Start { partition, next, owed } in starts {
            let offset = Offset::Offset(i64::try_from(next).unwrap_or(i64::MAX));
            let index = partition.index as i32;
            positions.add_partition_offset(&partition.topic, index, offset)?;
            let queue = consumer.split_partition_queue(&partition.topic, index);
            let mut queue = queue.ok_or(KafkaError::MessageConsumption(Code::UnknownPartition))?;
            queue.set_nonempty_callback(ring());
            parts.push(Part { partition, queue, next, owed });
        }
        consumer.assign(&positions)?;
        Ok(Self { parts, positions, consumer })
    }

    /// Serves what concerns no partition. Only what the client cannot get over is an error.
    fn serve(&self) -> Result<(), LogError> {
        for _ in 0..EVENTS {
            match self.consumer.poll(Duration::ZERO) {
                None => break,
                Some(Err(error @ KafkaError::MessageConsumptionFatal(_))) => {
                    return Err(LogError::Transient(error.to_string()));
                }
                Some(Err(_)) => {}
                Some(Ok(_)) => {
                    let stray = "a record came by the wrong way".to_owned();
                    return Err(LogError::Transient(stray));
                }
            }
        }
        Ok(())
    }

    /// What moved on without a record: markers of transactions, and what was aborted.
    fn moved(&mut self) -> Option<Batch> {
        native::positions(self.consumer.client(), &mut self.positions);
        for (part, at) in self.parts.iter_mut().zip(self.positions.elements()) {
            if let Offset::Offset(at) = at.offset()
                && at > 0
                && at as u64 > part.next
            {
                (part.next, part.owed) = (at as u64, false);
                let partition = part.partition.clone();
                return Some(Batch { partition, records: Vec::new(), next: part.next });
            }
        }
        None
    }
}

impl Part {
    /// At most `max` records, and why there are no more, if there is an error.
    fn take(&mut self, max: usize) -> (Option<Batch>, Option<Failed>) {
        let (mut records, mut failed) = (Vec::new(), None);
        while records.len() < max {
            match self.queue.poll(Duration::ZERO) {
                None => break,
                Some(Ok(message)) => records.push(incoming(&message)),
                Some(Err(error)) => {
                    failed = Some(self.failed(&error));
                    break;
                }
            }
        }
        let batch = records.last().map(|last| last.offset + 1).map(|next| {
            (self.next, self.owed) = (next, false);
            Batch { partition: self.partition.clone(), records, next }
        });
        (batch, failed)
    }

    fn failed(&self, error: &KafkaError) -> Failed {
        match error.rdkafka_error_code() {
            Some(Code::AutoOffsetReset | Code::OffsetOutOfRange | Code::LogTruncation) => {
                Failed::OutOfRange(self.partition.clone(), self.next)
            }
            _ => Failed::Other(error::of(&self.partition, error)),
        }
    }
}

impl KafkaTail {
    /// What is there already.
    fn ready(&mut self, max: usize) -> Option<Batch> {
        let reader = self.reader.as_mut()?;
        if let Err(error) = reader.serve() {
            self.failed = Some(Failed::Other(error));
            return None;
        }
        let count = reader.parts.len();
        if self.patience.is_some() && !reader.parts.iter().any(|part| part.owed) {
            self.patience = None;
        }
        for at in (self.turn..self.turn + count).map(|at| at % count) {
            if self.patience.is_some() && !reader.parts[at].owed {
                continue;
            }
            let (batch, failed) = reader.parts[at].take(max.max(1));
            self.failed = self.failed.take().or(failed);
            if batch.is_some() {
                self.turn = at + 1;
                return batch;
            }
            if self.failed.is_some() {
                return None;
            }
        }
        reader.moved()
    }
}

/// The way out: what the log has instead.
async fn explain(cluster: &Cluster, failed: Failed) -> LogError {
    let (partition, wanted) = match failed {
        Failed::OutOfRange(partition, wanted) => (partition, wanted),
        Failed::Other(error) => return error,
    };
    match cluster.bounds(&partition).await {
        Ok(bounds) => out_of_range(partition, wanted, bounds),
        Err(error) => error,
    }
}

#[async_trait]
impl Tail for KafkaTail {
    async fn next(&mut self, max: usize) -> Result<Batch, LogError> {
        loop {
            if let Some(failed) = self.failed.clone() {
                return Err(explain(&self.cluster, failed).await);
            }
            if let Some(batch) = self.ready(max) {
                return Ok(batch);
            }
            if self.failed.is_some() {
                continue;
            }
            let Some(patience) = &mut self.patience else {
                self.wake.notified().await;
                continue;
            };
            let woken = pin!(self.wake.notified());
            if let Either::Right(_) = select(woken, patience).await {
                self.patience = None;
            }
        }
    }
}

impl Drop for KafkaTail {
    fn drop(&mut self) {
        if let Some(reader) = self.reader.take() {
            dispose(reader);
        }
    }
}
