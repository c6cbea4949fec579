//! A process's connection to the brokers.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use async_trait::async_trait;
use backbone::{
    Bounds, Log, LogError, Partition, Record, Tail, Tailer, TopicInfo, TopicSpec, Writer,
};
use clock::Env;
use rand::RngExt;
use tokio::sync::watch;

use super::Brokers;
use super::faults::Faults;
use super::partition::Fate;
use super::tail::MemoryTail;
use super::writer::MemoryWriter;

/// As large as a record may be.
const RECORD_BYTES: usize = 1 << 20;

/// What a client, its tails and its writers share.
#[derive(Clone)]
pub(super) struct Client {
    pub(super) env: Arc<dyn Env>,
    pub(super) brokers: Arc<Brokers>,
}

impl Client {
    /// Lets others go first, for as long as the faults say.
    pub(super) async fn dawdle(&self) {
        dawdle(&self.env, &self.brokers).await;
    }

    /// Dawdles, then fails if the log is down or the dice say so.
    pub(super) async fn ask(&self, fault: impl Fn(&Faults) -> f64 + Send) -> Result<(), LogError> {
        self.dawdle().await;
        let mut state = self.brokers.state.lock();
        if state.faults.down || state.chance(fault) {
            return Err(LogError::Transient("a fault of the memory log".to_owned()));
        }
        Ok(())
    }

    /// Whether a request takes effect: those that fail do so every other time, when it is their
    /// answer that is lost.
    fn takes_effect(&self, refused: Option<&LogError>) -> bool {
        let mut state = self.brokers.state.lock();
        refused.is_none() || (!state.faults.down && state.rng.random_bool(0.5))
    }
}

pub(super) async fn dawdle(env: &Arc<dyn Env>, brokers: &Arc<Brokers>) {
    let (yields, delay_ms) = {
        let mut state = brokers.state.lock();
        let (yields, delay_ms) = (state.faults.max_yields, state.faults.max_delay_ms);
        (state.rng.random_range(0..=yields), state.rng.random_range(0..=delay_ms))
    };
    for _ in 0..yields {
        yield_now().await;
    }
    if delay_ms > 0 {
        env.sleep_ms(delay_ms).await;
    }
}

async fn yield_now() {
    let mut yielded = false;
    poll_fn(|context| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[async_trait]
impl Tailer for Client {
    async fn topic(&self, name: &str) -> Result<Option<TopicInfo>, LogError> {
        self.ask(|faults| faults.read_error).await?;
        Ok(self.brokers.state.lock().topics.get(name).map(super::state::Topic::info))
    }

    async fn bounds(&self, partition: &Partition) -> Result<Bounds, LogError> {
        self.ask(|faults| faults.read_error).await?;
        Ok(self.brokers.state.lock().part(partition)?.bounds())
    }

    async fn tail(&self, from: Vec<(Partition, u64)>) -> Result<Box<dyn Tail>, LogError> {
        self.ask(|faults| faults.read_error).await?;
        Ok(Box::new(MemoryTail::open(self.clone(), from)?))
    }
}

#[async_trait]
impl Log for Client {
    async fn ensure(&self, topic: &TopicSpec) -> Result<TopicInfo, LogError> {
        self.ask(|faults| faults.read_error).await?;
        if topic.name.is_empty() || topic.partitions == 0 {
            return Err(LogError::Fatal(format!(
                "topic '{}' with {} partitions: a topic needs a name and at least one partition",
                topic.name, topic.partitions
            )));
        }
        let info = self.brokers.state.lock().ensure(topic);
        self.brokers.changed();
        Ok(info)
    }

    async fn append(
        &self,
        partition: &Partition,
        records: Vec<Record>,
    ) -> Result<Vec<u64>, LogError> {
        let refused = self.ask(|faults| faults.append_error).await.err();
        if !self.takes_effect(refused.as_ref()) {
            return refused.map_or(Ok(Vec::new()), Err);
        }
        let now_ms = self.brokers.env.now_ms();
        let offsets = {
            let mut state = self.brokers.state.lock();
            state.part_mut(partition)?.write(records, now_ms, Fate::Committed)
        };
        self.brokers.changed();
        self.dawdle().await;
        refused.map_or(Ok(offsets), Err)
    }

    async fn end(&self, partition: &Partition) -> Result<u64, LogError> {
        self.ask(|faults| faults.read_error).await?;
        Ok(self.brokers.state.lock().part(partition)?.end())
    }

    fn max_record_bytes(&self) -> usize {
        RECORD_BYTES
    }

    async fn claim(&self, name: &str) -> Result<Box<dyn Writer>, LogError> {
        let refused = self.ask(|faults| faults.claim_error).await.err();
        let mut changes = self.brokers.changes.subscribe();
        let mut epoch = 0;
        if self.takes_effect(refused.as_ref()) {
            epoch = self.brokers.state.lock().claim(name);
            self.brokers.changed();
        }
        if let Some(error) = refused {
            return Err(error);
        }
        while self.brokers.state.lock().in_flight(name) {
            if changes.changed().await.is_err() {
                break;
            }
        }
        self.dawdle().await;
        Ok(Box::new(MemoryWriter::new(self.clone(), name.to_owned(), epoch)))
    }

    async fn assignments(
        &self,
        _group: &str,
        topic: &str,
    ) -> Result<watch::Receiver<Vec<Partition>>, LogError> {
        self.ask(|faults| faults.read_error).await?;
        self.brokers.state.lock().assigned(topic)
    }
}
