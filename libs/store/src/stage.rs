//! What a commit will do, before it is done: an owner must write the digest into the log first, and
//! apply only what the log has taken.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use lattice::delta::put_pane_key;
use lattice::{DeltaRef, Digest, Origin, PaneKeyRef, PlanHash, PlanProgress, Series, Span};

use crate::intern::version;
use crate::panes::PlanPanes;
use crate::report::{Staged, StagedPlan};
use crate::shard::Shard;
use crate::track::Track;

/// The panes of a commit by record key, as merging them in order would leave them.
type Panes<'a> = BTreeMap<&'a [u8], (PaneKeyRef<'a>, &'a [u8])>;

impl Shard {
    /// See [`crate::Store::stage`].
    pub(crate) fn stage(
        &self,
        origin: &Origin,
        plans: &[StagedPlan],
        panes: &[(Bytes, Bytes)],
    ) -> Staged {
        let mut by_plan: BTreeMap<PlanHash, Panes<'_>> = BTreeMap::new();
        for (record, value) in panes {
            let Ok(DeltaRef::Pane(key, value)) = DeltaRef::read(record, Some(value)) else {
                continue;
            };
            let Ok(plan) = key.plan() else { continue };
            let newest = by_plan.entry(plan).or_default().entry(record).or_insert((key, value));
            newest.1 = newest.1.max(value);
        }
        let (none, empty) = (Panes::new(), PlanPanes::default());
        let mut staged = Staged::default();
        for StagedPlan { progress } in plans {
            let held = self.plans.get(&progress.plan).unwrap_or(&empty);
            let panes = by_plan.get(&progress.plan).unwrap_or(&none);
            staged.digests.push(stage(held, origin, progress, panes, &mut staged.gone));
        }
        staged
    }
}

/// The digest of a plan after the commit. `gone` gets the keys of what expires.
fn stage(
    held: &PlanPanes,
    origin: &Origin,
    progress: &PlanProgress,
    panes: &Panes<'_>,
    gone: &mut Vec<Bytes>,
) -> Digest {
    let new_track = Track::new(origin.clone());
    let track = held.track(origin).unwrap_or(&new_track);
    let after = track.limits.join(progress);
    let (mut digest, mut key, mut scratch) = (track.digest, Vec::new(), Vec::new());
    let mut expired = BTreeSet::new();
    for (at, slot) in held.lost(track, &after).into_iter().filter_map(|place| held.at(place)) {
        put_pane_key(at, &mut key);
        digest.remove(Digest::of(&key, &slot.value, &mut scratch));
        expired.insert(Bytes::copy_from_slice(&key));
    }
    for (record, (at, value)) in panes {
        let Ok(series) = Series::decode(at.series) else { continue };
        let span = Span { width_s: series.width_s, start_ms: at.start_ms };
        let old = held.find(*at).map(|slot| &*slot.value);
        let refused = track.limits.refuse(span, version(value));
        if series.origin != *origin || refused || old.is_some_and(|old| old >= *value) {
            continue;
        }
        if after.lose(span, version(value)) {
            expired.insert(Bytes::copy_from_slice(record));
            continue;
        }
        // What is lost was removed above.
        if let Some(old) = old.filter(|old| !after.lose(span, version(old))) {
            digest.remove(Digest::of(record, old, &mut scratch));
        }
        digest.add(Digest::of(record, value, &mut scratch));
        expired.remove(*record);
    }
    gone.extend(expired);
    digest
}
