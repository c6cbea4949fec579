//! A naive owner, written without the store: sets of panes in maps, digests from scratch. What it
//! says of a prefix of its log is what a store may claim.

use std::collections::BTreeMap;

use bytes::Bytes;
use lattice::delta::{pane_key, progress_key, run_record};
use lattice::progress::NO_WATERMARK;
use lattice::{Digest, Frontier, Origin, Pane, PaneKey, PlanHash, PlanProgress, Progress, Span};
use store::Record;

use super::{RETENTION, digest};

const DISORDER_MS: i64 = 30_000;
const WIDTHS_S: [u32; 3] = [0, 1, 60];
pub(crate) const PLANS: [PlanHash; 2] = [PlanHash([1; 16]), PlanHash([2; 16])];

pub(crate) type Panes = BTreeMap<Bytes, Bytes>;

/// A fold of one plan. Its panes list the offsets of their events.
#[derive(Clone, Debug)]
pub(crate) struct Fold {
    plan: PlanHash,
    from: u64,
    max_ms: Option<i64>,
    live: BTreeMap<PaneKey, (u64, Vec<u8>)>,
    changed: Vec<PaneKey>,
}

/// The single writer of an origin in one shard.
#[derive(Clone, Debug)]
pub(crate) struct Owner {
    pub(crate) origin: Origin,
    next: u64,
    beats: i64,
    runs: u64,
    pub(crate) folds: [Fold; 2],
    /// What it had at each of its progress records, by plan.
    pub(crate) history: BTreeMap<(PlanHash, Frontier), Panes>,
}

/// A commit that is not written yet.
pub(crate) struct Commit {
    pub(crate) panes: Vec<(Bytes, Bytes)>,
    pub(crate) nulls: Vec<Bytes>,
    pub(crate) progress: Progress,
}

impl Owner {
    pub(crate) fn new(origin: Origin) -> Self {
        let fold =
            |plan| Fold { plan, from: 0, max_ms: None, live: BTreeMap::new(), changed: Vec::new() };
        let (folds, history) = (PLANS.map(fold), BTreeMap::new());
        Self { origin, next: 0, beats: 0, runs: 0, folds, history }
    }

    pub(crate) fn event(&mut self, entity: u8, at_ms: i64) {
        for fold in &mut self.folds {
            fold.max_ms = fold.max_ms.max(Some(at_ms));
            for width_s in WIDTHS_S {
                let span = Span::holding(at_ms, width_s);
                if fold.keeps(span) {
                    let (plan, origin) = (fold.plan, self.origin.clone());
                    let key = PaneKey { plan, entity: vec![b'e', entity].into(), span, origin };
                    let pane = fold.live.entry(key.clone()).or_default();
                    pane.0 = self.next + 1;
                    pane.1.extend_from_slice(&(self.next as u16).to_be_bytes());
                    fold.changed.push(key);
                }
            }
        }
        self.next += 1;
    }

    /// The log was truncated: a plan begins anew, without what was before.
    pub(crate) fn restart(&mut self, plan: usize) {
        self.next += 3;
        let fold = &mut self.folds[plan];
        *fold = Fold {
            plan: fold.plan,
            from: self.next,
            ..Owner::new(self.origin.clone()).folds[0].clone()
        };
    }

    /// Ends a commit, or, without events before, a heartbeat.
    pub(crate) fn commit(&mut self) -> Commit {
        self.beats += 1;
        let (mut panes, mut nulls, mut plans) = (Vec::new(), Vec::new(), Vec::new());
        for fold in &mut self.folds {
            let expired: Vec<_> =
                fold.live.keys().filter(|key| !fold.keeps(key.span)).cloned().collect();
            for key in expired {
                fold.live.remove(&key);
                nulls.push(pane_key(&key));
            }
            let live = fold.panes();
            fold.changed.sort();
            fold.changed.dedup();
            let changed = std::mem::take(&mut fold.changed);
            let changed = changed.iter().map(pane_key);
            panes.extend(changed.filter_map(|key| Some((key.clone(), live.get(&key)?.clone()))));
            let progress = fold.progress(self.next, &live);
            self.history.insert((fold.plan, progress.frontier), live);
            plans.push(progress);
        }
        Commit {
            panes,
            nulls,
            progress: Progress { complete_to_ms: self.beats, generation: 1, plans },
        }
    }

    /// As a replica's plea makes it: all live panes once more.
    pub(crate) fn run(&mut self) -> Vec<Record> {
        let commit = self.commit();
        self.runs += 1;
        let (key, serial) = run_record(&self.origin, self.runs);
        let mut records = vec![(key, Some(serial))];
        for fold in &self.folds {
            records.extend(fold.panes().into_iter().map(|(key, value)| (key, Some(value))));
        }
        records.push(self.record(&commit.progress));
        records
    }

    pub(crate) fn record(&self, progress: &Progress) -> Record {
        (progress_key(&self.origin), Some(progress.encode()))
    }

    pub(crate) fn records(&self, commit: Commit) -> Vec<Record> {
        let progress = self.record(&commit.progress);
        let panes = commit.panes.into_iter().map(|(key, value)| (key, Some(value)));
        let nulls = commit.nulls.into_iter().map(|key| (key, None));
        panes.chain(nulls).chain([progress]).collect()
    }
}

impl Fold {
    pub(crate) fn watermark_ms(&self) -> i64 {
        self.max_ms.map_or(NO_WATERMARK, |max| max - DISORDER_MS)
    }

    /// Panes live while end + retention > W.
    fn keeps(&self, span: Span) -> bool {
        let retention = RETENTION.iter().find(|(width_s, _)| *width_s == span.width_s);
        retention.is_none_or(|(width_s, retention_ms)| {
            span.start_ms + i64::from(*width_s) * 1000 + retention_ms > self.watermark_ms()
        })
    }

    pub(crate) fn panes(&self) -> Panes {
        let value = |(version, cells): &(u64, Vec<u8>)| {
            Pane { version: *version, cells: cells.clone().into() }.encode()
        };
        self.live.iter().map(|(key, pane)| (pane_key(key), value(pane))).collect()
    }

    fn progress(&self, next: u64, live: &Panes) -> PlanProgress {
        let frontier = Frontier { from: self.from, next };
        let digest: Digest = digest(&live.clone().into_iter().collect::<Vec<_>>());
        let (retention, gaps) = (RETENTION.to_vec(), Vec::new());
        let watermark_ms = self.watermark_ms();
        PlanProgress { plan: self.plan, frontier, watermark_ms, retention, digest, gaps }
    }
}
