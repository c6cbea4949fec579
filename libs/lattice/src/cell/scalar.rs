//! Single values inside cells: their bytes, by the type that the spec names, and their order.

use std::cmp::Ordering;

use crate::codec::{self, DecodeError};
use crate::value::{Input, Type, Value};

/// A result that is not a number (infinities that cancelled out) is no value.
pub(super) fn float(x: f64) -> Value {
    if x.is_nan() { Value::Null } else { Value::Float(x) }
}

/// A number of either type as a float.
pub(super) fn number(input: Input<'_>) -> Option<f64> {
    match input {
        Input::Int(n) => Some(n as f64),
        Input::Float(x) => Some(x),
        _ => None,
    }
}

/// Null has no bytes: a cell that holds no value is empty.
pub(super) fn put(out: &mut Vec<u8>, value: Input<'_>) {
    match value {
        Input::Null => {}
        Input::Bool(b) => out.push(b.into()),
        Input::Int(n) | Input::Time(n) => codec::put_signed(out, n),
        Input::Float(x) => codec::put_f64(out, x),
        Input::Text(text) => codec::put_bytes(out, text.as_bytes()),
    }
}

pub(super) fn take<'a>(bytes: &mut &'a [u8], of: Type) -> Result<Input<'a>, DecodeError> {
    const WHAT: &str = "a cell's value";
    Ok(match of {
        Type::Bool => match codec::take_u8(bytes, WHAT)? {
            0 => Input::Bool(false),
            1 => Input::Bool(true),
            _ => return Err(DecodeError::NotCanonical(WHAT)),
        },
        Type::Int => Input::Int(codec::take_signed(bytes, WHAT)?),
        Type::Double => Input::Float(codec::take_f64(bytes, WHAT)?),
        Type::String => Input::Text(codec::take_str(bytes, WHAT)?),
        Type::Timestamp => Input::Time(codec::take_signed(bytes, WHAT)?),
    })
}

/// The order of two values of one type; floats in IEEE's total order, so that -0 and 0 differ and
/// the result does not depend on which came first.
pub(super) fn order(a: Input<'_>, b: Input<'_>) -> Ordering {
    match (a, b) {
        (Input::Bool(a), Input::Bool(b)) => a.cmp(&b),
        (Input::Int(a), Input::Int(b)) | (Input::Time(a), Input::Time(b)) => a.cmp(&b),
        (Input::Float(a), Input::Float(b)) => a.total_cmp(&b),
        (Input::Text(a), Input::Text(b)) => a.cmp(b),
        _ => Ordering::Equal,
    }
}
