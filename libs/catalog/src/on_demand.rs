//! On-demand views: their expressions, linked to the features and request fields that they read.

use std::collections::BTreeMap;
use std::sync::Arc;

use expr::{Expr, ExprError, Variable};
use lattice::Type;

use crate::definitions::{OnDemandBody, RequestField};
use crate::plan::Plan;
use crate::reference::Reference;

/// On-demand views may read each other this deep.
const MAX_DEPTH: usize = 16;

/// An on-demand view, ready to evaluate.
#[derive(Debug, Clone)]
pub struct OnDemand {
    /// Its name.
    pub name: Arc<str>,
    /// What the request must carry.
    pub request: Vec<RequestField>,
    /// Where the expressions' variables come from, in their order.
    pub variables: Vec<Origin>,
    /// What it computes.
    pub features: Vec<OnDemandFeature>,
}

/// A feature computed when it is read.
#[derive(Debug, Clone)]
pub struct OnDemandFeature {
    /// Its name.
    pub name: Arc<str>,
    /// Over [`OnDemand::variables`].
    pub expr: Expr,
}

/// Where a variable's value comes from.
#[derive(Debug, Clone)]
pub enum Origin {
    /// A feature of a view, by index into the plan's features.
    View(Arc<Plan>, usize),
    /// A feature of another on-demand view, by index.
    OnDemand(Arc<OnDemand>, usize),
    /// A field of the request, by index.
    Request(usize),
}

/// What part of an on-demand view is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Request(usize),
    Input(usize),
    /// The feature, and the byte in its expression.
    Feature(usize, Option<usize>),
}

/// Why an on-demand view cannot be linked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LinkError {
    pub(crate) part: Part,
    pub(crate) message: String,
    /// An input is unknown here; it may be known elsewhere.
    pub(crate) missing: bool,
}

/// Finds the plan of a view's version.
pub(crate) type Plans<'a> = &'a dyn Fn(&str, u32) -> Option<Arc<Plan>>;
type Linked = Result<Arc<OnDemand>, LinkError>;

/// Links on-demand views, each after its inputs.
pub(crate) fn link_all(
    bodies: &BTreeMap<&str, &OnDemandBody>,
    plans: Plans<'_>,
) -> BTreeMap<String, Linked> {
    let mut linker = Linker { bodies, plans, linked: BTreeMap::new(), open: Vec::new() };
    for name in bodies.keys() {
        linker.link(name);
    }
    linker.linked
}

struct Linker<'a> {
    bodies: &'a BTreeMap<&'a str, &'a OnDemandBody>,
    plans: Plans<'a>,
    linked: BTreeMap<String, Linked>,
    /// The views being linked, outermost first.
    open: Vec<String>,
}

