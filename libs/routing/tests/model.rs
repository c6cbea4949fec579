//! The router under whatever happens, against a model that keeps what was last heard of every
//! target and judges each anew by the rules.

mod support;

use proptest::prelude::*;
use routing::{
    BreakerSettings, Health, HomeSettings, Margin, Need, Outcome, Settings, Standing, Try,
};

use support::{router, well};

const TARGETS: usize = 4;

#[derive(Clone, Debug)]
enum Event {
    Pass {
        ms: u64,
    },
    Heard {
        target: usize,
        serving: bool,
        ready: bool,
        draining: bool,
        age_ms: i64,
    },
    Lost {
        target: usize,
    },
    Measured {
        target: usize,
        took_us: u64,
    },
    /// A request to the nth choice.
    Start {
        choice: usize,
    },
    End {
        which: usize,
        outcome: Outcome,
    },
    Ask {
        max_staleness_ms: Option<i64>,
        random: u64,
    },
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let target = 0..TARGETS;
    let yes = || prop::bool::weighted(0.85);
    let outcomes = vec![Outcome::Answered, Outcome::Failed, Outcome::Failed, Outcome::Abandoned];
    let ages = prop::option::of(0_i64..1_000);
    let event = prop_oneof![
        2 => (1_u64..600).prop_map(|ms| Event::Pass { ms }),
        3 => (target.clone(), yes(), yes(), prop::bool::weighted(0.1), 0_i64..1_000).prop_map(
            |(target, serving, ready, draining, age_ms)| {
                Event::Heard { target, serving, ready, draining, age_ms }
            }
        ),
        1 => target.clone().prop_map(|target| Event::Lost { target }),
        1 => (target, 100_u64..100_000).prop_map(|(target, took_us)| Event::Measured { target, took_us }),
        4 => (0..TARGETS).prop_map(|choice| Event::Start { choice }),
        4 => (any::<usize>(), prop::sample::select(outcomes)).prop_map(|(which, outcome)| Event::End { which, outcome }),
        2 => (ages, any::<u64>()).prop_map(|(max_staleness_ms, random)| Event::Ask { max_staleness_ms, random }),
    ];
    prop::collection::vec(event, 0..400)
}

fn settings() -> Settings {
    Settings {
        breaker: BreakerSettings {
            consecutive: 2,
            first_open_ms: 300,
            ..BreakerSettings::default()
        },
        max_ejected_percent: 50,
        home: HomeSettings {
            enter: Margin { ratio: 1.2, plus_us: 100.0 },
            ..HomeSettings::default()
        },
        ..Settings::default()
    }
}

/// What the rules say of a target, from what was last heard of it.
fn class(heard: Option<&(u64, Health)>, breaker: &str, need: &Need<'_>, now_ms: u64) -> u8 {
    let Some((at_ms, health)) = heard else { return 9 };
    let oldest_ms = health.parts.values().filter_map(|part| part.age_ms).max().unwrap_or(0);
    match () {
        () if now_ms - at_ms > 2_000 => 9,
        () if !health.serving => 8,
        () if breaker != "closed" => 7,
        () if need.max_staleness_ms.is_some_and(|most_ms| oldest_ms > most_ms) => 5,
        () if !health.ready => 3,
        () if health.draining => 2,
        () => 1,
    }
}

fn said(standing: &Standing) -> u8 {
    match standing {
        Standing::Fit => 1,
        Standing::Draining => 2,
        Standing::NotReady(_) => 3,
        Standing::TooOld(_) => 5,
        // A breaker that may not open is told from its neighbour in `tests/breaker.rs`.
        Standing::Failing => 1,
        Standing::Probe | Standing::Ejected => 7,
        Standing::NotServing => 8,
        Standing::Unknown => 9,
        Standing::BehindToken | Standing::Lags(_) => 0,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn holds_its_promises(events in events()) {
        let mut router = router(settings(), TARGETS);
        let (mut now_ms, mut heard) = (0_u64, [const { None::<(u64, Health)> }; TARGETS]);
        let mut under_way = Vec::<(Try, bool, usize)>::new();
        for event in events {
            match event {
                Event::Pass { ms } => now_ms += ms,
                Event::Heard { target, serving, ready, draining, age_ms } => {
                    let mut health = Health { serving, ready, draining, ..well(&[0]) };
                    // Complete up to now by the origin's clock, so that nobody lags.
                    health.parts.values_mut().for_each(|part| {
                        (part.age_ms, part.complete_to_ms) = (Some(age_ms), Some(now_ms as i64));
                    });
                    heard[target] = Some((now_ms, health.clone()));
                    router.heard(target, health, now_ms);
                }
                Event::Lost { target } => {
                    heard[target] = None;
                    router.lost(target, now_ms);
                }
                Event::Measured { target, took_us } => {
                    router.measured(target, took_us, now_ms);
                }
                Event::Start { choice } => {
                    let pick = router.plan(&Need::default(), now_ms, 7).swap_remove(choice);
                    let before = router.table(now_ms)[pick.target].breaker;
                    if let Some(tried) = router.start(&pick, now_ms) {
                        let opened = before == "open" && router.table(now_ms)[pick.target].breaker == "half-open";
                        let probe = opened || pick.standing == Standing::Probe;
                        under_way.push((tried, probe, pick.target));
                    }
                }
                Event::End { .. } if under_way.is_empty() => {}
                Event::End { which, outcome } => {
                    let (tried, _, _) = under_way.swap_remove(which % under_way.len());
                    router.finish(tried, outcome, now_ms, 0);
                }
                Event::Ask { max_staleness_ms, random } => {
                    let need = Need { max_staleness_ms, ..Need::default() };
                    let picks = router.plan(&need, now_ms, random);
                    let table = router.table(now_ms);
                    let mut seen: Vec<usize> = picks.iter().map(|pick| pick.target).collect();
                    seen.sort_unstable();
                    prop_assert_eq!(seen, (0..TARGETS).collect::<Vec<_>>(), "everybody once");
                    let probes = picks.iter().filter(|pick| pick.standing == Standing::Probe);
                    prop_assert!(probes.count() <= 1);
                    for pick in &picks {
                        let failing = pick.standing == Standing::Failing;
                        let breaker = table[pick.target].breaker;
                        let expected = class(heard[pick.target].as_ref(), breaker, &need, now_ms);
                        prop_assert!(failing || said(&pick.standing) == expected, "{:?}", pick);
                    }
                    // No worse one stands before a better one, but for the probe.
                    let classes: Vec<&Standing> = picks.iter().map(|pick| &pick.standing).collect();
                    for pair in classes.windows(2).filter(|pair| *pair[0] != Standing::Probe) {
                        let class = |standing: &Standing| match standing {
                            Standing::Failing => 6,
                            other => said(other),
                        };
                        prop_assert!(class(pair[0]) <= class(pair[1]), "{classes:?}");
                    }
                }
            }
            let table = router.table(now_ms);
            let open = table.iter().filter(|row| row.breaker != "closed").count();
            prop_assert!(open * 100 <= TARGETS * 50, "never above the ejection share");
            for (target, row) in table.iter().enumerate() {
                let outstanding = under_way.iter().filter(|(_, _, of)| *of == target).count();
                prop_assert_eq!(row.outstanding, outstanding as u64);
                let probes = under_way.iter().filter(|(_, probe, of)| *probe && *of == target);
                prop_assert!(probes.count() <= 1, "never two probes");
            }
        }
    }
}
