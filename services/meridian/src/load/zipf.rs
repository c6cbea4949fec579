//! Keys as traffic has them: few are asked for often, most hardly ever.
//!
//! Zipf's law: the key of rank r has the weight 1 / r^s. Drawn from a table of sums, as key sets here
//! fit in memory.

/// Draws ranks.
#[derive(Debug, Clone)]
pub(crate) struct Zipf {
    /// By rank, the share of it and of all before it.
    sums: Vec<f64>,
}

impl Zipf {
    /// Over so many ranks; with `exponent` 0 all are alike.
    pub(crate) fn new(ranks: usize, exponent: f64) -> Self {
        let mut sum = 0.0;
        let weights = (1..=ranks).map(|rank| (rank as f64).powf(-exponent));
        let sums = weights.map(|weight| {
            sum += weight;
            sum
        });
        Self { sums: sums.collect() }
    }

    /// The rank, from 0, that a random number stands for.
    pub(crate) fn rank(&self, random: u64) -> usize {
        let all = self.sums.last().copied().unwrap_or(0.0);
        // 53 bits are what a double holds.
        let at = (random >> 11) as f64 / (1_u64 << 53) as f64 * all;
        self.sums.partition_point(|sum| *sum <= at).min(self.sums.len().saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_draw_is_a_rank(ranks in 1_usize..500, exponent in 0.0_f64..3.0, random in any::<u64>()) {
            prop_assert!(Zipf::new(ranks, exponent).rank(random) < ranks);
        }
    }

    #[test]
    fn shares_are_as_the_law_says() {
        let zipf = Zipf::new(3, 1.0);
        let mut drawn = [0; 3];
        (0..11_000_u64).for_each(|i| drawn[zipf.rank(i * (u64::MAX / 11_000))] += 1);
        // 1, 1/2 and 1/3 of 11/6.
        for (drawn, share) in drawn.iter().zip([6_000, 3_000, 2_000]) {
            assert!((share - 2..=share + 2).contains(drawn), "{drawn} for {share}");
        }
    }
}