impl Linker<'_> {
    fn link(&mut self, name: &str) -> Option<Linked> {
        if let Some(linked) = self.linked.get(name) {
            return Some(linked.clone());
        }
        let body = *self.bodies.get(name)?;
        self.open.push(name.to_owned());
        let linked = self.body(name, body);
        self.open.pop();
        self.linked.insert(name.to_owned(), linked.clone());
        Some(linked)
    }

    fn body(&mut self, name: &str, body: &OnDemandBody) -> Linked {
        let mut scope = Scope::default();
        for (i, field) in body.request.iter().enumerate() {
            scope.add(&field.name, field.kind, Origin::Request(i), Part::Request(i))?;
        }
        for (i, input) in body.inputs.iter().enumerate() {
            self.input(i, input, &mut scope)?;
        }
        let variables = scope.finish();
        let mut features = Vec::with_capacity(body.features.len());
        for (i, (feature, text)) in body.features.iter().enumerate() {
            let expr = Expr::check(text, &variables).map_err(|error| {
                let ExprError { message, offset } = error;
                LinkError { part: Part::Feature(i, offset), message, missing: false }
            })?;
            features.push(OnDemandFeature { name: feature.as_str().into(), expr });
        }
        let request = body.request.clone();
        Ok(Arc::new(OnDemand { name: name.into(), request, variables: scope.origins, features }))
    }

    fn input(&mut self, i: usize, input: &str, scope: &mut Scope) -> Result<(), LinkError> {
        let part = Part::Input(i);
        let refuse = |message| Err(LinkError { part, message, missing: false });
        let Ok(Reference { name, version, feature: None }) = input.parse() else {
            return refuse(format!("`{input}` is no input; name a view, without a feature"));
        };
        if let Some(version) = version {
            let Some(plan) = (self.plans)(&name, version) else {
                let message = format!("`{input}` is not an active view; apply it, or name another");
                return Err(LinkError { part, message, missing: true });
            };
            for (at, feature) in plan.features.iter().enumerate() {
                scope.add_of(
                    &name,
                    &feature.name,
                    feature.kind,
                    Origin::View(plan.clone(), at),
                    part,
                )?;
            }
            return Ok(());
        }
        if self.open.contains(&name) || self.open.len() > MAX_DEPTH {
            return refuse(format!(
                "on-demand views feed each other: {} -> {name}; break the circle",
                self.open.join(" -> ")
            ));
        }
        match self.link(&name) {
            Some(Ok(inner)) => {
                for (at, feature) in inner.features.iter().enumerate() {
                    let origin = Origin::OnDemand(inner.clone(), at);
                    scope.add_of(&name, &feature.name, feature.expr.result(), origin, part)?;
                }
                Ok(())
            }
            Some(Err(error)) => Err(LinkError {
                part,
                message: format!("`{name}` cannot be computed: {}", error.message),
                missing: error.missing,
            }),
            None => Err(LinkError {
                part,
                message: format!("`{name}` is unknown; name a view of the catalog"),
                missing: true,
            }),
        }
    }
}

/// Variables as they are gathered.
#[derive(Default)]
struct Scope {
    origins: Vec<Origin>,
    names: Vec<(String, Type)>,
    /// `view__feature` beside `feature`, for two inputs with a feature of one name.
    full: Vec<String>,
}

impl Scope {
    fn add(&mut self, name: &str, kind: Type, origin: Origin, part: Part) -> Result<(), LinkError> {
        self.add_named(name, name.to_owned(), kind, origin, part)
    }

    fn add_of(
        &mut self,
        view: &str,
        name: &str,
        kind: Type,
        origin: Origin,
        part: Part,
    ) -> Result<(), LinkError> {
        self.add_named(name, format!("{view}__{name}"), kind, origin, part)
    }

    fn add_named(
        &mut self,
        name: &str,
        full: String,
        kind: Type,
        origin: Origin,
        part: Part,
    ) -> Result<(), LinkError> {
        let taken =
            self.full.contains(&full)
                || self.names.iter().zip(&self.origins).any(|((other, _), origin)| {
                    other == name && matches!(origin, Origin::Request(_))
                });
        if taken {
            let message = format!(
                "`{name}` comes from two places; rename the request field or drop an input"
            );
            return Err(LinkError { part, message, missing: false });
        }
        self.names.push((name.to_owned(), kind));
        self.full.push(full);
        self.origins.push(origin);
        Ok(())
    }

    /// Short names where they are unambiguous, full names elsewhere.
    fn finish(&self) -> Vec<Variable> {
        let mut times: BTreeMap<&str, usize> = BTreeMap::new();
        for (name, _) in &self.names {
            *times.entry(name).or_default() += 1;
        }
        let short = |name: &str| times.get(name) == Some(&1);
        let named = self.names.iter().zip(&self.full);
        let variable = |((name, kind), full): (&(String, Type), &String)| Variable {
            name: if short(name) { name.as_str().into() } else { full.as_str().into() },
            kind: *kind,
            nullable: true,
        };
        named.map(variable).collect()
    }
}
