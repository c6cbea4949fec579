//! Where panes of different origins meet: the cut of a window and the combination of what is in it.

use crate::cell::{CellSpec, CellUnion, Header};
use crate::codec::{self, DecodeError};
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

/// Combines panes of one plan, entity and width, of all origins, in one pass; one entity after the
/// other, so that what is the same for all is found out once.
///
/// Panes must come ordered by (origin, span); floats are added in that order, so every region gets
/// the same bits, and `first` and `last` break ties by it. All panes have cells of the same specs; a
/// want of a cell that is not among them is null.
pub struct Combiner {
    windows: Windows,
    slots: Vec<Slot>,
}

impl Combiner {
    /// For these wants of these cells.
    #[must_use]
    pub fn new(specs: &[CellSpec], wants: &[Want]) -> Self {
        let windows = Windows::new(wants);
        let slots = slots(specs, wants, &windows);
        Self { windows, slots }
    }

    /// Takes in the panes of an entity. Its values are there to be [taken](Self::take).
    ///
    /// # Errors
    /// A pane cannot be read; then this combiner is of no use any more.
    pub fn absorb<'a>(
        &mut self,
        panes: &mut dyn Iterator<Item = PaneView<'a>>,
    ) -> Result<Option<Header>, DecodeError> {
        let mut seen: Option<Header> = None;
        for pane in panes {
            let mut bytes = pane.cells;
            seen.get_or_insert_default().join(Header::take(&mut bytes)?);
            if self.windows.hold(pane.span) {
                absorb(&mut self.slots, &self.windows, bytes)?;
            }
        }
        Ok(seen)
    }

    /// What came together, each with its place among the wants; the next entity begins.
    pub fn take(&mut self) -> impl Iterator<Item = (usize, Value)> {
        self.slots.iter_mut().map(|slot| (slot.want, slot.take()))
    }
}

/// Combines the panes of one entity, as a [`Combiner`] does.
///
/// # Errors
/// A pane cannot be read.
pub fn combine<'a>(
    specs: &[CellSpec],
    wants: &[Want],
    panes: &mut dyn Iterator<Item = PaneView<'a>>,
) -> Result<Combined, DecodeError> {
    let mut combiner = Combiner::new(specs, wants);
    let seen = combiner.absorb(panes)?;
    let mut values = vec![Value::Null; wants.len()];
    combiner.take().for_each(|(want, value)| values[want] = value);
    Ok(Combined { values, seen })
}

impl Cut {
    fn holds(&self, span: Span) -> bool {
        self.from_ms <= span.start_ms && self.until_ms.is_none_or(|until| span.end_ms() <= until)
    }
}

/// The different cuts among the wants, and whether each holds the pane at hand.
struct Windows(Vec<(Cut, bool)>);

impl Windows {
    fn new(wants: &[Want]) -> Self {
        let mut cuts: Vec<(Cut, bool)> = Vec::new();
        for want in wants {
            if cuts.iter().all(|(cut, _)| *cut != want.cut) {
                cuts.push((want.cut, false));
            }
        }
        Self(cuts)
    }

    /// Whether any of them holds this span.
    fn hold(&mut self, span: Span) -> bool {
        let mut any = false;
        for (cut, holds) in &mut self.0 {
            *holds = cut.holds(span);
            any |= *holds;
        }
        any
    }
}

/// Where one want is put together.
struct Slot {
    cell: usize,
    spec: CellSpec,
    window: usize,
    want: usize,
    union: CellUnion,
    /// Whether anything was taken in.
    used: bool,
}

impl Slot {
    fn take(&mut self) -> Value {
        let value = self.union.value();
        if std::mem::take(&mut self.used) {
            self.union = CellUnion::new(self.spec);
        }
        value
    }
}

/// Ordered by cell, as cells stand in a pane.
fn slots(specs: &[CellSpec], wants: &[Want], windows: &Windows) -> Vec<Slot> {
    let mut slots: Vec<Slot> = Vec::with_capacity(wants.len());
    for (want, Want { cell, cut }) in wants.iter().enumerate() {
        let window = windows.0.iter().position(|(known, _)| known == cut);
        if let (Some(spec), Some(window)) = (specs.get(*cell), window) {
            let (union, used) = (CellUnion::new(*spec), false);
            slots.push(Slot { cell: *cell, spec: *spec, window, want, union, used });
        }
    }
    slots.sort_by_key(|slot| slot.cell);
    slots
}

/// Walks a pane's cells once, up to the last that is wanted.
fn absorb(slots: &mut [Slot], windows: &Windows, mut bytes: &[u8]) -> Result<(), DecodeError> {
    let mut next = 0;
    let mut cell: &[u8] = &[];
    for slot in slots {
        while next <= slot.cell {
            cell = codec::take_bytes(&mut bytes, "a cell")?;
            next += 1;
        }
        if windows.0[slot.window].1 {
            slot.union.absorb(cell)?;
            slot.used = true;
        }
    }
    Ok(())
}
