//! What applying a catalog would change, as entries to append and as lines for people.

use std::collections::BTreeMap;

use bytes::Bytes;
use lattice::{CellSpec, Type};

use crate::check::{DEFAULT_SHARDS, Definitions, ViewDefinition, check_region};
use crate::definitions::{CellBody, Contract, Fold, Folded, Reading};
use crate::diagnostics::{Diagnostic, Place};
use crate::entries::{CatalogError, Entry, hex};
use crate::index::Index;
use crate::reference::Reference;
use crate::registry::Catalog;
use crate::resolve::{Ask, resolve};
use crate::windows;

/// The outcome of a comparison.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// Records to append to the catalog topic, in this order. Empty: nothing changes.
    pub entries: Vec<(Bytes, Bytes)>,
    /// What is said of each definition.
    pub lines: Vec<Line>,
    /// The topics that must be there, besides the catalog's own.
    pub topics: Vec<String>,
}

/// One definition, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// What happens to it.
    pub change: Change,
    /// `feature view`.
    pub kind: &'static str,
    /// `plane_delays@v1`.
    pub name: String,
    /// What there is to know about it, a line each.
    pub details: Vec<String>,
}

/// What happens to a definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It is new.
    Added,
    /// It is read or made differently; folded state stays.
    Changed,
    /// It is as it was.
    Unchanged,
    /// It is served, and is not in these files: only `retire` ends it.
    Kept,
}

/// Compares definitions with what is applied in these regions.
pub fn changes(
    definitions: &Definitions,
    catalog: &Catalog,
    regions: &[&str],
) -> Result<Changes, Vec<Diagnostic>> {
    let mut differ = Differ {
        index: catalog.index(),
        regions,
        // Bodies come before what refers to them, should an append be cut short.
        bodies: Vec::new(),
        activations: Vec::new(),
        lines: Vec::new(),
        topics: Vec::new(),
        errors: Vec::new(),
    };
    differ.mesh(definitions);
    differ.sources(definitions);
    definitions.views.iter().for_each(|view| differ.view(view));
    differ.kept(definitions);
    differ.readers(definitions);
    let (bodies, lines, topics) = (differ.bodies, differ.lines, differ.topics);
    let mut errors = differ.errors;
    let written: Result<Vec<_>, _> =
        bodies.iter().chain(&differ.activations).map(Entry::encode).collect();
    let entries = written.map_err(|error| vec![whole(definitions, &error)])?;
    if errors.is_empty() {
        errors = verify(definitions, catalog, &entries);
    }
    if errors.is_empty() { Ok(Changes { entries, lines, topics }) } else { Err(errors) }
}

/// An error of no particular place.
fn whole(definitions: &Definitions, error: &CatalogError) -> Diagnostic {
    Diagnostic::new(&anywhere(definitions), error.to_string())
}

fn anywhere(definitions: &Definitions) -> Place {
    let first = definitions.views.first().map(|view| view.place.clone());
    first.or_else(|| definitions.sources.first().map(|(place, _)| place.clone())).unwrap_or(Place {
        file: "catalog".into(),
        line: 1,
        column: 1,
        span: 0..0,
    })
}

/// Looks at the catalog as it will be: everything that is read must be there.
fn verify(
    definitions: &Definitions,
    catalog: &Catalog,
    entries: &[(Bytes, Bytes)],
) -> Vec<Diagnostic> {
    let mut trial = catalog.clone();
    for (key, value) in entries {
        if let Err(error) = trial.insert(key, value) {
            return vec![whole(definitions, &error)];
        }
    }
    let mut errors = Vec::new();
    for view in &definitions.on_demand {
        if let Some(Err(error)) = trial.on_demand().get(&view.name) {
            let place = view.inputs.first().unwrap_or(&view.place);
            errors.push(Diagnostic::new(place, error));
        }
    }
    if !errors.is_empty() {
        return errors;
    }
    for service in &definitions.services {
        for (reference, place) in &service.features {
            let features = [reference.to_string()];
            let ask = Ask { service: None, features: &features, full_names: true };
            if let Err(error) = resolve(&trial, &ask, &|_, _| true) {
                errors.push(Diagnostic::new(place, error.to_string()));
            }
        }
        let ask = Ask { service: Some(&service.name), features: &[], full_names: true };
        if errors.is_empty()
            && let Err(error) = resolve(&trial, &ask, &|_, _| true)
        {
            errors.push(Diagnostic::new(&service.place, error.to_string()));
        }
    }
    errors
}

struct Differ<'a> {
    index: &'a Index,
    regions: &'a [&'a str],
    bodies: Vec<Entry>,
    activations: Vec<Entry>,
    lines: Vec<Line>,
    topics: Vec<String>,
    errors: Vec<Diagnostic>,
}

