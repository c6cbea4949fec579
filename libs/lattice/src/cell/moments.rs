//! Population variance and standard deviation: how many, their mean, and the sum of squared
//! distances from it. One value is added as Welford does (Technometrics 4, 1962), two states as
//! Chan, Golub and LeVeque do (1979); neither subtracts large squares from each other.

use super::registry::{Aggregate, New, Union};
use super::{CellSpec, Kind, Stamp, scalar};
use crate::codec::{self, DecodeError};
use crate::value::{Input, Type, Value};

#[derive(Clone, PartialEq, Debug)]
pub(super) struct Moments {
    root: bool,
    n: u64,
    mean: f64,
    /// Sum of squared distances from the mean.
    squares: f64,
}

impl New for Moments {
    fn new(spec: CellSpec) -> Self {
        Self { root: spec.kind == Kind::Stddev, n: 0, mean: 0.0, squares: 0.0 }
    }
}

impl Aggregate for Moments {
    type Union = Self;

    const TYPICAL_BYTES: usize = 12;

    fn output(input: Type) -> Option<Type> {
        matches!(input, Type::Int | Type::Double).then_some(Type::Double)
    }

    fn fold(&mut self, input: Input<'_>, _: Stamp) {
        let Some(x) = scalar::number(input) else { return };
        self.n = self.n.saturating_add(1);
        let before = x - self.mean;
        self.mean += before / self.n as f64;
        self.squares += before * (x - self.mean);
    }

    fn read(&mut self, cell: &[u8]) -> Result<(), DecodeError> {
        self.absorb(cell)
    }

    fn write(&self, out: &mut Vec<u8>) {
        if self.n > 0 {
            codec::put_varint(out, self.n);
            codec::put_f64(out, self.mean);
            codec::put_f64(out, self.squares);
        }
    }
}

impl Union for Moments {
    fn absorb(&mut self, mut cell: &[u8]) -> Result<(), DecodeError> {
        let n = codec::take_varint(&mut cell, "a variance")?;
        let mean = codec::take_f64(&mut cell, "a variance")?;
        let squares = codec::take_f64(&mut cell, "a variance")?;
        codec::end(cell, "a variance")?;
        match (self.n, n) {
            (_, 0) => return Err(DecodeError::NotCanonical("a variance")),
            (0, _) => (self.n, self.mean, self.squares) = (n, mean, squares),
            (held, _) => {
                self.n = held.saturating_add(n);
                let apart = mean - self.mean;
                let weight = n as f64 / self.n as f64;
                self.mean += apart * weight;
                self.squares += squares + apart * apart * (held as f64 * weight);
            }
        }
        Ok(())
    }

    fn value(&self) -> Value {
        match self.n {
            0 => Value::Null,
            n if self.root => scalar::float((self.squares / n as f64).sqrt()),
            n => scalar::float(self.squares / n as f64),
        }
    }
}
