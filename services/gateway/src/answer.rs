//! What nodes answered, turned into columns in the order that was asked for.

use std::collections::HashMap;

use api::GetFeaturesResponse;
use api::node::v1 as node;
use api::v1::{FeatureColumn, FeatureInfo, FieldStatus, MeshInfo};
use bytes::Bytes;
use catalog::{Column, ColumnSource, Resolved};
use lattice::Value;
use prost::{DecodeError, Message};

use crate::keys::{Places, Rows};
use crate::on_demand;
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

    fn of_request(value: Value) -> Self {
        Self { value, status: FieldStatus::Present, event_time_ms: 0, reason: None }
    }
}

/// A region's answer to a read, which fits it.
#[derive(Clone, Debug)]
pub(crate) struct Answered {
    pub(crate) region: String,
    pub(crate) route: &'static str,
    pub(crate) response: node::ReadResponse,
}

/// Whether this can be an answer to that: a node that answers something else than it was asked is as
/// good as one that does not answer.
pub(crate) fn fits(asked: &[node::ViewRead], answer: &node::ReadResponse) -> bool {
    let fits = |(asked, given): (&node::ViewRead, &node::ViewValues)| {
        let (width, count) = (asked.features.len(), asked.entities.len());
        given.columns.len() == width
            && given.invalid_reasons.len() == width
            && given.features.len() == width
            && given.columns.iter().all(|column| FeatureColumn::rows(column) == Some(count))
    };
    asked.len() == answer.views.len() && asked.iter().zip(&answer.views).all(fits)
}

/// Entity columns first, then features; and how the answer came about.
///
/// # Errors
/// A value is none.
pub(crate) fn assemble(
    resolved: &Resolved,
    rows: &Rows,
    answered: Answered,
    (full_names, as_of_ms): (bool, Option<i64>),
) -> Result<GetFeaturesResponse, DecodeError> {
    let mut out = GetFeaturesResponse::default();
    for (key, values) in resolved.join_keys.iter().zip(&rows.keys) {
        out.feature_names.push(key.name.to_string());
        out.results.push(entity_column(values).encoded());
    }
    let found = Found::new(resolved, rows, &answered.response.views)?;
    let infos = infos(resolved, &found);
    let (mut features, mut invalid) = (HashMap::new(), HashMap::new());
    for (column, info) in resolved.columns.iter().zip(infos) {
        let name = if full_names { &column.full } else { &column.short }.to_string();
        let (results, reason) = found.column(column);
        out.results.push(results);
        reason.into_iter().for_each(|reason| _ = invalid.insert(name.clone(), reason));
        features.insert(name.clone(), info);
        out.feature_names.push(name);
    }
    out.mesh = Some(MeshInfo { invalid, features, as_of_ms, ..mesh(answered) });
    Ok(out)
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

/// What there is to make columns of.
struct Found<'a> {
    rows: &'a Rows,
    views: &'a [node::ViewValues],
    /// Of the views whose columns are not just passed on, these.
    decoded: Vec<Vec<FeatureColumn>>,
    /// Per on-demand view and feature, its rows.
    computed: Vec<Vec<Vec<Cell>>>,
}

impl<'a> Found<'a> {
    fn new(
        resolved: &Resolved,
        rows: &'a Rows,
        views: &'a [node::ViewValues],
    ) -> Result<Self, DecodeError> {
        let mut found =
            Self { rows, views, decoded: vec![Vec::new(); views.len()], computed: Vec::new() };
        let passed_on =
            |place: &&Places| matches!(place, Places::Rows(_)) && resolved.on_demand.is_empty();
        let looked_into = rows.places.iter().filter(|place| !passed_on(place));
        for read in looked_into.filter_map(Places::read) {
            let columns = views[read].columns.iter().cloned();
            found.decoded[read] = columns.map(FeatureColumn::decode).collect::<Result<_, _>>()?;
        }
        found.compute(resolved);
        Ok(found)
    }

    /// The features of every on-demand view; a view's inputs come before it.
    fn compute(&mut self, resolved: &Resolved) {
        for read in &resolved.on_demand {
            let mut columns = vec![Vec::with_capacity(self.rows.count); read.features.len()];
            for row in 0..self.rows.count {
                let cells = on_demand::evaluate(read, |source| self.cell(source, row));
                columns.iter_mut().zip(cells).for_each(|(column, cell)| column.push(cell));
            }
            self.computed.push(columns);
        }
    }

    /// A column; and why some of it is INVALID, if it is.
    fn column(&self, column: &Column) -> (Bytes, Option<String>) {
        // Most columns are just that: passed on as they came.
        if let ColumnSource::View { view, position } = column.source
            && let Places::Rows(read) = self.rows.places[view]
        {
            let view = &self.views[read];
            let reason = Some(&view.invalid_reasons[position]).filter(|reason| !reason.is_empty());
            return (view.columns[position].clone(), reason.cloned());
        }
        let (mut made, mut invalid) = (FeatureColumn::default(), None);
        for row in 0..self.rows.count {
            let cell = self.cell(column.source, row);
            invalid = cell.reason.or(invalid);
            made.values.push(cell.value.into());
            made.statuses.push(cell.status.into());
            made.event_timestamps_ms.push(cell.event_time_ms);
        }
        (made.encoded(), invalid)
    }

    fn cell(&self, source: ColumnSource, row: usize) -> Cell {
        match source {
            ColumnSource::View { view, position } => {
                let Some((read, entity)) = self.rows.places[view].of(row) else {
                    return Cell::absent();
                };
                let column = &self.decoded[read][position];
                let status = FieldStatus::try_from(column.statuses[entity]).unwrap_or_default();
                let invalid = status == FieldStatus::Invalid;
                Cell {
                    value: (&column.values[entity]).into(),
                    status,
                    event_time_ms: column.event_timestamps_ms[entity],
                    reason: invalid.then(|| self.views[read].invalid_reasons[position].clone()),
                }
            }
            ColumnSource::OnDemand { view, position } => {
                let column = self.computed.get(view).and_then(|columns| columns.get(position));
                column.and_then(|cells| cells.get(row)).map_or_else(Cell::absent, Cell::clone)
            }
            ColumnSource::Request { position } => {
                Cell::of_request(self.rows.request[position][row].clone())
            }
        }
    }
}

/// One per column.
fn infos(resolved: &Resolved, found: &Found<'_>) -> Vec<FeatureInfo> {
    let mut computed: Vec<Vec<FeatureInfo>> = Vec::new();
    let info = |source: ColumnSource, computed: &[Vec<FeatureInfo>]| match source {
        ColumnSource::View { view, position } => {
            let read = found.rows.places[view].read();
            read.map_or_else(FeatureInfo::default, |read| found.views[read].features[position])
        }
        ColumnSource::OnDemand { view, position } => {
            computed.get(view).and_then(|infos| infos.get(position)).copied().unwrap_or_default()
        }
        ColumnSource::Request { .. } => FeatureInfo::default(),
    };
    for read in &resolved.on_demand {
        let inputs = |at: &usize| read.inputs.get(*at).copied().flatten();
        let feature = |(_, expr): &(_, expr::Expr)| {
            let sources = expr.reads().iter().filter_map(inputs);
            let infos = sources.map(|source| info(source, &computed));
            infos.reduce(FeatureInfo::coarser).unwrap_or_default()
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
