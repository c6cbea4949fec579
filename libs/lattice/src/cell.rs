//! A cell is the state of one aggregate in one pane. Each aggregate is one file here and one line
//! in the registry; nothing else in Meridian knows which aggregates there are.
//!
//! Laws (property-tested): `enc(fold(dec(enc s), e)) == enc(fold(s, e))`, so commit boundaries are
//! invisible, and equal states have equal bytes.

use crate::codec::DecodeError;
use crate::value::{Input, Type, Value};

/// Which aggregate, with its parameters.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Kind {
    /// Number of events (input [`Input::Null`] is not counted; `count: "*"` passes a constant).
    Count,
    /// Sum; exact for integers.
    Sum,
    /// Arithmetic mean.
    Mean,
    /// Least value.
    Min,
    /// Greatest value.
    Max,
    /// Value of the earliest event.
    First,
    /// Value of the latest event.
    Last,
    /// Population variance.
    Variance,
    /// Population standard deviation.
    Stddev,
    /// Number of distinct values: HyperLogLog, exact while small.
    Distinct {
        /// One standard error, in hundredths of a percent (100 = 1 %).
        error_bp: u32,
    },
    /// DDSketch with 1 % relative error; the value at rank floor(q(n-1)).
    Quantile {
        /// 0 to 1.
        q: f64,
    },
    /// Share of events for which the input is true.
    Share,
}

/// An aggregate over inputs of one type.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct CellSpec {
    /// The aggregate.
    pub kind: Kind,
    /// The type of what is folded in.
    pub input: Type,
}

/// When and where an event stands: (event time, offset) orders `first` and `last` in an origin.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Stamp {
    /// Event time, ms since the epoch.
    pub event_time_ms: i64,
    /// Offset in the origin.
    pub offset: u64,
}

impl CellSpec {
    /// The type of the feature that this aggregate yields, or `None` where the aggregate does not
    /// take such an input (the sum of strings).
    #[must_use]
    pub fn output(&self) -> Option<Type> {
        unimplemented!()
    }

    /// Typical bytes of one cell, for `plan`'s estimate of bytes per entity.
    #[must_use]
    pub fn typical_bytes(&self) -> usize {
        unimplemented!()
    }
}

/// What a pane knows beside its cells.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Header {
    /// Events folded in (after the view's `where`).
    pub events: u64,
    /// Least event time, ms.
    pub first_event_ms: i64,
    /// Greatest event time, ms.
    pub last_event_ms: i64,
}

/// A pane's content, decoded for folding. Encodes as a format byte, the header, then the cells,
/// each preceded by its length (so that a reader can skip to one).
#[derive(Clone, PartialEq, Debug)]
pub struct Cells;

impl Cells {
    /// A pane before its first event.
    #[must_use]
    pub fn empty(_specs: &[CellSpec]) -> Self {
        unimplemented!()
    }

    /// Reads [`Cells::encode`]'s bytes.
    pub fn decode(_specs: &[CellSpec], _bytes: &[u8]) -> Result<Self, DecodeError> {
        unimplemented!()
    }

    /// Appends the canonical bytes.
    pub fn encode(&self, _out: &mut Vec<u8>) {
        unimplemented!()
    }

    /// Counts an event in the header; call once per event, before its [`Cells::fold`]s.
    pub fn count(&mut self, _at: Stamp) {
        unimplemented!()
    }

    /// Folds an event's input into cell `index`. Nulls change nothing but `share`'s denominator.
    /// An input of another type than the spec's is ignored (the contract has checked it).
    pub fn fold(&mut self, _index: usize, _input: Input<'_>, _at: Stamp) {
        unimplemented!()
    }

    /// The value of cell `index` over this pane alone (for `explain`).
    #[must_use]
    pub fn value(&self, _index: usize) -> Value {
        unimplemented!()
    }
}
