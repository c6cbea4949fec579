//! Feature views: their features, grouped into cells of pane widths.

use std::collections::{BTreeMap, HashSet};

use expr::Variable;
use lattice::Type;
use serde_saphyr::Spanned;

use super::aggregate;
use super::scalars::{Checker, type_name};
use super::source::variables;
use crate::aggregates::Feature;
use crate::build::feature_name;
use crate::coerce::coerce;
use crate::definitions::{
    CellBody, Contract, FOLD_SEMANTICS, Fold, ReadFeature, ReadWindow, Reading, SourceBody,
    WidthBody,
};
use crate::diagnostics::Place;
use crate::{windows, yaml};

const MAX_FEATURES: usize = 1_000;

/// A view as the text defines it.
#[derive(Debug, Clone)]
pub(crate) struct ViewDefinition {
    pub(crate) place: Place,
    /// Where the version is, or should be.
    pub(crate) version_place: Place,
    pub(crate) fold: Fold,
    pub(crate) reading: Reading,
}

/// What views refer to.
pub(crate) struct Known<'a> {
    pub(crate) entities: &'a BTreeMap<String, Option<Vec<String>>>,
    pub(crate) sources: &'a BTreeMap<String, Option<SourceBody>>,
}

/// What the features of one view share.
struct Scope<'a> {
    view: &'a yaml::View,
    contract: &'a Contract,
    variables: Vec<Variable>,
}

/// A feature's cell and how it is read.
struct Checked {
    cell: CellBody,
    read: ReadFeature,
}

pub(crate) fn view(
    checker: &mut Checker<'_>,
    name: &Spanned<String>,
    view: &yaml::View,
    known: &Known<'_>,
) -> Option<ViewDefinition> {
    let named = checker.name(name);
    let entity = checker.required(name, view.entity.as_ref(), "entity");
    let join_keys = entity.and_then(|at| find(checker, at, known.entities, "entity"));
    let source = checker.required(name, view.source.as_ref(), "source");
    let contract = source.and_then(|at| find(checker, at, known.sources, "source"));
    let (entity, join_keys, contract) = (entity?, join_keys?, &contract?.contract);
    key_fields(checker, name, join_keys, contract)?;
    let variables = variables(contract);
    let filter = match &view.filter {
        Some(filter) => Some(checker.condition(filter, &variables)?),
        None => None,
    };
    let version = match &view.version {
        Some(version) if version.value == 0 => {
            checker.error(version, "versions begin at 1");
            return None;
        }
        version => version.as_ref().map_or(1, |version| version.value),
    };
    let history_ms = checker.duration_ms(view.history.as_ref(), (0, 0))?;
    let ttl_ms = match &view.ttl {
        Some(ttl) => Some(checker.duration_ms(Some(ttl), (1, 1))?),
        None => None,
    };
    let scope = Scope { view, contract, variables };
    let features = features(checker, name, join_keys, &scope)?;
    named.then_some(())?;
    let place = checker.place(name);
    let version_place = view.version.as_ref().map_or_else(|| place.clone(), |v| checker.place(v));
    let fold = Fold {
        semantics: FOLD_SEMANTICS,
        view: name.value.clone(),
        version,
        contract: contract.clone(),
        join_keys: join_keys.clone(),
        filter,
        widths: widths(&features, history_ms),
    };
    let features = features.into_iter().map(|feature| feature.read).collect();
    let reading = Reading { entity: entity.value.clone(), history_ms, ttl_ms, features };
    Some(ViewDefinition { place, version_place, fold, reading })
}

/// What a name stands for. What is defined but wrong has been said already.
fn find<'k, T>(
    checker: &mut Checker<'_>,
    at: &Spanned<String>,
    known: &'k BTreeMap<String, Option<T>>,
    what: &str,
) -> Option<&'k T> {
    let Some(found) = known.get(&at.value) else {
        let names: Vec<_> = known.keys().map(String::as_str).collect();
        checker.error(
            at,
            format!("`{}` is no {what} of this catalog; it has {}", at.value, names.join(", ")),
        );
        return None;
    };
    found.as_ref()
}

fn key_fields(
    checker: &mut Checker<'_>,
    name: &Spanned<String>,
    join_keys: &[String],
    contract: &Contract,
) -> Option<()> {
    for key in join_keys {
        let field = contract.fields.iter().find(|field| field.name == *key);
        let Some(field) = field else {
            let message = format!("the join key `{key}` is no field of `{}`", contract.source);
            checker.error(name, message);
            return None;
        };
        if field.kind == Type::Double {
            checker.error(
                name,
                format!("the join key `{key}` is a double, which identifies nothing; use an int or a string"),
            );
            return None;
        }
    }
    Some(())
}

