//! When what is sent one way arrives: after the distance, and never before what was sent earlier.

/// One way of a link.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wire {
    last_due_us: u64,
}

impl Wire {
    /// When what is sent now arrives over a distance of `delay_us`. The distance may change at any
    /// time; the order never does.
    pub fn send(&mut self, now_us: u64, delay_us: u64) -> u64 {
        self.last_due_us = self.last_due_us.max(now_us.saturating_add(delay_us));
        self.last_due_us
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn nothing_overtakes_and_nothing_is_early(
            sent in prop::collection::vec((0_u64..10_000, 0_u64..600_000), 1..100),
        ) {
            let (mut wire, mut now_us, mut last) = (Wire::default(), 0, 0);
            for (pause_us, delay_us) in sent {
                now_us += pause_us;
                let due_us = wire.send(now_us, delay_us);
                prop_assert!(due_us >= last && due_us >= now_us + delay_us);
                last = due_us;
            }
        }
    }

    #[test]
    fn a_distance_of_its_own_is_all_that_is_added() {
        let mut wire = Wire::default();
        assert_eq!(wire.send(1_000, 40_000), 41_000);
        assert_eq!(wire.send(2_000, 40_000), 42_000);
        // Nearer again: behind what is still under way, then as near as it is.
        assert_eq!(wire.send(3_000, 0), 42_000);
        assert_eq!(wire.send(43_000, 500), 43_500);
    }
}
