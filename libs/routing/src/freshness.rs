//! What a region has of every origin, against what a request needs.
//!
//! Two questions are kept apart. How old a part is, is said by the region's node and held against
//! the request's bound. Whether a region lags its peers is told from when each origin's log was
//! complete, by that origin's clock alone: no other clock is compared with it, so that a node whose
//! clock is off does not look fresh, or stale.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lattice::Origin;

/// What a region has of one region's events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// How old it is by the clock of the node that has it, ms; `None`: there is nothing.
    pub age_ms: Option<i64>,
    /// Up to when it is complete, by the clock of the origin, ms since the epoch.
    pub complete_to_ms: Option<i64>,
}

/// What a region says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Whether it can answer reads at all.
    pub serving: bool,
    /// Whether it folds, and its digests are proven.
    pub ready: bool,
    /// Whether it is about to end.
    pub draining: bool,
    /// By origin's region.
    pub parts: BTreeMap<Arc<str>, Part>,
    /// The next offset that is missing, per origin.
    pub frontiers: BTreeMap<Origin, u64>,
    /// Why it is not ready.
    pub reason: String,
}

/// What a request needs to see.
#[derive(Clone, Copy, Debug, Default)]
pub struct Need<'a> {
    /// No part may be older, ms.
    pub max_staleness_ms: Option<i64>,
    /// Regions whose events do not matter.
    pub exclude: &'a [String],
    /// Offsets that must have been seen.
    pub tokens: &'a [(Origin, u64)],
}

impl Need<'_> {
    fn concerns(&self, region: &str) -> bool {
        !self.exclude.iter().any(|excluded| excluded == region)
    }
}

/// A part that is older than the request allows, as far as the region has said.
#[must_use]
pub fn too_old<'a>(health: &'a Health, need: &Need<'_>) -> Option<(&'a Arc<str>, i64)> {
    let most_ms = need.max_staleness_ms?;
    let parts = health.parts.iter().filter(|(region, _)| need.concerns(region));
    let ages = parts.map(|(region, part)| (part.age_ms.unwrap_or(i64::MAX), region));
    ages.max().filter(|(age_ms, _)| *age_ms > most_ms).map(|(age_ms, region)| (region, age_ms))
}

/// Whether an offset that the request must see is known not to be there yet.
#[must_use]
pub fn behind_token(health: &Health, need: &Need<'_>) -> bool {
    let missing = |(origin, offset): &(Origin, u64)| {
        health.frontiers.get(origin).is_some_and(|next| next <= offset)
    };
    need.tokens.iter().any(missing)
}

/// An origin's clock against the gateway's when the region was heard: for one origin, these differ
/// between regions by how much one lags the other, ms.
fn offset_ms(heard_ms: u64, part: &Part) -> Option<i64> {
    Some(i64::try_from(heard_ms).unwrap_or(i64::MAX).saturating_sub(part.complete_to_ms?))
}

/// How far a region lags the best of its peers, by origin; an origin that nobody has is not in it.
#[must_use]
pub fn lags_ms(said: &[Option<(u64, &Health)>], of: usize) -> BTreeMap<Arc<str>, i64> {
    let Some(Some((heard_ms, health))) = said.get(of) else { return BTreeMap::new() };
    let mut lags = BTreeMap::new();
    for (region, part) in &health.parts {
        let offsets = said
            .iter()
            .flatten()
            .filter_map(|(heard_ms, other)| offset_ms(*heard_ms, other.parts.get(region)?));
        let Some(best_ms) = offsets.min() else { continue };
        let own_ms = offset_ms(*heard_ms, part).unwrap_or(i64::MAX);
        lags.insert(region.clone(), own_ms.saturating_sub(best_ms));
    }
    lags
}

/// The origins for which a region is demoted: from `lag_ms` behind its peers, until it is within
/// half of that again.
pub(crate) fn demoted(
    before: &BTreeSet<Arc<str>>,
    lags: &BTreeMap<Arc<str>, i64>,
    lag_ms: i64,
) -> BTreeSet<Arc<str>> {
    let stays = |region: &Arc<str>, lag: i64| {
        lag > if before.contains(region) { lag_ms / 2 } else { lag_ms }
    };
    lags.iter()
        .filter(|(region, lag)| stays(region, **lag))
        .map(|(region, _)| region.clone())
        .collect()
}

/// The first demoted origin that concerns the request.
pub(crate) fn lagging<'a>(
    demoted: &'a BTreeSet<Arc<str>>,
    need: &Need<'_>,
) -> Option<&'a Arc<str>> {
    demoted.iter().find(|region| need.concerns(region))
}
