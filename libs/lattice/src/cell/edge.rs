//! The value of the first or the last event: in an origin by (event time, offset), across origins
//! by (event time, region, partition, offset).
//!
//! Events of one event time are in one pane of each origin, and panes come ordered by origin. So
//! among panes that tie on event time, the one that comes earlier ranks lower, and no origin need
//! be kept. (The topic's id decides between two topics of one partition, whose offsets do not
//! compare.)

use super::registry::{Aggregate, New, Union};
use super::{CellSpec, Kind, Stamp, scalar};
use crate::codec::{self, DecodeError};
use crate::value::{Input, Type, Value};

#[derive(Clone, PartialEq, Debug)]
pub(super) struct Edge {
    input: Type,
    last: bool,
    held: Option<(Stamp, Value)>,
}

impl Edge {
    fn put(out: &mut Vec<u8>, at: Stamp, value: &Value) {
        codec::put_signed(out, at.event_time_ms);
        codec::put_varint(out, at.offset);
        scalar::put(out, value.as_input());
    }

    fn take<'a>(&self, cell: &mut &'a [u8]) -> Result<(Stamp, Input<'a>), DecodeError> {
        let event_time_ms = codec::take_signed(cell, "a first or last")?;
        let offset = codec::take_varint(cell, "a first or last")?;
        Ok((Stamp { event_time_ms, offset }, scalar::take(cell, self.input)?))
    }
}

impl New for Edge {
    fn new(spec: CellSpec) -> Self {
        Self { input: spec.input, last: spec.kind == Kind::Last, held: None }
    }
}

impl Aggregate for Edge {
    type Union = Self;

    const TYPICAL_BYTES: usize = 16;

    fn output(input: Type) -> Option<Type> {
        Some(input)
    }

    fn fold(&mut self, input: Input<'_>, at: Stamp) {
        let replaces = match &self.held {
            Some((held, _)) if self.last => at > *held,
            Some((held, _)) => at < *held,
            None => true,
        };
        if replaces && input != Input::Null {
            self.held = Some((at, input.to_value()));
        }
    }

    fn read(&mut self, cell: &[u8]) -> Result<(), DecodeError> {
        self.absorb(cell)
    }

    fn write(&self, out: &mut Vec<u8>) {
        if let Some((at, value)) = &self.held {
            Self::put(out, *at, value);
        }
    }
}

impl Union for Edge {
    fn absorb(&mut self, mut cell: &[u8]) -> Result<(), DecodeError> {
        let (at, value) = self.take(&mut cell)?;
        let replaces = match &self.held {
            Some((held, _)) if self.last => at.event_time_ms >= held.event_time_ms,
            Some((held, _)) => at.event_time_ms < held.event_time_ms,
            None => true,
        };
        if replaces {
            self.held = Some((at, value.to_value()));
        }
        codec::end(cell, "a first or last")
    }

    fn value(&self) -> Value {
        self.held.as_ref().map_or(Value::Null, |(_, value)| value.clone())
    }
}
