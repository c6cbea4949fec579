//! The number of distinct values: exact while small, then HyperLogLog (Flajolet et al., 2007) read
//! with Ertl's estimator ("New cardinality estimation algorithms", 2017, algorithm 6).
//!
//! A value is its *mark*: the upper 40 bits of the XXH3 of its bytes, seeded with its type so that
//! 5 and 5.0 differ. A cell lists the marks in order, 5 bytes each, as long as that is shorter than
//! registers are; a list is exact but for two values with one mark (one in 200 million for a
//! hundred values, one in 130,000 for the longest list at 1 %). Then come 2^p registers of 5 bits:
//! the first p bits of a mark choose one, which holds the greatest rank (leading zeros of the other
//! bits, plus 1) of the marks in it. Which form a cell has depends on the set of marks alone.

mod registers;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::registry::{Aggregate, New, Union};
use super::{CellSpec, Stamp};
use crate::codec::DecodeError;
use crate::value::{Input, Type, Value};
use registers::{GROUP, MARK_BITS, Precision, greater, pack, unpack};

/// The mark of a value; `None` for null. Part of the format: frozen by test vectors.
fn mark_of(input: Input<'_>) -> Option<u64> {
    let hash = match input {
        Input::Null => return None,
        Input::Bool(b) => xxh3_64_with_seed(&[b.into()], 1),
        Input::Int(n) => xxh3_64_with_seed(&n.to_be_bytes(), 2),
        // Adding 0 makes -0 a 0: they are equal.
        Input::Float(x) => xxh3_64_with_seed(&(x + 0.0).to_bits().to_be_bytes(), 3),
        Input::Text(text) => xxh3_64_with_seed(text.as_bytes(), 4),
        Input::Time(ms) => xxh3_64_with_seed(&ms.to_be_bytes(), 5),
    };
    Some(hash >> (64 - MARK_BITS))
}

/// The cell as it is written: that makes reading and writing one a copy.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Distinct {
    precision: Precision,
    /// A list while shorter than the registers, then the registers.
    bytes: Vec<u8>,
}

impl Distinct {
    fn insert(&mut self, mark: u64) {
        let packed = pack(mark);
        let Err(at) = self.bytes.as_chunks::<GROUP>().0.binary_search(&packed) else { return };
        self.bytes.splice(at * GROUP..at * GROUP, packed);
        if self.bytes.len() == self.precision.bytes() {
            let mut registers = vec![0; self.bytes.len()];
            for mark in self.bytes.as_chunks::<GROUP>().0 {
                self.precision.raise(&mut registers, unpack(*mark));
            }
            self.bytes = registers;
        }
    }
}

impl New for Distinct {
    fn new(spec: CellSpec) -> Self {
        Self { precision: Precision::of(spec), bytes: Vec::new() }
    }
}

impl Aggregate for Distinct {
    type Union = Merged;

    const TYPICAL_BYTES: usize = 20;

    fn output(_: Type) -> Option<Type> {
        Some(Type::Int)
    }

    fn fold(&mut self, input: Input<'_>, _: Stamp) {
        let Some(mark) = mark_of(input) else { return };
        if self.bytes.len() < self.precision.bytes() {
            self.insert(mark);
        } else {
            self.precision.raise(&mut self.bytes, mark);
        }
    }

    fn read(&mut self, cell: &[u8]) -> Result<(), DecodeError> {
        let (marks, rest) = cell.as_chunks::<GROUP>();
        let list = cell.len() < self.precision.bytes();
        if !rest.is_empty()
            || cell.len() > self.precision.bytes()
            || (list && !marks.is_sorted_by(|a, b| a < b))
        {
            return Err(DecodeError::NotCanonical("a distinct count"));
        }
        self.bytes = cell.to_vec();
        Ok(())
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.bytes);
    }
}

/// A union of cells: a hash set of marks (they are hashes already), then registers.
pub(super) struct Merged {
    precision: Precision,
    len: usize,
    /// Open addressing by the low bits; 0 is free, a mark has bit 40 set beside it. Unused once
    /// there are registers.
    table: Vec<u64>,
    registers: Vec<u8>,
}

const TAKEN: u64 = 1 << MARK_BITS;

impl Merged {
    #[inline]
    fn insert(&mut self, mark: u64) {
        if self.len * 2 >= self.table.len() {
            self.grow();
        }
        let mask = self.table.len() - 1;
        let mut at = mark as usize & mask;
        while self.table[at] != mark | TAKEN {
            if self.table[at] == 0 {
                self.table[at] = mark | TAKEN;
                self.len += 1;
                return;
            }
            at = (at + 1) & mask;
        }
    }

    #[cold]
    fn grow(&mut self) {
        let room = (self.table.len() * 2).max(256);
        let held = std::mem::replace(&mut self.table, vec![0; room]);
        self.len = 0;
        for mark in held.into_iter().filter(|mark| *mark != 0) {
            self.insert(mark & !TAKEN);
        }
    }

    fn make_registers(&mut self) {
        self.registers = vec![0; self.precision.bytes()];
        for mark in std::mem::take(&mut self.table).into_iter().filter(|mark| *mark != 0) {
            self.precision.raise(&mut self.registers, mark & !TAKEN);
        }
    }
}

impl New for Merged {
    fn new(spec: CellSpec) -> Self {
        Self { precision: Precision::of(spec), len: 0, table: Vec::new(), registers: Vec::new() }
    }
}

impl Union for Merged {
    fn absorb(&mut self, cell: &[u8]) -> Result<(), DecodeError> {
        let (groups, rest) = cell.as_chunks::<GROUP>();
        if !rest.is_empty() || cell.len() > self.precision.bytes() {
            return Err(DecodeError::NotCanonical("a distinct count"));
        }
        if cell.len() == self.precision.bytes() {
            if self.registers.is_empty() {
                self.make_registers();
            }
            for (held, other) in self.registers.as_chunks_mut::<GROUP>().0.iter_mut().zip(groups) {
                *held = pack(greater(unpack(*held), unpack(*other)));
            }
            return Ok(());
        }
        for mark in groups {
            if self.registers.is_empty() {
                self.insert(unpack(*mark));
                if self.len * GROUP == self.precision.bytes() {
                    self.make_registers();
                }
            } else {
                self.precision.raise(&mut self.registers, unpack(*mark));
            }
        }
        Ok(())
    }

    fn value(&self) -> Value {
        let n = match self.registers.is_empty() {
            true => self.len as u64,
            false => self.precision.estimate(&self.registers),
        };
        Value::Int(n.try_into().unwrap_or(i64::MAX))
    }
}
