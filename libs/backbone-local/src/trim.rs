//! Retention by age and size: whole batches go from the front.

use crate::codec::Header;
use crate::partition::PartitionLog;
use crate::store::{Placed, Store, StoreError};

/// Batches removed by one write, so that the committer never waits long for its turn.
const STEP: usize = 256;

/// Drops the batches whose newest record is older than `before_ms`, and the oldest above `bytes`.
pub(crate) fn trim(
    store: &Store,
    partition: &PartitionLog,
    before_ms: i64,
    bytes: u64,
) -> Result<(), StoreError> {
    let excess = partition.bytes().saturating_sub(bytes);
    let (mut start, mut dropped) = (partition.start(), 0);
    for batch in store.batches(partition.id, start, partition.end()) {
        let batch = batch?;
        let header = header(partition, &batch)?;
        if header.last_ms >= before_ms && dropped >= excess {
            break;
        }
        dropped += batch.bytes.len() as u64;
        start = header.next;
    }
    if start > partition.start() { drop_before(store, partition, start) } else { Ok(()) }
}

/// Drops what is before `start`, at most up to the end.
pub(crate) fn drop_before(
    store: &Store,
    partition: &PartitionLog,
    start: u64,
) -> Result<(), StoreError> {
    let first = partition.start();
    // Tails learn it first: what they still find is complete, or they are told that it is not.
    partition.raise_start(start.min(partition.end()));
    let mut batches = Vec::with_capacity(STEP);
    for batch in store.batches(partition.id, first, partition.start()) {
        let batch = batch?;
        if header(partition, &batch)?.next > partition.start() {
            break;
        }
        batches.push((batch.base, batch.bytes.len() as u64));
        if batches.len() == STEP {
            remove(store, partition, &std::mem::take(&mut batches))?;
        }
    }
    remove(store, partition, &batches)
}

fn remove(
    store: &Store,
    partition: &PartitionLog,
    batches: &[(u64, u64)],
) -> Result<(), StoreError> {
    let mut write = store.write();
    for (base, _) in batches {
        write.remove(partition.id, *base);
    }
    write.put_floor(partition.id, &partition.floor())?;
    write.commit()?;
    partition.resize(batches.iter().map(|(_, bytes)| bytes).sum(), 0);
    Ok(())
}

fn header(partition: &PartitionLog, batch: &Placed) -> Result<Header, StoreError> {
    Header::read(&batch.bytes).map_err(|error| {
        StoreError::Damaged(format!("{} at {}: {error}", partition.name, batch.base))
    })
}
