//! How events are written as bytes. A format reads a whole event at a time, into the places of the
//! fields that the source names; what follows knows nothing of it.

use std::borrow::Cow;
use std::sync::Arc;

use crate::json::Json;

/// What stands in an event for one field.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) enum Raw<'a> {
    /// Null, or absent.
    #[default]
    Null,
    Bool(bool),
    Int(i64),
    /// Any other number; finite.
    Float(f64),
    Text(Cow<'a, str>),
    /// A compound value, which no field can take.
    Nested,
}

/// Reads events.
pub(crate) trait Format: Send + Sync {
    /// The fields of the event, by place. The error is the broken rule, in one line.
    fn read<'a>(&self, event: &'a [u8]) -> Result<Vec<Raw<'a>>, String>;
}

/// Reads events of a format, the fields of these names.
pub(crate) fn reader(
    format: catalog::Format,
    names: impl Iterator<Item = Arc<str>>,
) -> Box<dyn Format> {
    match format {
        catalog::Format::Json => Box::new(Json::new(names)),
    }
}
