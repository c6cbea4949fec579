//! Where a claimant goes on: per plan, at the lowest progress over the shards, with that record's
//! watermark. Pure.
//!
//! A shard's own progress may be higher than the lowest: its panes hold those events already, so
//! they are skipped there. A digest cannot tell a shard that the last commits did not touch from
//! one in which they are not visible yet, hence the lowest, never the highest.

use std::sync::Arc;

use catalog::Plan;
use fold::PlanStart;
use lattice::progress::NO_WATERMARK;
use lattice::{Frontier, Gap};
use store::Proven;

/// The source partition as it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Available {
    /// The first offset that can still be read.
    pub(super) start: u64,
    /// Event time (ms) up to which events that are gone may lie.
    pub(super) gone_until_ms: i64,
}

/// Where to start `plan`, given what is proven of it in each shard.
#[must_use]
pub(super) fn start(plan: Arc<Plan>, shards: &[Option<Proven>], log: Available) -> PlanStart {
    let from = shards.iter().flatten().map(|p| p.progress.frontier.from).max();
    match from {
        Some(from) => resume(plan, from, shards, log),
        None => begin(plan, shards.len(), log),
    }
}

/// A plan that nobody has folded: from the log's start.
fn begin(plan: Arc<Plan>, shards: usize, log: Available) -> PlanStart {
    let gap = Gap { from: 0, to: log.start, since_ms: NO_WATERMARK, until_ms: log.gone_until_ms };
    PlanStart {
        plan,
        frontier: Frontier { from: log.start, next: log.start },
        watermark_ms: NO_WATERMARK,
        floors: vec![log.start; shards],
        gaps: if log.start > 0 { vec![gap] } else { Vec::new() },
    }
}

fn resume(plan: Arc<Plan>, from: u64, shards: &[Option<Proven>], log: Available) -> PlanStart {
    // A shard without progress of this `from` has seen nothing of it.
    let of_this = |proven: &Option<Proven>| {
        proven.as_ref().filter(|p| p.progress.frontier.from == from).cloned()
    };
    let known: Vec<Option<Proven>> = shards.iter().map(of_this).collect();
    let next_in =
        |shard: &Option<Proven>| shard.as_ref().map_or(from, |p| p.progress.frontier.next);
    let floors: Vec<u64> = known.iter().map(next_in).collect();
    let lowest = known.iter().min_by_key(|shard| next_in(shard)).and_then(Option::as_ref);
    let (next, watermark_ms) = lowest
        .map_or((from, NO_WATERMARK), |p| (p.progress.frontier.next, p.progress.watermark_ms));
    let mut gaps: Vec<Gap> = known.iter().flatten().flat_map(|p| p.progress.gaps.clone()).collect();
    if log.start > next {
        gaps.push(Gap {
            from: next,
            to: log.start,
            since_ms: watermark_ms,
            until_ms: log.gone_until_ms,
        });
    }
    gaps.sort_unstable_by_key(|gap| (gap.from, gap.to));
    gaps.dedup_by_key(|gap| (gap.from, gap.to));
    let next = next.max(log.start);
    PlanStart { plan, frontier: Frontier { from, next }, watermark_ms, floors, gaps }
}
