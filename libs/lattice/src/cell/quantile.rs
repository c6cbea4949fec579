//! A quantile within 1 %: DDSketch (Masson, Rim, Lee, PVLDB 12, 2019) with the exact logarithm.
//!
//! A value x > 0 counts in bucket ceil(ln x / ln g), g = 1.01/0.99, whose middle is within 1 % of
//! all that is in it. Buckets of both signs and the zero have one key, in the order of the values
//! (below), so that the cell is one list: per bucket a varint of twice the distance to the key
//! before, plus 1 if the count is above 1, and then a varint of the count less 2.

use super::registry::{Aggregate, New, Union};
use super::{CellSpec, Kind, Stamp, scalar};
use crate::codec::{self, DecodeError};
use crate::value::{Input, Type, Value};

/// ln(1.01/0.99) and -ln(0.99), to all digits of a double; written out, since a build's own maths
/// must not decide on bytes.
const LN_GAMMA: f64 = 0.020_000_666_706_669_524;
const MIDDLE: f64 = 0.010_050_335_853_501_44;

/// A key is 0 for zero, else the bucket's number plus this, negated for negative values. The least
/// positive double has bucket -37,221, so no key of a positive value is below 1.
const SHIFT: i32 = 37_300;

/// No key is beyond this: the greatest double has bucket 35,489.
const KEY_LIMIT: i32 = 72_800;

/// Above this many buckets the two lowest become one: a bound for a pane, out of reach unless
/// values fill 17 orders of magnitude.
const MAX_BUCKETS: usize = 2048;

fn key_of(x: f64) -> i32 {
    if x == 0.0 {
        return 0;
    }
    let bucket = (libm::log(x.abs().min(f64::MAX)) / LN_GAMMA).ceil() as i32;
    if x > 0.0 { bucket + SHIFT } else { -(bucket + SHIFT) }
}

fn middle_of(key: i32) -> f64 {
    let middle =
        |bucket: i32| libm::exp(f64::from(bucket - SHIFT) * LN_GAMMA - MIDDLE).min(f64::MAX);
    match key {
        0 => 0.0,
        1.. => middle(key),
        _ => -middle(-key),
    }
}

/// Calls `each` with the key and the count of every bucket, in order.
#[inline]
fn for_each(mut cell: &[u8], mut each: impl FnMut(i32, u64)) -> Result<(), DecodeError> {
    const WHAT: &str = "a quantile sketch";
    let mut key = -KEY_LIMIT - 1;
    while !cell.is_empty() {
        let head = codec::take_varint(&mut cell, WHAT)?;
        let step = head >> 1;
        if step == 0 || step > (KEY_LIMIT - key) as u64 {
            return Err(DecodeError::NotCanonical(WHAT));
        }
        key += step as i32;
        let count = match head & 1 {
            0 => 1,
            _ => codec::take_varint(&mut cell, WHAT)?
                .checked_add(2)
                .ok_or(DecodeError::NotCanonical(WHAT))?,
        };
        each(key, count);
    }
    Ok(())
}

/// Buckets in order of their keys.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Quantile(Vec<(i32, u64)>);

impl Quantile {
    fn collapse(&mut self) {
        if self.0.len() > MAX_BUCKETS {
            let (_, lowest) = self.0.remove(0);
            if let Some((_, count)) = self.0.first_mut() {
                *count = count.saturating_add(lowest);
            }
        }
    }
}

impl New for Quantile {
    fn new(_: CellSpec) -> Self {
        Self::default()
    }
}

impl Aggregate for Quantile {
    type Union = Merged;

    const TYPICAL_BYTES: usize = 12;

    fn output(input: Type) -> Option<Type> {
        matches!(input, Type::Int | Type::Double).then_some(Type::Double)
    }

    fn fold(&mut self, input: Input<'_>, _: Stamp) {
        let Some(x) = scalar::number(input) else { return };
        let key = key_of(x);
        match self.0.binary_search_by_key(&key, |bucket| bucket.0) {
            Ok(at) => self.0[at].1 = self.0[at].1.saturating_add(1),
            Err(at) => {
                self.0.insert(at, (key, 1));
                self.collapse();
            }
        }
    }

    fn read(&mut self, cell: &[u8]) -> Result<(), DecodeError> {
        self.0.reserve(cell.len() / 2 + 1);
        for_each(cell, |key, count| self.0.push((key, count)))?;
        match self.0.len() {
            ..=MAX_BUCKETS => Ok(()),
            _ => Err(DecodeError::NotCanonical("a quantile sketch")),
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        let mut before = -KEY_LIMIT - 1;
        for (key, count) in &self.0 {
            let step = ((key - before) as u64) << 1;
            before = *key;
            match count.checked_sub(2) {
                None => codec::put_varint(out, step),
                Some(more) => {
                    codec::put_varint(out, step | 1);
                    codec::put_varint(out, more);
                }
            }
        }
    }
}

/// A union of sketches. Counts stand in arrays, since a reader adds many small sketches into one.
pub(super) struct Merged {
    q: f64,
    n: u64,
    negative: Store,
    zeros: u64,
    positive: Store,
}

/// Counts by key, from `base` on.
#[derive(Default)]
struct Store {
    base: usize,
    counts: Vec<u64>,
}

impl Store {
    #[inline]
    fn add(&mut self, key: usize, count: u64) {
        let at = key.wrapping_sub(self.base);
        if let Some(held) = self.counts.get_mut(at) {
            *held = held.saturating_add(count);
        } else {
            self.grow(key);
            self.add(key, count);
        }
    }

    /// Makes room for `key` and as much again as there was, so that growing is rare. Keys are below
    /// [`KEY_LIMIT`], so a store is of a few hundred kilobytes at the very most.
    #[cold]
    fn grow(&mut self, key: usize) {
        let room = self.counts.len().max(64);
        if self.counts.is_empty() {
            self.base = key.saturating_sub(room / 2);
        }
        if key < self.base {
            let base = key.saturating_sub(room);
            self.counts.splice(0..0, std::iter::repeat_n(0, self.base - base));
            self.base = base;
        } else {
            self.counts.resize(key - self.base + room, 0);
        }
    }

    fn ascending(&self) -> impl DoubleEndedIterator<Item = (i32, u64)> {
        self.counts.iter().enumerate().map(|(i, count)| ((self.base + i) as i32, *count))
    }
}

impl New for Merged {
    fn new(spec: CellSpec) -> Self {
        let q = if let Kind::Quantile { q } = spec.kind { q } else { 0.5 };
        Self { q, n: 0, negative: Store::default(), zeros: 0, positive: Store::default() }
    }
}

impl Union for Merged {
    fn absorb(&mut self, cell: &[u8]) -> Result<(), DecodeError> {
        for_each(cell, |key, count| {
            self.n = self.n.saturating_add(count);
            match key {
                0 => self.zeros = self.zeros.saturating_add(count),
                1.. => self.positive.add(key as usize, count),
                _ => self.negative.add(key.unsigned_abs() as usize, count),
            }
        })
    }

    fn value(&self) -> Value {
        let Some(most) = self.n.checked_sub(1) else { return Value::Null };
        let mut rank = (self.q * most as f64) as u64;
        let negative = self.negative.ascending().rev().map(|(key, count)| (-key, count));
        let buckets = negative.chain([(0, self.zeros)]).chain(self.positive.ascending());
        for (key, count) in buckets {
            match rank.checked_sub(count) {
                None => return Value::Float(middle_of(key)),
                Some(left) => rank = left,
            }
        }
        Value::Null
    }
}
