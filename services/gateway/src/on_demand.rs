//! Features computed when they are read, from other features and the request.

use api::v1::FieldStatus;
use catalog::{ColumnSource, OnDemandRead};
use lattice::Value;

use crate::answer::Cell;

/// Evaluates every feature of an on-demand view over one row. `input` gives the row's cells.
///
/// An input that cannot be given truly makes a value that could not be either.
pub(crate) fn evaluate(read: &OnDemandRead, input: impl Fn(ColumnSource) -> Cell) -> Vec<Cell> {
    let inputs: Vec<Option<Cell>> = read.inputs.iter().map(|source| source.map(&input)).collect();
    let null = Value::Null;
    let values: Vec<_> = inputs
        .iter()
        .map(|cell| cell.as_ref().map_or(&null, |cell| &cell.value).as_input())
        .collect();
    let features = read.features.iter().map(|(_, expr)| {
        let read = expr.reads().iter().filter_map(|at| inputs.get(*at)?.as_ref());
        let event_time_ms = read.clone().map(|cell| cell.event_time_ms).max().unwrap_or(0);
        let invalid = read.clone().find(|cell| cell.status == FieldStatus::Invalid);
        if let Some(invalid) = invalid {
            return Cell { event_time_ms, ..invalid.clone() };
        }
        let value = expr.eval(&values);
        let status = if value.is_null() { FieldStatus::NullValue } else { FieldStatus::Present };
        Cell { value, status, event_time_ms, reason: None }
    });
    features.collect()
}
