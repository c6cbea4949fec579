//! SQL is the oracle: January's departures, folded in three regions and combined, are what SQLite
//! says of the raw files. The SQL knows nothing of contracts, panes or sketches.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's helpers fail by panicking")]

mod reading;
mod sql;
#[path = "../support/mod.rs"]
mod support;

use fold::Outcome;
use rand::RngExt;
use rand::rand_core::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use reading::Regions;
use sql::Oracle;
use support::departures::{AIRPORTS, events, plans};
use support::{DAY_MS, HOUR_MS, MINUTE_MS};

const COMMIT: usize = 200;

/// Ten instants over January, none on the edge of more than a minute; every window is cut at the
/// edge of its own panes below.
fn instants() -> impl Iterator<Item = i64> {
    const FIRST_MS: i64 = 1_357_034_400_000;
    (1..=10).map(|i| FIRST_MS + i * (3 * DAY_MS + 37 * MINUTE_MS))
}

fn check(regions: &Regions, oracle: &Oracle) {
    let mut compared = 0;
    for view in regions.views() {
        compared += instants().map(|at_ms| view.check_windows(oracle, at_ms)).sum::<usize>();
        compared += view.check_last(oracle);
    }
    println!("{compared} values compared");
    assert!(compared > 500_000, "{compared}");
}

#[test]
fn january_is_what_sql_says() {
    let mut regions = Regions::new(plans(90 * DAY_MS));
    let oracle = Oracle::new(AIRPORTS.into_iter().flat_map(events));
    for airport in AIRPORTS {
        let outcomes = regions.replay(airport, &events(airport), COMMIT);
        assert!(outcomes.iter().all(|o| matches!(o, Outcome::Folded | Outcome::Skipped)));
    }
    check(&regions, &oracle);
}

/// How an event is broken, and the rule that must say so.
const BREAKS: [(&str, &str); 4] = [
    ("range", "distance: 9000 is outside [0, 6000]"),
    ("type", "dep_delay: \"12\" is not an int"),
    ("missing", "carrier is missing or null"),
    ("not JSON", "not JSON: EOF while parsing"),
];

fn broken(event: &str, how: usize) -> String {
    let mut json: serde_json::Value = serde_json::from_str(event).unwrap();
    match how {
        0 => json["distance"] = 9000.into(),
        1 => json["dep_delay"] = "12".into(),
        2 => _ = json.as_object_mut().unwrap().remove("carrier"),
        _ => return event[..event.len() / 2].to_owned(),
    }
    json.to_string()
}

/// A record as it is injected: its bytes, and what is wrong with it.
struct Injected {
    event: String,
    broken: Option<usize>,
}

/// Breaks 1 % of the events, repeats 5 %, and brings each up to two hours late.
fn inject(events: &[String], random: &mut ChaCha8Rng) -> Vec<Injected> {
    let mut timed = Vec::new();
    for event in events {
        let json: serde_json::Value = serde_json::from_str(event).unwrap();
        let time = json["departed_at"].as_str().or(json["scheduled_at"].as_str()).unwrap();
        let time_ms = clock::parse_timestamp_ms(time).unwrap();
        let cancelled = json["departed_at"].is_null();
        let how = random.random_range(0..BREAKS.len());
        let breaks = !cancelled && random.random_bool(0.01);
        let copies = if random.random_bool(0.05) { 2 } else { 1 };
        for _ in 0..copies {
            let (event, broken) = match breaks {
                true => (broken(event, how), Some(how)),
                false => (event.clone(), None),
            };
            let at_ms = time_ms + random.random_range(0..2 * HOUR_MS);
            timed.push((at_ms, Injected { event, broken }));
        }
    }
    timed.shuffle(random);
    timed.sort_by_key(|(at_ms, _)| *at_ms);
    timed.into_iter().map(|(_, injected)| injected).collect()
}

/// Nothing lost, nothing doubled, and every broken event found with its rule.
#[test]
fn an_injector_changes_nothing_but_what_it_broke() {
    let seed = std::env::var("SEED").map_or(20_130_101, |seed| seed.parse().unwrap());
    println!("seed {seed}");
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut regions = Regions::new(plans(90 * DAY_MS));
    let mut intact = Vec::new();
    for airport in AIRPORTS {
        let stream = inject(&events(airport), &mut random);
        let raw: Vec<String> = stream.iter().map(|injected| injected.event.clone()).collect();
        let outcomes = regions.replay(airport, &raw, COMMIT);
        let mut found = 0;
        for (injected, outcome) in stream.into_iter().zip(outcomes) {
            match (injected.broken, outcome) {
                (Some(how), Outcome::Rejected(rule)) if rule.starts_with(BREAKS[how].1) => {
                    found += 1
                }
                // SQL drops what is cancelled and what is repeated by itself.
                (None, Outcome::Folded | Outcome::Skipped | Outcome::Repeated) => {
                    intact.push(injected.event);
                }
                (how, outcome) => panic!("{how:?} {outcome:?}: {}", injected.event),
            }
        }
        assert!(found > 50, "{airport}: {found} broken");
    }
    check(&regions, &Oracle::new(intact.into_iter()));
}
