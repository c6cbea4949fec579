//! Where panes of different origins meet: the cut of a window and the combination of what is in it.

use crate::cell::{CellSpec, Header};
use crate::codec::DecodeError;
use crate::key::Span;
use crate::origin::Origin;
use crate::value::Value;

/// A pane as a store lends it to a reader.
#[derive(Clone, Copy, Debug)]
pub struct PaneView<'a> {
    /// Its writer.
    pub origin: &'a Origin,
    /// Its stretch of event time.
    pub span: Span,
    /// 1 + the offset of the last event folded in.
    pub version: u64,
    /// Its content, as [`crate::cell::Cells`] encodes it.
    pub cells: &'a [u8],
}

/// The half-open stretch of event time that a window covers. A pane is in it if all of it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cut {
    /// Inclusive, ms; `i64::MIN` for an unwindowed feature.
    pub from_ms: i64,
    /// Exclusive, ms; `None`: no upper cut.
    pub until_ms: Option<i64>,
}

/// One value wanted: a cell, and the cut over which to combine it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Want {
    /// Index into the width's specs.
    pub cell: usize,
    /// The window.
    pub cut: Cut,
}

/// What [`combine`] found.
#[derive(Clone, PartialEq, Debug)]
pub struct Combined {
    /// One per want; [`Value::Null`] where no event is in the window (`count` and `distinct`: 0).
    pub values: Vec<Value>,
    /// Over all panes passed in, also those outside every window; `None` if there were none.
    pub seen: Option<Header>,
}

/// Combines panes of one plan, entity and width, of all origins, in one pass.
///
/// `panes` must come ordered by (origin, span); floats are added in that order, so every region
/// gets the same bits. All panes have cells of these `specs`.
pub fn combine<'a>(
    _specs: &[CellSpec],
    _wants: &[Want],
    _panes: &mut dyn Iterator<Item = PaneView<'a>>,
) -> Result<Combined, DecodeError> {
    unimplemented!()
}
