//! The share of events for which the input is true; null is false. Two varints: true ones, events.

use super::registry::{Aggregate, New, Union};
use super::{CellSpec, Stamp};
use crate::codec::{self, DecodeError};
use crate::value::{Input, Type, Value};

#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Share {
    hits: u64,
    events: u64,
}

impl New for Share {
    fn new(_: CellSpec) -> Self {
        Self::default()
    }
}

impl Aggregate for Share {
    type Union = Self;

    const TYPICAL_BYTES: usize = 2;

    fn output(input: Type) -> Option<Type> {
        (input == Type::Bool).then_some(Type::Double)
    }

    fn fold(&mut self, input: Input<'_>, _: Stamp) {
        self.hits = self.hits.saturating_add(u64::from(input == Input::Bool(true)));
        self.events = self.events.saturating_add(1);
    }

    fn read(&mut self, cell: &[u8]) -> Result<(), DecodeError> {
        self.absorb(cell)
    }

    fn write(&self, out: &mut Vec<u8>) {
        if self.events > 0 {
            codec::put_varint(out, self.hits);
            codec::put_varint(out, self.events);
        }
    }
}

impl Union for Share {
    fn absorb(&mut self, mut cell: &[u8]) -> Result<(), DecodeError> {
        let hits = codec::take_varint(&mut cell, "a share")?;
        let events = codec::take_varint(&mut cell, "a share")?;
        if events == 0 || hits > events {
            return Err(DecodeError::NotCanonical("a share"));
        }
        self.hits = self.hits.saturating_add(hits);
        self.events = self.events.saturating_add(events);
        codec::end(cell, "a share")
    }

    fn value(&self) -> Value {
        match self.events {
            0 => Value::Null,
            events => Value::Float(self.hits as f64 / events as f64),
        }
    }
}
