//! What the conformance suite is told of Kafka.

use std::sync::Arc;

use async_trait::async_trait;
use backbone::conformance::Harness;
use backbone::{Log, LogError, Partition, Tailer};
use backbone_kafka::{KafkaLog, KafkaOptions};
use clock::{Env, SystemEnv};

use crate::cluster::Cluster;

/// How often it is looked whether the log was compacted, ms.
const LOOK_MS: u64 = 50;

/// A cluster under the suite.
pub struct OnKafka {
    cluster: Arc<Cluster>,
    options: KafkaOptions,
    log: Arc<KafkaLog>,
    compacts: bool,
}

impl OnKafka {
    /// A cluster with Meridian's own settings. It compacts when it likes, which is not now.
    #[must_use]
    pub fn start() -> Self {
        Self::with(KafkaOptions::new(""), false)
    }

    /// A cluster that compacts all the time: a batch of its own for each record, a segment of its
    /// own for each millisecond.
    #[must_use]
    pub fn start_compacting() -> Self {
        let mut options = KafkaOptions::new("");
        let pairs = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        options.properties.extend(pairs(&[("batch.num.messages", "1")]));
        options
            .topic_settings
            .extend(pairs(&[("segment.ms", "1"), ("min.cleanable.dirty.ratio", "0.01")]));
        Self::with(options, true)
    }

    fn with(options: KafkaOptions, compacts: bool) -> Self {
        let cluster = Arc::new(Cluster::start());
        let log = cluster.log(&options);
        Self { cluster, options, log, compacts }
    }

    /// The same cluster, to clients with one property more.
    #[must_use]
    pub fn with_property(&self, name: &str, value: &str) -> Self {
        let mut options = self.options.clone();
        options.properties.insert(name.to_owned(), value.to_owned());
        let (cluster, compacts) = (self.cluster.clone(), self.compacts);
        Self { log: cluster.log(&options), cluster, options, compacts }
    }

    async fn count(&self, partition: &Partition) -> Result<u64, LogError> {
        let end = self.log.bounds(partition).await?.committed_end;
        let mut tail = self.log.tail(vec![(partition.clone(), 0)]).await?;
        let (mut count, mut next) = (0, 0);
        while next < end {
            let batch = tail.next(1_000).await?;
            count += batch.records.len() as u64;
            next = batch.next;
        }
        Ok(count)
    }
}

#[async_trait]
impl Harness for OnKafka {
    fn env(&self) -> Arc<dyn Env> {
        SystemEnv::shared()
    }

    async fn log(&self) -> Arc<dyn Log> {
        self.cluster.log(&self.options)
    }

    /// Waits until there are fewer records than offsets; the case's deadline ends it.
    async fn compact(&self, partition: &Partition) -> bool {
        if !self.compacts {
            return false;
        }
        loop {
            let Ok(bounds) = self.log.bounds(partition).await else { return false };
            if self.count(partition).await.is_ok_and(|count| count < bounds.committed_end) {
                return true;
            }
            self.env().sleep_ms(LOOK_MS).await;
        }
    }

    async fn truncate(&self, partition: &Partition, start: u64) -> bool {
        self.log.drop_before(partition, start).await.is_ok()
    }
}
