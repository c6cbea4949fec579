//! The number of inputs that are not null. A varint.

use super::registry::{Aggregate, New, Union};
use super::{CellSpec, Stamp};
use crate::codec::{self, DecodeError};
use crate::value::{Input, Type, Value};

#[derive(Clone, PartialEq, Debug)]
pub(super) struct Count(u64);

impl New for Count {
    fn new(_: CellSpec) -> Self {
        Self(0)
    }
}

impl Aggregate for Count {
    type Union = Self;

    const TYPICAL_BYTES: usize = 1;

    fn output(_: Type) -> Option<Type> {
        Some(Type::Int)
    }

    fn fold(&mut self, input: Input<'_>, _: Stamp) {
        if input != Input::Null {
            self.0 = self.0.saturating_add(1);
        }
    }

    fn read(&mut self, cell: &[u8]) -> Result<(), DecodeError> {
        self.absorb(cell)
    }

    fn write(&self, out: &mut Vec<u8>) {
        if self.0 > 0 {
            codec::put_varint(out, self.0);
        }
    }
}

impl Union for Count {
    fn absorb(&mut self, mut cell: &[u8]) -> Result<(), DecodeError> {
        let n = codec::take_varint(&mut cell, "a count")?;
        if n == 0 {
            return Err(DecodeError::NotCanonical("a count"));
        }
        self.0 = self.0.saturating_add(n);
        codec::end(cell, "a count")
    }

    fn value(&self) -> Value {
        Value::Int(self.0.try_into().unwrap_or(i64::MAX))
    }
}
