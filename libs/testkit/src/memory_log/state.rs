//! Topics, claims and transactions: what the brokers keep while processes come and go.

use std::collections::BTreeMap;
use std::sync::Arc;

use backbone::{LogError, Partition, Record, Retention, TopicInfo, TopicSpec};
use rand::RngExt;
use rand::rand_core::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tokio::sync::watch;

use super::faults::Faults;
use super::partition::{Fate, Part};

pub(super) struct Topic {
    pub(super) id: [u8; 16],
    pub(super) retention: Retention,
    pub(super) parts: Vec<Part>,
    assigned: watch::Sender<Vec<Partition>>,
}

/// A commit on its way.
pub(super) struct Transaction {
    claim: String,
    /// Where it has not become visible (or been removed) yet.
    pub(super) unsettled: Vec<Partition>,
    /// Whether it commits; none while that is open.
    pub(super) decision: Option<bool>,
}

pub(super) struct State {
    pub(super) rng: ChaCha8Rng,
    pub(super) faults: Faults,
    pub(super) topics: BTreeMap<Arc<str>, Topic>,
    /// The newest writer of each claim.
    epochs: BTreeMap<String, u64>,
    pub(super) transactions: BTreeMap<u64, Transaction>,
    next_transaction: u64,
}

impl State {
    pub(super) fn new(seed: u64, faults: Faults) -> Self {
        Self {
            rng: ChaCha8Rng::seed_from_u64(seed),
            faults,
            topics: BTreeMap::new(),
            epochs: BTreeMap::new(),
            transactions: BTreeMap::new(),
            next_transaction: 0,
        }
    }

    pub(super) fn chance(&mut self, probability: impl Fn(&Faults) -> f64) -> bool {
        let probability = probability(&self.faults);
        probability > 0.0 && self.rng.random_bool(probability.min(1.0))
    }

    // Topics.

    pub(super) fn ensure(&mut self, spec: &TopicSpec) -> TopicInfo {
        let rng = &mut self.rng;
        let topic = self.topics.entry(Arc::clone(&spec.name)).or_insert_with(|| Topic {
            id: rng.random(),
            retention: spec.retention,
            parts: Vec::new(),
            assigned: watch::Sender::new(Vec::new()),
        });
        if topic.parts.len() < spec.partitions as usize {
            topic.parts.resize_with(spec.partitions as usize, Part::default);
            let all = (0..spec.partitions).map(|i| Partition::new(Arc::clone(&spec.name), i));
            topic.assigned.send_replace(all.collect());
        }
        topic.info()
    }

    /// The same topic, empty and with another id.
    pub(super) fn remake(&mut self, name: &str) {
        let id = self.rng.random();
        if let Some(topic) = self.topics.get_mut(name) {
            topic.id = id;
            topic.parts.iter_mut().for_each(|part| *part = Part::default());
        }
        for transaction in self.transactions.values_mut() {
            transaction.unsettled.retain(|partition| &*partition.topic != name);
        }
    }

    pub(super) fn assigned(&self, name: &str) -> Result<watch::Receiver<Vec<Partition>>, LogError> {
        let topic = self.topics.get(name);
        let missing = || LogError::NoSuchPartition(Partition::new(name, 0));
        topic.map(|topic| topic.assigned.subscribe()).ok_or_else(missing)
    }

    pub(super) fn part(&self, partition: &Partition) -> Result<&Part, LogError> {
        let topic = self.topics.get(&partition.topic);
        topic
            .and_then(|topic| topic.parts.get(partition.index as usize))
            .ok_or_else(|| LogError::NoSuchPartition(partition.clone()))
    }

    pub(super) fn part_mut(&mut self, partition: &Partition) -> Result<&mut Part, LogError> {
        let topic = self.topics.get_mut(&partition.topic);
        topic
            .and_then(|topic| topic.parts.get_mut(partition.index as usize))
            .ok_or_else(|| LogError::NoSuchPartition(partition.clone()))
    }

    pub(super) fn compact(&mut self, partition: &Partition, now_ms: i64) {
        let Some(topic) = self.topics.get_mut(&partition.topic) else { return };
        let Retention::Compact { null_ms } = topic.retention else { return };
        if let Some(part) = topic.parts.get_mut(partition.index as usize) {
            part.compact(now_ms, null_ms);
        }
    }

    // Claims and transactions.

    pub(super) fn holds(&self, claim: &str, epoch: u64) -> bool {
        !self.faults.fencing || self.epochs.get(claim) == Some(&epoch)
    }

    /// Makes the caller the newest writer, and aborts what earlier ones have not decided.
    pub(super) fn claim(&mut self, name: &str) -> u64 {
        let epoch = self.epochs.entry(name.to_owned()).or_default();
        *epoch += 1;
        let epoch = *epoch;
        if self.faults.fencing {
            for transaction in self.transactions.values_mut().filter(|t| t.claim == name) {
                transaction.decision.get_or_insert(false);
            }
        }
        epoch
    }

    pub(super) fn in_flight(&self, claim: &str) -> bool {
        self.faults.fencing && self.transactions.values().any(|t| t.claim == claim)
    }

    /// Writes a transaction's records, visible to nobody yet.
    pub(super) fn begin(
        &mut self,
        claim: &str,
        records: Vec<(Partition, Record)>,
        now_ms: i64,
    ) -> Result<u64, LogError> {
        for (partition, _) in &records {
            self.part(partition)?;
        }
        let id = self.next_transaction;
        self.next_transaction += 1;
        let mut unsettled = Vec::new();
        for (partition, record) in records {
            self.part_mut(&partition)?.write(vec![record], now_ms, Fate::Pending(id));
            if !unsettled.contains(&partition) {
                unsettled.push(partition);
            }
        }
        let claim = claim.to_owned();
        self.transactions.insert(id, Transaction { claim, unsettled, decision: None });
        Ok(id)
    }

    /// Decides an open transaction. None if it has been decided otherwise.
    pub(super) fn decide(&mut self, id: u64, commit: bool) -> Option<()> {
        let transaction = self.transactions.get_mut(&id)?;
        (*transaction.decision.get_or_insert(commit) == commit).then_some(())
    }

    /// Settles one randomly chosen partition of a decided transaction, and forgets the
    /// transaction after the last. False when nothing is left to settle.
    pub(super) fn settle_one(&mut self, id: u64, now_ms: i64) -> bool {
        let Some(transaction) = self.transactions.get_mut(&id) else { return false };
        let commit = transaction.decision == Some(true);
        if transaction.unsettled.is_empty() {
            self.transactions.remove(&id);
            return false;
        }
        let pick = self.rng.random_range(0..transaction.unsettled.len());
        let partition = transaction.unsettled.swap_remove(pick);
        if let Ok(part) = self.part_mut(&partition) {
            part.settle(id, commit);
        }
        if self.chance(|faults| faults.eager_compaction) {
            self.compact(&partition, now_ms);
        }
        true
    }
}

impl Topic {
    pub(super) fn info(&self) -> TopicInfo {
        TopicInfo { id: self.id, partitions: self.parts.len() as u32 }
    }
}
