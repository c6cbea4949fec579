//! Serving state by shard: apply, prove, expire, read, checkpoint.
//!
//! A store merges delta records in any order that a log may bring them, keeps a digest per (origin,
//! shard, plan) in O(changed), and moves a frontier only when its own digest equals the owner's.
//! It knows panes as bytes: it has no catalog and needs none.

use async_trait::async_trait;
use bytes::Bytes;
use lattice::combine::PaneView;
use lattice::delta::RepairRequest;
use lattice::{Digest, Gap, Origin, Pane, PaneKey, PlanHash, PlanProgress};

/// A record of a delta topic: key and value.
pub type Record = (Bytes, Option<Bytes>);

/// What [`Store::apply`] did.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Applied {
    /// Panes that changed the store.
    pub merged: u64,
    /// Panes that it had, or that were expired or below `from`.
    pub refused: u64,
    /// Pairs of unequal panes of one version: an alarm.
    pub forked: u64,
    /// Records that could not be decoded: an alarm; they are passed over.
    pub undecodable: u64,
    /// Origins that have a progress whose digest did not agree, after this batch.
    pub unproven: Vec<Origin>,
    /// Requests for repair seen in the batch, for whoever owns the origin.
    pub repairs: Vec<RepairRequest>,
    /// Whether any frontier or `complete_to` moved.
    pub moved: bool,
}

/// What is proven of one (origin, shard, plan).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Proven {
    /// The progress whose digest agreed.
    pub progress: PlanProgress,
    /// Its `complete_to`, ms, or that of a later heartbeat that agreed.
    pub complete_to_ms: i64,
    /// Its catalog generation.
    pub generation: u64,
}

/// The state of one (origin, shard, plan).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct State {
    /// Whose.
    pub origin: Origin,
    /// Of which plan.
    pub plan: PlanHash,
    /// The newest proven progress; `None`: panes came, but no digest has agreed yet.
    pub proven: Option<Proven>,
    /// A newer progress that did not agree: frontier and digest it claims.
    pub pending: Option<PlanProgress>,
    /// The digest of the live panes here.
    pub digest: Digest,
    /// How many live panes.
    pub panes: u64,
}

/// A plan's progress before its digest is known.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StagedPlan {
    /// Everything but the digest, which is ignored.
    pub progress: PlanProgress,
}

/// What a commit must say of a shard, from [`Store::stage`].
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Staged {
    /// One per staged plan, in order: the digest after the commit.
    pub digests: Vec<Digest>,
    /// Keys of panes that expire with it, for nulls.
    pub gone: Vec<Bytes>,
}

/// The panes of all shards, with digests and frontiers. Shared behind an `Arc`; every method takes
/// `&self` and locks one shard at a time.
pub struct Store;

impl Store {
    /// An empty store of so many shards.
    #[must_use]
    pub fn new(_shards: u32) -> Self {
        unimplemented!()
    }

    /// How many shards.
    #[must_use]
    pub fn shards(&self) -> u32 {
        unimplemented!()
    }

    /// Merges records of the shard's delta partition, in the order in which they stand there.
    pub fn apply(&self, _shard: u32, _records: &[Record]) -> Applied {
        unimplemented!()
    }

    /// What the digests will be once `panes` (changed panes of `origin`, as delta records) are
    /// applied and what `plans`' watermarks let go is gone. Changes nothing: the owner commits
    /// first, then applies.
    pub fn stage(
        &self,
        _shard: u32,
        _origin: &Origin,
        _plans: &[StagedPlan],
        _panes: &[(Bytes, Bytes)],
    ) -> Staged {
        unimplemented!()
    }

    /// One pane.
    #[must_use]
    pub fn pane(&self, _shard: u32, _key: &PaneKey) -> Option<Pane> {
        unimplemented!()
    }

    /// Lends the panes of an entity of one width, ordered by (origin, span), to `reader`.
    pub fn read<T>(
        &self,
        _shard: u32,
        _plan: PlanHash,
        _entity: &[u8],
        _width_s: u32,
        _reader: impl FnOnce(&mut dyn Iterator<Item = PaneView<'_>>) -> T,
    ) -> T {
        unimplemented!()
    }

    /// The state of every (origin, plan) of a shard.
    #[must_use]
    pub fn states(&self, _shard: u32) -> Vec<State> {
        unimplemented!()
    }

    /// The state of one (origin, plan) of a shard.
    #[must_use]
    pub fn state(&self, _shard: u32, _origin: &Origin, _plan: PlanHash) -> Option<State> {
        unimplemented!()
    }

    /// All live panes of an origin in a shard, as delta records: for a re-append.
    #[must_use]
    pub fn records(&self, _shard: u32, _origin: &Origin) -> Vec<(Bytes, Bytes)> {
        unimplemented!()
    }

    /// Drops everything of plans for which `keep` is false (retired by the catalog).
    pub fn retain(&self, _keep: &dyn Fn(PlanHash) -> bool) {
        unimplemented!()
    }

    /// Everything that changed since the last call, as entries of a checkpoint; frontiers and
    /// digests are consistent with the panes. If saving them fails, give them back with
    /// [`Store::untake`].
    pub fn take_changes(&self) -> Vec<Record> {
        unimplemented!()
    }

    /// Marks entries as changed again.
    pub fn untake(&self, _entries: Vec<Record>) {
        unimplemented!()
    }

    /// Takes entries of a checkpoint into an empty store.
    pub fn load(&self, _entries: impl IntoIterator<Item = (Bytes, Bytes)>) -> Result<(), lattice::DecodeError> {
        unimplemented!()
    }
}

/// Where checkpoints are kept. An entry whose value is `None` is removed.
#[async_trait]
pub trait Checkpoints: Send + Sync + 'static {
    /// Everything saved.
    async fn load(&self) -> Result<Vec<(Bytes, Bytes)>, CheckpointError>;
    /// All or nothing, durable when it returns.
    async fn save(&self, entries: Vec<Record>) -> Result<(), CheckpointError>;
}

/// A checkpoint could not be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the checkpoint in {place} {message}")]
pub struct CheckpointError {
    /// Directory or description.
    pub place: String,
    /// What happened, and the way out.
    pub message: String,
}

/// Gaps over which a window reaching back to `from_ms` lacks events.
#[must_use]
pub fn gaps_in(gaps: &[Gap], from_ms: i64) -> bool {
    gaps.iter().any(|gap| gap.until_ms > from_ms)
}
