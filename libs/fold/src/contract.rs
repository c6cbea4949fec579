//! What a source says of its events: an event is skipped, breaks the contract with a rule that
//! names the field, the value and the bound, or is valid. Reads nothing but the event and the
//! log's stamp.
//!
//! Order: parse, `skip`, types and nulls, `range` and `in`, event time. `on_violation: null`
//! softens `range` and `in`, never a wrong type: that is a producer's bug, and not a value.

use std::sync::Arc;

use catalog::{Field, OnViolation, Source};
use lattice::{Input, Type, Value};

use crate::format::{Format, Raw, reader};
use crate::ids;

/// Of a value, in a rule, as many characters are shown.
const SHOWN_CHARS: usize = 40;
/// Of an `in`, in a rule, as many values are shown.
const SHOWN_VALUES: usize = 8;

/// A source's contract, ready to check events.
pub(crate) struct Contract {
    source: Arc<Source>,
    format: Box<dyn Format>,
}

/// What the contract says of an event.
#[derive(PartialEq, Debug)]
pub(crate) enum Verdict<'r> {
    Skipped,
    /// The rule that was broken.
    Broken(String),
    Valid(Valid<'r>),
}

/// An event that keeps its contract.
#[derive(PartialEq, Debug)]
pub(crate) struct Valid<'r> {
    /// In the order of the source's fields, and of their types.
    pub(crate) values: Vec<Input<'r>>,
    pub(crate) time_ms: i64,
    pub(crate) id: Option<ids::Id>,
}

impl Contract {
    pub(crate) fn new(source: Arc<Source>) -> Self {
        let names = source.fields.iter().map(|field| field.name.clone());
        let format = reader(source.format, names);
        Self { source, format }
    }

    pub(crate) fn source(&self) -> &Source {
        &self.source
    }

    /// The event's fields, unchecked. The error is the broken rule.
    pub(crate) fn read<'a>(&self, event: &'a [u8]) -> Result<Vec<Raw<'a>>, String> {
        self.format.read(event)
    }

    pub(crate) fn check<'r>(&self, raws: &'r [Raw<'_>], appended_ms: i64) -> Verdict<'r> {
        let fields = &self.source.fields;
        let typed = |(field, raw): (&Field, &'r Raw<'_>)| typed(raw, field.kind);
        let mut values: Vec<Input<'r>> = Vec::with_capacity(fields.len());
        let mut wrong = None;
        for (place, pair) in fields.iter().zip(raws).enumerate() {
            let value = typed(pair);
            if value.is_none() {
                wrong.get_or_insert(place);
            }
            values.push(value.unwrap_or_else(|| misfit(pair.0.kind)));
        }
        if self.source.skip.as_ref().is_some_and(|skip| skip.holds(&values)) {
            return Verdict::Skipped;
        }
        if let Some(place) = wrong {
            return Verdict::Broken(wrong_type(&fields[place], &raws[place]));
        }
        for (field, value) in fields.iter().zip(&mut values) {
            if let Err(rule) = bounded(field, value) {
                return Verdict::Broken(rule);
            }
        }
        match self.event_time(&values, appended_ms) {
            Ok(time_ms) => {
                let id = self.source.id.and_then(|place| ids::Id::of(*values.get(place)?));
                Verdict::Valid(Valid { values, time_ms, id })
            }
            Err(rule) => Verdict::Broken(rule),
        }
    }

    fn event_time(&self, values: &[Input<'_>], appended_ms: i64) -> Result<i64, String> {
        let place = self.source.event_time;
        let name = self.source.fields.get(place).map_or("event time", |field| &field.name);
        let Some(Input::Time(time_ms)) = values.get(place) else {
            return Err(format!("{name}: the event time is missing or null"));
        };
        let max_ahead_ms = self.source.max_ahead_ms;
        let ahead_ms = time_ms.saturating_sub(appended_ms);
        if ahead_ms > max_ahead_ms {
            return Err(format!(
                "{name} is {} ahead of its append time; max_ahead is {}",
                about(ahead_ms),
                clock::format_duration(max_ahead_ms)
            ));
        }
        Ok(*time_ms)
    }
}

/// The value as one of the field's type; `None` if it is of another.
///
/// Integers may be written `5.0`. A timestamp is RFC 3339 (UTC if it has no offset) or an integer
/// of milliseconds. Nothing else is converted: `"1001"` is no integer.
fn typed<'r>(raw: &'r Raw<'_>, kind: Type) -> Option<Input<'r>> {
    Some(match (kind, raw) {
        (_, Raw::Null) => Input::Null,
        (Type::Bool, Raw::Bool(b)) => Input::Bool(*b),
        (Type::Int, raw) => Input::Int(integer(raw)?),
        (Type::Double, Raw::Float(x)) => Input::Float(*x),
        (Type::Double, Raw::Int(n)) => Input::Float(*n as f64),
        (Type::String, Raw::Text(text)) => Input::Text(text),
        (Type::Timestamp, Raw::Text(text)) => Input::Time(clock::parse_timestamp_ms(text).ok()?),
        (Type::Timestamp, raw) => Input::Time(integer(raw)?),
        _ => return None,
    })
}

fn integer(raw: &Raw<'_>) -> Option<i64> {
    /// 2^63, the least float above all integers.
    const END: f64 = 9_223_372_036_854_775_808.0;
    match raw {
        Raw::Int(n) => Some(*n),
        Raw::Float(x) if x.fract() == 0.0 && (-END..END).contains(x) => Some(*x as i64),
        _ => None,
    }
}

/// Stands for a value of the wrong type in `skip`, which is evaluated before types are checked: of
/// another type than the field's, so it equals nothing, and not null either. So `skip: t == null`
/// does not swallow an event whose `t` is broken.
fn misfit(kind: Type) -> Input<'static> {
    if kind == Type::String { Input::Bool(false) } else { Input::Text("") }
}

