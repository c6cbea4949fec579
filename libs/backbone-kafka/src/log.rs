//! The log on Kafka as the rest of Meridian sees it.

use std::collections::HashMap;
use std::sync::Arc;
use std::thread::JoinHandle;

use async_trait::async_trait;
use backbone::{
    Bounds, Log, LogError, Partition, Record, Tail, Tailer, TopicInfo, TopicSpec, Writer,
};
use clock::Env;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::append::append;
use crate::blocking::blocking;
use crate::cluster::Cluster;
use crate::group::{self, Progress};
use crate::options::KafkaOptions;
use crate::{ensure, tail, writer};

/// A Kafka cluster.
pub struct KafkaLog {
    cluster: Arc<Cluster>,
    /// By group and topic.
    members: Mutex<HashMap<(String, Arc<str>), Member>>,
}

/// Of a group.
struct Member {
    progress: Progress,
    at_work: JoinHandle<()>,
}

impl KafkaLog {
    /// The log on a cluster, which need not be there yet.
    ///
    /// # Errors
    /// [`LogError::Fatal`] if a property does not exist or has no such value.
    pub fn new(options: KafkaOptions, env: Arc<dyn Env>) -> Result<Arc<Self>, LogError> {
        let cluster = Arc::new(Cluster::new(options, env)?);
        Ok(Arc::new(Self { cluster, members: Mutex::default() }))
    }

    /// Drops the records of a partition before `start` now, whatever its topic's retention.
    ///
    /// # Errors
    /// If there is no such partition, or `start` is beyond its end, or the cluster refuses.
    pub async fn drop_before(&self, partition: &Partition, start: u64) -> Result<(), LogError> {
        ensure::drop_before(&self.cluster, partition, start).await
    }
}

#[async_trait]
impl Tailer for KafkaLog {
    async fn topic(&self, name: &str) -> Result<Option<TopicInfo>, LogError> {
        self.cluster.describe(name).await
    }

    async fn bounds(&self, partition: &Partition) -> Result<Bounds, LogError> {
        self.cluster.bounds(partition).await
    }

    async fn tail(&self, from: Vec<(Partition, u64)>) -> Result<Box<dyn Tail>, LogError> {
        Ok(Box::new(tail::open(&self.cluster, from).await?))
    }
}

#[async_trait]
impl Log for KafkaLog {
    async fn ensure(&self, topic: &TopicSpec) -> Result<TopicInfo, LogError> {
        ensure::ensure(&self.cluster, topic).await
    }

    async fn append(
        &self,
        partition: &Partition,
        records: Vec<Record>,
    ) -> Result<Vec<u64>, LogError> {
        append(&self.cluster, partition, records).await
    }

    async fn end(&self, partition: &Partition) -> Result<u64, LogError> {
        self.cluster.end(partition).await
    }

    fn max_record_bytes(&self) -> usize {
        self.cluster.options.max_record_bytes()
    }

    async fn claim(&self, name: &str) -> Result<Box<dyn Writer>, LogError> {
        Ok(Box::new(writer::claim(&self.cluster, name).await?))
    }

    async fn assignments(
        &self,
        group: &str,
        topic: &str,
    ) -> Result<watch::Receiver<Vec<Partition>>, LogError> {
        self.cluster.check([&Partition::new(topic, 0)]).await?;
        let (config, topic) = (self.cluster.options.member(group), Arc::<str>::from(topic));
        let progress = Progress::default();
        let (door, of, noted) = (self.cluster.door.clone(), topic.clone(), progress.clone());
        let joined = blocking(move || group::join(&config, door, &of, noted)).await?;
        let (listener, at_work) = joined?;
        self.members.lock().insert((group.to_owned(), topic), Member { progress, at_work });
        Ok(listener)
    }

    async fn left(&self, group: &str, topic: &str) {
        let member = self.members.lock().remove(&(group.to_owned(), topic.into()));
        let Some(Member { at_work, .. }) = member else { return };
        if let Err(error) = blocking(move || _ = at_work.join()).await {
            tracing::warn!(group, %error, "whether the group knows that this member left is not known");
        }
    }

    fn note_progress(&self, group: &str, partition: &Partition, next: u64) {
        let members = self.members.lock();
        if let Some(member) = members.get(&(group.to_owned(), partition.topic.clone())) {
            member.progress.note(partition.index, next);
        }
    }
}
