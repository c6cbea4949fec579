//! The router under whatever happens, against a model that keeps what was last heard of every
//! target and judges each anew by the rules.

mod support;

use proptest::prelude::*;
use routing::{
    BreakerSettings, Health, HomeSettings, Margin, Need, Outcome, Pick, Row, Settings, Standing,
    Try,
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
        behind_ms: i64,
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
    let behind = prop_oneof![2 => 0_i64..50, 1 => 0_i64..6_000];
    let event = prop_oneof![
        2 => (1_u64..600).prop_map(|ms| Event::Pass { ms }),
        3 => (target.clone(), yes(), yes(), prop::bool::weighted(0.1), 0_i64..1_000, behind).prop_map(
            |(target, serving, ready, draining, age_ms, behind_ms)| {
                Event::Heard { target, serving, ready, draining, age_ms, behind_ms }
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
        spill_outstanding: 2,
        home: HomeSettings {
            enter: Margin { ratio: 1.2, plus_us: 100.0 },
            ..HomeSettings::default()
        },
        ..Settings::default()
    }
}

/// What the rules say of a target, from what was last heard of it.
fn class(known: &Known, breaker: &str, need: &Need<'_>, now_ms: u64) -> u8 {
    let Some((at_ms, health)) = &known.heard else { return 9 };
    let oldest_ms = health.parts.values().filter_map(|part| part.age_ms).max().unwrap_or(0);
    match () {
        () if now_ms - at_ms > 2_000 => 9,
        () if !health.serving => 8,
        () if breaker != "closed" => 7,
        () if need.max_staleness_ms.is_some_and(|most_ms| oldest_ms > most_ms) => 5,
        () if known.demoted => 4,
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
        Standing::Lags(_) => 4,
        Standing::BehindToken => 0,
    }
}

/// What is known of a target.
#[derive(Clone, Default)]
struct Known {
    heard: Option<(u64, Health)>,
    /// How far it lags the best, ms; `None`: nothing is known of it.
    lag_ms: Option<i64>,
    demoted: bool,
}

/// Who lags whom, anew.
fn compare(all: &mut [Known]) {
    let offset = |known: &Known| {
        let (at_ms, health) = known.heard.as_ref()?;
        Some(*at_ms as i64 - health.parts["a"].complete_to_ms?)
    };
    let best = all.iter().filter_map(offset).min().unwrap_or(0);
    for known in all {
        known.lag_ms = offset(known).map(|offset_ms| offset_ms - best);
        let most_ms = if known.demoted { 1_000 } else { 2_000 };
        known.demoted = known.lag_ms.is_some_and(|lag_ms| lag_ms > most_ms);
    }
}

fn cost(row: &Row) -> f64 {
    row.round_trip_us.unwrap_or(0.0) * (1.0 + row.outstanding as f64)
}

/// Whether a request goes past its home.
fn spares(home: usize, picks: &[Pick], table: &[Row], random: u64) -> bool {
    let fit = picks.iter().filter(|pick| pick.target != home && pick.standing == Standing::Fit);
    let Some(best) = fit.map(|pick| cost(&table[pick.target])).min_by(f64::total_cmp) else {
        return false;
    };
    let home = &table[home];
    let queues = home.outstanding >= 2 && cost(home) > best * 2.0 + 5_000.0;
    queues || random % 100 >= home.share_percent
}

/// The place of a target: its class, for which all that fail are one; how stale it is, if it is not fresh
/// enough, or fails and lags; of those that fail, who is not left out; the home, unless it is spared; cost.
fn place(pick: &Pick, known: &Known, (home, spared): (Option<usize>, bool), row: &Row) -> Place {
    let class = match pick.standing {
        Standing::Probe => 0,
        Standing::Failing | Standing::Ejected => 7,
        ref other => said(other),
    };
    let lag_ms = match class {
        0..4 => 0,
        7 if !known.demoted => 0,
        _ => known.lag_ms.unwrap_or(i64::MAX),
    };
    let turn = if home != Some(pick.target) {
        1
    } else if spared {
        2
    } else {
        0
    };
    (class, lag_ms, pick.standing == Standing::Ejected, turn, cost(row))
}

type Place = (u8, i64, bool, u8, f64);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn holds_its_promises(events in events()) {
        let mut router = router(settings(), TARGETS);
        let (mut now_ms, mut known) = (0_u64, vec![Known::default(); TARGETS]);
        let mut under_way = Vec::<(Try, bool, usize)>::new();
        for event in events {
            match event {
                Event::Pass { ms } => now_ms += ms,
                Event::Heard { target, serving, ready, draining, age_ms, behind_ms } => {
                    let mut health = Health { serving, ready, draining, ..well(&[0]) };
                    // By the origin's clock, which is the gateway's here.
                    health.parts.values_mut().for_each(|part| {
                        (part.age_ms, part.complete_to_ms) = (Some(age_ms), Some(now_ms as i64 - behind_ms));
                    });
                    known[target].heard = Some((now_ms, health.clone()));
                    compare(&mut known);
                    router.heard(target, health, now_ms);
                }
                Event::Lost { target } => {
                    known[target].heard = None;
                    compare(&mut known);
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
                        let expected = class(&known[pick.target], breaker, &need, now_ms);
                        prop_assert!(failing || said(&pick.standing) == expected, "{:?}", pick);
                    }
                    // Before there is a home, it is the first, and spared by nobody.
                    let home = router.home();
                    let spared = home.is_some_and(|home| spares(home, &picks, &table, random));
                    let home = (home.or(Some(0)), spared);
                    let places: Vec<Place> = picks
                        .iter()
                        .map(|pick| place(pick, &known[pick.target], home, &table[pick.target]))
                        .collect();
                    prop_assert!(places.is_sorted(), "{picks:?} {places:?}");
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
