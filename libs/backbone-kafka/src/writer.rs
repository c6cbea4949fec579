//! A claim's writer: a transactional producer, each commit one transaction.
//!
//! A call of librdkafka may outlive the future that waits for it, so the producer moves into the
//! blocking call and comes back with the outcome. If nobody waits any more it does not come back,
//! and the writer can only say that it does not know.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use backbone::{CommitError, LogError, Partition, Record, Writer};
use parking_lot::{Condvar, Mutex};
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::Message as _;
use rdkafka::producer::{DeliveryResult, Producer as _, ProducerContext, ThreadedProducer};

use crate::blocking::{blocking, dispose};
use crate::cluster::Cluster;
use crate::context::{self, Door};
use crate::error::{self, is_fencing};
use crate::record::outgoing;

/// What is asked for only so that the client is connected before it looks for its coordinator:
/// unconnected, it looks again half a second later.
const ANY_TOPIC: &str = "__transaction_state";

/// Counts a transaction's records until all have arrived.
struct Arrivals {
    door: Door,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    expected: usize,
    failed: Option<LogError>,
}

impl ClientContext for Arrivals {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        context::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.door.trouble(&error, reason);
    }
}

impl ProducerContext for Arrivals {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let mut state = self.state.lock();
        state.expected = state.expected.saturating_sub(1);
        if let Err((error, message)) = result {
            let of = Partition::new(message.topic(), message.partition().max(0) as u32);
            state.failed.get_or_insert_with(|| error::of(&of, error));
        }
        if state.expected == 0 {
            self.changed.notify_all();
        }
    }
}

impl Arrivals {
    fn new(door: Door) -> Self {
        Self { door, state: Mutex::default(), changed: Condvar::new() }
    }

    /// Waits for all records that were sent, for this long at most: librdkafka gives up on each in
    /// its time, but begins to count again when it has to send them anew.
    fn settle(&self, timeout: Duration) -> Result<(), LogError> {
        let mut state = self.state.lock();
        let waited = self.changed.wait_while_for(&mut state, |state| state.expected > 0, timeout);
        if waited.timed_out() {
            let missing = state.expected;
            let late = format!("{missing} records have not arrived within {timeout:?}");
            return Err(LogError::Transient(late));
        }
        state.failed.take().map_or(Ok(()), Err)
    }
}

type Producer = ThreadedProducer<Arrivals>;

pub(crate) struct KafkaWriter {
    cluster: Arc<Cluster>,
    /// How this writer ended, or a commit that nobody waits for any more will have.
    producer: Result<Producer, CommitError>,
}

/// Fences every earlier writer of the name, and waits until their transactions are decided.
pub(crate) async fn claim(cluster: &Arc<Cluster>, name: &str) -> Result<KafkaWriter, LogError> {
    let config = cluster.options.writer(name);
    let (door, timeout) = (cluster.door.clone(), Duration::from_millis(cluster.options.request_ms));
    let producer = blocking(move || {
        let producer: Producer = config.create_with_context(Arrivals::new(door))?;
        producer.client().fetch_metadata(Some(ANY_TOPIC), timeout)?;
        producer.init_transactions(timeout)?;
        Ok(producer)
    });
    let producer = producer.await?.map_err(|error: KafkaError| error::general(&error));
    let producer = cluster.door.passed(producer)?;
    Ok(KafkaWriter { cluster: cluster.clone(), producer: Ok(producer) })
}

#[async_trait]
impl Writer for KafkaWriter {
    async fn commit(&mut self, records: Vec<(Partition, Record)>) -> Result<(), CommitError> {
        self.producer.as_ref().map_err(Clone::clone)?;
        if records.is_empty() {
            return Ok(());
        }
        let partitions = records.iter().map(|(partition, _)| partition);
        self.cluster.check(partitions).await.map_err(CommitError::Aborted)?;
        let producer = std::mem::replace(&mut self.producer, Err(CommitError::Unknown))?;
        // The cluster gives up on the transaction at this time itself.
        let timeout = Duration::from_millis(self.cluster.options.transaction_ms);
        let committed = blocking(move || {
            let outcome = commit(&producer, &records, timeout);
            (producer, outcome)
        });
        let (producer, outcome) = committed.await.map_err(|_| CommitError::Unknown)?;
        match &outcome {
            Ok(()) => self.producer = Ok(producer),
            Err(CommitError::Aborted(why)) => {
                if let LogError::NoSuchPartition(partition) = why {
                    self.cluster.forget(&partition.topic);
                }
                self.producer = Ok(producer);
            }
            Err(end) => {
                self.producer = Err(end.clone());
                dispose(producer);
            }
        }
        outcome
    }
}

impl Drop for KafkaWriter {
    fn drop(&mut self) {
        if let Ok(producer) = std::mem::replace(&mut self.producer, Err(CommitError::Unknown)) {
            dispose(producer);
        }
    }
}

fn commit(
    producer: &Producer,
    records: &[(Partition, Record)],
    timeout: Duration,
) -> Result<(), CommitError> {
    producer.begin_transaction().map_err(|error| ended(producer, &error))?;
    if let Err(error) = send(producer, records, timeout) {
        return Err(abort(producer, error, timeout));
    }
    let Err(error) = producer.commit_transaction(timeout) else { return Ok(()) };
    match &error {
        KafkaError::Transaction(refused) if refused.txn_requires_abort() => {
            Err(abort(producer, error::general(&error), timeout))
        }
        _ => Err(ended(producer, &error)),
    }
}

/// Sends all records, and waits until each has arrived: rdkafka's own flush would wait for as long
/// as it is allowed to, and says nothing of failures.
fn send(
    producer: &Producer,
    records: &[(Partition, Record)],
    timeout: Duration,
) -> Result<(), LogError> {
    let arrivals = producer.client().context();
    for (partition, record) in records {
        loop {
            arrivals.state.lock().expected += 1;
            let Err((error, _)) = producer.send(outgoing(partition, record, ())) else { break };
            arrivals.state.lock().expected -= 1;
            if error.rdkafka_error_code() != Some(Code::QueueFull)
                || producer.in_flight_count() == 0
            {
                arrivals.settle(timeout)?;
                return Err(error::of(partition, &error));
            }
            arrivals.settle(timeout)?;
        }
    }
    arrivals.settle(timeout)
}

fn abort(producer: &Producer, why: LogError, timeout: Duration) -> CommitError {
    match producer.abort_transaction(timeout) {
        Ok(()) => {
            // What was thrown away is told now, and must not be counted by the next transaction.
            _ = producer.client().context().settle(timeout);
            CommitError::Aborted(why)
        }
        Err(error) => ended(producer, &error),
    }
}

/// What an error means after which this producer can do no more.
fn ended(producer: &Producer, error: &KafkaError) -> CommitError {
    let fatal = producer.client().fatal_error().map(|(code, _)| code);
    let fenced = [error.rdkafka_error_code(), fatal].into_iter().flatten().any(is_fencing);
    if fenced {
        return CommitError::Fenced;
    }
    tracing::warn!(%error, "a transaction's end is unknown");
    CommitError::Unknown
}
