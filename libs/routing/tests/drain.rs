//! A process that ends goes when nobody asks it any more, and in any case in time.

use proptest::prelude::*;
use routing::{Busy, Departure, Drain, DrainSettings};

const SETTINGS: DrainSettings = DrainSettings { quiet_ms: 300, most_ms: 5_000 };

proptest! {
    /// Against the whole history: it goes quietly only if nothing was under way or came for long
    /// enough, and then at once; and it never stays too long.
    #[test]
    fn it_goes_when_it_is_quiet_or_its_time_is_up(
        steps in prop::collection::vec((1_u64..200, 0_u64..2, 0_u64..2), 1..200),
    ) {
        let mut drain = Drain::new(SETTINGS, Busy::default(), 1_000);
        let (mut now_ms, mut arrived, mut last_busy_ms) = (1_000, 0, 1_000);
        for (passed_ms, came, in_flight) in steps {
            now_ms += passed_ms;
            arrived += came;
            if came > 0 || in_flight > 0 {
                last_busy_ms = now_ms;
            }
            let due = if in_flight == 0 && now_ms - last_busy_ms >= SETTINGS.quiet_ms {
                Departure::Quiet
            } else if now_ms - 1_000 >= SETTINGS.most_ms {
                Departure::TimeUp
            } else {
                Departure::Stays
            };
            prop_assert_eq!(drain.look(Busy { in_flight, arrived }, now_ms), due);
        }
    }
}
