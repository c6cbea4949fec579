//! The values that events carry and features have.

use std::sync::Arc;

/// The type of a field or feature.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Type {
    /// True or false.
    Bool,
    /// 64-bit signed integer.
    Int,
    /// 64-bit float.
    Double,
    /// UTF-8 text.
    String,
    /// Milliseconds since the epoch, UTC.
    Timestamp,
}

/// An owned value.
#[derive(Clone, PartialEq, Debug)]
pub enum Value {
    /// No value.
    Null,
    /// True or false.
    Bool(bool),
    /// Integer.
    Int(i64),
    /// Float.
    Float(f64),
    /// Text.
    Text(Arc<str>),
    /// Instant, ms since the epoch.
    Time(i64),
}

/// A value borrowed from an event while it is folded.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Input<'a> {
    /// No value.
    Null,
    /// True or false.
    Bool(bool),
    /// Integer.
    Int(i64),
    /// Float; never NaN (a contract refuses it).
    Float(f64),
    /// Text.
    Text(&'a str),
    /// Instant, ms since the epoch.
    Time(i64),
}

impl Input<'_> {
    /// Its type; `None` for null.
    #[must_use]
    pub fn kind(self) -> Option<Type> {
        match self {
            Input::Null => None,
            Input::Bool(_) => Some(Type::Bool),
            Input::Int(_) => Some(Type::Int),
            Input::Float(_) => Some(Type::Double),
            Input::Text(_) => Some(Type::String),
            Input::Time(_) => Some(Type::Timestamp),
        }
    }

    /// The value, owned.
    #[must_use]
    pub fn to_value(self) -> Value {
        match self {
            Input::Null => Value::Null,
            Input::Bool(b) => Value::Bool(b),
            Input::Int(n) => Value::Int(n),
            Input::Float(x) => Value::Float(x),
            Input::Text(text) => Value::Text(text.into()),
            Input::Time(ms) => Value::Time(ms),
        }
    }
}

impl Value {
    /// The value, borrowed.
    #[must_use]
    pub fn as_input(&self) -> Input<'_> {
        match self {
            Value::Null => Input::Null,
            Value::Bool(b) => Input::Bool(*b),
            Value::Int(n) => Input::Int(*n),
            Value::Float(x) => Input::Float(*x),
            Value::Text(text) => Input::Text(text),
            Value::Time(ms) => Input::Time(*ms),
        }
    }

    /// Whether this is [`Value::Null`].
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }
}
