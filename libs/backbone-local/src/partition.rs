//! One partition in memory: its bounds, and its newest batches for tails that are at the end.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use backbone::{Bounds, LogError, Partition};
use bytes::Bytes;
use parking_lot::Mutex;

use crate::codec::Header;
use crate::store::{Floor, PartitionId, Placed, Store, StoreError};

/// A partition. The committer moves its end, retention its start.
pub(crate) struct PartitionLog {
    pub(crate) name: Partition,
    pub(crate) id: PartitionId,
    start: AtomicU64,
    end: AtomicU64,
    last_ms: AtomicI64,
    bytes: AtomicU64,
    recent: Mutex<Recent>,
    floor: Mutex<Floor>,
}

/// The newest batches, without a gap up to the end.
struct Recent {
    batches: VecDeque<Committed>,
    bytes: usize,
    limit_bytes: usize,
}

impl Recent {
    fn drop_oldest(&mut self) {
        if let Some(oldest) = self.batches.pop_front() {
            self.bytes -= oldest.placed.bytes.len();
        }
    }
}

/// A batch that is on the disk, and its range.
#[derive(Clone, Debug)]
pub(crate) struct Committed {
    pub(crate) next: u64,
    pub(crate) placed: Placed,
}

impl PartitionLog {
    /// A partition as the store has it; empty if it has nothing of it.
    pub(crate) fn load(
        store: &Store,
        name: Partition,
        id: PartitionId,
        recent_bytes: usize,
    ) -> Result<Self, StoreError> {
        let mut floor = store.floor(id)?;
        if let Some(last) = store.last(id)? {
            let header = Header::read(&last.bytes).map_err(|error| {
                StoreError::Damaged(format!("{name} at {}: {error}", last.base))
            })?;
            floor.end = floor.end.max(header.next);
            floor.last_ms = floor.last_ms.max(header.last_ms);
        }
        let recent = Recent { batches: VecDeque::new(), bytes: 0, limit_bytes: recent_bytes };
        Ok(Self {
            name,
            id,
            start: AtomicU64::new(floor.start),
            end: AtomicU64::new(floor.end),
            last_ms: AtomicI64::new(floor.last_ms),
            bytes: AtomicU64::new(store.bytes(id)?),
            recent: Mutex::new(recent),
            floor: Mutex::new(floor),
        })
    }

    pub(crate) fn start(&self) -> u64 {
        self.start.load(Ordering::Acquire)
    }

    /// The committed end.
    pub(crate) fn end(&self) -> u64 {
        self.end.load(Ordering::Acquire)
    }

    /// The last record's stamp.
    pub(crate) fn last_ms(&self) -> i64 {
        self.last_ms.load(Ordering::Acquire)
    }

    pub(crate) fn bounds(&self) -> Bounds {
        // The end never goes below the start; read in this order it cannot look so.
        let start = self.start();
        Bounds { start, committed_end: self.end() }
    }

    /// Bytes of all batches on the disk, before compression.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Accounts for batches that retention or compaction replaced.
    pub(crate) fn resize(&self, removed: u64, added: u64) {
        self.bytes.fetch_add(added, Ordering::Relaxed);
        self.bytes.fetch_sub(removed, Ordering::Relaxed);
    }

    /// Makes batches visible. Only the committer calls it, after fsync, in order.
    pub(crate) fn publish(&self, batches: Vec<Committed>, last_ms: i64) {
        let mut recent = self.recent.lock();
        let mut end = self.end();
        for batch in batches {
            end = batch.next;
            let size = batch.placed.bytes.len();
            self.bytes.fetch_add(size as u64, Ordering::Relaxed);
            recent.bytes += size;
            recent.batches.push_back(batch);
        }
        while recent.bytes > recent.limit_bytes {
            recent.drop_oldest();
        }
        self.last_ms.store(last_ms, Ordering::Release);
        self.end.store(end, Ordering::Release);
    }

    /// The batches from `from` to the end, if they are all in memory.
    pub(crate) fn recent(&self, from: u64) -> Option<Vec<Committed>> {
        let recent = self.recent.lock();
        if recent.batches.front().is_none_or(|oldest| oldest.placed.base > from) {
            return None;
        }
        let first = recent.batches.partition_point(|batch| batch.next <= from);
        Some(recent.batches.range(first..).cloned().collect())
    }

    /// Raises the start. Tails below it are told before the batches go.
    pub(crate) fn raise_start(&self, start: u64) {
        self.start.fetch_max(start, Ordering::AcqRel);
        self.forget(start);
    }

    /// Lets go of batches in memory that end at `to` or before: the disk has less to read.
    pub(crate) fn forget(&self, to: u64) {
        let mut recent = self.recent.lock();
        while recent.batches.front().is_some_and(|oldest| oldest.next <= to) {
            recent.drop_oldest();
        }
    }

    /// What is written down when batches are dropped: the floor with the end as it is now.
    pub(crate) fn floor(&self) -> Floor {
        let mut floor = *self.floor.lock();
        floor.start = self.start();
        floor.end = self.end();
        floor.last_ms = self.last_ms();
        floor
    }

    pub(crate) fn set_floor(&self, floor: Floor) {
        *self.floor.lock() = floor;
    }

    /// Where a tail that wants `wanted` begins: 0 means the start.
    pub(crate) fn position(&self, wanted: u64) -> Result<u64, LogError> {
        let start = self.start();
        match wanted {
            0 => Ok(start),
            _ if wanted < start => Err(LogError::Truncated { partition: self.name.clone(), start }),
            _ => Ok(wanted),
        }
    }
}

impl Committed {
    pub(crate) fn new(base: u64, next: u64, bytes: Bytes) -> Self {
        Self { next, placed: Placed { base, bytes } }
    }
}
