//! How far the appliers have read, and how far they must read before the node is caught up.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use backbone::Partition;
use bytes::Bytes;

const PREFIX: &[u8] = b"\0position/";

/// Positions in delta topics. Kept in the checkpoint beside the panes that they cover.
#[derive(Default)]
pub struct Positions {
    topics: BTreeMap<Arc<str>, [u8; 16]>,
    next: BTreeMap<Partition, u64>,
    goals: BTreeMap<Partition, u64>,
    rewound: BTreeSet<Arc<str>>,
}

impl Positions {
    /// Where to read on in a topic of this id: 0 for one that was not read before, or that has
    /// been made again.
    pub fn begin(
        &mut self,
        topic: &Arc<str>,
        id: [u8; 16],
        partitions: u32,
    ) -> Vec<(Partition, u64)> {
        self.rewound.remove(topic);
        if self.topics.insert(topic.clone(), id) != Some(id) {
            self.next.retain(|partition, _| partition.topic != *topic);
        }
        (0..partitions)
            .map(|index| Partition::new(topic.clone(), index))
            .map(|partition| {
                let next = *self.next.entry(partition.clone()).or_insert(0);
                (partition, next)
            })
            .collect()
    }

    /// Everything below `next` is applied. Nothing moves in a topic that is to be read again.
    pub fn advance(&mut self, partition: &Partition, next: u64) {
        if self.rewound.contains(&partition.topic) {
            return;
        }
        match self.next.get_mut(partition) {
            Some(known) => *known = next,
            None => _ = self.next.insert(partition.clone(), next),
        }
    }

    /// The node is not caught up before `end` is applied.
    pub fn set_goal(&mut self, partition: &Partition, end: u64) {
        self.goals.insert(partition.clone(), end);
    }

    /// Whether everything below `end` is applied.
    #[must_use]
    pub fn reached(&self, partition: &Partition, end: u64) -> bool {
        self.next.get(partition).copied().unwrap_or(0) >= end
    }

    /// Whether it is known how far the topic must be read, and it has been.
    #[must_use]
    pub fn caught_up_in(&self, topic: &str) -> bool {
        let mut goals = self.goals.iter().filter(|(partition, _)| *partition.topic == *topic);
        goals.clone().next().is_some()
            && goals.all(|(partition, end)| self.reached(partition, *end))
    }

    /// Whether every goal has been reached.
    #[must_use]
    pub fn caught_up(&self) -> bool {
        self.goals.iter().all(|(partition, end)| self.reached(partition, *end))
    }

    /// Has the partition read again from its start: its panes do not add up.
    pub fn rewind(&mut self, partition: &Partition) {
        self.next.insert(partition.clone(), 0);
        self.rewound.insert(partition.topic.clone());
    }

    /// Whether the topic is to be read again.
    #[must_use]
    pub fn is_rewound(&self, topic: &str) -> bool {
        self.rewound.contains(topic)
    }

    /// As entries of a checkpoint.
    #[must_use]
    pub fn entries(&self) -> Vec<(Bytes, Option<Bytes>)> {
        let entry = |(partition, next): (&Partition, &u64)| {
            let id = self.topics.get(&partition.topic)?;
            let mut key = PREFIX.to_vec();
            key.extend_from_slice(&partition.index.to_be_bytes());
            key.extend_from_slice(partition.topic.as_bytes());
            let mut value = id.to_vec();
            value.extend_from_slice(&next.to_be_bytes());
            Some((key.into(), Some(value.into())))
        };
        self.next.iter().filter_map(entry).collect()
    }

    /// Takes an entry of a checkpoint; false if it is not a position.
    pub fn load(&mut self, key: &[u8], value: &[u8]) -> bool {
        let Some((index, topic)) = key.strip_prefix(PREFIX).and_then(|k| k.split_first_chunk())
        else {
            return false;
        };
        let (Ok(topic), Some((id, next))) = (std::str::from_utf8(topic), value.split_first_chunk())
        else {
            return false;
        };
        let Ok(next) = next.try_into().map(u64::from_be_bytes) else { return false };
        let topic: Arc<str> = topic.into();
        self.topics.insert(topic.clone(), *id);
        self.next.insert(Partition::new(topic, u32::from_be_bytes(*index)), next);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_survive_a_checkpoint_but_not_a_remade_topic() {
        let topic: Arc<str> = "ewr.mesh-deltas-departures".into();
        let partition = Partition::new(topic.clone(), 1);
        let mut before = Positions::default();
        before.begin(&topic, [1; 16], 2);
        before.advance(&partition, 7);
        before.set_goal(&partition, 8);
        assert!(!before.caught_up());

        let mut after = Positions::default();
        for (key, value) in before.entries() {
            assert!(after.load(&key, &value.unwrap()));
        }
        assert!(!after.load(b"pane", b""));
        assert_eq!(after.begin(&topic, [1; 16], 2)[1], (partition.clone(), 7));
        assert_eq!(after.begin(&topic, [2; 16], 2)[1], (partition, 0));
    }
}
