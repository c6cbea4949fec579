//! The door against a model that keeps every request in one list and looks through it.

use std::collections::BTreeSet;

use proptest::prelude::*;
use routing::{Admission, AdmissionSettings, Arrival, Finish, Priority, QueueSettings};

const SETTINGS: AdmissionSettings = AdmissionSettings {
    cap: 4,
    floor: 2,
    pause_ms: 100,
    queue: QueueSettings { length: 3, patience_ms: 50, overload_ms: 5, calm_ms: 20 },
};

#[derive(Clone, Copy, Debug)]
enum Step {
    Pass { ms: u64 },
    Arrive(Priority),
    Leave(Finish),
    Rejoin,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let priorities = vec![Priority::Batch, Priority::Normal, Priority::Critical];
    let ends = vec![Finish::InTime, Finish::TooLate, Finish::Neither];
    let step = prop_oneof![
        2 => (1_u64..30).prop_map(|ms| Step::Pass { ms }),
        4 => prop::sample::select(priorities).prop_map(Step::Arrive),
        3 => prop::sample::select(ends).prop_map(Step::Leave),
        1 => Just(Step::Rejoin),
    ];
    prop::collection::vec(step, 0..300)
}

#[derive(Clone, Copy, Debug)]
struct Request {
    ticket: u64,
    priority: Priority,
    arrived: usize,
    until_ms: u64,
}

proptest! {
    #[test]
    fn agrees_with_a_model_that_looks_through_a_list(steps in steps()) {
        let mut door = Admission::new(SETTINGS, 0);
        let (mut now_ms, mut in_flight, mut empty_ms) = (0_u64, 0_u64, 0_u64);
        let mut waiting = Vec::<Request>::new();
        let mut shed = BTreeSet::new();
        let mut hard_ms = None::<u64>;
        let still = |hard_ms: Option<u64>, now_ms: u64| hard_ms.is_some_and(|at_ms| now_ms - at_ms < 20);
        for (arrived, step) in steps.into_iter().enumerate() {
            match step {
                Step::Pass { ms } => {
                    now_ms += ms;
                    // Whose time is over gives up, as its caller would.
                    for request in waiting.extract_if(.., |request| request.until_ms <= now_ms) {
                        prop_assert!(door.give_up(request.ticket));
                        prop_assert!(!door.give_up(request.ticket));
                    }
                }
                Step::Arrive(priority) => {
                    if waiting.is_empty() {
                        empty_ms = now_ms;
                    }
                    match door.arrive(priority, now_ms) {
                        Arrival::Goes => {
                            prop_assert!(in_flight < door.limit());
                            in_flight += 1;
                        }
                        Arrival::Shed => {
                            prop_assert_eq!(waiting.len(), 3);
                            prop_assert!(waiting.iter().all(|request| request.priority >= priority));
                        }
                        Arrival::Waits { ticket, patience_ms, displaced } => {
                            prop_assert!(in_flight >= door.limit());
                            let full_for_long = !waiting.is_empty() && now_ms - empty_ms >= 50;
                            let overloaded = full_for_long || still(hard_ms, now_ms);
                            let least = waiting.iter().min_by_key(|r| (r.priority, r.arrived)).copied();
                            let full = waiting.len() == 3;
                            prop_assert_eq!(displaced, least.filter(|_| full).map(|r| r.ticket));
                            if let Some(displaced) = displaced {
                                prop_assert!(least.is_some_and(|least| least.priority < priority));
                                waiting.retain(|request| request.ticket != displaced);
                                shed.insert(displaced);
                            }
                            hard_ms = overloaded.then_some(now_ms);
                            let expected_ms = if overloaded { 5 } else { 50 };
                            prop_assert_eq!(patience_ms, expected_ms);
                            waiting.push(Request { ticket, priority, arrived, until_ms: now_ms + patience_ms });
                        }
                    }
                }
                Step::Rejoin => {
                    door.rejoin();
                    in_flight += 1;
                }
                Step::Leave(_) if in_flight == 0 => {}
                Step::Leave(finish) => {
                    in_flight -= 1;
                    let called = door.leave(finish, now_ms);
                    for ticket in called {
                        let newest_first = now_ms - empty_ms >= 50 || still(hard_ms, now_ms);
                        let order = |request: &&Request| {
                            let turn = if newest_first { request.arrived } else { usize::MAX - request.arrived };
                            (request.priority, turn)
                        };
                        let next = waiting.iter().max_by_key(order).expect("somebody waits").ticket;
                        prop_assert_eq!(ticket, next);
                        prop_assert!(!shed.contains(&ticket));
                        waiting.retain(|request| request.ticket != ticket);
                        in_flight += 1;
                    }
                    prop_assert!(waiting.is_empty() || in_flight >= door.limit(), "nobody waits in vain");
                }
            }
            prop_assert_eq!(door.in_flight(), in_flight);
            prop_assert_eq!(door.waiting(), waiting.len());
            prop_assert!(door.waiting() <= 3 && (2..=4).contains(&door.limit()));
        }
    }
}
