//! One event into the panes of one plan.

use catalog::{Cell, CellInput};
use lattice::cell::Cells;
use lattice::{DecodeError, Input, Span, Stamp};

use crate::panes::PaneTable;
use crate::{Panes, PlanStart};

/// A valid event, and where it stands.
pub(crate) struct At<'e> {
    pub(crate) stamp: Stamp,
    pub(crate) values: &'e [Input<'e>],
    pub(crate) shards: u32,
}

/// Folds the event, and says for how many panes it came too late. On an error the panes that could
/// be read have it.
pub(crate) fn fold(
    start: &PlanStart,
    table: &mut PaneTable,
    at: &At<'_>,
    panes: &dyn Panes,
) -> Result<u64, DecodeError> {
    let plan = &*start.plan;
    if plan.filter.as_ref().is_some_and(|filter| !filter.holds(at.values)) {
        return Ok(0);
    }
    let join_keys = plan.keys.iter().map(|field| value_of(at, *field));
    let Some(entity) = table.entity(join_keys, at.shards) else { return Ok(0) };
    let floor = start.floors.get(entity.shard as usize).copied().unwrap_or(0);
    if at.stamp.offset < floor {
        return Ok(0);
    }
    let mut late = 0;
    let mut unreadable = Ok(());
    for (index, width) in plan.widths.iter().enumerate() {
        let span = Span::holding(at.stamp.event_time_ms, width.width_s);
        if span.expired(width.retention_ms, start.watermark_ms) {
            late += 1;
            continue;
        }
        match table.change(entity, (index, span), at.stamp.offset, panes) {
            Ok(Some(cells)) => fold_cells(&width.cells, cells, at),
            Ok(None) => {}
            Err(e) => unreadable = Err(e),
        }
    }
    unreadable.map(|()| late)
}

fn fold_cells(definitions: &[Cell], cells: &mut Cells, at: &At<'_>) {
    cells.count(at.stamp);
    for (index, cell) in definitions.iter().enumerate() {
        if cell.filter.as_ref().is_some_and(|filter| !filter.holds(at.values)) {
            continue;
        }
        match &cell.input {
            CellInput::Event => cells.fold(index, Input::Bool(true), at.stamp),
            CellInput::Field(field) => {
                cells.fold(index, value_of(at, *field), at.stamp);
            }
            CellInput::Expr(expr) => {
                let value = expr.eval(at.values);
                cells.fold(index, value.as_input(), at.stamp);
            }
        }
    }
}

fn value_of<'e>(at: &At<'e>, field: usize) -> Input<'e> {
    at.values.get(field).copied().unwrap_or(Input::Null)
}
