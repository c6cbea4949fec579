//! The arithmetic mean: a varint of how many, then their total, as [`super::sum`] keeps one.

use super::registry::{Aggregate, New, Union};
use super::sum::Total;
use super::{CellSpec, Stamp, scalar};
use crate::codec::{self, DecodeError};
use crate::value::{Input, Type, Value};

#[derive(Clone, PartialEq, Debug)]
pub(super) struct Mean {
    n: u64,
    total: Total,
}

impl New for Mean {
    fn new(spec: CellSpec) -> Self {
        Self { n: 0, total: Total::new(spec.input) }
    }
}

impl Aggregate for Mean {
    type Union = Self;

    const TYPICAL_BYTES: usize = 4;

    fn output(input: Type) -> Option<Type> {
        matches!(input, Type::Int | Type::Double).then_some(Type::Double)
    }

    fn fold(&mut self, input: Input<'_>, _: Stamp) {
        self.n = self.n.saturating_add(u64::from(self.total.add(input)));
    }

    fn read(&mut self, cell: &[u8]) -> Result<(), DecodeError> {
        self.absorb(cell)
    }

    fn write(&self, out: &mut Vec<u8>) {
        if self.n > 0 {
            codec::put_varint(out, self.n);
            self.total.write(out);
        }
    }
}

impl Union for Mean {
    fn absorb(&mut self, mut cell: &[u8]) -> Result<(), DecodeError> {
        let n = codec::take_varint(&mut cell, "a mean")?;
        if n == 0 {
            return Err(DecodeError::NotCanonical("a mean"));
        }
        self.n = self.n.saturating_add(n);
        self.total.absorb(cell)
    }

    fn value(&self) -> Value {
        match self.n {
            0 => Value::Null,
            n => scalar::float(self.total.as_f64() / n as f64),
        }
    }
}
