//! Events to panes: contracts, windows, watermarks, ids; sans-IO.
//!
//! [`Fold`] is the state of one contract's plans over one partition. It reads nothing but the
//! events passed to it, in offset order, and old panes through [`Panes`]; so whoever folds the same
//! prefix of the log gets the same bytes.

mod contract;
mod fold;
mod format;
mod ids;
mod json;
mod panes;
mod partitioner;
mod plan;

use std::sync::Arc;

use bytes::Bytes;
use catalog::Plan;
use lattice::{Frontier, Gap, Pane, PaneKey};

pub use fold::Fold;
pub use partitioner::Partitioner;

/// A record of the source's partition, as the log has it.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    /// Its offset.
    pub offset: u64,
    /// The log's stamp, ms.
    pub appended_ms: i64,
    /// The event's bytes; a null is an empty slice and breaks the contract.
    pub value: &'a [u8],
}

/// Where old panes come from: the store, by the shard of the key's entity.
pub trait Panes {
    /// The pane, if there is one that has not expired.
    fn pane(&self, shard: u32, key: &PaneKey) -> Option<Pane>;
}

/// A plan and where its fold stands: the lowest progress over the shards.
#[derive(Clone, Debug)]
pub struct PlanStart {
    /// The plan.
    pub plan: Arc<Plan>,
    /// Where its fold began, and the offset to go on at.
    pub frontier: Frontier,
    /// W(next - 1), ms; [`lattice::progress::NO_WATERMARK`] before any valid event.
    pub watermark_ms: i64,
    /// Per shard, that shard's own `next`: events below it are in its panes already, so nothing is
    /// folded or published there until past it.
    pub floors: Vec<u64>,
    /// Stretches that the plan never saw.
    pub gaps: Vec<Gap>,
}

/// What became of an event.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Valid, new, and folded by every plan that wanted it.
    Folded,
    /// The source's `skip` holds.
    Skipped,
    /// Its id is in the window.
    Repeated,
    /// It broke the contract: the rule, in one line.
    Rejected(String),
}

/// Counters since the last draft.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Valid and new.
    pub folded: u64,
    /// Dropped by `skip`.
    pub skipped: u64,
    /// Repeated ids.
    pub repeated: u64,
    /// Broke the contract.
    pub rejected: u64,
    /// Panes not folded into because they had expired.
    pub late: u64,
}

impl Counts {
    /// Counts what `other` counted too.
    pub fn add(&mut self, other: Self) {
        self.folded += other.folded;
        self.skipped += other.skipped;
        self.repeated += other.repeated;
        self.rejected += other.rejected;
        self.late += other.late;
    }
}

/// An event for the dead-letter topic.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rejected {
    /// Its offset.
    pub offset: u64,
    /// The log's stamp, ms.
    pub appended_ms: i64,
    /// The rule that was broken, in one line.
    pub rule: String,
    /// The original bytes.
    pub event: Bytes,
}

/// A changed pane.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Changed {
    /// The shard of its entity.
    pub shard: u32,
    /// Which.
    pub key: PaneKey,
    /// Its content now.
    pub pane: Pane,
}

/// What a commit must write.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    /// Changed panes that have not expired, ordered by (shard, key).
    pub panes: Vec<Changed>,
    /// Events that broke the contract, in offset order.
    pub rejected: Vec<Rejected>,
    /// Since the last draft.
    pub counts: Counts,
}
