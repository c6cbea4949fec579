//! One shard: records in, panes and frontiers kept.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use lattice::{DecodeError, Delta, DeltaRef, Origin, PaneKeyRef, PlanHash, Progress};

use crate::Record;
use crate::gather::{self, Run, Runs};
use crate::panes::{PlanPanes, Scratch};
use crate::report::{Applied, Proven};

/// What a lock is held over.
#[derive(Debug, Default)]
pub(crate) struct Shard {
    pub(crate) plans: BTreeMap<PlanHash, PlanPanes>,
    pub(crate) scratch: Scratch,
    /// Tracks that are gone but still stand in the checkpoint: plans were retired.
    pub(crate) removed_tracks: BTreeSet<(PlanHash, Origin)>,
    runs: Runs,
}

impl Shard {
    /// Merges records in the order in which they stand in the partition.
    pub(crate) fn apply(&mut self, records: &[Record]) -> Applied {
        let mut applied = Applied::default();
        for (record, value) in records {
            let done = match DeltaRef::read(record, value.as_ref()) {
                Ok(DeltaRef::Pane(key, value)) => self.pane(key, record, value, &mut applied),
                Ok(DeltaRef::Other(delta)) => {
                    self.other(*delta, &mut applied);
                    Ok(())
                }
                Err(error) => Err(error),
            };
            applied.undecodable += u64::from(done.is_err());
        }
        let mut unproven = BTreeSet::new();
        for track in self.plans.values_mut().flat_map(|panes| &mut panes.tracks) {
            applied.moved |= track.settle_pending();
            if track.pending.is_some() {
                unproven.insert(track.origin.clone());
            }
        }
        applied.unproven = unproven.into_iter().collect();
        applied
    }

    fn pane(
        &mut self,
        key: PaneKeyRef<'_>,
        record: &[u8],
        value: &[u8],
        applied: &mut Applied,
    ) -> Result<(), DecodeError> {
        let panes = self.plans.entry(key.plan()?).or_default();
        let merged = panes.merge(key, record, value, &mut self.scratch)?;
        applied.merged += u64::from(merged.changed);
        applied.refused += u64::from(!merged.changed);
        applied.forked += u64::from(merged.forked);
        self.runs.add(key, record, value);
        Ok(())
    }

    fn other(&mut self, delta: Delta, applied: &mut Applied) {
        match delta {
            Delta::Progress(origin, progress) => {
                let run = self.runs.end(&origin);
                applied.moved |= self.progress(&origin, progress, run.as_ref());
            }
            Delta::Run(origin, _) => self.runs.begin(origin),
            Delta::Repair(request) => applied.repairs.push(request),
            // Panes came as such. A null collects garbage in a log; the watermark expires here.
            Delta::Pane(..) | Delta::Gone(_) => {}
        }
    }

    /// True if a frontier or `complete_to` moved. Plans that the progress does not list stay.
    fn progress(&mut self, origin: &Origin, progress: Progress, run: Option<&Run>) -> bool {
        let mut moved = false;
        let Progress { complete_to_ms, generation, plans } = progress;
        for progress in plans {
            let panes = self.plans.entry(progress.plan).or_default();
            let track = panes.track_of(origin);
            if panes.tracks[track].is_past(progress.frontier) {
                continue;
            }
            panes.limit(track, &progress, &mut self.scratch);
            if let Some(run) = run.filter(|_| panes.tracks[track].digest != progress.digest) {
                let (live, digest) = gather::live(run, progress.plan, &panes.tracks[track].limits);
                if digest == progress.digest {
                    replace(panes, track, &live, &mut self.scratch);
                }
            }
            moved |= panes.tracks[track].settle(Proven { progress, complete_to_ms, generation });
        }
        moved
    }
}

/// Puts these panes in the place of all that the track has.
fn replace(panes: &mut PlanPanes, track: usize, live: &[(Bytes, Bytes)], scratch: &mut Scratch) {
    let all: Vec<_> = panes.places(&panes.tracks[track]).collect();
    panes.remove(&all, scratch);
    for (record, value) in live {
        if let Ok(DeltaRef::Pane(key, value)) = DeltaRef::read(record, Some(value)) {
            // The run's digest has read every series; a failure would show in this one's.
            let _ = panes.merge(key, record, value, scratch);
        }
    }
}
