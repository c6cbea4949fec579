//! The connection that all of a log shares: its appends' producer, which is asked about topics and
//! bounds too, so that one client less has to be kept alive.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use backbone::{Bounds, LogError, Partition, TopicInfo};
use clock::Env;
use parking_lot::{Mutex, RwLock};
use rdkafka::producer::Producer as _;

use crate::append::{Acknowledged, Producer};
use crate::blocking::{blocking, dispose};
use crate::context::Door;
use crate::error::{self, is_absence};
use crate::native;
use crate::options::KafkaOptions;

pub(crate) struct Cluster {
    pub(crate) env: Arc<dyn Env>,
    pub(crate) options: KafkaOptions,
    /// What all clients of this log are told.
    pub(crate) door: Door,
    /// Held while the records of one append are queued.
    pub(crate) appending: Mutex<()>,
    producer: RwLock<Arc<Producer>>,
    /// Topics as they were last seen: whether a partition exists need not be asked again.
    known: Mutex<HashMap<Arc<str>, TopicInfo>>,
}

impl Cluster {
    pub(crate) fn new(options: KafkaOptions, env: Arc<dyn Env>) -> Result<Self, LogError> {
        let door = Door::default();
        let producer = make(&options, &door)?;
        Ok(Self {
            env,
            options,
            door,
            appending: Mutex::new(()),
            producer: RwLock::new(Arc::new(producer)),
            known: Mutex::new(HashMap::new()),
        })
    }

    pub(crate) fn producer(&self) -> Arc<Producer> {
        self.producer.read().clone()
    }

    /// Takes another producer for one that can do no more.
    pub(crate) fn renew(&self, spent: &Producer) {
        let mut producer = self.producer.write();
        if !std::ptr::eq(&raw const **producer, spent) {
            return;
        }
        match make(&self.options, &self.door) {
            Ok(next) => dispose(std::mem::replace(&mut *producer, Arc::new(next))),
            Err(error) => tracing::error!(%error, "no other producer could be made"),
        }
    }

    /// The topic as it is now.
    pub(crate) async fn describe(&self, name: &str) -> Result<Option<TopicInfo>, LogError> {
        let (producer, topic, ms) = (self.producer(), name.to_owned(), self.options.request_ms);
        let found = blocking(move || native::describe(producer.client(), &topic, ms)).await?;
        let found = self.door.passed(found)?;
        match found {
            Some(info) => _ = self.known.lock().insert(name.into(), info),
            None => self.forget(name),
        }
        Ok(found)
    }

    /// Partitions are only ever added, and topics seldom go: what was seen once is believed, until
    /// the cluster says otherwise.
    pub(crate) async fn check(
        &self,
        partitions: impl IntoIterator<Item = &Partition> + Send,
    ) -> Result<(), LogError> {
        let unseen = {
            let known = self.known.lock();
            let seen = |p: &&Partition| known.get(&p.topic).is_none_or(|t| p.index >= t.partitions);
            partitions.into_iter().filter(seen).cloned().collect::<Vec<_>>()
        };
        for partition in unseen {
            let known = self.known.lock().get(&partition.topic).copied();
            let exists = |topic: &TopicInfo| partition.index < topic.partitions;
            if !known.as_ref().is_some_and(exists)
                && !self.describe(&partition.topic).await?.as_ref().is_some_and(exists)
            {
                return Err(LogError::NoSuchPartition(partition));
            }
        }
        Ok(())
    }

    /// The topic is to be asked for again.
    pub(crate) fn forget(&self, topic: &str) {
        self.known.lock().remove(topic);
    }

    /// The end is that of what is decided: librdkafka asks as a reader of committed records,
    /// whatever the client.
    pub(crate) async fn bounds(&self, partition: &Partition) -> Result<Bounds, LogError> {
        self.check([partition]).await?;
        let (producer, of) = (self.producer(), partition.clone());
        let timeout = Duration::from_millis(self.options.request_ms);
        let marks = blocking(move || {
            producer.client().fetch_watermarks(&of.topic, of.index as i32, timeout)
        });
        let marks = marks.await?.map_err(|error| {
            if error.rdkafka_error_code().is_some_and(is_absence) {
                self.forget(&partition.topic);
            }
            error::of(partition, &error)
        });
        let (start, end) = self.door.passed(marks)?;
        Ok(Bounds { start: start.max(0) as u64, committed_end: end.max(0) as u64 })
    }

    /// The end with what is not decided yet.
    pub(crate) async fn end(&self, partition: &Partition) -> Result<u64, LogError> {
        self.check([partition]).await?;
        let (producer, of, ms) = (self.producer(), partition.clone(), self.options.request_ms);
        let end = blocking(move || native::end(producer.client(), &of, ms)).await?;
        if matches!(end, Err(LogError::NoSuchPartition(_))) {
            self.forget(&partition.topic);
        }
        self.door.passed(end)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        dispose(self.producer());
    }
}

fn make(options: &KafkaOptions, door: &Door) -> Result<Producer, LogError> {
    let producer = options.appender().create_with_context(Acknowledged(door.clone()));
    producer.map_err(|error| error::general(&error))
}
