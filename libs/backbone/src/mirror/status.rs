//! What a mirror says about itself.

use std::collections::BTreeMap;

use super::positions::Position;
use crate::log::Partition;

/// How far a mirror is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MirrorStatus {
    /// By the source's partition.
    pub partitions: BTreeMap<Partition, MirrorPosition>,
    /// Records copied since the start of this process.
    pub records: u64,
    /// Offsets still to copy, over all partitions, when the source was last heard of.
    pub lag: u64,
    /// Why the last session ended, until one is copying again.
    pub last_error: Option<String>,
}

/// How far a mirror is in one partition of its source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MirrorPosition {
    /// The id of the source's topic.
    pub topic_id: [u8; 16],
    /// The next offset to copy; those below are durable in the target.
    pub next: u64,
    /// The source's committed end when it was last heard of.
    pub source_end: u64,
}

impl MirrorStatus {
    /// A session begins at these positions.
    pub(super) fn start(&mut self, from: &BTreeMap<Partition, Position>) {
        let known = std::mem::take(&mut self.partitions);
        for (partition, &Position { topic_id, next, .. }) in from {
            let same = known.get(partition).filter(|known| known.topic_id == topic_id);
            let source_end = same.map_or(next, |known| known.source_end);
            let position = MirrorPosition { topic_id, next, source_end };
            self.partitions.insert(partition.clone(), position);
        }
        self.count();
    }

    /// The target holds everything below `next`.
    pub(super) fn copied(&mut self, partition: &Partition, next: u64) {
        if let Some(position) = self.partitions.get_mut(partition) {
            position.next = next;
            position.source_end = position.source_end.max(next);
        }
    }

    /// The source ends here.
    pub(super) fn heard(&mut self, partition: &Partition, source_end: u64) {
        if let Some(position) = self.partitions.get_mut(partition) {
            position.source_end = source_end.max(position.next);
        }
    }

    pub(super) fn count(&mut self) {
        self.lag = self.partitions.values().map(|p| p.source_end.saturating_sub(p.next)).sum();
    }
}
