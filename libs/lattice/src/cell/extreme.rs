//! The least or the greatest value. Text in the order of its bytes.

use std::cmp::Ordering;

use super::registry::{Aggregate, New, Union};
use super::{CellSpec, Kind, Stamp, scalar};
use crate::codec::{self, DecodeError};
use crate::value::{Input, Type, Value};

#[derive(Clone, PartialEq, Debug)]
pub(super) struct Extreme {
    input: Type,
    /// What a new value must be against the held one to replace it.
    replaces: Ordering,
    held: Value,
}

impl Extreme {
    fn offer(&mut self, value: Input<'_>) {
        let held = self.held.as_input();
        if held == Input::Null || scalar::order(value, held) == self.replaces {
            self.held = value.to_value();
        }
    }
}

impl New for Extreme {
    fn new(spec: CellSpec) -> Self {
        let replaces = if spec.kind == Kind::Min { Ordering::Less } else { Ordering::Greater };
        Self { input: spec.input, replaces, held: Value::Null }
    }
}

impl Aggregate for Extreme {
    type Union = Self;

    const TYPICAL_BYTES: usize = 3;

    fn output(input: Type) -> Option<Type> {
        Some(input)
    }

    fn fold(&mut self, input: Input<'_>, _: Stamp) {
        if input != Input::Null {
            self.offer(input);
        }
    }

    fn read(&mut self, cell: &[u8]) -> Result<(), DecodeError> {
        self.absorb(cell)
    }

    fn write(&self, out: &mut Vec<u8>) {
        scalar::put(out, self.held.as_input());
    }
}

impl Union for Extreme {
    fn absorb(&mut self, mut cell: &[u8]) -> Result<(), DecodeError> {
        let value = scalar::take(&mut cell, self.input)?;
        self.offer(value);
        codec::end(cell, "a min or max")
    }

    fn value(&self) -> Value {
        self.held.clone()
    }
}
