//! On-demand views and feature services: what refers to views.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_saphyr::Spanned;

use super::scalars::{Checker, parse_type};
use super::{Item, ViewDefinition};
use crate::definitions::{OnDemandBody, RequestField, SourceBody};
use crate::diagnostics::{Diagnostic, Place, Text};
use crate::on_demand::{LinkError, Part, link_all};
use crate::reference::Reference;
use crate::{build, yaml};

/// An on-demand view as the text defines it.
#[derive(Debug, Clone)]
pub(crate) struct OnDemandDefinition {
    pub(crate) name: String,
    pub(crate) place: Place,
    pub(crate) body: OnDemandBody,
    pub(crate) inputs: Vec<Place>,
}

/// A feature service as the text defines it.
#[derive(Debug, Clone)]
pub(crate) struct ServiceDefinition {
    pub(crate) name: String,
    pub(crate) place: Place,
    pub(crate) features: Vec<(Reference, Place)>,
}

type Written<'a> = Item<'a, yaml::OnDemand>;

pub(crate) fn on_demand(
    written: &[Written<'_>],
    views: &[ViewDefinition],
    errors: &mut Vec<Diagnostic>,
) -> Vec<OnDemandDefinition> {
    let mut checked: BTreeMap<&str, (&Written<'_>, OnDemandDefinition)> = BTreeMap::new();
    for item in written {
        let (text, name, view) = item;
        let mut checker = Checker { text: *text, errors };
        if let Some(definition) = definition(&mut checker, name, view, views) {
            checked.insert(&name.value, (item, definition));
        }
    }
    // Inputs that are not in these files may have been applied before: `changes` looks there.
    let plans = |name: &str, version: u32| {
        let view = views.iter().find(|v| v.fold.view == name && v.fold.version == version)?;
        let body = SourceBody::with_defaults(view.fold.contract.clone());
        let source = Arc::new(build::source(&body).ok()?);
        build::plan(([0; 16], &view.fold), &view.reading, 0, source).ok().map(Arc::new)
    };
    let bodies = checked.iter().map(|(name, (_, definition))| (*name, &definition.body)).collect();
    for (name, linked) in link_all(&bodies, &plans) {
        let Err(error) = linked else { continue };
        let Some(((text, at, view), _)) = checked.get(name.as_str()) else { continue };
        if !error.missing {
            errors.push(said(*text, at, view, &error));
        }
    }
    checked.into_values().map(|(_, definition)| definition).collect()
}

fn said(
    text: Text<'_>,
    name: &Spanned<String>,
    view: &yaml::OnDemand,
    error: &LinkError,
) -> Diagnostic {
    let place = match error.part {
        Part::Request(i) => {
            view.request.as_ref().and_then(|r| r.0.get(i)).map(|(at, _)| text.place(at))
        }
        Part::Input(i) => {
            view.inputs.as_ref().and_then(|r| r.value.get(i)).map(|at| text.place(at))
        }
        Part::Feature(i, offset) => {
            let feature = view.features.as_ref().and_then(|r| r.0.get(i));
            feature.map(|(_, at)| text.within(at, offset))
        }
    };
    Diagnostic::new(&place.unwrap_or_else(|| text.place(name)), &error.message)
}

fn definition(
    checker: &mut Checker<'_>,
    name: &Spanned<String>,
    view: &yaml::OnDemand,
    views: &[ViewDefinition],
) -> Option<OnDemandDefinition> {
    let named = checker.name(name);
    let mut request = Vec::new();
    for (field, kind) in view.request.iter().flat_map(|request| &request.0) {
        let fits = checker.name(field);
        let (kind, nullable) = checker.ok(kind, parse_type(&kind.value))?;
        fits.then_some(())?;
        request.push(RequestField { name: field.value.clone(), kind, nullable });
    }
    let mut inputs = Vec::new();
    let mut places = Vec::new();
    for at in view.inputs.iter().flat_map(|inputs| &inputs.value) {
        inputs.push(pinned(checker, at, views)?);
        places.push(checker.place(at));
    }
    let written = checker.required(name, view.features.as_ref(), "features")?;
    if written.0.is_empty() {
        checker.error(name, format!("`{}` has no features; write one", name.value));
        return None;
    }
    let mut features = Vec::new();
    for (feature, expr) in &written.0 {
        checker.name(feature).then_some(())?;
        features.push((feature.value.clone(), expr.value.trim().to_owned()));
    }
    named.then_some(())?;
    let body = OnDemandBody { request, inputs, features };
    Some(OnDemandDefinition {
        name: name.value.clone(),
        place: checker.place(name),
        body,
        inputs: places,
    })
}

/// An input with its version. One without is pinned to the version that these files define: a
/// model must not be fed another one later.
fn pinned(
    checker: &mut Checker<'_>,
    at: &Spanned<String>,
    views: &[ViewDefinition],
) -> Option<String> {
    let reference = at.value.parse::<Reference>().map_err(|error| error.to_string());
    let mut reference = checker.ok(at, reference)?;
    if reference.version.is_none() {
        let view = views.iter().find(|view| view.fold.view == reference.name);
        reference.version = view.map(|view| view.fold.version);
    }
    Some(reference.to_string())
}

pub(crate) fn service(
    checker: &mut Checker<'_>,
    name: &Spanned<String>,
    refs: &Spanned<Vec<Spanned<String>>>,
) -> Option<ServiceDefinition> {
    let named = checker.name(name);
    if refs.value.is_empty() {
        checker.error(refs, format!("`{}` reads nothing; list views or features", name.value));
        return None;
    }
    let mut features = Vec::with_capacity(refs.value.len());
    for at in &refs.value {
        let reference = at.value.parse::<Reference>().map_err(|error| error.to_string());
        features.push((checker.ok(at, reference)?, checker.place(at)));
    }
    named.then_some(())?;
    Some(ServiceDefinition { name: name.value.clone(), place: checker.place(name), features })
}
