//! Bodies to what the rest of Meridian works with: names resolved to indices, expressions checked.
//!
//! Bodies come out of a log, so nothing here trusts them.

use std::sync::Arc;

use expr::{Expr, Variable};
use lattice::{CellSpec, PlanHash, Type, Value};

use crate::check::variables;
use crate::coerce::coerce;
use crate::definitions::{
    CellBody, Contract, FieldRule, Fold, Folded, ReadFeature, ReadWindow, Reading, SourceBody,
    WidthBody, hash,
};
use crate::plan::{Cell, CellInput, Entity, Feature, Field, OnViolation, Plan, Source, Width};
use crate::windows;

/// A body that does not hold together; one line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct BuildError(pub(crate) String);

fn broken<T>(message: impl Into<String>) -> Result<T, BuildError> {
    Err(BuildError(message.into()))
}

/// A source as folds and topics need it.
pub(crate) fn source(body: &SourceBody) -> Result<Source, BuildError> {
    let contract = &body.contract;
    let variables = variables(contract);
    let event_time = field(contract, &contract.event_time)?;
    if contract.fields[event_time].kind != Type::Timestamp {
        return broken(format!("`{}` is no timestamp", contract.event_time));
    }
    let canonical = serde_json::to_vec(contract).map_err(|error| BuildError(error.to_string()))?;
    Ok(Source {
        name: contract.source.as_str().into(),
        topic: contract.topic.as_str().into(),
        contract: hash(&[&canonical]),
        format: contract.format,
        fields: contract.fields.iter().map(rule).collect::<Result<_, _>>()?,
        event_time,
        id: contract.id.as_ref().map(|id| field(contract, id)).transpose()?,
        id_events: contract.id_events,
        id_ms: contract.id_ms,
        disorder_ms: contract.disorder_ms,
        max_ahead_ms: contract.max_ahead_ms,
        skip: condition(contract.skip.as_ref(), &variables)?,
        partitions: body.partitions,
        retention_ms: body.retention_ms,
        retention_bytes: body.retention_bytes,
    })
}

fn field(contract: &Contract, name: &str) -> Result<usize, BuildError> {
    let found = contract.fields.iter().position(|field| field.name == name);
    found.ok_or_else(|| BuildError(format!("`{name}` is no field of `{}`", contract.source)))
}

fn rule(rule: &FieldRule) -> Result<Field, BuildError> {
    let one_of: Result<Vec<Value>, _> =
        rule.one_of.iter().map(|json| coerce(rule.kind, json)).collect();
    Ok(Field {
        name: rule.name.as_str().into(),
        kind: rule.kind,
        nullable: rule.nullable,
        range: rule.range,
        one_of: one_of.map_err(|error| BuildError(format!("`{}`: {error}", rule.name)))?,
        on_violation: match rule.violation_is_null {
            true => OnViolation::Null,
            false => OnViolation::DeadLetter,
        },
    })
}

fn condition(text: Option<&String>, variables: &[Variable]) -> Result<Option<Expr>, BuildError> {
    text.map(|text| boolean(text, variables)).transpose()
}

fn boolean(text: &str, variables: &[Variable]) -> Result<Expr, BuildError> {
    match Expr::check(text, variables) {
        Ok(expr) if expr.result() == Type::Bool => Ok(expr),
        Ok(_) => broken(format!("`{text}` is no condition")),
        Err(error) => broken(format!("`{text}`: {error}")),
    }
}

/// The hash of an activation of a fold.
pub(crate) fn plan_hash(fold: [u8; 16], activation: u32) -> PlanHash {
    PlanHash(hash(&[&fold, &activation.to_be_bytes()]))
}

