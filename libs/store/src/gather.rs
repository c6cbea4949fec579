//! Re-appended runs, gathered aside: merging cannot remove what a replica should not have, so a
//! run whose digest agrees replaces the set.

use std::collections::BTreeMap;

use bytes::Bytes;
use lattice::{DeltaRef, Digest, Origin, PaneKeyRef, PlanHash, Series, Span};

use crate::intern::version;
use crate::limits::Limits;

/// All open runs of a shard together hold at most this many bytes of keys and values; a run that
/// would go above it is dropped, and its origin's panes are merged only.
pub const RUN_BYTES: usize = 64 << 20;

/// The panes of one run so far, by record key.
pub(crate) type Run = BTreeMap<Bytes, Bytes>;

/// The open runs of a shard.
#[derive(Debug)]
pub(crate) struct Runs {
    open: BTreeMap<Origin, Run>,
    bytes: usize,
    limit_bytes: usize,
}

impl Default for Runs {
    fn default() -> Self {
        Self { open: BTreeMap::new(), bytes: 0, limit_bytes: RUN_BYTES }
    }
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
        let bytes = self.bytes - removed + added;
        if bytes > self.limit_bytes {
            let limit_bytes = self.limit_bytes;
            tracing::warn!(?origin, limit_bytes, "a re-appended run is too big to gather");
            self.end(&origin);
        } else {
            self.bytes = bytes;
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

#[cfg(test)]
mod tests {
    use super::*;
    use lattice::delta::{pane_key, read_pane_key};
    use lattice::{PaneKey, TopicId};

    #[test]
    fn a_run_above_the_bound_is_dropped_and_frees_what_it_held() {
        let origin =
            |partition| Origin { region: "jfk".into(), topic: TopicId::default(), partition };
        let key = |partition, start_ms| {
            let (plan, span) = (PlanHash::default(), Span { width_s: 1, start_ms });
            pane_key(&PaneKey { plan, entity: "e".into(), span, origin: origin(partition) })
        };
        let size = key(0, 0).len() + 10;
        let mut runs = Runs { limit_bytes: 3 * size, ..Runs::default() };
        let add = |runs: &mut Runs, partition, start_ms, value: &[u8; 10]| {
            let record = key(partition, start_ms);
            runs.add(read_pane_key(&record).unwrap(), &record, value);
        };
        runs.begin(origin(0));
        runs.begin(origin(1));
        add(&mut runs, 0, 0, &[1; 10]);
        // The same pane again costs nothing, an older one changes nothing, others are not gathered.
        add(&mut runs, 0, 0, &[2; 10]);
        add(&mut runs, 0, 0, &[1; 10]);
        add(&mut runs, 2, 0, &[1; 10]);
        assert_eq!(runs.bytes, size);
        for start_ms in 0..3 {
            add(&mut runs, 1, start_ms, &[1; 10]);
        }
        assert_eq!(runs.bytes, size);
        assert_eq!(runs.end(&origin(1)), None);
        let run = runs.end(&origin(0)).unwrap();
        assert_eq!(run.into_values().collect::<Vec<_>>(), [Bytes::from(vec![2; 10])]);
        assert_eq!(runs.bytes, 0);
    }
}
