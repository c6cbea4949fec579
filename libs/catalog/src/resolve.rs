//! A request for features, turned into what to read and what to compute.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use expr::Expr;
use lattice::Type;

use crate::on_demand::{OnDemand, Origin};
use crate::plan::Plan;
use crate::reference::{Reference, ReferenceError};
use crate::registry::{Catalog, ViewVersion};

/// A request reads no more features than this.
const MAX_COLUMNS: usize = 10_000;

/// What is asked for: a service (which wins, as in Feast), or references.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// A feature service.
    pub service: Option<&'a str>,
    /// `view:feature`, `view@v2:feature`, `view` for all of its features; on-demand views alike.
    pub features: &'a [String],
    /// Whether columns will be called by their full names.
    pub full_names: bool,
}

/// What to read, and what to make of it.
#[derive(Debug, Clone, Default)]
pub struct Resolved {
    /// The join keys of all entities concerned, in order of first use.
    pub join_keys: Vec<JoinKey>,
    /// What on-demand views need from the request, in order of first use.
    pub request: Vec<Variable>,
    /// Reads of feature views.
    pub views: Vec<ViewRead>,
    /// On-demand views, each after those that it reads.
    pub on_demand: Vec<OnDemandRead>,
    /// What is answered, in the order of the request.
    pub columns: Vec<Column>,
}

/// A column that identifies an entity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinKey {
    /// Its name.
    pub name: Arc<str>,
    /// Its type.
    pub kind: Type,
}

/// A field that the request must carry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: Arc<str>,
    /// Its type.
    pub kind: Type,
    /// Whether it may be null or absent.
    pub nullable: bool,
}

/// A read of one version of a feature view.
#[derive(Debug, Clone)]
pub struct ViewRead {
    /// A plan of it; those of other regions differ in the activation alone.
    pub plan: Arc<Plan>,
    /// The entity's key: indices into [`Resolved::join_keys`], in the key's order.
    pub keys: Vec<usize>,
    /// Indices into the plan's features, in order of first use.
    pub features: Vec<usize>,
}

/// An on-demand view to compute.
#[derive(Debug, Clone)]
pub struct OnDemandRead {
    /// Its name.
    pub name: Arc<str>,
    /// Where the variables' values come from; `None`: not read, pass null.
    pub inputs: Vec<Option<ColumnSource>>,
    /// The expressions to evaluate over `inputs`, in order of first use.
    pub features: Vec<(Arc<str>, Expr)>,
}

/// A column of the answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// `delay_24h`.
    pub short: Arc<str>,
    /// `plane_delays__delay_24h`; `plane_delays@v2__delay_24h` where two versions are read.
    pub full: Arc<str>,
    /// Its type.
    pub kind: Type,
    /// Where its value comes from.
    pub source: ColumnSource,
}

/// Where a value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnSource {
    /// `views[view].features[position]`.
    View {
        /// Index into [`Resolved::views`].
        view: usize,
        /// Index into that read's features.
        position: usize,
    },
    /// `on_demand[view].features[position]`.
    OnDemand {
        /// Index into [`Resolved::on_demand`].
        view: usize,
        /// Index into that read's features.
        position: usize,
    },
    /// `request[position]`: inputs of on-demand views only.
    Request {
        /// Index into [`Resolved::request`].
        position: usize,
    },
}

/// A request that cannot be resolved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// Feast's FeatureServiceNotFoundException.
    #[error("feature service `{0}` does not exist; `meridian plan` lists what does")]
    ServiceNotFound(String),
    /// Feast's FeatureViewNotFoundException.
    #[error("feature view `{0}` does not exist or is not active; `meridian plan` lists what is")]
    ViewNotFound(String),
    /// A feature that its view does not have.
    #[error("`{view}` has no feature `{feature}`; it has {known}")]
    FeatureNotFound {
        /// The view as asked for.
        view: String,
        /// The feature.
        feature: String,
        /// Some that there are.
        known: String,
    },
    /// Feast's FeatureNameCollisionError.
    #[error("features of one name: {}; ask with full_feature_names", names.join(", "))]
    Collision {
        /// The names that occur twice.
        names: Vec<String>,
    },
    /// A reference that is none.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// An on-demand view whose inputs have gone.
    #[error("on-demand view `{name}` cannot be computed: {reason}")]
    Broken {
        /// The view.
        name: String,
        /// Why, in one line.
        reason: String,
    },
    /// Two views have a join key or a request field of one name and different types.
    #[error("`{0}` is wanted with two types; read the views apart")]
    Conflict(String),
    /// Neither a service nor a feature.
    #[error("nothing is asked for; name a feature service or features")]
    Nothing,
    /// More than a request may read.
    #[error("more than {MAX_COLUMNS} features; ask for fewer at a time")]
    TooMany,
}

