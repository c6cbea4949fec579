//! What nodes answered, turned into columns in the order that was asked for.

use std::collections::HashMap;

use api::node::v1 as node;
use api::v1::{self, FeatureColumn, FeatureInfo, FieldStatus, MeshInfo};
use catalog::{Column, ColumnSource, Resolved};
use lattice::Value;

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
        let whole = |c: &node::Column| c.values.len() == count && c.statuses.len() == count;
        given.columns.len() == width
            && given.features.len() == width
            && given.event_times_ms.len() == count
            && given.columns.iter().all(whole)
    };
    asked.len() == answer.views.len() && asked.iter().zip(&answer.views).all(fits)
}

/// Entity columns first, then features; and how the answer came about.
pub(crate) fn assemble(
    resolved: &Resolved,
    rows: &Rows,
    answered: Answered,
    (full_names, as_of_ms): (bool, Option<i64>),
) -> v1::GetFeaturesResponse {
    let mut out = v1::GetFeaturesResponse::default();
    for (key, values) in resolved.join_keys.iter().zip(&rows.keys) {
        out.feature_names.push(key.name.to_string());
        out.results.push(entity_column(values));
    }
    let given = Given { rows, views: &answered.response.views, computed: Vec::new() };
    let given = given.compute(resolved);
    let infos = infos(resolved, &given);
    let (mut features, mut invalid) = (HashMap::new(), HashMap::new());
    for (column, info) in resolved.columns.iter().zip(infos) {
        let name = if full_names { &column.full } else { &column.short }.to_string();
        let (results, reason) = given.column(column);
        out.results.push(results);
        reason.into_iter().for_each(|reason| _ = invalid.insert(name.clone(), reason));
        features.insert(name.clone(), info);
        out.feature_names.push(name);
    }
    out.mesh = Some(MeshInfo { invalid, features, as_of_ms, ..mesh(answered) });
    out
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
struct Given<'a> {
    rows: &'a Rows,
    views: &'a [node::ViewValues],
    /// Per on-demand view and feature, its rows.
    computed: Vec<Vec<Vec<Cell>>>,
}

impl Given<'_> {
    /// The features of every on-demand view; a view's inputs come before it.
    fn compute(mut self, resolved: &Resolved) -> Self {
        for read in &resolved.on_demand {
            let mut columns = vec![Vec::with_capacity(self.rows.count); read.features.len()];
            for row in 0..self.rows.count {
                let cells = on_demand::evaluate(read, |source| self.cell(source, row));
                columns.iter_mut().zip(cells).for_each(|(column, cell)| column.push(cell));
            }
            self.computed.push(columns);
        }
        self
    }

    /// A column; and why some of it is INVALID, if it is.
    fn column(&self, column: &Column) -> (FeatureColumn, Option<String>) {
        // Most columns are just that: passed on as they came.
        if let ColumnSource::View { view, position } = column.source
            && let Places::Rows(read) = self.rows.places[view]
        {
            let (values, of) = (&self.views[read], &self.views[read].columns[position]);
            let is_invalid = of.statuses.contains(&FieldStatus::Invalid.into());
            let reason = Some(&of.invalid_reason).filter(|_| is_invalid);
            let passed = FeatureColumn {
                values: of.values.clone(),
                statuses: of.statuses.clone(),
                event_timestamps_ms: values.event_times_ms.clone(),
            };
            return (passed, reason.cloned());
        }
        let (mut made, mut invalid) = (FeatureColumn::default(), None);
        for row in 0..self.rows.count {
            let cell = self.cell(column.source, row);
            invalid = cell.reason.or(invalid);
            made.values.push(cell.value.into());
            made.statuses.push(cell.status.into());
            made.event_timestamps_ms.push(cell.event_time_ms);
        }
        (made, invalid)
    }

    fn cell(&self, source: ColumnSource, row: usize) -> Cell {
        match source {
            ColumnSource::View { view, position } => {
                let Some((read, entity)) = self.rows.places[view].of(row) else {
                    return Cell::absent();
                };
                let (values, column) = (&self.views[read], &self.views[read].columns[position]);
                let status = FieldStatus::try_from(column.statuses[entity]).unwrap_or_default();
                let invalid = status == FieldStatus::Invalid;
                Cell {
                    value: (&column.values[entity]).into(),
                    status,
                    event_time_ms: values.event_times_ms[entity],
                    reason: invalid.then(|| column.invalid_reason.clone()),
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
fn infos(resolved: &Resolved, given: &Given<'_>) -> Vec<FeatureInfo> {
    let mut computed: Vec<Vec<FeatureInfo>> = Vec::new();
    let info = |source: ColumnSource, computed: &[Vec<FeatureInfo>]| match source {
        ColumnSource::View { view, position } => {
            let read = given.rows.places[view].read();
            read.map_or_else(FeatureInfo::default, |read| given.views[read].features[position])
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
