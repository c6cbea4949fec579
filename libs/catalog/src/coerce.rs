//! JSON to typed values, as join keys and request fields arrive: `"1001"` is an integer key.

use lattice::{Type, Value};

/// A JSON value that does not fit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found} is not a {wanted}")]
pub struct CoerceError {
    found: String,
    wanted: &'static str,
}

/// The value as one of this type; null is null. Strings that spell a number, a bool or a timestamp
/// are taken as such, whole doubles as integers, and integers as a timestamp's seconds, which is
/// what Feast's clients send.
pub fn coerce(kind: Type, json: &serde_json::Value) -> Result<Value, CoerceError> {
    let value = match json {
        serde_json::Value::Null => Some(Value::Null),
        serde_json::Value::String(text) => from_text(kind, text),
        serde_json::Value::Bool(b) => (kind == Type::Bool).then_some(Value::Bool(*b)),
        serde_json::Value::Number(number) => from_number(kind, number),
        serde_json::Value::Array(_) | serde_json::Value::Object(_) => None,
    };
    value.ok_or_else(|| {
        let wanted = match kind {
            Type::Bool => "bool",
            Type::Int => "whole number of 64 bits",
            Type::Double => "finite number",
            Type::String => "string",
            Type::Timestamp => "timestamp (write 2013-02-01T00:00:00Z)",
        };
        CoerceError { found: json.to_string().chars().take(80).collect(), wanted }
    })
}

fn from_text(kind: Type, text: &str) -> Option<Value> {
    match kind {
        Type::String => Some(Value::Text(text.into())),
        Type::Int => text.parse().ok().map(Value::Int),
        Type::Double => text.parse().ok().filter(|x: &f64| x.is_finite()).map(Value::Float),
        Type::Bool => text.parse().ok().map(Value::Bool),
        Type::Timestamp => clock::parse_timestamp_ms(text).ok().map(Value::Time),
    }
}

fn from_number(kind: Type, number: &serde_json::Number) -> Option<Value> {
    match kind {
        Type::Int => number.as_i64().or_else(|| whole(number.as_f64()?)).map(Value::Int),
        Type::Double => number.as_f64().filter(|x| x.is_finite()).map(Value::Float),
        Type::Timestamp => number.as_i64()?.checked_mul(1000).map(Value::Time),
        Type::Bool | Type::String => None,
    }
}

/// 1001.0 is 1001, as long as a double can tell whole numbers apart.
fn whole(x: f64) -> Option<i64> {
    let exact = x.fract() == 0.0 && x.abs() <= 9_007_199_254_740_992.0;
    exact.then_some(x as i64)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn by_table() {
        let cases = [
            (Type::Int, json!("1001"), Value::Int(1001)),
            (Type::Int, json!(1001.0), Value::Int(1001)),
            (Type::Int, json!(i64::MIN), Value::Int(i64::MIN)),
            (Type::Double, json!(3), Value::Float(3.0)),
            (Type::Double, json!("2.5"), Value::Float(2.5)),
            (Type::Bool, json!("true"), Value::Bool(true)),
            (Type::String, json!("B6"), Value::Text("B6".into())),
            (Type::Timestamp, json!("1970-01-01T00:00:01Z"), Value::Time(1000)),
            (Type::Timestamp, json!(2), Value::Time(2000)),
            (Type::String, json!(null), Value::Null),
        ];
        for (kind, json, value) in cases {
            assert_eq!(coerce(kind, &json), Ok(value), "{json}");
        }
        let misfits = [
            (Type::Int, json!(1.5)),
            (Type::Int, json!(u64::MAX)),
            (Type::Int, json!(1e300)),
            (Type::Int, json!("one")),
            (Type::Double, json!("NaN")),
            (Type::Double, json!("inf")),
            (Type::String, json!(7)),
            (Type::Bool, json!(1)),
            (Type::Timestamp, json!("soon")),
            (Type::Int, json!([1])),
            (Type::String, json!({"a": 1})),
        ];
        for (kind, json) in misfits {
            assert!(coerce(kind, &json).is_err(), "{json}");
        }
    }
}
