//! What nodes answered, turned into columns in the order that was asked for.

use std::collections::{BTreeSet, HashMap};

use api::node::v1 as node;
use api::v1::{self, FeatureColumn, FeatureInfo, FieldStatus, MeshInfo};
use catalog::{Column, ColumnSource, Resolved};
use lattice::Value;

use crate::keys::{Place, Rows};
use crate::on_demand;
use crate::refusal::Refusal;
use crate::token;

/// One value with what is known of it.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    pub(crate) value: Value,
    pub(crate) status: FieldStatus,
    pub(crate) event_time_ms: i64,
    /// Why it is INVALID.
    pub(crate) reason: Option<String>,
}

impl Cell {
    fn absent() -> Self {
        Self { value: Value::Null, status: FieldStatus::NotFound, event_time_ms: 0, reason: None }
    }
}

/// A region's answer to a read.
#[derive(Clone, Debug)]
pub(crate) struct Answered {
    pub(crate) region: String,
    pub(crate) route: &'static str,
    pub(crate) response: node::ReadResponse,
}

/// Entity columns first, then features; and how the answer came about.
pub(crate) fn assemble(
    resolved: &Resolved,
    rows: &Rows,
    answered: Answered,
    (full_names, as_of_ms): (bool, Option<i64>),
) -> Result<v1::GetFeaturesResponse, Refusal> {
    check(rows, &answered)?;
    let mut out = v1::GetFeaturesResponse::default();
    for (key, values) in resolved.join_keys.iter().zip(&rows.keys) {
        out.feature_names.push(key.name.to_string());
        out.results.push(entity_column(values));
    }
    let first = out.results.len();
    let name = |column: &Column| if full_names { &column.full } else { &column.short }.to_string();
    out.feature_names.extend(resolved.columns.iter().map(name));
    out.results.resize_with(out.feature_names.len(), || FeatureColumn {
        values: Vec::with_capacity(rows.count),
        statuses: Vec::with_capacity(rows.count),
        event_timestamps_ms: Vec::with_capacity(rows.count),
    });
    let mut invalid = HashMap::new();
    for row in 0..rows.count {
        let computed = compute(resolved, rows, &answered.response, row);
        for (i, column) in resolved.columns.iter().enumerate() {
            let results = &mut out.results[first + i];
            if let ColumnSource::View { view, position } = column.source
                && let Some(entity) = entity(rows, &answered.response, view, row)
                && entity.invalid_reason.is_empty()
            {
                // Most columns are just that: passed on as they came.
                results.values.push(entity.values[position].clone());
                results.statuses.push(entity.statuses[position]);
                results.event_timestamps_ms.push(entity.event_time_ms);
                continue;
            }
            let cell = cell(column.source, rows, &answered.response, &computed, row);
            if let Some(reason) = cell.reason {
                invalid.insert(out.feature_names[first + i].clone(), reason);
            }
            results.values.push(cell.value.into());
            results.statuses.push(cell.status.into());
            results.event_timestamps_ms.push(cell.event_time_ms);
        }
    }
    let infos = infos(resolved, rows, &answered.response);
    let features = out.feature_names[first..].iter().cloned().zip(infos).collect();
    out.mesh = Some(MeshInfo { invalid, features, as_of_ms, ..mesh(answered) });
    Ok(out)
}

/// A node that answers something else than it was asked is as good as one that does not answer.
fn check(rows: &Rows, answered: &Answered) -> Result<(), Refusal> {
    let (asked, given) = (&rows.reads, &answered.response.views);
    let same = asked.len() == given.len()
        && asked.iter().zip(given).all(|(asked, given)| {
            let width = asked.features.len();
            asked.entities.len() == given.rows.len()
                && given.features.len() == width
                && given.rows.iter().all(|r| r.values.len() == width && r.statuses.len() == width)
        });
    let odd = || format!("{}: the answer does not fit the question", answered.region);
    if same { Ok(()) } else { Err(Refusal::Unavailable(odd())) }
}

