//! What a read of one view in one shard needs: which plans are active, what they cut, the panes.

use std::collections::BTreeMap;
use std::sync::Arc;

use api::v1::FeatureInfo;
use catalog::{Catalog, Feature, Plan};
use lattice::combine::{Cut, PaneView};
use lattice::key::floor_ms;
use lattice::progress::NO_WATERMARK;
use lattice::{DecodeError, Gap, Kind, Origin, PlanHash, Region, Span, Value};
use store::{StateView, Store};

/// Why a read cannot be answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// Nothing to serve from yet.
    #[error("this node has no catalog yet; apply one, or wait until it has read its log")]
    NoCatalog,
    /// Not in this node's catalog.
    #[error("{view}@v{version} is not active in any region")]
    NoSuchView {
        /// The view.
        view: String,
        /// The version.
        version: u32,
    },
    /// An index that the plan does not have.
    #[error("{view} has no feature of index {index}")]
    NoSuchFeature {
        /// The view.
        view: String,
        /// What was asked for.
        index: u32,
    },
    /// A shard that the mesh does not have.
    #[error("there is no shard {0}")]
    NoSuchShard(u32),
    /// An entity whose shard is not said, or a shard too many.
    #[error("{view}: {entities} entities come with {shards} shards; each has one")]
    Ragged {
        /// The view.
        view: String,
        /// So many entities.
        entities: usize,
        /// So many shards.
        shards: usize,
    },
    /// Stored bytes are not what they should be.
    #[error("stored panes cannot be read: {0}")]
    Corrupt(#[from] DecodeError),
}

/// What a read of one view needs: the plan per region that is active there, and the cut.
pub(crate) struct ViewReader<'a> {
    store: &'a Store,
    shard: u32,
    /// The layout of features and cells, which all regions' plans of one version share.
    pub(crate) plan: Arc<Plan>,
    pub(crate) by_region: BTreeMap<Region, Arc<Plan>>,
    /// The plans of `by_region`, each once, in order.
    hashes: Vec<PlanHash>,
    pub(crate) as_of_ms: Option<i64>,
    pub(crate) now_ms: i64,
    /// The greatest watermark of an included origin: panes may have expired up to it.
    watermark_ms: i64,
    gaps: Vec<Gap>,
}

/// What a read may leave out and where it cuts.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// Cut at this event time, ms.
    pub as_of_ms: Option<i64>,
    /// The asking gateway's clock, ms.
    pub now_ms: i64,
    /// Regions whose origins are left out.
    pub exclude: Vec<Region>,
}

