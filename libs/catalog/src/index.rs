//! What follows from a set of entries, whatever their order: which plans are active where, the
//! newest of each definition, and what is odd.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use lattice::{PlanHash, Region};

use crate::build;
use crate::definitions::{Contract, Fold, OnDemandBody, Reading, SourceBody};
use crate::entries::{Entry, EntryKey, hex};
use crate::on_demand::{OnDemand, link_all};
use crate::plan::{Plan, Source};
use crate::registry::ViewVersion;

/// (region, view, version)
type Seat = (String, String, u32);
/// Per version, the plan that each region has active.
type Versions = BTreeMap<u32, BTreeMap<Region, Arc<Plan>>>;
/// Newest wins: by (seq, key of the entry).
type Newest<T> = ((u64, EntryKey), T);

#[derive(Debug, Default)]
pub(crate) struct Index {
    pub(crate) mesh: Option<(Option<String>, u32)>,
    pub(crate) folds: BTreeMap<String, (EntryKey, Fold)>,
    pub(crate) readings: BTreeMap<String, Newest<Reading>>,
    pub(crate) source_bodies: BTreeMap<String, Newest<SourceBody>>,
    pub(crate) service_bodies: BTreeMap<String, Newest<Option<Vec<String>>>>,
    pub(crate) on_demand_bodies: BTreeMap<String, Newest<Option<OnDemandBody>>>,
    /// Per seat, the hashes of the folds activated there, by activation.
    pub(crate) activations: BTreeMap<Seat, BTreeMap<u32, BTreeSet<String>>>,
    pub(crate) retired: BTreeSet<(Seat, u32)>,

    pub(crate) sources: BTreeMap<String, (SourceBody, Arc<Source>)>,
    pub(crate) plans: BTreeMap<PlanHash, Arc<Plan>>,
    pub(crate) views: BTreeMap<Arc<str>, Vec<ViewVersion>>,
    pub(crate) services: BTreeMap<String, Vec<String>>,
    pub(crate) on_demand: BTreeMap<String, Result<Arc<OnDemand>, String>>,
    pub(crate) warnings: Vec<String>,
}

impl Index {
    /// Entries come ordered by their keys, so whatever is first or last is so everywhere.
    pub(crate) fn of(entries: &BTreeMap<EntryKey, Bytes>) -> Self {
        let mut index = Self::default();
        for (key, value) in entries {
            match Entry::decode(value) {
                Some(entry) => index.take(*key, entry),
                None => index.warnings.push(format!(
                    "catalog entry {} is of a kind that this version does not know; update it",
                    hex(key)
                )),
            }
        }
        index.build_sources();
        index.build_views();
        index.build_readers();
        index
    }

    fn take(&mut self, key: EntryKey, entry: Entry) {
        match entry {
            Entry::Mesh { project, shards } => match &self.mesh {
                Some(first) if *first != (project.clone(), shards) => self.warnings.push(format!(
                    "the mesh was set up twice, with {} and with {shards} shards; {} hold",
                    first.1, first.1
                )),
                Some(_) => {}
                None => self.mesh = Some((project, shards.max(1))),
            },
            Entry::Fold { fold } => {
                self.folds.insert(hex(&key), (key, fold));
            }
            Entry::Reading { fold, seq, reading } => {
                newest(&mut self.readings, fold, (seq, key), reading)
            }
            Entry::Source { seq, source } => {
                let name = source.contract.source.clone();
                newest(&mut self.source_bodies, name, (seq, key), source);
            }
            Entry::Service { name, seq, features } => {
                newest(&mut self.service_bodies, name, (seq, key), features)
            }
            Entry::OnDemand { name, seq, view } => {
                newest(&mut self.on_demand_bodies, name, (seq, key), view)
            }
            Entry::Activate { region, view, version, fold, activation } => {
                let seat = self.activations.entry((region, view, version)).or_default();
                seat.entry(activation).or_default().insert(fold);
            }
            Entry::Retire { region, view, version, activation } => {
                self.retired.insert(((region, view, version), activation));
            }
        }
    }

    fn build_sources(&mut self) {
        for (name, (_, body)) in &self.source_bodies {
            match build::source(body) {
                Ok(source) => {
                    self.sources.insert(name.clone(), (body.clone(), Arc::new(source)));
                }
                Err(error) => self.warnings.push(format!("source `{name}`: {error}")),
            }
        }
    }

    /// The fold that a region has active at a seat: the highest activation that is not retired,
    /// and of unequal bodies the smaller hash.
    pub(crate) fn seated(&self, seat: &Seat) -> Option<(u32, &str)> {
        let (activation, folds) = self.activations.get(seat)?.last_key_value()?;
        if self.retired.contains(&(seat.clone(), *activation)) {
            return None;
        }
        Some((*activation, folds.first()?))
    }

    /// The number that an activation of this version would have in a region, or, to begin anew in
    /// all of them, in any: one more than what has been retired.
    pub(crate) fn next_activation(&self, view: &str, version: u32, region: Option<&str>) -> u32 {
        let of = |(r, v, n): &Seat| v == view && *n == version && region.is_none_or(|own| own == r);
        let retired = self.retired.iter().filter(|(seat, _)| of(seat));
        retired.map(|(_, activation)| activation.saturating_add(1)).max().unwrap_or(0)
    }

