//! The sum. Of integers exact: 128 bits hold every sum of 2^63 of them, and only the value is
//! brought into an integer's range at its ends. Of floats: added in the order of the fold, then of
//! the panes.

use super::registry::{Aggregate, New, Union};
use super::{CellSpec, Stamp, scalar};
use crate::codec::{self, DecodeError};
use crate::value::{Input, Type, Value};

#[derive(Clone, PartialEq, Debug)]
pub(super) struct Sum {
    total: Total,
    any: bool,
}

/// A running total of numbers of one type; [`super::mean`] divides one.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Total {
    Int(i128),
    /// Starts at -0, the only float that added to any other leaves its bits alone.
    Float(f64),
}

impl Total {
    pub(super) fn new(input: Type) -> Self {
        match input {
            Type::Double => Self::Float(-0.0),
            _ => Self::Int(0),
        }
    }

    /// Whether the input was a number of the total's type.
    pub(super) fn add(&mut self, input: Input<'_>) -> bool {
        match (self, input) {
            (Self::Int(total), Input::Int(n)) => *total = total.saturating_add(n.into()),
            (Self::Float(total), Input::Float(x)) => *total += x,
            _ => return false,
        }
        true
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Int(total) => codec::put_wide(out, *total),
            Self::Float(total) => codec::put_f64(out, *total),
        }
    }

    /// Adds the rest of a cell.
    pub(super) fn absorb(&mut self, mut cell: &[u8]) -> Result<(), DecodeError> {
        match self {
            Self::Int(total) => {
                *total = total.saturating_add(codec::take_wide(&mut cell, "a sum")?);
            }
            Self::Float(total) => *total += codec::take_f64(&mut cell, "a sum")?,
        }
        codec::end(cell, "a sum")
    }

    pub(super) fn as_f64(&self) -> f64 {
        match self {
            Self::Int(total) => *total as f64,
            Self::Float(total) => *total,
        }
    }
}

impl New for Sum {
    fn new(spec: CellSpec) -> Self {
        Self { total: Total::new(spec.input), any: false }
    }
}

impl Aggregate for Sum {
    type Union = Self;

    const TYPICAL_BYTES: usize = 4;

    fn output(input: Type) -> Option<Type> {
        matches!(input, Type::Int | Type::Double).then_some(input)
    }

    fn fold(&mut self, input: Input<'_>, _: Stamp) {
        self.any |= self.total.add(input);
    }

    fn read(&mut self, cell: &[u8]) -> Result<(), DecodeError> {
        self.absorb(cell)
    }

    fn write(&self, out: &mut Vec<u8>) {
        if self.any {
            self.total.write(out);
        }
    }
}

impl Union for Sum {
    fn absorb(&mut self, cell: &[u8]) -> Result<(), DecodeError> {
        self.any = true;
        self.total.absorb(cell)
    }

    fn value(&self) -> Value {
        match self.total {
            _ if !self.any => Value::Null,
            Total::Int(total) => Value::Int(total.clamp(i64::MIN.into(), i64::MAX.into()) as i64),
            Total::Float(total) => scalar::float(total),
        }
    }
}
