//! A cell is the state of one aggregate in one pane. Each aggregate is one file here and one line
//! in the registry; nothing else in Meridian knows which aggregates there are.
//!
//! Laws (property-tested): `enc(fold(dec(enc s), e)) == enc(fold(s, e))`, so commit boundaries are
//! invisible, and equal states have equal bytes.

mod count;
mod distinct;
mod edge;
mod extreme;
mod mean;
mod moments;
mod quantile;
mod registry;
mod scalar;
mod share;
mod sum;

use crate::codec::{self, DecodeError};
use crate::value::{Input, Type, Value};
use registry::{AnyState, AnyUnion};

const FORMAT: u8 = 1;

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
        registry::output(*self)
    }

    /// Typical bytes of one cell, for `plan`'s estimate of bytes per entity.
    #[must_use]
    pub fn typical_bytes(&self) -> usize {
        registry::typical_bytes(*self)
    }
}

/// What a pane knows beside its cells.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Header {
    /// Events folded in (after the view's `where`).
    pub events: u64,
    /// Least event time, ms; 0 if there are no events.
    pub first_event_ms: i64,
    /// Greatest event time, ms; 0 if there are no events.
    pub last_event_ms: i64,
}

impl Header {
    /// The header of all events of both.
    pub(crate) fn join(&mut self, other: Self) {
        match (self.events, other.events) {
            (_, 0) => {}
            (0, _) => *self = other,
            _ => {
                self.events = self.events.saturating_add(other.events);
                self.first_event_ms = self.first_event_ms.min(other.first_event_ms);
                self.last_event_ms = self.last_event_ms.max(other.last_event_ms);
            }
        }
    }

    fn put(&self, out: &mut Vec<u8>) {
        codec::put_varint(out, self.events);
        if self.events > 0 {
            codec::put_signed(out, self.first_event_ms);
            codec::put_varint(out, self.last_event_ms.abs_diff(self.first_event_ms));
        }
    }

    /// Takes the format byte and the header off a pane's content; the cells are left.
    pub(crate) fn take(bytes: &mut &[u8]) -> Result<Self, DecodeError> {
        match codec::take_u8(bytes, "a pane's format")? {
            FORMAT => {}
            found => return Err(DecodeError::Unknown { what: "pane format", found: found.into() }),
        }
        let events = codec::take_varint(bytes, "a pane's event count")?;
        if events == 0 {
            return Ok(Self::default());
        }
        let first_event_ms = codec::take_signed(bytes, "a pane's first event")?;
        let span_ms = codec::take_varint(bytes, "a pane's last event")?;
        let last_event_ms = first_event_ms
            .checked_add_unsigned(span_ms)
            .ok_or(DecodeError::NotCanonical("a pane's last event"))?;
        Ok(Self { events, first_event_ms, last_event_ms })
    }
}

/// A pane's content, decoded for folding. Encodes as a format byte, the header, then the cells,
/// each preceded by its length (so that a reader can skip to one); a cell without a value has no
/// bytes.
#[derive(Clone, PartialEq, Debug)]
pub struct Cells {
    header: Header,
    cells: Vec<Cell>,
}

#[derive(Clone, PartialEq, Debug)]
struct Cell {
    spec: CellSpec,
    state: AnyState,
}

impl Cells {
    /// A pane before its first event.
    #[must_use]
    pub fn empty(specs: &[CellSpec]) -> Self {
        let cell = |spec: &CellSpec| Cell { spec: *spec, state: AnyState::new(*spec) };
        Self { header: Header::default(), cells: specs.iter().map(cell).collect() }
    }

    /// Reads [`Cells::encode`]'s bytes.
    pub fn decode(specs: &[CellSpec], mut bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut read = Self::empty(specs);
        read.header = Header::take(&mut bytes)?;
        for cell in &mut read.cells {
            let encoded = codec::take_bytes(&mut bytes, "a cell")?;
            if !encoded.is_empty() {
                cell.state.read(encoded)?;
            }
        }
        codec::end(bytes, "a pane's content")?;
        Ok(read)
    }

    /// Appends the canonical bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(FORMAT);
        self.header.put(out);
        for cell in &self.cells {
            codec::put_sized(out, |out| cell.state.write(out));
        }
    }

    /// What the pane knows beside its cells.
    #[must_use]
    pub fn header(&self) -> Header {
        self.header
    }

    /// Counts an event in the header; call once per event, before its [`Cells::fold`]s.
    pub fn count(&mut self, at: Stamp) {
        let ms = at.event_time_ms;
        self.header.join(Header { events: 1, first_event_ms: ms, last_event_ms: ms });
    }

    /// Folds an event's input into cell `index`. Nulls change nothing but `share`'s denominator.
    /// An input of another type than the spec's is ignored (the contract has checked it), and so is
    /// NaN.
    pub fn fold(&mut self, index: usize, input: Input<'_>, at: Stamp) {
        let Some(cell) = self.cells.get_mut(index) else { return };
        let nan = matches!(input, Input::Float(x) if x.is_nan());
        if !nan && input.kind().is_none_or(|kind| kind == cell.spec.input) {
            cell.state.fold(input, at);
        }
    }

    /// The value of cell `index` over this pane alone (for `explain`).
    #[must_use]
    pub fn value(&self, index: usize) -> Value {
        let Some(cell) = self.cells.get(index) else { return Value::Null };
        let mut encoded = Vec::new();
        cell.state.write(&mut encoded);
        let mut union = CellUnion::new(cell.spec);
        match union.absorb(&encoded) {
            Ok(()) => union.value(),
            Err(_) => Value::Null,
        }
    }
}

/// The union of one cell of many panes; [`crate::combine`] keeps one per value wanted.
pub(crate) struct CellUnion(AnyUnion);

impl CellUnion {
    pub(crate) fn new(spec: CellSpec) -> Self {
        Self(AnyUnion::new(spec))
    }

    /// Takes in a cell as [`Cells::encode`] wrote it, without its length.
    #[inline]
    pub(crate) fn absorb(&mut self, cell: &[u8]) -> Result<(), DecodeError> {
        if cell.is_empty() { Ok(()) } else { self.0.absorb(cell) }
    }

    pub(crate) fn value(&self) -> Value {
        self.0.value()
    }
}