/// Resolves a request. `covered` tells which versions have caught up: an unqualified view is the
/// newest of those, or the newest if none has.
pub fn resolve(
    catalog: &Catalog,
    ask: &Ask<'_>,
    covered: &dyn Fn(&str, u32) -> bool,
) -> Result<Resolved, ResolveError> {
    let listed: &[String] = match ask.service {
        Some(name) => {
            let missing = || ResolveError::ServiceNotFound(name.to_owned());
            catalog.services().get(name).ok_or_else(missing)?
        }
        None => ask.features,
    };
    let mut resolver =
        Resolver { catalog, covered, resolved: Resolved::default(), named: Vec::new() };
    for reference in listed {
        resolver.reference(&reference.parse()?)?;
    }
    let resolved = resolver.finish();
    if resolved.columns.is_empty() {
        return Err(ResolveError::Nothing);
    }
    distinct(&resolved, ask.full_names)?;
    Ok(resolved)
}

/// Columns must differ by name, from each other and from the join keys.
fn distinct(resolved: &Resolved, full_names: bool) -> Result<(), ResolveError> {
    let mut seen: BTreeSet<&str> = resolved.join_keys.iter().map(|key| &*key.name).collect();
    let names = resolved.columns.iter().map(|c| if full_names { &*c.full } else { &*c.short });
    let twice: BTreeSet<&str> = names.filter(|name| !seen.insert(name)).collect();
    if twice.is_empty() {
        return Ok(());
    }
    Err(ResolveError::Collision { names: twice.into_iter().map(str::to_owned).collect() })
}

struct Resolver<'a> {
    catalog: &'a Catalog,
    covered: &'a dyn Fn(&str, u32) -> bool,
    resolved: Resolved,
    /// Per column, the view's name, and its version if it has one.
    named: Vec<(Arc<str>, Option<u32>)>,
}