fn entity_column(values: &[Value]) -> FeatureColumn {
    let status = |value: &Value| match value {
        Value::Null => FieldStatus::NullValue.into(),
        _ => FieldStatus::Present.into(),
    };
    FeatureColumn {
        values: values.iter().map(Into::into).collect(),
        statuses: values.iter().map(status).collect(),
        event_timestamps_ms: vec![0; values.len()],
    }
}

/// The features of every on-demand view in one row; a view's inputs come before it.
fn compute(
    resolved: &Resolved,
    rows: &Rows,
    response: &node::ReadResponse,
    row: usize,
) -> Vec<Vec<Cell>> {
    let mut computed: Vec<Vec<Cell>> = Vec::with_capacity(resolved.on_demand.len());
    for read in &resolved.on_demand {
        let next = on_demand::evaluate(read, |source| cell(source, rows, response, &computed, row));
        computed.push(next);
    }
    computed
}

/// What was answered for a row of a view; `None`: no entity can have its key.
fn entity<'a>(
    rows: &Rows,
    response: &'a node::ReadResponse,
    view: usize,
    row: usize,
) -> Option<&'a node::EntityValues> {
    let place = rows.places[view][row]?;
    Some(&response.views[place.read].rows[place.entity])
}

fn cell(
    source: ColumnSource,
    rows: &Rows,
    response: &node::ReadResponse,
    computed: &[Vec<Cell>],
    row: usize,
) -> Cell {
    match source {
        ColumnSource::View { view, position } => {
            let Some(entity) = entity(rows, response, view, row) else { return Cell::absent() };
            let status = FieldStatus::try_from(entity.statuses[position]).unwrap_or_default();
            let reason = (status == FieldStatus::Invalid).then(|| entity.invalid_reason.clone());
            Cell {
                value: (&entity.values[position]).into(),
                status,
                event_time_ms: entity.event_time_ms,
                reason,
            }
        }
        ColumnSource::OnDemand { view, position } => computed
            .get(view)
            .and_then(|cells| cells.get(position))
            .map_or_else(Cell::absent, Cell::clone),
        ColumnSource::Request { position } => Cell {
            value: rows.request[position][row].clone(),
            status: FieldStatus::Present,
            event_time_ms: 0,
            reason: None,
        },
    }
}

/// One per column.
fn infos(resolved: &Resolved, rows: &Rows, response: &node::ReadResponse) -> Vec<FeatureInfo> {
    let mut computed: Vec<Vec<FeatureInfo>> = Vec::new();
    let reads_of = |places: &Vec<Option<Place>>| -> BTreeSet<usize> {
        places.iter().flatten().map(|place| place.read).collect()
    };
    let reads: Vec<BTreeSet<usize>> = rows.places.iter().map(reads_of).collect();
    let info = |source: ColumnSource, computed: &[Vec<FeatureInfo>]| match source {
        ColumnSource::View { view, position } => on_demand::coarsest(
            reads[view].iter().map(|read| response.views[*read].features[position]),
        ),
        ColumnSource::OnDemand { view, position } => {
            computed.get(view).and_then(|infos| infos.get(position)).copied().unwrap_or_default()
        }
        ColumnSource::Request { .. } => FeatureInfo::default(),
    };
    for read in &resolved.on_demand {
        let inputs = |at: &usize| read.inputs.get(*at).copied().flatten();
        let feature = |(_, expr): &(_, expr::Expr)| {
            let sources = expr.reads().iter().filter_map(inputs);
            on_demand::coarsest(sources.map(|source| info(source, &computed)))
        };
        let next = read.features.iter().map(feature).collect();
        computed.push(next);
    }
    resolved.columns.iter().map(|column| info(column.source, &computed)).collect()
}

/// What every answer says of the mesh.
fn mesh(answered: Answered) -> MeshInfo {
    let response = answered.response;
    let covered = |info: &FeatureInfo| info.covered_from_ms.is_none();
    let views = &response.views;
    let complete = !response.origins.is_empty()
        && response.origins.values().all(|origin| origin.state == "ok")
        && views.iter().all(|view| !view.catching_up && view.features.iter().all(covered));
    MeshInfo {
        served_by: answered.region,
        route: answered.route.to_owned(),
        complete,
        origins: response.origins,
        token: token::encode(response.seen),
        ..MeshInfo::default()
    }
}