    /// The plans that were retired somewhere and are live nowhere.
    pub(crate) fn retired_plans(&self) -> BTreeSet<PlanHash> {
        let key = |fold: &String| self.folds.get(fold).map(|(key, _)| *key);
        let folds = |seat, activation| self.activations.get(seat)?.get(activation);
        self.retired
            .iter()
            .flat_map(|(seat, activation)| {
                let folds = folds(seat, activation).into_iter().flatten();
                folds.filter_map(key).map(|key| build::plan_hash(key, *activation))
            })
            .filter(|plan| !self.plans.contains_key(plan))
            .collect()
    }

    fn build_views(&mut self) {
        let mut contracts: Vec<(Contract, Arc<Source>)> = Vec::new();
        let mut views: BTreeMap<Arc<str>, Versions> = BTreeMap::new();
        let seats: Vec<Seat> = self.activations.keys().cloned().collect();
        for seat in seats {
            let Some((activation, fold)) = self.seated(&seat) else { continue };
            let fold = fold.to_owned();
            let (region, view, version) = &seat;
            if self.activations[&seat].get(&activation).is_some_and(|folds| folds.len() > 1) {
                self.warnings.push(format!(
                    "{view}@v{version} was applied with unequal bodies; {} holds in {region}",
                    &fold[..fold.len().min(8)]
                ));
            }
            match self.plan(&fold, activation, &mut contracts) {
                Ok(plan) => {
                    self.plans.insert(plan.hash, plan.clone());
                    let versions = views.entry(view.as_str().into()).or_default();
                    versions.entry(*version).or_default().insert(region.as_str().into(), plan);
                }
                Err(message) => {
                    self.warnings.push(format!("{view}@v{version} in {region}: {message}"));
                }
            }
        }
        let versions = |versions: Versions| {
            let version = |(version, regions)| ViewVersion { version, regions };
            versions.into_iter().map(version).collect()
        };
        for (contract, source) in contracts {
            let body = SourceBody::with_defaults(contract);
            self.sources.entry(body.contract.source.clone()).or_insert((body, source));
        }
        self.views = views.into_iter().map(|(view, of)| (view, versions(of))).collect();
        self.warnings.dedup();
    }

    fn plan(
        &self,
        fold: &str,
        activation: u32,
        contracts: &mut Vec<(Contract, Arc<Source>)>,
    ) -> Result<Arc<Plan>, String> {
        let missing = || "its definition has not arrived yet".to_owned();
        let (key, body) = self.folds.get(fold).ok_or_else(missing)?;
        let (_, reading) = self.readings.get(fold).ok_or_else(missing)?;
        let hash = build::plan_hash(*key, activation);
        if let Some(plan) = self.plans.get(&hash) {
            return Ok(plan.clone());
        }
        let source = self.contract(&body.contract, contracts)?;
        let plan = build::plan((*key, body), reading, activation, source);
        plan.map(Arc::new).map_err(|error| error.to_string())
    }

    /// The source of a contract. Plans of one contract share it; how its topic is made is as the
    /// newest definition of the source says.
    fn contract(
        &self,
        contract: &Contract,
        contracts: &mut Vec<(Contract, Arc<Source>)>,
    ) -> Result<Arc<Source>, String> {
        if let Some((_, source)) = contracts.iter().find(|(known, _)| known == contract) {
            return Ok(source.clone());
        }
        let source =
            match (self.sources.get(&contract.source), self.source_bodies.get(&contract.source)) {
                (Some((body, source)), _) if body.contract == *contract => source.clone(),
                (_, Some((_, body))) => {
                    made(SourceBody { contract: contract.clone(), ..body.clone() })?
                }
                (_, None) => made(SourceBody::with_defaults(contract.clone()))?,
            };
        contracts.push((contract.clone(), source.clone()));
        Ok(source)
    }

    fn build_readers(&mut self) {
        let services = self.service_bodies.iter();
        self.services = services
            .filter_map(|(name, (_, features))| Some((name.clone(), features.clone()?)))
            .collect();
        let bodies = self.on_demand_bodies.iter();
        let bodies = bodies.filter_map(|(name, (_, body))| Some((name.as_str(), body.as_ref()?)));
        let plans = |view: &str, version: u32| {
            let versions = self.views.get(view)?;
            let version = versions.iter().find(|v| v.version == version)?;
            version.regions.values().next().cloned()
        };
        let linked = link_all(&bodies.collect(), &plans);
        self.on_demand = linked
            .into_iter()
            .map(|(name, linked)| (name, linked.map_err(|error| error.message)))
            .collect();
        for (name, linked) in &self.on_demand {
            if let Err(error) = linked {
                self.warnings.push(format!("on-demand view `{name}`: {error}"));
            }
        }
    }
}

fn made(body: SourceBody) -> Result<Arc<Source>, String> {
    build::source(&body).map(Arc::new).map_err(|error| error.to_string())
}

fn newest<T>(
    map: &mut BTreeMap<String, Newest<T>>,
    name: String,
    order: (u64, EntryKey),
    value: T,
) {
    match map.get(&name) {
        Some((known, _)) if *known >= order => {}
        _ => {
            map.insert(name, (order, value));
        }
    }
}