impl<'a> ViewReader<'a> {
    pub(crate) fn new(
        store: &'a Store,
        catalog: &Catalog,
        (view, version, shard): (&str, u32, u32),
        scope: &Scope,
    ) -> Result<Self, ReadError> {
        if shard >= store.shards() {
            return Err(ReadError::NoSuchShard(shard));
        }
        let active = catalog.active(view, version);
        let missing = || ReadError::NoSuchView { view: view.into(), version };
        let plan = active.values().next().cloned().ok_or_else(missing)?;
        let by_region: BTreeMap<_, _> =
            active.into_iter().filter(|(region, _)| !scope.exclude.contains(region)).collect();
        let (mut watermark_ms, mut gaps) = (NO_WATERMARK, Vec::new());
        store.look(shard, |states| {
            let active = |state: &&StateView<'_>| {
                by_region.get(&state.origin.region).is_some_and(|plan| plan.hash == state.plan)
            };
            for state in states.iter().filter(active) {
                // Also a progress that is not proven yet has let panes expire.
                let progress = state.proven.map(|proven| &proven.progress);
                for progress in progress.into_iter().chain(state.pending) {
                    watermark_ms = watermark_ms.max(progress.watermark_ms);
                    gaps.extend_from_slice(&progress.gaps);
                }
            }
        });
        let mut hashes: Vec<_> = by_region.values().map(|plan| plan.hash).collect();
        hashes.sort_unstable();
        hashes.dedup();
        let (as_of_ms, now_ms) = (scope.as_of_ms, scope.now_ms);
        Ok(Self { store, shard, plan, by_region, hashes, as_of_ms, now_ms, watermark_ms, gaps })
    }

    pub(crate) fn feature(&self, index: u32) -> Result<&Feature, ReadError> {
        let missing = || ReadError::NoSuchFeature { view: self.plan.view.to_string(), index };
        self.plan.features.get(index as usize).ok_or_else(missing)
    }

    fn width_s(&self, feature: &Feature) -> u32 {
        self.plan.widths[feature.width].width_s
    }

    /// The stretch of event time that the feature covers.
    pub(crate) fn cut(&self, feature: &Feature) -> Cut {
        let width_s = self.width_s(feature);
        let Some(window_ms) = feature.window_ms else {
            return Cut { from_ms: i64::MIN, until_ms: None };
        };
        match self.as_of_ms {
            Some(as_of_ms) => {
                let until_ms = floor_ms(as_of_ms, width_s);
                Cut { from_ms: until_ms.saturating_sub(window_ms), until_ms: Some(until_ms) }
            }
            None => {
                let from_ms = floor_ms(self.now_ms.saturating_sub(window_ms), width_s);
                Cut { from_ms, until_ms: None }
            }
        }
    }

    /// Why the value cannot be had at this `as_of`, if it cannot.
    pub(crate) fn invalid(&self, feature: &Feature) -> Option<String> {
        let as_of_ms = self.as_of_ms?;
        let width = &self.plan.widths[feature.width];
        if feature.window_ms.is_none() {
            let past = as_of_ms < self.now_ms;
            return past.then(|| {
                format!("{} is of all time; it cannot be read as of the past", feature.name)
            });
        }
        let cut = self.cut(feature);
        let oldest = Span::holding(cut.from_ms, width.width_s);
        oldest.expired(width.retention_ms, self.watermark_ms).then(|| {
            let history = clock::format_duration(self.plan.history_ms);
            format!("{} goes back {history} (its view's history), not to this as_of", feature.name)
        })
    }

    pub(crate) fn info(&self, feature: &Feature) -> FeatureInfo {
        let cut = self.cut(feature);
        let missing = self.gaps.iter().filter(|gap| gap.until_ms > cut.from_ms);
        FeatureInfo {
            resolution_ms: i64::from(self.width_s(feature)) * 1000,
            as_of_ms: cut.until_ms,
            covered_from_ms: missing.map(|gap| gap.until_ms).max(),
        }
    }

    /// Lends the included panes of one width, ordered by (origin, span), to `reader`.
    pub(crate) fn panes<T>(
        &self,
        entity: &[u8],
        width_s: u32,
        reader: impl FnOnce(&mut dyn Iterator<Item = PaneView<'_>>) -> T,
    ) -> T {
        let before_ms = self.as_of_ms.map_or(i64::MAX, |at_ms| floor_ms(at_ms, width_s));
        let active = |pane: &PaneView<'_>, plan| {
            self.by_region.get(&pane.origin.region).is_some_and(|p| p.hash == plan)
        };
        let early = |pane: &PaneView<'_>| width_s == 0 || pane.span.start_ms < before_ms;
        if let [plan] = self.hashes[..] {
            return self.store.read(self.shard, plan, entity, width_s, |panes| {
                // Panes of an origin come one after the other.
                let mut last = (std::ptr::null(), false);
                reader(&mut panes.filter(|pane| {
                    if !std::ptr::eq(last.0, pane.origin) {
                        last = (pane.origin, active(pane, plan));
                    }
                    last.1 && early(pane)
                }))
            });
        }
        // Regions are on different activations: a rollout. Rare, so gathered and sorted.
        let mut gathered: Vec<(Origin, Span, u64, Vec<u8>)> = Vec::new();
        for plan in self.hashes.iter().copied() {
            self.store.read(self.shard, plan, entity, width_s, |panes| {
                let included = panes.filter(|pane| active(pane, plan) && early(pane));
                gathered.extend(included.map(|pane| {
                    (pane.origin.clone(), pane.span, pane.version, pane.cells.to_vec())
                }));
            });
        }
        gathered.sort_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
        let mut views = gathered.iter().map(|(origin, span, version, cells)| PaneView {
            origin,
            span: *span,
            version: *version,
            cells,
        });
        reader(&mut views)
    }

    /// What the definition says for a window without events, which `count` and `distinct` say
    /// with 0 and everything else with null.
    pub(crate) fn or_empty(&self, feature: &Feature, value: Value) -> Value {
        let spec = self.plan.widths[feature.width].specs[feature.cell];
        let counts = matches!(spec.kind, Kind::Count | Kind::Distinct { .. });
        match value {
            Value::Int(0) if counts => feature.empty.clone(),
            Value::Null => feature.empty.clone(),
            other => other,
        }
    }
}
