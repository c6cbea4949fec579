//! What every replica must hold: a fold of one partition from its first event, without crashes,
//! commits or a store. Kept for every prefix, since a frontier may claim any.

use std::collections::BTreeMap;
use std::sync::Arc;

use backbone::Stored;
use bytes::Bytes;
use catalog::Plan;
use fold::{Arrival, Fold, Outcome, Panes, PlanStart};
use lattice::delta::pane_key;
use lattice::progress::NO_WATERMARK;
use lattice::{Digest, Frontier, Origin, Pane, PaneKey};

/// One plan of one origin.
pub struct Reference {
    fold: Fold,
    plan: Arc<Plan>,
    panes: Live,
    /// Every version of every pane, by shard.
    history: BTreeMap<u32, BTreeMap<PaneKey, Vec<Pane>>>,
    /// The watermark after each offset.
    watermarks: BTreeMap<u64, i64>,
    /// Offsets of events that broke the contract.
    pub rejected: Vec<u64>,
}

#[derive(Default)]
struct Live(BTreeMap<PaneKey, Pane>);

impl Panes for Live {
    fn pane(&self, _shard: u32, key: &PaneKey) -> Option<Pane> {
        self.0.get(key).cloned()
    }
}

impl Reference {
    /// Before the first event.
    #[must_use]
    pub fn new(origin: &Origin, plan: &Arc<Plan>, shards: u32) -> Self {
        let start = PlanStart {
            plan: plan.clone(),
            frontier: Frontier::default(),
            watermark_ms: NO_WATERMARK,
            floors: vec![0; shards as usize],
            gaps: Vec::new(),
        };
        let fold = Fold::new(origin.clone(), shards, plan.source.clone(), vec![start]);
        Self {
            fold,
            plan: plan.clone(),
            panes: Live::default(),
            history: BTreeMap::new(),
            watermarks: BTreeMap::new(),
            rejected: Vec::new(),
        }
    }

    /// The next offset to fold.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.fold.next()
    }

    /// Folds what has come since the last call.
    pub fn advance(&mut self, events: &[Stored]) {
        for stored in
            events.iter().filter(|stored| stored.offset >= self.fold.next()).collect::<Vec<_>>()
        {
            let value = stored.record.value.as_deref().unwrap_or_default();
            let event = Arrival { offset: stored.offset, appended_ms: stored.appended_ms, value };
            if let Outcome::Rejected(_) = self.fold.fold(event, &self.panes) {
                self.rejected.push(stored.offset);
            }
            for changed in self.fold.draft().panes {
                let versions = self.history.entry(changed.shard).or_default();
                versions.entry(changed.key.clone()).or_default().push(changed.pane.clone());
                self.panes.0.insert(changed.key, changed.pane);
            }
            let watermark_ms = self.fold.plans().first().map_or(NO_WATERMARK, |p| p.watermark_ms);
            self.watermarks.insert(stored.offset + 1, watermark_ms);
        }
    }

    /// The digest of those panes, and how many they are.
    #[must_use]
    pub fn digest(&self, shard: u32, next: u64) -> (Digest, u64) {
        let (panes, mut digest, mut scratch) =
            (self.panes(shard, next), Digest::default(), Vec::new());
        panes.iter().for_each(|(key, pane)| {
            digest.add(Digest::of(key, &pane.encode(), &mut scratch));
        });
        (digest, panes.len() as u64)
    }

    /// The panes of a shard that must be there when everything below `next` is folded.
    #[must_use]
    pub fn panes(&self, shard: u32, next: u64) -> BTreeMap<Bytes, &Pane> {
        self.panes_alive(shard, next, NO_WATERMARK)
    }

    /// Those of them that have not expired by `seen_ms` either.
    #[must_use]
    pub fn panes_alive(&self, shard: u32, next: u64, seen_ms: i64) -> BTreeMap<Bytes, &Pane> {
        let watermark_ms =
            self.watermarks.range(..=next).next_back().map_or(NO_WATERMARK, |(_, w)| *w);
        let watermark_ms = watermark_ms.max(seen_ms);
        let retention_ms = |width_s: u32| {
            let width = self.plan.widths.iter().find(|width| width.width_s == width_s);
            width.map_or(0, |width| width.retention_ms)
        };
        let Some(of_shard) = self.history.get(&shard) else { return BTreeMap::new() };
        let live = of_shard
            .iter()
            .filter(|(key, _)| !key.span.expired(retention_ms(key.span.width_s), watermark_ms));
        live.filter_map(|(key, versions)| {
            let at = versions.partition_point(|pane| pane.version <= next);
            Some((pane_key(key), versions.get(at.checked_sub(1)?)?))
        })
        .collect()
    }
}
