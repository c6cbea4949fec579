//! Compaction: of each key only the newest record stays, and a null goes too when it is old.
//!
//! As in Kafka's log cleaner, the part that compaction has been over is *clean*: it has one record
//! per key, so only the *dirty* part after it can supersede anything. One pass maps the dirty
//! part's keys to their newest offsets, another goes over everything up to there, front to back,
//! and replaces each run of batches by one merged batch that keeps offsets and stamps. Each
//! replacement is one atomic write and correct by itself, so a crash between two of them is
//! harmless, and a tail, which reads through a snapshot, sees a run either as it was or merged.

use std::collections::HashMap;
use std::sync::Arc;

use backbone::Stored;
use xxhash_rust::xxh3::xxh3_128;

use crate::codec::{Decoder, Encoder};
use crate::partition::PartitionLog;
use crate::store::{Floor, Placed, Store, StoreError};

/// Compaction begins when there are this many dirty records for each clean one …
const DIRTY_RATIO: u64 = 1;
/// … and at least this many, so that a small partition is not rewritten all the time.
const MIN_DIRTY: u64 = 256;
/// A merged batch is closed when it has this much; a batch that large which loses nothing stays.
const MERGED_BYTES: usize = 256 << 10;

/// Whether a partition is worth the work. Nulls that may go count as dirty.
pub(crate) fn is_due(floor: &Floor, nulls_before_ms: i64) -> bool {
    // Above the clean part offsets have no gaps, so they count records.
    let dirty = floor.end.saturating_sub(floor.clean_to);
    let nulls = if floor.oldest_null_ms < nulls_before_ms { floor.nulls } else { 0 };
    dirty + nulls >= MIN_DIRTY.max(floor.clean_records.saturating_mul(DIRTY_RATIO))
}

/// One compaction of one partition.
pub(crate) struct Compaction {
    pub(crate) store: Store,
    pub(crate) partition: Arc<PartitionLog>,
    /// Nulls with an older stamp go.
    pub(crate) nulls_before_ms: i64,
    /// Bounds the memory.
    pub(crate) keys: usize,
}

impl Compaction {
    pub(crate) fn run(self) -> Result<(), StoreError> {
        let floor = self.partition.floor();
        let (newest, to) = self.newest(&floor)?;
        let mut merge = Merge::new(&self, floor.start);
        for batch in self.store.batches(self.partition.id, floor.start, to) {
            merge.add(batch?, &newest)?;
        }
        merge.flush()?;
        let clean = merge.clean;
        let mut write = self.store.write();
        let floor = Floor { clean_to: to, ..clean.over(self.partition.floor()) };
        write.put_floor(self.partition.id, &floor)?;
        write.commit()?;
        self.partition.set_floor(floor);
        self.partition.forget(to);
        Ok(())
    }

    /// The newest offset of each key of the dirty part, up to the returned offset: the end, or
    /// where there were too many keys.
    fn newest(&self, floor: &Floor) -> Result<(HashMap<u128, u64>, u64), StoreError> {
        let mut newest = HashMap::new();
        let end = self.partition.end();
        for batch in self.store.batches(self.partition.id, floor.clean_to, end) {
            let batch = batch?;
            if newest.len() >= self.keys && batch.base > floor.clean_to {
                return Ok((newest, batch.base));
            }
            for stored in self.decode(&batch)? {
                let stored = self.intact(stored)?;
                if let Some(key) = &stored.record.key {
                    newest.insert(xxh3_128(key), stored.offset);
                }
            }
        }
        Ok((newest, end))
    }

    fn keeps(&self, stored: &Stored, newest: &HashMap<u128, u64>) -> bool {
        let Some(key) = &stored.record.key else { return true };
        if newest.get(&xxh3_128(key)).is_some_and(|newest| *newest > stored.offset) {
            return false;
        }
        // What a null removes is before it and went first, or goes with the same write.
        stored.record.value.is_some() || stored.appended_ms >= self.nulls_before_ms
    }

