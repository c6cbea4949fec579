//! What is bounded stays within its bound, whatever comes in whatever order.

use proptest::prelude::*;
use routing::{Budget, Limit, QuotaSettings, Quotas, TokenBucket};

/// Steps of time, ms, and whether a request comes in or an extra one is wanted.
fn steps() -> impl Strategy<Value = Vec<(u64, bool)>> {
    prop::collection::vec((0_u64..50, any::<bool>()), 0..2_000)
}

proptest! {
    #[test]
    fn hedges_are_at_most_one_in_twenty(steps in steps()) {
        let (mut budget, mut now_ms) = (Budget::hedges(5, 0), 0);
        let (mut requests, mut hedges) = (0_u64, 0_u64);
        for (passed_ms, request) in steps {
            now_ms += passed_ms;
            if request {
                requests += 1;
                budget.request();
            } else if budget.try_spend(now_ms) {
                hedges += 1;
            }
            prop_assert!(hedges * 20 <= requests, "{hedges} of {requests}");
        }
    }

    #[test]
    fn retries_are_a_fifth_and_ten_a_second(steps in steps()) {
        let (mut budget, mut now_ms) = (Budget::retries(20, 10, 0), 0);
        let (mut requests, mut retries) = (0_u64, 0_u64);
        for (passed_ms, request) in steps {
            now_ms += passed_ms;
            if request {
                requests += 1;
                budget.request();
            } else if budget.try_spend(now_ms) {
                retries += 1;
            }
            // It starts with what ten quiet seconds give.
            let most_milli = requests * 200 + now_ms * 10 + 100_000;
            prop_assert!(retries * 1_000 <= most_milli, "{retries} of {requests} in {now_ms} ms");
        }
    }

    #[test]
    fn a_bucket_says_when_it_has_one_more(per_s in 1_u64..2_000, taken in 1_u64..20, now in 0_u64..1_000) {
        let mut bucket = TokenBucket::full(taken, per_s, now);
        (0..taken).for_each(|_| assert!(bucket.try_take(now)));
        prop_assert!(!bucket.try_take(now));
        let wait_ms = bucket.wait_ms(now).expect("it fills");
        prop_assert!(!bucket.clone().try_take(now + wait_ms - 1));
        prop_assert!(bucket.try_take(now + wait_ms));
    }

    #[test]
    fn no_client_takes_anothers_share(asks in prop::collection::vec((0_u64..20, 0_usize..6), 0..600)) {
        let settings = QuotaSettings { per_s: 20, burst: 5, clients: 4 };
        let (mut quotas, mut now_ms) = (Quotas::new(settings, 0), 0);
        let mut granted = [0_u64; 6];
        for (passed_ms, client) in asks {
            now_ms += passed_ms;
            match quotas.request(&client.to_string(), now_ms) {
                Ok(()) => granted[client] += 1,
                Err(wait_ms) => prop_assert!((1..=50).contains(&wait_ms)),
            }
            // Nobody gets more than a bucket of its own gives, and once the shared one's.
            prop_assert!(granted[client] * 1_000 <= 2 * (5_000 + now_ms * 20));
            prop_assert!(quotas.clients() <= 4);
        }
    }

    #[test]
    fn a_limit_stays_between_floor_and_cap_and_comes_back(ends in prop::collection::vec((0_u64..300, any::<bool>(), 0_u64..200), 0..400)) {
        let (mut limit, mut now_ms) = (Limit::new(8, 100, 100), 0);
        for (passed_ms, in_time, in_flight) in ends {
            now_ms += passed_ms;
            let before = limit.now();
            if in_time { limit.in_time(in_flight) } else { limit.too_late(now_ms) }
            prop_assert!((8..=100).contains(&limit.now()));
            prop_assert!((limit.now() + 1) * 100 > before * 90, "one sign cuts a tenth");
        }
        (0..20_000).for_each(|_| limit.in_time(100));
        prop_assert_eq!(limit.now(), 100);
    }
}

#[test]
fn a_stall_cuts_once_however_many_requests_it_met() {
    let mut limit = Limit::new(1, 1_000, 100);
    (0..500).for_each(|_| limit.too_late(0));
    assert_eq!(limit.now(), 900);
    limit.too_late(100);
    assert_eq!(limit.now(), 810);
}

#[test]
fn a_limit_that_nobody_touches_does_not_grow() {
    let mut limit = Limit::new(1, 100, 0);
    limit.too_late(0);
    (0..1_000).for_each(|_| limit.in_time(3));
    assert_eq!(limit.now(), 90);
}
