//! Re-appended runs, gathered aside: merging cannot remove what a replica should not have, so a
//! run whose digest agrees replaces the set.

use std::collections::BTreeMap;

use bytes::Bytes;
use lattice::{DeltaRef, Digest, Origin, PaneKeyRef, PlanHash, Series, Span};

use crate::intern::version;
use crate::limits::Limits;

/// All open runs of a shard together hold at most this many bytes of keys and values; a run that
/// would go above it is dropped, and its origin's panes are merged only.
pub const RUN_BYTES: usize = 256 << 20;

/// The panes of one run so far, by record key.
pub(crate) type Run = BTreeMap<Bytes, Bytes>;

/// The open runs of a shard.
#[derive(Debug, Default)]
pub(crate) struct Runs {
    open: BTreeMap<Origin, Run>,
    bytes: usize,
}

impl Runs {
    /// A run of the origin begins; one that was open is begun again.
    pub(crate) fn begin(&mut self, origin: Origin) {
        self.end(&origin);
        self.open.insert(origin, Run::new());
    }

    /// A pane of any origin came.
    pub(crate) fn add(&mut self, key: PaneKeyRef<'_>, record: &[u8], value: &[u8]) {
        if self.open.is_empty() {
            return;
        }
        let Ok(Series { origin, .. }) = Series::decode(key.series) else { return };
        let Some(run) = self.open.get_mut(&origin) else { return };
        let old = run.get(record).map(|old| (old.len(), **old < *value));
        if old.is_some_and(|(_, below)| !below) {
            return;
        }
        let (removed, added) =
            old.map_or((0, record.len() + value.len()), |(n, _)| (n, value.len()));
        self.bytes = self.bytes - removed + added;
        if self.bytes > RUN_BYTES {
            tracing::warn!(?origin, limit = RUN_BYTES, "a re-appended run is too big to gather");
            self.end(&origin);
        } else {
            run.insert(Bytes::copy_from_slice(record), Bytes::copy_from_slice(value));
        }
    }

    /// The origin's run is over.
    pub(crate) fn end(&mut self, origin: &Origin) -> Option<Run> {
        let run = self.open.remove(origin)?;
        self.bytes -= run.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>();
        Some(run)
    }
}

/// The panes of a run that are of the plan and live, with their digest.
pub(crate) fn live(run: &Run, plan: PlanHash, limits: &Limits) -> (Vec<(Bytes, Bytes)>, Digest) {
    let (mut panes, mut digest, mut scratch) = (Vec::new(), Digest::default(), Vec::new());
    for (record, value) in run {
        let Ok(DeltaRef::Pane(key, _)) = DeltaRef::read(record, Some(value)) else { continue };
        let Ok(series) = Series::decode(key.series) else { continue };
        let span = Span { width_s: series.width_s, start_ms: key.start_ms };
        if series.plan == plan && !limits.lose(span, version(value)) {
            digest.add(Digest::of(record, value, &mut scratch));
            panes.push((record.clone(), value.clone()));
        }
    }
    (panes, digest)
}
