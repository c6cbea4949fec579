//! What the rest of Meridian works with: definitions, checked and resolved to indices.

use std::sync::Arc;

use expr::Expr;
use lattice::{CellSpec, PlanHash, Type, Value};

use crate::definitions::Format;

/// A stream of events with a contract.
#[derive(Debug, Clone)]
pub struct Source {
    /// Its name in the catalog.
    pub name: Arc<str>,
    /// The topic, in every region.
    pub topic: Arc<str>,
    /// Hash of what decides which events are valid, skipped or repeated, and when they happened.
    /// Plans with equal contracts can be folded in one pass.
    pub contract: [u8; 16],
    /// How its events are written.
    pub format: Format,
    /// The schema, ordered by name. Expressions see fields by this order.
    pub fields: Vec<Field>,
    /// Index of the event time's field.
    pub event_time: usize,
    /// Index of the id's field, if events have one.
    pub id: Option<usize>,
    /// An id is remembered for this many offsets …
    pub id_events: u64,
    /// … and for this much append time, ms.
    pub id_ms: i64,
    /// How late an event may be and still find its pane, ms.
    pub disorder_ms: i64,
    /// How far an event time may be ahead of the record's append time, ms.
    pub max_ahead_ms: i64,
    /// Events for which this holds are counted and dropped before the contract.
    pub skip: Option<Expr>,
    /// Partitions of the topic where Meridian makes it.
    pub partitions: u32,
    /// Retention of the topic where Meridian makes it: age in ms, and bytes per partition.
    pub retention_ms: i64,
    /// Bytes per partition.
    pub retention_bytes: u64,
}

/// One field of an event.
#[derive(Debug, Clone)]
pub struct Field {
    /// The key in the event's JSON object.
    pub name: Arc<str>,
    /// Its type.
    pub kind: Type,
    /// Whether it may be null or absent.
    pub nullable: bool,
    /// Inclusive bounds, for numbers.
    pub range: Option<(f64, f64)>,
    /// The only values allowed, for strings and integers.
    pub one_of: Vec<Value>,
    /// What a value that breaks `range` or `in` does.
    pub on_violation: OnViolation,
}

/// What happens to a value that breaks its contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnViolation {
    /// The event goes to the dead-letter topic.
    DeadLetter,
    /// The value is taken as null.
    Null,
}

/// What features describe.
#[derive(Debug, Clone)]
pub struct Entity {
    /// Its name in the catalog.
    pub name: Arc<str>,
    /// The columns that identify one, in order.
    pub join_keys: Vec<Arc<str>>,
}

/// An activated version of a feature view, ready to fold and to read.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Hash of all that could change the fold; part of every pane's key.
    pub hash: PlanHash,
    /// The view's name.
    pub view: Arc<str>,
    /// The view's version.
    pub version: u32,
    /// How often this version had been retired before this activation.
    pub activation: u32,
    /// What it folds.
    pub source: Arc<Source>,
    /// What it describes.
    pub entity: Entity,
    /// Indices of the join keys' fields in the source.
    pub keys: Vec<usize>,
    /// Only events for which this holds are folded.
    pub filter: Option<Expr>,
    /// How far back `as_of` may go, ms.
    pub history_ms: i64,
    /// A value whose last event is older is OUTSIDE_MAX_AGE, ms.
    pub ttl_ms: Option<i64>,
    /// The pane widths, ascending, all of time (0) last.
    pub widths: Vec<Width>,
    /// What can be read, in the order of the YAML, each feature's windows ascending.
    pub features: Vec<Feature>,
}

/// Panes of one width.
#[derive(Debug, Clone)]
pub struct Width {
    /// Seconds; 0 is all of time.
    pub width_s: u32,
    /// How long a pane lives past its end, ms: the longest window plus history. Unused for 0.
    pub retention_ms: i64,
    /// The cells of such a pane, in the order in which they are encoded.
    pub cells: Vec<Cell>,
    /// `cells[i].spec`, side by side as the lattice takes them.
    pub specs: Vec<CellSpec>,
}

/// One aggregate in panes of one width.
#[derive(Debug, Clone)]
pub struct Cell {
    /// The feature's name without a window.
    pub name: Arc<str>,
    /// The aggregate.
    pub spec: CellSpec,
    /// What is folded in.
    pub input: CellInput,
    /// The feature's own `where`.
    pub filter: Option<Expr>,
}

/// What a cell folds in from an event.
#[derive(Debug, Clone)]
pub enum CellInput {
    /// The event itself: `count: "*"`. Folded as `Input::Bool(true)`.
    Event,
    /// A field, by index.
    Field(usize),
    /// The value of an expression over the fields.
    Expr(Expr),
}

/// One readable feature: an aggregate over a window.
#[derive(Debug, Clone)]
pub struct Feature {
    /// `delay_24h`; for all of time just `last_destination`.
    pub name: Arc<str>,
    /// The window, ms; `None` for all of time.
    pub window_ms: Option<i64>,
    /// Index into [`Plan::widths`].
    pub width: usize,
    /// Index into that width's cells.
    pub cell: usize,
    /// Its type.
    pub kind: Type,
    /// Its value when no event is in the window.
    pub empty: Value,
}

impl Plan {
    /// (width in seconds, retention in ms) of the windowed widths, as progress records carry it.
    #[must_use]
    pub fn retention(&self) -> Vec<(u32, i64)> {
        let windowed = self.widths.iter().filter(|w| w.width_s != 0);
        windowed.map(|w| (w.width_s, w.retention_ms)).collect()
    }

    /// `view@v2`.
    #[must_use]
    pub fn reference(&self) -> String {
        format!("{}@v{}", self.view, self.version)
    }
}
