//! How far away a target is: quick to believe that it got slower, slow to believe that it got
//! faster.
//!
//! Source: Finagle's `PeakEwma` (Twitter, 2015): a sample above the average becomes the average; one
//! below it moves it by how much time has passed. Finagle multiplies by what is outstanding, and so
//! does [`PeakEwma::cost_us`].

/// The average of a target's round trips.
#[derive(Clone, Copy, Debug, Default)]
pub struct PeakEwma {
    value_us: Option<f64>,
    at_ms: u64,
}

impl PeakEwma {
    /// Takes in one round trip; after `tau_ms` a sample weighs 63 %.
    pub fn observe(&mut self, took_us: u64, tau_ms: u64, now_ms: u64) {
        let took = took_us as f64;
        let passed_ms = now_ms.saturating_sub(self.at_ms) as f64;
        self.value_us = Some(match self.value_us {
            Some(before) if took < before => {
                let keep = (-passed_ms / tau_ms.max(1) as f64).exp();
                before * keep + took * (1.0 - keep)
            }
            _ => took,
        });
        self.at_ms = now_ms;
    }

    /// The average, µs; `None` before the first sample.
    #[must_use]
    pub fn value_us(&self) -> Option<f64> {
        self.value_us
    }

    /// What one more request costs while `outstanding` others are under way, µs. A target that was
    /// never measured costs nothing: it is worth a try.
    #[must_use]
    pub fn cost_us(&self, outstanding: u64) -> f64 {
        self.value_us.unwrap_or(0.0) * (1.0 + outstanding as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peak_counts_at_once_and_fades() {
        let mut ewma = PeakEwma::default();
        ewma.observe(1_000, 1_000, 0);
        ewma.observe(500_000, 1_000, 250);
        assert_eq!(ewma.value_us(), Some(500_000.0));
        (2..=20).for_each(|i| ewma.observe(1_000, 1_000, i * 250));
        let faded = ewma.value_us().unwrap();
        assert!((1_000.0..10_000.0).contains(&faded), "{faded}");
        assert!((ewma.cost_us(3) - 4.0 * faded).abs() < 1e-6);
    }
}