impl Resolver<'_> {
    fn reference(&mut self, reference: &Reference) -> Result<(), ResolveError> {
        if let Some(versions) = self.catalog.views().get(reference.name.as_str()) {
            let plan = self.version(reference, versions)?;
            let names = plan.features.iter().map(|feature| &feature.name);
            for index in wanted(reference, names)? {
                let feature = &plan.features[index];
                let source = self.read(&plan, index)?;
                self.column(&plan.view, Some(plan.version), &feature.name, feature.kind, source)?;
            }
            return Ok(());
        }
        let not_found = || ResolveError::ViewNotFound(reference.name.clone());
        let linked = self.catalog.on_demand().get(&reference.name).ok_or_else(not_found)?;
        let view = linked.as_ref().map_err(|reason| ResolveError::Broken {
            name: reference.name.clone(),
            reason: reason.clone(),
        })?;
        if reference.version.is_some() {
            return Err(ResolveError::ViewNotFound(reference.to_string()));
        }
        let names = view.features.iter().map(|feature| &feature.name);
        for index in wanted(reference, names)? {
            let feature = &view.features[index];
            let source = self.compute(view, index)?;
            self.column(&view.name, None, &feature.name, feature.expr.result(), source)?;
        }
        Ok(())
    }

    fn version(
        &self,
        reference: &Reference,
        versions: &[ViewVersion],
    ) -> Result<Arc<Plan>, ResolveError> {
        let found = match reference.version {
            Some(wanted) => versions.iter().find(|v| v.version == wanted),
            None => {
                let covered = |v: &&ViewVersion| (self.covered)(&reference.name, v.version);
                versions.iter().rev().find(covered).or_else(|| versions.last())
            }
        };
        let plan = found.and_then(|version| version.regions.values().next().cloned());
        plan.ok_or_else(|| ResolveError::ViewNotFound(reference.to_string()))
    }

    fn column(
        &mut self,
        view: &Arc<str>,
        version: Option<u32>,
        short: &Arc<str>,
        kind: Type,
        source: ColumnSource,
    ) -> Result<(), ResolveError> {
        if self.resolved.columns.len() == MAX_COLUMNS {
            return Err(ResolveError::TooMany);
        }
        self.named.push((view.clone(), version));
        self.resolved.columns.push(Column {
            short: short.clone(),
            full: short.clone(),
            kind,
            source,
        });
        Ok(())
    }

    /// A feature of a view among the reads.
    fn read(&mut self, plan: &Arc<Plan>, feature: usize) -> Result<ColumnSource, ResolveError> {
        let known = self.resolved.views.iter().position(|read| read.plan.hash == plan.hash);
        let view = match known {
            Some(view) => view,
            None => {
                let keys = plan.entity.join_keys.iter().zip(&plan.keys);
                let keys: Result<Vec<usize>, _> = keys
                    .map(|(name, at)| self.join_key(name, plan.source.fields[*at].kind))
                    .collect();
                let read = ViewRead { plan: plan.clone(), keys: keys?, features: Vec::new() };
                self.resolved.views.push(read);
                self.resolved.views.len() - 1
            }
        };
        let position = position_of(&mut self.resolved.views[view].features, feature);
        Ok(ColumnSource::View { view, position })
    }

    fn join_key(&mut self, name: &Arc<str>, kind: Type) -> Result<usize, ResolveError> {
        let keys = &mut self.resolved.join_keys;
        match keys.iter().position(|key| key.name == *name) {
            Some(at) if keys[at].kind == kind => Ok(at),
            Some(_) => Err(ResolveError::Conflict(name.to_string())),
            None => {
                keys.push(JoinKey { name: name.clone(), kind });
                Ok(keys.len() - 1)
            }
        }
    }

    /// A feature of an on-demand view among the computations, with what it reads.
    fn compute(
        &mut self,
        view: &Arc<OnDemand>,
        feature: usize,
    ) -> Result<ColumnSource, ResolveError> {
        let OnDemand { name, request, variables, features } = &**view;
        let feature = &features[feature];
        let mut inputs = Vec::new();
        for at in feature.expr.reads() {
            let source = match &variables[*at] {
                Origin::View(plan, index) => self.read(plan, *index)?,
                Origin::OnDemand(inner, index) => self.compute(inner, *index)?,
                Origin::Request(index) => {
                    let field = &request[*index];
                    let (name, kind) = (field.name.as_str().into(), field.kind);
                    self.request(Variable { name, kind, nullable: field.nullable })?
                }
            };
            inputs.push((*at, source));
        }
        // Its inputs have been added before it, so the order of the reads is that of evaluation.
        let reads = &mut self.resolved.on_demand;
        let view = match reads.iter().position(|read| read.name == *name) {
            Some(view) => view,
            None => {
                let inputs = vec![None; variables.len()];
                reads.push(OnDemandRead { name: name.clone(), inputs, features: Vec::new() });
                reads.len() - 1
            }
        };
        let read = &mut reads[view];
        for (at, source) in inputs {
            read.inputs[at] = Some(source);
        }
        let position = match read.features.iter().position(|(known, _)| *known == feature.name) {
            Some(position) => position,
            None => {
                read.features.push((feature.name.clone(), feature.expr.clone()));
                read.features.len() - 1
            }
        };
        Ok(ColumnSource::OnDemand { view, position })
    }

    fn request(&mut self, field: Variable) -> Result<ColumnSource, ResolveError> {
        let fields = &mut self.resolved.request;
        match fields.iter().position(|known| known.name == field.name) {
            Some(position) if fields[position].kind == field.kind => {
                fields[position].nullable &= field.nullable;
                Ok(ColumnSource::Request { position })
            }
            Some(_) => Err(ResolveError::Conflict(field.name.to_string())),
            None => {
                fields.push(field);
                Ok(ColumnSource::Request { position: fields.len() - 1 })
            }
        }
    }

    /// Gives the columns their full names.
    fn finish(mut self) -> Resolved {
        let mut versions: BTreeMap<&str, BTreeSet<u32>> = BTreeMap::new();
        for (view, version) in &self.named {
            versions.entry(view).or_default().extend(version);
        }
        for (column, (view, version)) in self.resolved.columns.iter_mut().zip(&self.named) {
            let several = versions.get(&**view).is_some_and(|versions| versions.len() > 1);
            column.full = match version {
                Some(version) if several => format!("{view}@v{version}__{}", column.short).into(),
                _ => format!("{view}__{}", column.short).into(),
            };
        }
        self.resolved
    }
}

/// The features that a reference means: one, or all of them.
fn wanted<'a>(
    reference: &Reference,
    names: impl Iterator<Item = &'a Arc<str>> + Clone,
) -> Result<Vec<usize>, ResolveError> {
    let Some(wanted) = &reference.feature else { return Ok((0..names.count()).collect()) };
    let found = names.clone().position(|name| **name == **wanted);
    found.map(|index| vec![index]).ok_or_else(|| ResolveError::FeatureNotFound {
        view: reference.name.clone(),
        feature: wanted.clone(),
        known: names.map(|name| &**name).take(12).collect::<Vec<_>>().join(", "),
    })
}

fn position_of(features: &mut Vec<usize>, feature: usize) -> usize {
    features.iter().position(|known| *known == feature).unwrap_or_else(|| {
        features.push(feature);
        features.len() - 1
    })
}