impl Differ<'_> {
    fn line(&mut self, change: Change, kind: &'static str, name: String, details: Vec<String>) {
        self.lines.push(Line { change, kind, name, details });
    }

    fn mesh(&mut self, definitions: &Definitions) {
        for region in self.regions {
            if let Err(message) = check_region(region) {
                self.errors.push(Diagnostic::new(&anywhere(definitions), message));
            }
        }
        let project = definitions.project.as_ref();
        let Some((applied, shards)) = &self.index.mesh else {
            let shards = definitions.shards.as_ref().map_or(DEFAULT_SHARDS, |(shards, _)| *shards);
            let project = project.map(|(name, _)| name.clone());
            self.line(Change::Added, "mesh", format!("{shards} shards"), Vec::new());
            self.bodies.push(Entry::Mesh { project, shards });
            return;
        };
        if let Some((wanted, place)) = &definitions.shards
            && wanted != shards
        {
            let message =
                format!("the mesh has {shards} shards, which never change; write {shards}");
            self.errors.push(Diagnostic::new(place, message));
        }
        if let (Some((wanted, place)), Some(applied)) = (project, applied)
            && wanted != applied
        {
            let message =
                format!("this mesh is of project `{applied}`, not `{wanted}`; use another mesh");
            self.errors.push(Diagnostic::new(place, message));
        }
    }

    fn sources(&mut self, definitions: &Definitions) {
        for (place, body) in &definitions.sources {
            let name = &body.contract.source;
            let known = self.index.source_bodies.get(name);
            let details = vec![format!(
                "topic {} with {} partitions, kept {}; deltas in mesh-deltas-{name}",
                body.contract.topic,
                body.partitions,
                clock::format_duration(body.retention_ms)
            )];
            self.topics.extend([body.contract.topic.clone(), format!("mesh-deltas-{name}")]);
            let change = match known {
                Some((_, known)) if known == body => Change::Unchanged,
                Some((_, known)) if known.contract.topic != body.contract.topic => {
                    let message = format!(
                        "source `{name}` reads topic {}; another topic is another source, so name it anew",
                        known.contract.topic
                    );
                    self.errors.push(Diagnostic::new(place, message));
                    continue;
                }
                Some((_, known)) if known.partitions > body.partitions => {
                    let message = format!(
                        "source `{name}` has {} partitions, and partitions are never taken away",
                        known.partitions
                    );
                    self.errors.push(Diagnostic::new(place, message));
                    continue;
                }
                Some(_) => Change::Changed,
                None => Change::Added,
            };
            if change != Change::Unchanged {
                let seq = known.map_or(0, |((seq, _), _)| seq + 1);
                self.bodies.push(Entry::Source { seq, source: body.clone() });
            }
            self.line(change, "source", name.clone(), details);
        }
    }

    fn view(&mut self, view: &ViewDefinition) {
        let (name, version) = (&view.fold.view, view.fold.version);
        let body = Entry::Fold { fold: view.fold.clone() };
        let hash = match body.encode() {
            Ok((key, _)) => hex(&key),
            Err(error) => {
                self.errors.push(Diagnostic::new(&view.place, error.to_string()));
                return;
            }
        };
        let seated: BTreeMap<_, _> = self
            .index
            .activations
            .keys()
            .filter(|(_, v, n)| v == name && *n == version)
            .filter_map(|key| Some((key.0.as_str(), self.index.seated(key)?)))
            .collect();
        if let Some((_, other)) = seated.values().find(|(_, fold)| **fold != *hash) {
            self.refuse_change(view, other);
            return;
        }
        // Regions share a number where they can; one that has retired it needs a higher one.
        let shared = match seated.values().map(|(activation, _)| *activation).max() {
            Some(activation) => activation,
            None => self.index.next_activation(name, version, None),
        };
        let new: Vec<&str> =
            self.regions.iter().copied().filter(|region| !seated.contains_key(region)).collect();
        let known = self.index.readings.get(&hash);
        let change = match known {
            Some((_, reading)) if *reading == view.reading && new.is_empty() => Change::Unchanged,
            _ if seated.is_empty() => Change::Added,
            _ => Change::Changed,
        };
        if !self.index.folds.contains_key(&hash) {
            self.bodies.push(body);
        }
        if known.is_none_or(|(_, reading)| *reading != view.reading) {
            let seq = known.map_or(0, |((seq, _), _)| seq + 1);
            let (fold, reading) = (hash.clone(), view.reading.clone());
            self.bodies.push(Entry::Reading { fold, seq, reading });
        }
        for region in new {
            let activation = shared.max(self.index.next_activation(name, version, Some(region)));
            self.activations.push(Entry::Activate {
                region: region.to_owned(),
                view: name.clone(),
                version,
                fold: hash.clone(),
                activation,
            });
        }
        let details = details(&view.fold, &view.reading);
        self.line(change, "feature view", format!("{name}@v{version}"), details);
    }

    fn refuse_change(&mut self, view: &ViewDefinition, applied: &str) {
        let (name, version) = (&view.fold.view, view.fold.version);
        let what = match self.index.folds.get(applied) {
            Some((_, known)) => difference(known, &view.fold),
            None => "its definition".to_owned(),
        };
        let taken = self.index.activations.keys().filter(|(_, v, _)| v == name).map(|(_, _, n)| *n);
        let next = taken.max().unwrap_or(version).max(version).saturating_add(1);
        let message = format!(
            "{name}@v{version} is applied and would fold differently ({what}); write `version: {next}`"
        );
        self.errors.push(Diagnostic::new(&view.version_place, message));
    }

    fn kept(&mut self, definitions: &Definitions) {
        for (name, versions) in &self.index.views {
            for version in versions {
                let defined = |view: &ViewDefinition| {
                    *view.fold.view == **name && view.fold.version == version.version
                };
                if !definitions.views.iter().any(defined) {
                    let name = format!("{name}@v{}", version.version);
                    let details = vec![format!("served until `meridian retire {name}`")];
                    self.line(Change::Kept, "feature view", name, details);
                }
            }
        }
    }

    fn readers(&mut self, definitions: &Definitions) {
        for view in &definitions.on_demand {
            let known = self.index.on_demand_bodies.get(&view.name);
            let change = match known {
                Some((_, Some(body))) if *body == view.body => Change::Unchanged,
                Some((_, Some(_))) => Change::Changed,
                _ => Change::Added,
            };
            if change != Change::Unchanged {
                let seq = known.map_or(0, |((seq, _), _)| seq + 1);
                let (name, body) = (view.name.clone(), Some(view.body.clone()));
                self.bodies.push(Entry::OnDemand { name, seq, view: body });
            }
            let details = vec![format!("reads {}", view.body.inputs.join(", "))];
            self.line(change, "on-demand view", view.name.clone(), details);
        }
        for service in &definitions.services {
            let features: Vec<_> = service.features.iter().map(|(r, _)| r.to_string()).collect();
            let known = self.index.service_bodies.get(&service.name);
            let change = match known {
                Some((_, Some(known))) if *known == features => Change::Unchanged,
                Some((_, Some(_))) => Change::Changed,
                _ => Change::Added,
            };
            let details = vec![format!("reads {}", features.join(", "))];
            if change != Change::Unchanged {
                let seq = known.map_or(0, |((seq, _), _)| seq + 1);
                let name = service.name.clone();
                self.bodies.push(Entry::Service { name, seq, features: Some(features) });
            }
            self.line(change, "feature service", service.name.clone(), details);
        }
    }
}

