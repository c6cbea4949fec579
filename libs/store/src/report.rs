//! What a store tells: of a batch that it applied, of its state, of a commit to come.

use bytes::Bytes;
use lattice::delta::RepairRequest;
use lattice::{Digest, Origin, PlanHash, PlanProgress};

/// What [`crate::Store::apply`] did.
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
    /// A progress that is not below the proven one and did not agree: what it claims.
    pub pending: Option<PlanProgress>,
    /// The digest of the live panes here.
    pub digest: Digest,
    /// How many live panes.
    pub panes: u64,
}

/// The same, lent.
#[derive(Clone, Copy, Debug)]
pub struct StateView<'a> {
    /// Whose.
    pub origin: &'a Origin,
    /// Of which plan.
    pub plan: PlanHash,
    /// See [`State::proven`].
    pub proven: Option<&'a Proven>,
    /// See [`State::pending`].
    pub pending: Option<&'a PlanProgress>,
}

/// A plan's progress before its digest is known.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StagedPlan {
    /// Everything but the digest, which is ignored.
    pub progress: PlanProgress,
}

/// What a commit must say of a shard, from [`crate::Store::stage`].
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Staged {
    /// One per staged plan, in order: the digest after the commit.
    pub digests: Vec<Digest>,
    /// Keys of panes that expire with it, for nulls.
    pub gone: Vec<Bytes>,
}