fn features(
    checker: &mut Checker<'_>,
    name: &Spanned<String>,
    join_keys: &[String],
    scope: &Scope<'_>,
) -> Option<Vec<Checked>> {
    let written = checker.required(name, scope.view.features.as_ref(), "features")?;
    if written.0.is_empty() || written.0.len() > MAX_FEATURES {
        checker.error(name, format!("`{}` needs 1 to {MAX_FEATURES} features", name.value));
        return None;
    }
    // The join keys are columns of an answer too.
    let mut names: HashSet<String> = join_keys.iter().cloned().collect();
    let mut checked = Vec::with_capacity(written.0.len());
    for (name, feature) in &written.0 {
        checked.push(self::feature(checker, name, feature, scope));
        let Some(Some(feature)) = checked.last() else { continue };
        for window in &feature.read.windows {
            let full = feature_name(&name.value, &window.window);
            if !names.insert(full.clone()) {
                checker.error(name, format!("`{full}` is the name of two columns; rename one"));
                return None;
            }
        }
    }
    checked.into_iter().collect()
}

fn feature(
    checker: &mut Checker<'_>,
    name: &Spanned<String>,
    feature: &Feature,
    scope: &Scope<'_>,
) -> Option<Checked> {
    let named = checker.name(name);
    let aggregate = aggregate::check(checker, name, feature, scope.contract, &scope.variables);
    let windows = self::windows(checker, name, feature, scope);
    let filter = match &feature.filter {
        Some(filter) => Some(checker.condition(filter, &scope.variables)?),
        None => None,
    };
    let aggregate = aggregate?;
    let kind = aggregate.spec().output()?;
    let empty = match &feature.empty {
        None if aggregate.counts() => 0.into(),
        None => serde_json::Value::Null,
        Some(at) => empty(checker, at, kind)?,
    };
    named.then_some(())?;
    Some(Checked {
        cell: CellBody {
            name: name.value.clone(),
            aggregate: aggregate.aggregate,
            input: aggregate.input,
            filter,
        },
        read: ReadFeature { name: name.value.clone(), q: aggregate.q, empty, windows: windows? },
    })
}

fn empty(
    checker: &mut Checker<'_>,
    at: &Spanned<Option<String>>,
    kind: Type,
) -> Option<serde_json::Value> {
    let Some(text) = &at.value else { return Some(serde_json::Value::Null) };
    let value = coerce(kind, &text.as_str().into());
    let value =
        checker.ok(at, value.map_err(|_| format!("`empty` must be a {} here", type_name(kind))))?;
    Some(match value {
        lattice::Value::Int(n) => n.into(),
        lattice::Value::Float(x) => x.into(),
        lattice::Value::Bool(b) => b.into(),
        _ => text.as_str().into(),
    })
}

/// The windows of a feature, its own or the view's: ascending, all of time last.
fn windows(
    checker: &mut Checker<'_>,
    name: &Spanned<String>,
    feature: &Feature,
    scope: &Scope<'_>,
) -> Option<Vec<ReadWindow>> {
    let list = feature.windows.as_ref().or(scope.view.windows.as_ref());
    let list = checker.required(name, list, "windows")?;
    if list.value.is_empty() {
        checker.error(list, format!("`{}` has no window; `all` is all of time", name.value));
        return None;
    }
    let wish = feature.resolution.as_ref().or(scope.view.resolution.as_ref());
    let wish_s = match wish {
        Some(at) => {
            let parsed = windows::parse(&at.value)
                .and_then(|s| s.ok_or("a resolution is a duration".into()));
            Some(checker.ok(at, parsed)?)
        }
        None => None,
    };
    let mut found: Vec<(u32, ReadWindow)> = Vec::new();
    for at in &list.value {
        let window_s = checker.ok(at, windows::parse(&at.value))?;
        let width_s = match window_s {
            None => 0,
            Some(s) => checker.ok(at, windows::width_s(&at.value, s, wish_s))?,
        };
        let order = window_s.unwrap_or(u32::MAX);
        if found.iter().any(|(earlier, _)| *earlier == order) {
            checker.error(at, format!("the window {} is listed twice", at.value));
            return None;
        }
        found.push((order, ReadWindow { window: at.value.clone(), width_s }));
    }
    found.sort_by_key(|(order, _)| *order);
    Some(found.into_iter().map(|(_, window)| window).collect())
}

/// Cells grouped by the width of their panes, ascending, all of time last.
fn widths(features: &[Checked], history_ms: i64) -> Vec<WidthBody> {
    let mut widths: BTreeMap<u32, WidthBody> = BTreeMap::new();
    for feature in features {
        for window in &feature.read.windows {
            // All of time comes last.
            let order = window.width_s.wrapping_sub(1);
            let new = WidthBody { width_s: window.width_s, retention_ms: 0, cells: Vec::new() };
            let width = widths.entry(order).or_insert(new);
            if let Ok(Some(window_s)) = windows::parse(&window.window) {
                let lives_ms = i64::from(window_s) * 1000 + history_ms;
                width.retention_ms = width.retention_ms.max(lives_ms);
            }
            if width.cells.last().is_none_or(|last| last.name != feature.cell.name) {
                width.cells.push(feature.cell.clone());
            }
        }
    }
    for width in widths.values_mut() {
        width.cells.sort_by(|a, b| a.name.cmp(&b.name));
    }
    widths.into_values().collect()
}
