//! The catalog as every node and gateway keeps it: a grow-only set of entries, and what follows
//! from it. Whoever has the same entries sees the same plans.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use crdts::CvRDT;
use lattice::{PlanHash, Region};

use crate::check::DEFAULT_SHARDS;
use crate::entries::{CatalogError, EntryKey, verify};
use crate::index::Index;
use crate::on_demand::OnDemand;
use crate::plan::{Plan, Source};

/// The entries, and an index over them that is made when it is first asked for.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    entries: BTreeMap<EntryKey, Bytes>,
    index: OnceLock<Arc<Index>>,
}

/// A version of a view that is active somewhere.
#[derive(Debug, Clone)]
pub struct ViewVersion {
    /// The version.
    pub version: u32,
    /// Per region, what it folds and serves.
    pub regions: BTreeMap<Region, Arc<Plan>>,
}

impl Catalog {
    /// Takes in a record of the catalog topic; true if it was new.
    pub fn insert(&mut self, key: &[u8], value: &[u8]) -> Result<bool, CatalogError> {
        let key = verify(key, value)?;
        if self.entries.contains_key(&key) {
            return Ok(false);
        }
        self.entries.insert(key, Bytes::copy_from_slice(value));
        self.index = OnceLock::new();
        Ok(true)
    }

    /// The number of entries. It only grows; equal catalogs have equal generations.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.entries.len() as u64
    }

    /// Every record, to pass on or to append to another topic.
    pub fn entries(&self) -> impl Iterator<Item = (&[u8], &Bytes)> {
        self.entries.iter().map(|(key, value)| (key.as_slice(), value))
    }

    /// The mesh's number of shards, once a catalog has been applied.
    #[must_use]
    pub fn shards(&self) -> Option<u32> {
        self.index().mesh.as_ref().map(|(_, shards)| *shards)
    }

    /// The number of shards, or what it will be unless a catalog says otherwise.
    #[must_use]
    pub fn shards_or_default(&self) -> u32 {
        self.shards().unwrap_or(DEFAULT_SHARDS)
    }

    /// The project, once a catalog has been applied that names one.
    #[must_use]
    pub fn project(&self) -> Option<&str> {
        self.index().mesh.as_ref().and_then(|(project, _)| project.as_deref())
    }

    /// The plans that a region folds, ordered by view and version.
    #[must_use]
    pub fn live(&self, region: &str) -> Vec<Arc<Plan>> {
        let versions = self.index().views.values().flatten();
        versions.filter_map(|version| version.regions.get(region).cloned()).collect()
    }

    /// The plans that are live in any region, by hash.
    #[must_use]
    pub fn plans(&self) -> &BTreeMap<PlanHash, Arc<Plan>> {
        &self.index().plans
    }

    /// The plan of this hash, if it is live in any region.
    #[must_use]
    pub fn plan(&self, hash: PlanHash) -> Option<Arc<Plan>> {
        self.index().plans.get(&hash).cloned()
    }

    /// The plans that were retired in every region that had them: their panes can go.
    #[must_use]
    pub fn retired(&self) -> BTreeSet<PlanHash> {
        self.index().retired_plans()
    }

    /// The active versions of every view, ascending.
    #[must_use]
    pub fn views(&self) -> &BTreeMap<Arc<str>, Vec<ViewVersion>> {
        &self.index().views
    }

    /// The regions where any version of a view is active.
    #[must_use]
    pub fn regions(&self, view: &str) -> BTreeSet<Region> {
        let versions = self.index().views.get(view).into_iter().flatten();
        versions.flat_map(|version| version.regions.keys().cloned()).collect()
    }

    /// Per region, the plan that is active there for a version of a view.
    #[must_use]
    pub fn active(&self, view: &str, version: u32) -> BTreeMap<Region, Arc<Plan>> {
        let versions = self.index().views.get(view);
        let found = versions.and_then(|versions| versions.iter().find(|v| v.version == version));
        found.map(|version| version.regions.clone()).unwrap_or_default()
    }

    /// Every source, also those that no view folds yet: the newest definition of each, by name.
    #[must_use]
    pub fn sources(&self) -> Vec<Arc<Source>> {
        self.index().sources.values().map(|(_, source)| source.clone()).collect()
    }

    /// The newest definition of a source.
    #[must_use]
    pub fn source(&self, name: &str) -> Option<Arc<Source>> {
        self.index().sources.get(name).map(|(_, source)| source.clone())
    }

    /// The feature services and what they list, by name.
    #[must_use]
    pub fn services(&self) -> &BTreeMap<String, Vec<String>> {
        &self.index().services
    }

    /// The on-demand views by name; one that cannot be computed says why.
    #[must_use]
    pub fn on_demand(&self) -> &BTreeMap<String, Result<Arc<OnDemand>, String>> {
        &self.index().on_demand
    }

    /// What is odd about the entries, a line each; empty in a sound catalog.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.index().warnings
    }

    pub(crate) fn index(&self) -> &Index {
        self.index.get_or_init(|| Arc::new(Index::of(&self.entries)))
    }
}

impl PartialEq for Catalog {
    fn eq(&self, other: &Self) -> bool {
        self.entries == other.entries
    }
}

impl Eq for Catalog {}

impl CvRDT for Catalog {
    type Validation = Infallible;

    fn validate_merge(&self, _other: &Self) -> Result<(), Infallible> {
        Ok(())
    }

    fn merge(&mut self, other: Self) {
        let before = self.entries.len();
        // Keys are hashes of values, so equal keys have equal values.
        self.entries.extend(other.entries);
        if self.entries.len() != before {
            self.index = OnceLock::new();
        }
    }
}