/// An activation of a fold, read as `reading` says.
pub(crate) fn plan(
    (fold_hash, fold): ([u8; 16], &Fold),
    reading: &Reading,
    activation: u32,
    source: Arc<Source>,
) -> Result<Plan, BuildError> {
    let contract = &fold.contract;
    let variables = variables(contract);
    let keys: Result<Vec<usize>, _> =
        fold.join_keys.iter().map(|key| field(contract, key)).collect();
    let widths: Result<Vec<Width>, _> =
        fold.widths.iter().map(|body| width(body, reading, contract, &variables)).collect();
    let mut plan = Plan {
        hash: plan_hash(fold_hash, activation),
        view: fold.view.as_str().into(),
        version: fold.version,
        activation,
        source,
        entity: Entity {
            name: reading.entity.as_str().into(),
            join_keys: fold.join_keys.iter().map(|key| key.as_str().into()).collect(),
        },
        keys: keys?,
        filter: condition(fold.filter.as_ref(), &variables)?,
        history_ms: reading.history_ms,
        ttl_ms: reading.ttl_ms,
        widths: widths?,
        features: Vec::new(),
    };
    for read in &reading.features {
        for window in &read.windows {
            plan.features.push(feature(&plan, read, window)?);
        }
    }
    Ok(plan)
}

fn width(
    body: &WidthBody,
    reading: &Reading,
    contract: &Contract,
    variables: &[Variable],
) -> Result<Width, BuildError> {
    let cells: Result<Vec<Cell>, _> =
        body.cells.iter().map(|body| cell(body, reading, contract, variables)).collect();
    let cells = cells?;
    Ok(Width {
        width_s: body.width_s,
        retention_ms: body.retention_ms,
        specs: cells.iter().map(|cell| cell.spec).collect(),
        cells,
    })
}

fn cell(
    body: &CellBody,
    reading: &Reading,
    contract: &Contract,
    variables: &[Variable],
) -> Result<Cell, BuildError> {
    let read = reading.features.iter().find(|read| read.name == body.name);
    let (input, kind) = match &body.input {
        Folded::Event => (CellInput::Event, Type::Bool),
        Folded::Field(name) => {
            let index = field(contract, name)?;
            (CellInput::Field(index), contract.fields[index].kind)
        }
        Folded::Expr(text) => (CellInput::Expr(boolean(text, variables)?), Type::Bool),
    };
    let spec = CellSpec { kind: body.aggregate.kind(read.and_then(|read| read.q)), input: kind };
    if spec.output().is_none() {
        return broken(format!("`{}` cannot aggregate such an input", body.name));
    }
    let filter = condition(body.filter.as_ref(), variables)?;
    Ok(Cell { name: body.name.as_str().into(), spec, input, filter })
}

fn feature(plan: &Plan, read: &ReadFeature, window: &ReadWindow) -> Result<Feature, BuildError> {
    let missing = || BuildError(format!("`{}` over {} is not folded", read.name, window.window));
    let window_s = windows::parse(&window.window).map_err(BuildError)?;
    let index = plan.widths.iter().position(|w| w.width_s == window.width_s).ok_or_else(missing)?;
    let width = &plan.widths[index];
    let cell = width.cells.iter().position(|c| *c.name == *read.name).ok_or_else(missing)?;
    let window_ms = window_s.map(|s| i64::from(s) * 1000);
    let fits = match window_ms {
        None => width.width_s == 0,
        Some(ms) => width.width_s != 0 && ms.saturating_add(plan.history_ms) <= width.retention_ms,
    };
    let kind = width.specs[cell].output();
    let (Some(kind), true) = (kind, fits) else { return Err(missing()) };
    let empty = coerce(kind, &read.empty)
        .map_err(|error| BuildError(format!("`{}`: empty: {error}", read.name)))?;
    let name = feature_name(&read.name, &window.window);
    Ok(Feature { name: name.into(), window_ms, width: index, cell, kind, empty })
}

/// `delay_24h`; `all` adds nothing.
pub(crate) fn feature_name(name: &str, window: &str) -> String {
    match window {
        "all" => name.to_owned(),
        window => format!("{name}_{window}"),
    }
}
