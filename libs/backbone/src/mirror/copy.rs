//! Copying: tail the source, commit records and positions together.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::FutureExt;

use super::positions::Position;
use super::survey::Found;
use super::{Ended, Mirror};
use crate::log::{Batch, LogError, Partition, Record, Tail, Writer};

/// A commit is closed above this many records …
const COMMIT_RECORDS: usize = 20_000;
/// … or bytes, whichever comes first. One read may exceed it.
const COMMIT_BYTES: usize = 4 << 20;
/// How many records one read asks for.
const READ_RECORDS: usize = 10_000;

/// What one commit takes over.
#[derive(Default)]
struct Haul {
    records: Vec<(Partition, Record)>,
    bytes: usize,
    /// The offset after the records, by the source's partition.
    next: BTreeMap<Partition, u64>,
}

impl Haul {
    fn add(&mut self, batch: Batch, target: &Partition) {
        self.next.insert(batch.partition, batch.next);
        self.records.reserve(batch.records.len() + 1);
        for stored in batch.records {
            self.bytes += stored.record.size();
            self.records.push((target.clone(), stored.record));
        }
    }

    fn full(&self) -> bool {
        self.records.len() >= COMMIT_RECORDS || self.bytes >= COMMIT_BYTES
    }
}

impl Mirror {
    /// Copies from these positions on. Returns only with the reason why it cannot go on.
    pub(super) async fn copy(
        &self,
        mut writer: Box<dyn Writer>,
        mut from: BTreeMap<Partition, Position>,
        found: &Found,
    ) -> Result<(), Ended> {
        if from.is_empty() {
            return std::future::pending().await;
        }
        let name = |p: &Partition| Partition::new(self.target_name(&p.topic), p.index);
        let targets = from.keys().map(|p| (p.clone(), name(p))).collect();
        loop {
            let ended = self.pump(&mut *writer, &mut from, found, &targets).await;
            // Nothing is in doubt after this one: it comes from reading.
            let Err(Ended::Log { error: LogError::Truncated { partition, start }, .. }) = &ended
            else {
                return ended;
            };
            let Some(position) = from.get_mut(partition) else { return ended };
            tracing::warn!(from = %self.from, %partition, start, "truncated; mirrored from its start");
            position.next = 0;
        }
    }

    async fn pump(
        &self,
        writer: &mut dyn Writer,
        from: &mut BTreeMap<Partition, Position>,
        found: &Found,
        targets: &BTreeMap<Partition, Partition>,
    ) -> Result<(), Ended> {
        let at = from.iter().map(|(partition, at)| (partition.clone(), at.next)).collect();
        let tail = self.source.tail(at).await;
        let mut tail = tail.map_err(|error| self.source_error(error))?;
        // Only now it is certain of which topics these are tails.
        let wanted: Vec<Arc<str>> = found.0.keys().cloned().collect();
        if self.survey(&wanted).await? != *found {
            return Err(Ended::Changed);
        }
        self.status.lock().last_error = None;
        loop {
            let haul = self.gather(&mut *tail, targets).await;
            let haul = haul.map_err(|error| self.source_error(error))?;
            self.commit(writer, from, haul).await?;
        }
    }

    /// Waits for records, then takes what else is there already.
    async fn gather(
        &self,
        tail: &mut dyn Tail,
        targets: &BTreeMap<Partition, Partition>,
    ) -> Result<Haul, LogError> {
        let mut haul = Haul::default();
        while !haul.full() {
            let batch = if haul.records.is_empty() {
                tail.next(READ_RECORDS).await?
            } else {
                let Some(batch) = tail.next(READ_RECORDS).now_or_never() else { break };
                batch?
            };
            let target = targets.get(&batch.partition);
            let stray = || LogError::Fatal(format!("{} was not asked for", batch.partition));
            let target = target.ok_or_else(stray)?;
            haul.add(batch, target);
        }
        Ok(haul)
    }

    async fn commit(
        &self,
        writer: &mut dyn Writer,
        from: &mut BTreeMap<Partition, Position>,
        haul: Haul,
    ) -> Result<(), Ended> {
        let Haul { mut records, next, .. } = haul;
        let copied = records.len() as u64;
        for (partition, next) in &next {
            if let Some(position) = from.get_mut(partition) {
                position.next = *next;
                records.push((self.positions(), position.record(&self.from, partition)));
            }
        }
        writer.commit(records).await?;
        let mut status = self.status.lock();
        for (partition, next) in &next {
            status.copied(partition, *next);
        }
        status.records += copied;
        status.count();
        Ok(())
    }
}
