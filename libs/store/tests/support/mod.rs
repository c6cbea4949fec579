//! Short ways to write records.
#![allow(dead_code, reason = "each test binary uses a part")]

pub(crate) mod model;

use bytes::Bytes;
use lattice::delta::{pane_key, progress_key};
use lattice::{
    Digest, Frontier, Origin, Pane, PaneKey, PlanHash, PlanProgress, Progress, Span, TopicId,
};
use store::Record;

pub(crate) const PLAN: PlanHash = PlanHash([7; 16]);
/// Retention of panes of 60 s and of 1 s, ms.
pub(crate) const RETENTION: [(u32, i64); 2] = [(1, 60_000), (60, 600_000)];

pub(crate) fn origin(region: &str, partition: u32) -> Origin {
    Origin { region: region.into(), topic: TopicId([1; 16]), partition }
}

pub(crate) fn key(origin: &Origin, entity: &str, width_s: u32, start_ms: i64) -> PaneKey {
    let entity = Bytes::copy_from_slice(entity.as_bytes());
    PaneKey { plan: PLAN, entity, span: Span { width_s, start_ms }, origin: origin.clone() }
}

pub(crate) fn pane(
    origin: &Origin,
    entity: &str,
    width_s: u32,
    start_ms: i64,
    version: u64,
    cells: &str,
) -> (Bytes, Bytes) {
    let pane = Pane { version, cells: Bytes::copy_from_slice(cells.as_bytes()) };
    (pane_key(&key(origin, entity, width_s, start_ms)), pane.encode())
}

pub(crate) fn record(pane: &(Bytes, Bytes)) -> Record {
    (pane.0.clone(), Some(pane.1.clone()))
}

/// From scratch.
pub(crate) fn digest(panes: &[(Bytes, Bytes)]) -> Digest {
    let mut digest = Digest::default();
    for (key, value) in panes {
        digest.add(Digest::of(key, value, &mut Vec::new()));
    }
    digest
}

pub(crate) fn plan_progress(
    from: u64,
    next: u64,
    watermark_ms: i64,
    digest: Digest,
) -> PlanProgress {
    let frontier = Frontier { from, next };
    let (retention, gaps) = (RETENTION.to_vec(), Vec::new());
    PlanProgress { plan: PLAN, frontier, watermark_ms, retention, digest, gaps }
}

pub(crate) fn progress(
    origin: &Origin,
    from: u64,
    next: u64,
    watermark_ms: i64,
    digest: Digest,
) -> Record {
    progress_at(origin, from, next, watermark_ms, digest, next as i64)
}

pub(crate) fn progress_at(
    origin: &Origin,
    from: u64,
    next: u64,
    watermark_ms: i64,
    digest: Digest,
    complete_to_ms: i64,
) -> Record {
    let plans = vec![plan_progress(from, next, watermark_ms, digest)];
    let progress = Progress { complete_to_ms, generation: 1, plans };
    (progress_key(origin), Some(progress.encode()))
}