/// Which parts of two folds differ, in the words of the YAML.
fn difference(a: &Fold, b: &Fold) -> String {
    let parts = [
        (a.semantics != b.semantics, "this build's fold"),
        (a.contract != b.contract, "the source"),
        (a.join_keys != b.join_keys, "the join keys"),
        (a.filter != b.filter, "where"),
        (a.widths != b.widths, "features, windows or history"),
    ];
    let differ: Vec<_> =
        parts.into_iter().filter(|(differs, _)| *differs).map(|(_, p)| p).collect();
    differ.join(", ")
}

fn details(fold: &Fold, reading: &Reading) -> Vec<String> {
    let mut cut: BTreeMap<u32, String> = BTreeMap::new();
    for window in reading.features.iter().flat_map(|feature| &feature.windows) {
        if let Ok(Some(s)) = windows::parse(&window.window) {
            cut.entry(s).or_insert_with(|| {
                format!("{} in panes of {}", window.window, windows::seconds(window.width_s))
            });
        }
    }
    let features: usize = reading.features.iter().map(|feature| feature.windows.len()).sum();
    let windows: Vec<_> = cut.into_values().collect();
    vec![
        format!("{features} features of {}, by {}", reading.entity, fold.join_keys.join(", ")),
        format!(
            "windows: {}",
            if windows.is_empty() { "all of time".into() } else { windows.join(", ") }
        ),
        format!("up to {} per entity and partition", size(bytes_per_entity(fold))),
    ]
}

/// What a store keeps of a pane beside its cells, in bytes.
const PANE_BYTES: u64 = 48;

/// What the panes of one busy entity take, in bytes, per origin.
fn bytes_per_entity(fold: &Fold) -> u64 {
    let width = |width: &crate::definitions::WidthBody| {
        let panes = match width.width_s {
            0 => 1,
            s => width.retention_ms.max(0) as u64 / (u64::from(s) * 1000) + 1,
        };
        let cells: usize =
            width.cells.iter().map(|c| spec(&fold.contract, c).typical_bytes()).sum();
        panes.saturating_mul(cells as u64 + PANE_BYTES)
    };
    fold.widths.iter().map(width).sum()
}

