//! What can be said of every region's part in an answer: its state and its age.

use std::collections::BTreeMap;
use std::sync::Arc;

use api::v1::OriginInfo;
use catalog::Plan;
use lattice::progress::NO_WATERMARK;
use lattice::{Origin, Region};
use store::{StateView, Store};

/// What a region's part is, worst last, so that the worst over shards and partitions is the max.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Standing {
    /// Proven and fresh.
    Ok,
    /// Proven, but not heard of lately.
    Stale,
    /// The plan is still folding the past.
    CatchingUp,
    /// Digests disagree at the moment, or events are missing.
    Partial,
    /// Nothing of the region has ever arrived.
    Missing,
    /// Left out because the reader asked for it.
    Excluded,
}

impl Standing {
    /// The word in answers.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Stale => "stale",
            Self::CatchingUp => "catching_up",
            Self::Partial => "partial",
            Self::Missing => "missing",
            Self::Excluded => "excluded",
        }
    }
}

/// A region's part over the shards and plans looked at.
#[derive(Clone, Debug)]
pub struct Part {
    /// The worst standing.
    pub standing: Standing,
    /// The least `complete_to`, ms.
    pub complete_to_ms: Option<i64>,
    /// The least watermark, ms.
    pub watermark_ms: Option<i64>,
    /// The least proven `next` per origin.
    pub next: BTreeMap<Origin, u64>,
}

impl Part {
    /// As the answer says it.
    #[must_use]
    pub fn info(&self, now_ms: i64) -> OriginInfo {
        OriginInfo {
            state: self.standing.name().into(),
            age_ms: self.complete_to_ms.map(|at_ms| age_ms(now_ms, at_ms)),
            watermark_ms: self.watermark_ms,
            complete_to_ms: self.complete_to_ms,
        }
    }
}

/// How long ago, never negative: clocks of regions differ.
#[must_use]
pub fn age_ms(now_ms: i64, complete_to_ms: i64) -> i64 {
    now_ms.saturating_sub(complete_to_ms).max(0)
}

/// Each region's part in what `plans` hold in `shards`.
#[must_use]
pub fn parts(
    store: &Store,
    regions: &[Region],
    wanted: &[(u32, BTreeMap<Region, Arc<Plan>>)],
    now_ms: i64,
) -> BTreeMap<Region, Part> {
    let missing = Part {
        standing: Standing::Missing,
        complete_to_ms: None,
        watermark_ms: None,
        next: BTreeMap::new(),
    };
    let mut parts: BTreeMap<Region, Part> =
        regions.iter().map(|region| (region.clone(), missing.clone())).collect();
    for (shard, by_region) in wanted {
        store.look(*shard, |states| {
            for (region, part) in &mut parts {
                let plan = by_region.get(region);
                let own = states.iter().filter(|s| *s.origin.region == **region);
                for state in own.clone().filter(|s| plan.is_some_and(|p| p.hash == s.plan)) {
                    let furthest = furthest(own.clone(), state.origin);
                    fold_in(part, state, furthest, now_ms);
                }
            }
        });
    }
    parts
}

/// How far the origin's plans have come, at best: one that is behind is catching up.
fn furthest<'a>(states: impl Iterator<Item = &'a StateView<'a>>, origin: &Origin) -> u64 {
    let of_origin = states.filter(|state| state.origin == origin);
    of_origin.filter_map(|s| Some(s.proven?.progress.frontier.next)).max().unwrap_or(0)
}

fn fold_in(part: &mut Part, state: &StateView<'_>, furthest: u64, now_ms: i64) {
    let standing = standing(state, furthest, now_ms);
    let known = part.standing != Standing::Missing;
    part.standing = if known { part.standing.max(standing) } else { standing };
    let Some(proven) = state.proven else { return };
    let least = |a: Option<i64>, b: i64| Some(a.map_or(b, |a| a.min(b)));
    part.complete_to_ms = least(part.complete_to_ms, proven.complete_to_ms);
    if proven.progress.watermark_ms != NO_WATERMARK {
        part.watermark_ms = least(part.watermark_ms, proven.progress.watermark_ms);
    }
    let next = proven.progress.frontier.next;
    match part.next.get_mut(state.origin) {
        Some(least) => *least = next.min(*least),
        None => _ = part.next.insert(state.origin.clone(), next),
    }
}

/// The standing of one (origin, shard, plan).
#[must_use]
pub fn standing(state: &StateView<'_>, furthest: u64, now_ms: i64) -> Standing {
    let Some(proven) = state.proven else { return Standing::Partial };
    if state.pending.is_some() {
        Standing::Partial
    } else if proven.progress.frontier.next < furthest {
        Standing::CatchingUp
    } else if age_ms(now_ms, proven.complete_to_ms) > api::STALE_MS {
        Standing::Stale
    } else {
        Standing::Ok
    }
}
