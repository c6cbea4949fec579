//! Serving state by shard: apply, prove, expire, read, checkpoint.
//!
//! A store merges delta records in any order that a log may bring them, keeps a digest per (origin,
//! shard, plan) in O(changed), and moves a frontier only when its own digest equals the owner's.
//! It knows panes as bytes: it has no catalog and needs none.

mod changes;
mod checkpoint;
mod expiry;
mod gather;
mod intern;
mod limits;
mod panes;
mod report;
mod shard;
mod stage;
mod store;
mod track;

use bytes::Bytes;
use lattice::Gap;

pub use changes::{FOREIGN, split};
pub use checkpoint::{CheckpointError, Checkpoints, DiskCheckpoints, MemoryCheckpoints};
pub use gather::RUN_BYTES;
pub use report::{Applied, Proven, Staged, StagedPlan, State, StateView};
pub use store::Store;

/// A record of a delta topic: key and value.
pub type Record = (Bytes, Option<Bytes>);

/// An entry of a checkpoint, as it is loaded: key and value.
pub type Entry = (Bytes, Bytes);

/// Gaps over which a window reaching back to `from_ms` lacks events.
#[must_use]
pub fn gaps_in(gaps: &[Gap], from_ms: i64) -> bool {
    gaps.iter().any(|gap| gap.until_ms > from_ms)
}
