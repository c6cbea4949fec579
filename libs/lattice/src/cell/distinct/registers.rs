//! HyperLogLog's registers: 2^p of 5 bits, eight to a group of five bytes.

use crate::cell::{CellSpec, Kind};

/// Bits of a mark.
pub(super) const MARK_BITS: u32 = 40;
/// Bytes of a mark, and of eight registers.
pub(super) const GROUP: usize = 5;

pub(super) fn pack(group: u64) -> [u8; GROUP] {
    let [_, _, _, a, b, c, d, e] = group.to_be_bytes();
    [a, b, c, d, e]
}

#[inline]
pub(super) fn unpack([a, b, c, d, e]: [u8; GROUP]) -> u64 {
    u64::from_be_bytes([0, 0, 0, a, b, c, d, e])
}

/// How many registers: 2^p. The standard error, 1.04 / sqrt(2^p), is at most two thirds of the one
/// declared, so that an answer is off by twice that in one read of 400, not in one of 20. At least
/// 10, so that a list may hold a hundred marks; at most 18, which is 160 KiB.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Precision(u32);

impl Precision {
    pub(super) fn of(spec: CellSpec) -> Self {
        let error_bp = if let Kind::Distinct { error_bp } = spec.kind { error_bp } else { 100 };
        let enough =
            |p: &u32| (1u64 << p).saturating_mul(u64::from(error_bp).pow(2)) >= 15_600 * 15_600;
        Self((10..18).find(enough).unwrap_or(18))
    }

    fn registers(self) -> usize {
        1 << self.0
    }

    pub(super) fn bytes(self) -> usize {
        self.registers() / 8 * GROUP
    }

    fn max_rank(self) -> u32 {
        MARK_BITS - self.0 + 1
    }

    /// Raises the register of a mark.
    pub(super) fn raise(self, registers: &mut [u8], mark: u64) {
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

    pub(super) fn estimate(self, registers: &[u8]) -> u64 {
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
pub(super) fn greater(a: u64, b: u64) -> u64 {
    const LANES: u64 = 31 * (1 | 1 << 10 | 1 << 20 | 1 << 30);
    const BORROW: u64 = 32 * (1 | 1 << 10 | 1 << 20 | 1 << 30);
    let half = |a: u64, b: u64| {
        let kept = ((a | BORROW) - b) & BORROW;
        let kept = kept - (kept >> 5);
        a & kept | b & !kept
    };
    half(a & LANES, b & LANES) | half(a >> 5 & LANES, b >> 5 & LANES) << 5
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Registers as 2^38 marks fill them on average: a fifth of them at the greatest rank.
    #[test]
    fn an_estimate_holds_where_registers_are_full() {
        let precision = Precision(10);
        let n = 2f64.powi(38);
        let per_register = n / precision.registers() as f64;
        let mut registers = vec![0; precision.bytes()];
        for register in 0..precision.registers() {
            let share = (register as f64 + 0.5) / precision.registers() as f64;
            let at_most = |rank: u32| (-per_register / 2f64.powi(rank as i32)).exp();
            let rank = (1..precision.max_rank()).find(|rank| at_most(*rank) >= share);
            let rest = 1 << (MARK_BITS - 10) >> rank.unwrap_or(precision.max_rank());
            precision.raise(&mut registers, (register as u64) << (MARK_BITS - 10) | rest);
        }
        let estimate = precision.estimate(&registers) as f64;
        assert!((estimate / n - 1.0).abs() < 0.01, "{estimate}, not {n}");
    }

    #[test]
    fn the_greater_of_eight_registers_each() {
        let (a, b) = ([0, 31, 7, 1, 30, 16, 15, 2], [31, 0, 7, 2, 29, 15, 16, 1]);
        let packed = |registers: [u64; 8]| registers.iter().fold(0, |group, r| group << 5 | r);
        let most: Vec<u64> = a.iter().zip(b).map(|(a, b)| *a.max(&b)).collect();
        assert_eq!(Ok(greater(packed(a), packed(b))), most.try_into().map(packed));
    }
}
