//! Values between the lattice and the wire, where a value without a kind is null; and what holds for
//! several answers at once.

use std::sync::Arc;

use lattice::Value;

use crate::v1;
use crate::v1::value::Kind;

impl v1::FeatureInfo {
    /// What can be said of what was made of both.
    #[must_use]
    pub fn coarser(self, other: Self) -> Self {
        Self {
            resolution_ms: self.resolution_ms.max(other.resolution_ms),
            as_of_ms: match (self.as_of_ms, other.as_of_ms) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            },
            covered_from_ms: self.covered_from_ms.max(other.covered_from_ms),
        }
    }
}

impl From<&Value> for v1::Value {
    fn from(value: &Value) -> Self {
        let kind = match value {
            Value::Null => None,
            Value::Bool(b) => Some(Kind::BoolValue(*b)),
            Value::Int(n) => Some(Kind::IntValue(*n)),
            Value::Float(x) => Some(Kind::DoubleValue(*x)),
            Value::Text(text) => Some(Kind::StringValue(text.to_string())),
            Value::Time(ms) => Some(Kind::TimestampMs(*ms)),
        };
        Self { kind }
    }
}

impl From<Value> for v1::Value {
    fn from(value: Value) -> Self {
        Self::from(&value)
    }
}

impl From<&v1::Value> for Value {
    fn from(value: &v1::Value) -> Self {
        match &value.kind {
            None => Self::Null,
            Some(Kind::BoolValue(b)) => Self::Bool(*b),
            Some(Kind::IntValue(n)) => Self::Int(*n),
            Some(Kind::DoubleValue(x)) => Self::Float(*x),
            Some(Kind::StringValue(text)) => Self::Text(Arc::from(text.as_str())),
            Some(Kind::TimestampMs(ms)) => Self::Time(*ms),
        }
    }
}

impl From<v1::Value> for Value {
    fn from(value: v1::Value) -> Self {
        Self::from(&value)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn values() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(Value::Int),
            any::<i64>().prop_map(Value::Time),
            proptest::num::f64::ANY
                .prop_filter("equal to itself", |x| !x.is_nan())
                .prop_map(Value::Float),
            ".*".prop_map(|text: String| Value::Text(text.into())),
        ]
    }

    proptest! {
        #[test]
        fn values_survive_the_wire(value in values()) {
            let bytes = prost::Message::encode_to_vec(&v1::Value::from(&value));
            let decoded: v1::Value = prost::Message::decode(bytes.as_slice()).unwrap();
            prop_assert_eq!(Value::from(&decoded), value);
        }
    }
}