/// Checks null, `range` and `in`; a value that breaks the latter becomes null where that is wanted.
fn bounded(field: &Field, value: &mut Input<'_>) -> Result<(), String> {
    let number = match *value {
        Input::Null if field.nullable => return Ok(()),
        Input::Null => return Err(format!("{} is missing or null", field.name)),
        Input::Int(n) => Some(n as f64),
        Input::Float(x) => Some(x),
        _ => None,
    };
    let outside = match (number, field.range) {
        (Some(x), Some((least, most))) => !(least <= x && x <= most),
        _ => false,
    };
    let unlisted = !field.one_of.is_empty() && !field.one_of.iter().any(|v| v.as_input() == *value);
    if !outside && !unlisted {
        return Ok(());
    }
    match (field.on_violation, field.range) {
        (OnViolation::Null, _) => {
            *value = Input::Null;
            Ok(())
        }
        (OnViolation::DeadLetter, Some((least, most))) if outside => {
            Err(format!("{}: {} is outside [{least}, {most}]", field.name, shown(*value)))
        }
        (OnViolation::DeadLetter, _) => {
            Err(format!("{}: {} is not one of {}", field.name, shown(*value), list(&field.one_of)))
        }
    }
}

fn wrong_type(field: &Field, raw: &Raw<'_>) -> String {
    let value = match raw {
        Raw::Null => "null".to_owned(),
        Raw::Bool(b) => b.to_string(),
        Raw::Int(n) => n.to_string(),
        Raw::Float(x) => shown(Input::Float(*x)),
        Raw::Text(text) => shown(Input::Text(text)),
        Raw::Nested => "an array or object".to_owned(),
    };
    let kind = match field.kind {
        Type::Bool => "a bool",
        Type::Int => "an int",
        Type::Double => "a double",
        Type::String => "a string",
        Type::Timestamp => "a timestamp (write 2013-02-01T00:00:00Z, or milliseconds)",
    };
    format!("{}: {value} is not {kind}", field.name)
}

/// A value in a rule: on one line, and not long.
fn shown(value: Input<'_>) -> String {
    match value {
        Input::Null => "null".to_owned(),
        Input::Bool(b) => b.to_string(),
        Input::Int(n) => n.to_string(),
        Input::Float(x) if x == 0.0 || (1e-6..1e15).contains(&x.abs()) => x.to_string(),
        Input::Float(x) => format!("{x:e}"),
        Input::Time(ms) => clock::format_timestamp(ms),
        Input::Text(text) => match text.char_indices().nth(SHOWN_CHARS) {
            Some((end, _)) => format!("{:?}…", &text[..end]),
            None => format!("{text:?}"),
        },
    }
}

fn list(values: &[Value]) -> String {
    let mut shown: Vec<_> =
        values.iter().take(SHOWN_VALUES).map(|value| shown(value.as_input())).collect();
    if values.len() > SHOWN_VALUES {
        shown.push("…".to_owned());
    }
    shown.join(", ")
}

/// A duration in whole ones of its largest unit: `3d`.
fn about(ms: i64) -> String {
    let unit = [86_400_000, 3_600_000, 60_000, 1_000].into_iter().find(|unit| ms >= *unit);
    clock::format_duration(unit.map_or(ms, |unit| ms - ms % unit))
}