    fn decode(&self, batch: &Placed) -> Result<Decoder, StoreError> {
        self.intact(Decoder::new(batch.bytes.clone()))
    }

    fn intact<T>(&self, read: Result<T, crate::codec::Corrupt>) -> Result<T, StoreError> {
        read.map_err(|error| StoreError::Damaged(format!("{}: {error}", self.partition.name)))
    }
}

/// What is left after a pass.
#[derive(Clone, Copy)]
struct Clean {
    records: u64,
    nulls: u64,
    oldest_null_ms: i64,
}

impl Clean {
    fn count(&mut self, stored: &Stored) {
        self.records += 1;
        if stored.record.value.is_none() {
            self.nulls += 1;
            self.oldest_null_ms = self.oldest_null_ms.min(stored.appended_ms);
        }
    }

    fn over(self, floor: Floor) -> Floor {
        Floor {
            clean_records: self.records,
            nulls: self.nulls,
            oldest_null_ms: self.oldest_null_ms,
            ..floor
        }
    }
}

/// A run of batches on its way to be one.
struct Merge<'a> {
    compaction: &'a Compaction,
    merged: Encoder,
    /// The batches that it replaces, and their bytes.
    replaced: Vec<u64>,
    replaced_bytes: u64,
    next: u64,
    lost: bool,
    clean: Clean,
}

impl<'a> Merge<'a> {
    fn new(compaction: &'a Compaction, base: u64) -> Self {
        Self {
            compaction,
            merged: Encoder::new(base),
            replaced: Vec::new(),
            replaced_bytes: 0,
            next: base,
            lost: false,
            clean: Clean { records: 0, nulls: 0, oldest_null_ms: i64::MAX },
        }
    }

    fn add(&mut self, batch: Placed, newest: &HashMap<u128, u64>) -> Result<(), StoreError> {
        let decoder = self.compaction.decode(&batch)?;
        let header = decoder.header();
        let mut kept = Vec::with_capacity(header.records as usize);
        for stored in decoder {
            let stored = self.compaction.intact(stored)?;
            if self.compaction.keeps(&stored, newest) {
                self.clean.count(&stored);
                kept.push(stored);
            }
        }
        let lost = kept.len() < header.records as usize;
        if !lost && batch.bytes.len() >= MERGED_BYTES {
            return self.flush();
        }
        if self.replaced.is_empty() {
            self.merged = Encoder::new(header.base);
        }
        self.lost |= lost;
        self.next = header.next;
        self.replaced.push(batch.base);
        self.replaced_bytes += batch.bytes.len() as u64;
        for stored in kept {
            self.merged.push(stored.offset, stored.appended_ms, &stored.record);
        }
        if self.merged.size() >= MERGED_BYTES { self.flush() } else { Ok(()) }
    }

    /// Replaces the run, if that changes anything.
    fn flush(&mut self) -> Result<(), StoreError> {
        let merged = std::mem::replace(&mut self.merged, Encoder::new(self.next));
        let replaced = std::mem::take(&mut self.replaced);
        let (lost, replaced_bytes) = (self.lost, self.replaced_bytes);
        (self.lost, self.replaced_bytes) = (false, 0);
        if replaced.is_empty() || (!lost && replaced.len() == 1) {
            return Ok(());
        }
        let Compaction { store, partition, .. } = self.compaction;
        let mut write = store.write();
        let (base, empty) = (merged.header().base, merged.is_empty());
        for old in replaced.into_iter().filter(|old| empty || *old != base) {
            write.remove(partition.id, old);
        }
        let mut added = 0;
        if !empty {
            let merged = Placed { base, bytes: merged.finish(self.next) };
            added = merged.bytes.len() as u64;
            write.put(partition.id, &merged);
        }
        // The end must outlive its last record.
        write.put_floor(partition.id, &partition.floor())?;
        write.commit()?;
        partition.resize(replaced_bytes, added);
        Ok(())
    }
}
