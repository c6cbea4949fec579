//! Retention by age and size: whole batches go from the front.

use crate::codec::Header;
use crate::partition::PartitionLog;
use crate::store::{Store, StoreError};

/// Batches removed by one write, so that the committer never waits long for its turn.
const STEP: usize = 256;

/// Drops the batches whose newest record is older than `before_ms`, and the oldest above `bytes`.
pub(crate) fn trim(
    store: &Store,
    partition: &PartitionLog,
    before_ms: i64,
    bytes: u64,
) -> Result<(), StoreError> {
    while step(store, partition, before_ms, bytes)? {}
    Ok(())
}

/// Whether there may be more to drop.
fn step(
    store: &Store,
    partition: &PartitionLog,
    before_ms: i64,
    bytes: u64,
) -> Result<bool, StoreError> {
    let excess = partition.bytes().saturating_sub(bytes);
    let (mut bases, mut dropped, mut start) = (Vec::new(), 0, partition.start());
    for batch in store.batches(partition.id, start, partition.end()) {
        let batch = batch?;
        let header = Header::read(&batch.bytes).map_err(|error| {
            StoreError::Damaged(format!("{} at {}: {error}", partition.name, batch.base))
        })?;
        if bases.len() == STEP || (header.last_ms >= before_ms && dropped >= excess) {
            break;
        }
        bases.push(batch.base);
        dropped += batch.bytes.len() as u64;
        start = header.next;
    }
    if bases.is_empty() {
        return Ok(false);
    }
    // Tails learn it first: what they still find is complete, or they are told that it is not.
    partition.raise_start(start);
    let mut write = store.write();
    for base in &bases {
        write.remove(partition.id, *base);
    }
    write.put_floor(partition.id, &partition.floor())?;
    write.commit()?;
    partition.resize(dropped, 0);
    Ok(bases.len() == STEP)
}
