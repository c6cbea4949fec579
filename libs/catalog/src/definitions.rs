//! Definitions as they are kept and hashed: canonical, self-contained, free of YAML.
//!
//! A view has two halves. Its [`Fold`] is everything that could change a pane, and its hash names
//! it. Its [`Reading`] only says how panes are read (names, `ttl`, `empty`, `q`) and may change
//! under the same version. What has no order is kept sorted, so that moving lines in the YAML
//! changes nothing.

use lattice::Type;
use serde::{Deserialize, Serialize};

pub use crate::aggregates::Aggregate;

/// Raised when the same definition would be folded into other bytes by this build.
pub const FOLD_SEMANTICS: u32 = 1;

/// What decides which events are valid, skipped or repeated, and when they happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Contract {
    /// The source's name: it names the delta topic.
    pub source: String,
    /// The topic, in every region.
    pub topic: String,
    /// The event time's field.
    pub event_time: String,
    /// The id's field.
    pub id: Option<String>,
    /// An id is remembered for this many offsets.
    pub id_events: u64,
    /// And for this much append time, ms.
    pub id_ms: i64,
    /// How late an event may be and still find its pane, ms.
    pub disorder_ms: i64,
    /// How far ahead of its append time an event may be, ms.
    pub max_ahead_ms: i64,
    /// Events for which this holds are dropped before the contract.
    pub skip: Option<String>,
    /// How events are written. JSON is left out, so that contracts from before there was a choice keep
    /// their hash.
    #[serde(default, skip_serializing_if = "Format::is_json")]
    pub format: Format,
    /// Ordered by name.
    pub fields: Vec<FieldRule>,
}

/// How events are written as bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// A JSON object.
    #[default]
    Json,
}

impl Format {
    /// From the YAML.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        match text {
            "json" => Ok(Self::Json),
            other => Err(format!("`{other}` is no format that this version reads; write json")),
        }
    }

    fn is_json(&self) -> bool {
        *self == Self::Json
    }
}

/// A field of an event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FieldRule {
    /// The key in the event's JSON object.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: Type,
    /// Whether it may be null or absent.
    pub nullable: bool,
    /// Inclusive bounds.
    pub range: Option<(f64, f64)>,
    /// The only values allowed, ordered; JSON strings or integers.
    pub one_of: Vec<serde_json::Value>,
    /// Whether a value that breaks `range` or `one_of` is taken as null.
    pub violation_is_null: bool,
}

/// A source: its contract, and how its topic is made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SourceBody {
    /// What folds depend on.
    pub contract: Contract,
    /// Partitions of the topic.
    pub partitions: u32,
    /// Age at which events leave the topic, ms.
    pub retention_ms: i64,
    /// Size at which they do, bytes per partition.
    pub retention_bytes: u64,
}

impl SourceBody {
    /// With the topic's settings as they are unless the YAML has others.
    pub(crate) fn with_defaults(contract: Contract) -> Self {
        let (retention_ms, retention_bytes) = (7 * 86_400_000, 1 << 30);
        Self { contract, partitions: 1, retention_ms, retention_bytes }
    }
}

/// Everything that could change a pane of a view, but for the activation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fold {
    /// [`FOLD_SEMANTICS`] of the build that defined it.
    pub semantics: u32,
    /// The view's name.
    pub view: String,
    /// The view's version.
    pub version: u32,
    /// What it folds.
    pub contract: Contract,
    /// The join keys, which are fields of the source; their order is the key's.
    pub join_keys: Vec<String>,
    /// The view's `where`.
    #[serde(rename = "where")]
    pub filter: Option<String>,
    /// Ascending, all of time (0) last.
    pub widths: Vec<WidthBody>,
}

/// Panes of one width.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WidthBody {
    /// Seconds; 0 is all of time.
    pub width_s: u32,
    /// How long a pane lives past its end, ms.
    pub retention_ms: i64,
    /// Ordered by name.
    pub cells: Vec<CellBody>,
}

/// One aggregate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CellBody {
    /// The feature's name without a window.
    pub name: String,
    /// Which aggregate.
    pub aggregate: Aggregate,
    /// What is folded in.
    pub input: Folded,
    /// The feature's own `where`.
    #[serde(rename = "where")]
    pub filter: Option<String>,
}

/// What an aggregate folds in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Folded {
    /// The event itself: `count: "*"`.
    Event,
    /// A field.
    Field(String),
    /// An expression over the fields.
    Expr(String),
}

/// How a view's panes are read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// The entity's name.
    pub entity: String,
    /// How far back `as_of` may go, ms.
    pub history_ms: i64,
    /// Age at which a value is no longer given, ms.
    pub ttl_ms: Option<i64>,
    /// In the order of the YAML.
    pub features: Vec<ReadFeature>,
}

/// The readable features of one cell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReadFeature {
    /// The cell's name.
    pub name: String,
    /// For quantiles.
    pub q: Option<f64>,
    /// The value of an empty window.
    pub empty: serde_json::Value,
    /// Ascending, `all` last.
    pub windows: Vec<ReadWindow>,
}

/// A window and the width of its panes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReadWindow {
    /// As written; `all` for all of time.
    pub window: String,
    /// 0 for all of time.
    pub width_s: u32,
}

/// An on-demand view: expressions over features and request fields.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OnDemandBody {
    /// What the request must carry.
    pub request: Vec<RequestField>,
    /// Feature views, pinned to a version (`card_velocity@v2`), and on-demand views.
    pub inputs: Vec<String>,
    /// Name and expression.
    pub features: Vec<(String, String)>,
}

/// A field of the request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestField {
    /// Its name.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: Type,
    /// Whether it may be null.
    pub nullable: bool,
}

/// The name of content: 128 bits of BLAKE3.
pub(crate) fn hash(parts: &[&[u8]]) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(part);
    }
    let mut out = [0; 16];
    hasher.finalize_xof().fill(&mut out);
    out
}
