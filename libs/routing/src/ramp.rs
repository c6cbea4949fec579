//! A target that returns gets its traffic back in steps, so that cold caches and a fault that is
//! still there meet one request in a hundred first.
//!
//! Source: the slow start of load balancers (Envoy's `slow_start_config`, nginx's `slow_start`), in
//! steps instead of a slope.

/// Percent of the requests, step by step; then all of them.
const STEPS: [u64; 3] = [1, 10, 50];

/// The share of requests, percent, that a target gets `passed_ms` after its return.
#[must_use]
pub fn share_percent(passed_ms: u64, step_ms: u64) -> u64 {
    let step = usize::try_from(passed_ms / step_ms.max(1)).unwrap_or(usize::MAX);
    STEPS.get(step).copied().unwrap_or(100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_steps() {
        let shares = [0, 999, 1_000, 2_500, 3_000, u64::MAX].map(|ms| share_percent(ms, 1_000));
        assert_eq!(shares, [1, 1, 10, 50, 100, 100]);
    }
}
