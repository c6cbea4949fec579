//! A topic in memory, and as it is written down.

use std::sync::Arc;

use backbone::{Partition, Retention, TopicInfo};
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::partition::PartitionLog;

/// A topic as it is written down.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct TopicRecord {
    pub(crate) name: Arc<str>,
    /// What its keys begin with; never used again for another topic.
    pub(crate) number: u32,
    pub(crate) id: [u8; 16],
    pub(crate) partitions: u32,
    pub(crate) retention: StoredRetention,
}

/// [`Retention`] as it is written down.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StoredRetention {
    Delete { ms: i64, bytes: u64 },
    Compact { null_ms: i64 },
}

impl From<Retention> for StoredRetention {
    fn from(retention: Retention) -> Self {
        match retention {
            Retention::Delete { ms, bytes } => Self::Delete { ms, bytes },
            Retention::Compact { null_ms } => Self::Compact { null_ms },
        }
    }
}

/// A topic in memory.
pub(crate) struct Topic {
    inner: RwLock<Inner>,
    /// Its partitions' names, for those who share them out.
    names: watch::Sender<Vec<Partition>>,
}

struct Inner {
    record: TopicRecord,
    partitions: Vec<Arc<PartitionLog>>,
}

impl Topic {
    pub(crate) fn new(record: TopicRecord, partitions: Vec<Arc<PartitionLog>>) -> Self {
        let names = watch::Sender::new(names(&partitions));
        Self { inner: RwLock::new(Inner { record, partitions }), names }
    }

    pub(crate) fn record(&self) -> TopicRecord {
        self.inner.read().record.clone()
    }

    pub(crate) fn info(&self) -> TopicInfo {
        let record = &self.inner.read().record;
        TopicInfo { id: record.id, partitions: record.partitions }
    }

    pub(crate) fn partition(&self, index: u32) -> Option<Arc<PartitionLog>> {
        self.inner.read().partitions.get(index as usize).cloned()
    }

    pub(crate) fn partitions(&self) -> Vec<Arc<PartitionLog>> {
        self.inner.read().partitions.clone()
    }

    /// Takes over a changed record, and partitions that were added.
    pub(crate) fn change(&self, record: TopicRecord, added: Vec<Arc<PartitionLog>>) {
        let mut inner = self.inner.write();
        inner.record = record;
        let grown = !added.is_empty();
        inner.partitions.extend(added);
        if grown {
            self.names.send_replace(names(&inner.partitions));
        }
    }

    pub(crate) fn names(&self) -> watch::Receiver<Vec<Partition>> {
        self.names.subscribe()
    }
}

fn names(partitions: &[Arc<PartitionLog>]) -> Vec<Partition> {
    partitions.iter().map(|partition| partition.name.clone()).collect()
}
