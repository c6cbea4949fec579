//! How long a read usually takes, so that what takes longer can be hedged.
//!
//! Source: Dean and Barroso, "The Tail at Scale" (2013): send a second request once the first has
//! been outstanding for longer than the 95th percentile. Kept in two HDR histograms that take
//! turns, so that old times are forgotten.

use hdrhistogram::Histogram;

/// Longer times count as this, µs.
const MOST_US: u64 = 60_000_000;
const DIGITS: u8 = 2;

/// A percentile over the last one to two windows.
#[derive(Clone, Debug)]
pub struct Percentile {
    percentile: f64,
    window_ms: u64,
    min_samples: u64,
    /// The window under way, and the one before it.
    histograms: Option<[Histogram<u64>; 2]>,
    since_ms: u64,
}

impl Percentile {
    /// Says nothing below `min_samples`.
    #[must_use]
    pub fn new(percentile: f64, window_ms: u64, min_samples: u64, now_ms: u64) -> Self {
        let histogram = || Histogram::new_with_bounds(1, MOST_US, DIGITS).ok();
        let histograms = histogram().zip(histogram()).map(|(a, b)| [a, b]);
        Self { percentile, window_ms, min_samples, histograms, since_ms: now_ms }
    }

    /// Takes in one time.
    pub fn observe(&mut self, took_us: u64, now_ms: u64) {
        self.turn(now_ms);
        if let Some([current, _]) = &mut self.histograms {
            current.saturating_record(took_us.clamp(1, MOST_US));
        }
    }

    /// The percentile, µs; `None` while there are too few samples.
    pub fn value_us(&mut self, now_ms: u64) -> Option<u64> {
        self.turn(now_ms);
        let both = self.histograms.as_ref()?;
        let fuller = both.iter().max_by_key(|histogram| histogram.len())?;
        let enough = fuller.len() >= self.min_samples.max(1);
        enough.then(|| fuller.value_at_percentile(self.percentile))
    }

    fn turn(&mut self, now_ms: u64) {
        let passed = now_ms.saturating_sub(self.since_ms) / self.window_ms.max(1);
        let Some(both) = &mut self.histograms else { return };
        // Two turns empty both.
        for _ in 0..passed.min(2) {
            both.swap(0, 1);
            both[0].reset();
        }
        self.since_ms += passed * self.window_ms.max(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speaks_when_it_has_seen_enough_and_forgets() {
        let mut p95 = Percentile::new(95.0, 1_000, 20, 0);
        (1..=19).for_each(|i| p95.observe(i * 100, 0));
        assert_eq!(p95.value_us(0), None);
        p95.observe(2_000, 0);
        let value = p95.value_us(0).unwrap();
        assert!((1_880..=1_920).contains(&value), "{value}");
        assert_eq!(p95.value_us(1_500), Some(value), "the window before still counts");
        assert_eq!(p95.value_us(2_000), None);
    }
}
