//! The number of distinct values: exact while small, then HyperLogLog (Flajolet et al., 2007) read
//! with Ertl's estimator ("New cardinality estimation algorithms", 2017, algorithm 6).
//!
//! A value is its *mark*: the upper 40 bits of the XXH3 of its bytes, seeded with its type so that
//! 5 and 5.0 differ. A cell lists the marks in order, 5 bytes each, as long as that is shorter than
//! registers are; a list is exact but for two values with one mark (one in 200 million for a
//! hundred values, one in 60,000 for the longest list at 1 %). Then come 2^p registers of 5 bits:
//! the first p bits of a mark choose one, which holds the greatest rank (leading zeros of the other
//! bits, plus 1) of the marks in it. Which form a cell has depends on the set of marks alone.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::registry::{Aggregate, New, Union};
use super::{CellSpec, Kind, Stamp};
use crate::codec::DecodeError;
use crate::value::{Input, Type, Value};

const MARK_BITS: u32 = 40;
/// Bytes of a mark, and of eight registers.
const GROUP: usize = 5;

type Mark = [u8; GROUP];

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

fn pack(group: u64) -> Mark {
    let [_, _, _, a, b, c, d, e] = group.to_be_bytes();
    [a, b, c, d, e]
}

#[inline]
fn unpack([a, b, c, d, e]: Mark) -> u64 {
    u64::from_be_bytes([0, 0, 0, a, b, c, d, e])
}

/// How many registers: 2^p. The standard error, 1.04 / sqrt(2^p), is at most two thirds of the one
/// declared: between the powers of two there is room for it, and three of ours are then two of
/// theirs. 10 to 18: a list may hold 127 marks at least, a cell 160 KiB at most.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Precision(u32);

impl Precision {
    fn of(spec: CellSpec) -> Self {
        let error_bp = if let Kind::Distinct { error_bp } = spec.kind { error_bp } else { 100 };
        let enough =
            |p: &u32| (1u64 << p).saturating_mul(u64::from(error_bp).pow(2)) >= 15_600 * 15_600;
        Self((10..18).find(enough).unwrap_or(18))
    }

    fn registers(self) -> usize {
        1 << self.0
    }

    fn bytes(self) -> usize {
        self.registers() / 8 * GROUP
    }

    fn max_rank(self) -> u32 {
        MARK_BITS - self.0 + 1
    }

    /// Raises the register of a mark.
    fn raise(self, registers: &mut [u8], mark: u64) {
        let rest = mark << (64 - MARK_BITS + self.0);
        let rank = u64::from((rest.leading_zeros() + 1).min(self.max_rank()));
        let index = (mark >> (MARK_BITS - self.0)) as usize;
        if let Some(group) = registers.as_chunks_mut::<GROUP>().0.get_mut(index / 8) {
            let shift = 5 * (7 - index % 8);
            let held = unpack(*group);
            if held >> shift & 31 < rank {
                *group = pack(held & !(31 << shift) | rank << shift);
            }
        }
    }

    fn estimate(self, registers: &[u8]) -> u64 {
        let (m, most) = (self.registers() as f64, self.max_rank() as usize);
        let mut having = [0u32; 32];
        for group in registers.as_chunks::<GROUP>().0 {
            let group = unpack(*group);
            for register in 0..8 {
                having[((group >> (5 * register) & 31) as usize).min(most)] += 1;
            }
        }
        let mut z = m * tau(1.0 - f64::from(having[most]) / m);
        for rank in (1..most).rev() {
            z = 0.5 * (z + f64::from(having[rank]));
        }
        z += m * sigma(f64::from(having[0]) / m);
        (0.5 / std::f64::consts::LN_2 * m * m / z).round() as u64
    }
}

/// Ertl's sigma: what the empty registers tell.
fn sigma(mut x: f64) -> f64 {
    if x >= 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if z == before {
            return z;
        }
    }
}

/// Ertl's tau: what the full registers tell.
fn tau(mut x: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x) * (1.0 - x) * y;
        if z == before {
            return z / 3.0;
        }
    }
}

/// Eight registers, each the greater of two: the even and the odd ones apart, so that above each
/// there are five bits to borrow from.
fn greater(a: u64, b: u64) -> u64 {
    const LANES: u64 = 31 * (1 | 1 << 10 | 1 << 20 | 1 << 30);
    const BORROW: u64 = 32 * (1 | 1 << 10 | 1 << 20 | 1 << 30);
    let half = |a: u64, b: u64| {
        let kept = ((a | BORROW) - b) & BORROW;
        let kept = kept - (kept >> 5);
        a & kept | b & !kept
    };
    half(a & LANES, b & LANES) | half(a >> 5 & LANES, b >> 5 & LANES) << 5
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