fn spec(contract: &Contract, cell: &CellBody) -> CellSpec {
    let input = match &cell.input {
        Folded::Field(name) => {
            let field = contract.fields.iter().find(|field| field.name == *name);
            field.map_or(Type::Bool, |field| field.kind)
        }
        Folded::Event | Folded::Expr(_) => Type::Bool,
    };
    CellSpec { kind: cell.aggregate.kind(None), input }
}

fn size(bytes: u64) -> String {
    match bytes {
        0..10_000 => format!("{bytes} bytes"),
        10_000..10_000_000 => format!("{} kB", bytes / 1_000),
        _ => format!("{} MB", bytes / 1_000_000),
    }
}

/// Why something cannot be retired.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RetireError {
    /// Nothing of this name is active there.
    #[error("`{0}` is not active in these regions; `meridian plan` lists what is")]
    NotActive(String),
    /// Several versions are.
    #[error("`{name}` has versions {versions}; name one: {name}@vN")]
    Which {
        /// The view.
        name: String,
        /// Its active versions.
        versions: String,
    },
    /// Somebody reads it.
    #[error("`{name}` is read by {reader} ({reason}); change that first")]
    InUse {
        /// What was to be retired.
        name: String,
        /// An on-demand view or a service.
        reader: String,
        /// What would fail.
        reason: String,
    },
    /// The entry could not be written.
    #[error(transparent)]
    Entry(#[from] CatalogError),
}

/// The entries that retire a version of a view in these regions (everywhere if there are none
/// given), or a service or an on-demand view.
pub fn retire(
    catalog: &Catalog,
    reference: &Reference,
    regions: &[&str],
) -> Result<Vec<(Bytes, Bytes)>, RetireError> {
    let entries = match reader(catalog.index(), &reference.name) {
        Some(entry) => vec![entry],
        None => seats(catalog, reference, regions)?,
    };
    let entries: Vec<_> = entries.iter().map(Entry::encode).collect::<Result<_, _>>()?;
    let mut trial = catalog.clone();
    for (key, value) in &entries {
        trial.insert(key, value)?;
    }
    in_use(catalog, &trial, reference)?;
    Ok(entries)
}

/// The end of a service or of an on-demand view.
fn reader(index: &Index, name: &str) -> Option<Entry> {
    let owned = name.to_owned();
    if let Some(((seq, _), Some(_))) = index.service_bodies.get(name) {
        return Some(Entry::Service { name: owned, seq: seq + 1, features: None });
    }
    let ((seq, _), body) = index.on_demand_bodies.get(name)?;
    body.as_ref().map(|_| Entry::OnDemand { name: owned, seq: seq + 1, view: None })
}

fn seats(
    catalog: &Catalog,
    reference: &Reference,
    regions: &[&str],
) -> Result<Vec<Entry>, RetireError> {
    let not_active = || RetireError::NotActive(reference.to_string());
    let versions = catalog.views().get(reference.name.as_str()).ok_or_else(not_active)?;
    let wanted = |v: &&crate::ViewVersion| reference.version.is_none_or(|n| n == v.version);
    let mut found = versions.iter().filter(wanted);
    let version = found.next().ok_or_else(not_active)?;
    if found.next().is_some() {
        let versions: Vec<_> = versions.iter().map(|v| format!("v{}", v.version)).collect();
        let (name, versions) = (reference.name.clone(), versions.join(", "));
        return Err(RetireError::Which { name, versions });
    }
    let here = version.regions.iter();
    let here = here.filter(|(region, _)| regions.is_empty() || regions.contains(&region.as_ref()));
    let entries: Vec<_> = here
        .map(|(region, plan)| Entry::Retire {
            region: region.to_string(),
            view: reference.name.clone(),
            version: version.version,
            activation: plan.activation,
        })
        .collect();
    if entries.is_empty() { Err(not_active()) } else { Ok(entries) }
}

/// Whoever could be read before must be readable after.
fn in_use(before: &Catalog, after: &Catalog, reference: &Reference) -> Result<(), RetireError> {
    let in_use = |reader: String, reason: String| {
        Err(RetireError::InUse { name: reference.to_string(), reader, reason })
    };
    for (name, linked) in after.on_demand() {
        if let (Err(reason), Some(Ok(_))) = (linked, before.on_demand().get(name)) {
            return in_use(format!("on-demand view `{name}`"), reason.clone());
        }
    }
    for name in after.services().keys() {
        let ask = Ask { service: Some(name), features: &[], full_names: true };
        let readable = |catalog| resolve(catalog, &ask, &|_, _| true);
        if let (Ok(_), Err(error)) = (readable(before), readable(after)) {
            return in_use(format!("service `{name}`"), error.to_string());
        }
    }
    Ok(())
}
