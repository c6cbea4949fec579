//! Appending, through one idempotent producer for the whole process: `acks=all`, in order.

use std::sync::Arc;

use backbone::{LogError, Partition, Record};
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::producer::{DeliveryResult, Producer as _, ProducerContext, ThreadedProducer};
use tokio::sync::oneshot;

use crate::cluster::Cluster;
use crate::context::{self, Door};
use crate::error::{self, is_absence};
use crate::record::outgoing;

/// Records that may wait for the cluster, over all partitions.
const MAX_WAITING: usize = 90_000;

/// The producer; its own thread serves its events.
pub(crate) type Producer = ThreadedProducer<Acknowledged>;

/// Tells whoever waits for a record where it came to stand.
pub(crate) struct Acknowledged(pub(crate) Door);

impl ClientContext for Acknowledged {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        context::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.0.trouble(&error, reason);
    }
}

impl ProducerContext for Acknowledged {
    type DeliveryOpaque = Box<oneshot::Sender<Result<u64, KafkaError>>>;

    fn delivery(&self, result: &DeliveryResult<'_>, waiting: Self::DeliveryOpaque) {
        use rdkafka::Message as _;
        let offset = match result {
            Ok(message) => Ok(message.offset().max(0) as u64),
            Err((error, _)) => Err(error.clone()),
        };
        // Nobody may be waiting any more; that is theirs to know.
        let _ = waiting.send(offset);
    }
}

/// Appends, and waits until all replicas have it. After an error some of the records may be there.
pub(crate) async fn append(
    cluster: &Arc<Cluster>,
    partition: &Partition,
    records: Vec<Record>,
) -> Result<Vec<u64>, LogError> {
    cluster.check([partition]).await?;
    let appended = in_order(cluster, partition, records).await;
    cluster.door.passed(appended)
}

async fn in_order(
    cluster: &Arc<Cluster>,
    partition: &Partition,
    records: Vec<Record>,
) -> Result<Vec<u64>, LogError> {
    let producer = cluster.producer();
    let waiting = enqueue(cluster, &producer, partition, &records)?;
    drop(records);
    let mut offsets = Vec::with_capacity(waiting.len());
    for acknowledged in waiting {
        let closed = |_| LogError::Transient("the producer was closed".to_owned());
        match acknowledged.await.map_err(closed)? {
            Ok(offset) => offsets.push(offset),
            Err(error) => return Err(failed(cluster, &producer, partition, &error)),
        }
    }
    Ok(offsets)
}

type Waiting = Vec<oneshot::Receiver<Result<u64, KafkaError>>>;

fn enqueue(
    cluster: &Cluster,
    producer: &Producer,
    partition: &Partition,
    records: &[Record],
) -> Result<Waiting, LogError> {
    // One append after the other, so that they do not mix.
    let _in_order = cluster.appending.lock();
    let before = producer.in_flight_count().max(0) as usize;
    if before + records.len() > MAX_WAITING {
        let full = format!("{before} records wait to be appended, {MAX_WAITING} may");
        return Err(LogError::Full(full));
    }
    let mut waiting = Vec::with_capacity(records.len());
    for record in records {
        let (tell, acknowledged) = oneshot::channel();
        if let Err((error, _)) = producer.send(outgoing(partition, record, Box::new(tell))) {
            return Err(failed(cluster, producer, partition, &error));
        }
        waiting.push(acknowledged);
    }
    Ok(waiting)
}

fn failed(
    cluster: &Cluster,
    producer: &Producer,
    partition: &Partition,
    error: &KafkaError,
) -> LogError {
    if error.rdkafka_error_code().is_some_and(is_absence) {
        cluster.forget(&partition.topic);
    }
    if let Some((_, why)) = producer.client().fatal_error() {
        // Of no use any more; the next append has another.
        cluster.renew(producer);
        return LogError::Transient(why);
    }
    error::of(partition, error)
}
