//! Many seeds, each a whole mesh. To replay one and see what its nodes say:
//! `SIM_SEED=17 cargo test -p sim -- --nocapture`; to run others: `SIM_SEEDS=1000..2000`.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::sync::Mutex;

use sim::Outcome;

/// As many as `make test` runs.
const SEEDS: u64 = 300;

fn seeds() -> std::ops::Range<u64> {
    let number = |text: &str| text.trim().parse::<u64>().expect("a seed is a number");
    if let Ok(one) = std::env::var("SIM_SEED") {
        return number(&one)..number(&one) + 1;
    }
    match std::env::var("SIM_SEEDS") {
        Ok(range) => {
            let (from, to) = range.split_once("..").expect("SIM_SEEDS=from..to");
            number(from)..number(to)
        }
        Err(_) => 0..SEEDS,
    }
}

/// Runs all seeds, as many at once as there are cores: each is a world of its own.
fn outcomes() -> BTreeMap<u64, Result<Outcome, String>> {
    let left = Mutex::new(seeds());
    let next = || left.lock().expect("no thread panics with it").next();
    let work = || std::iter::from_fn(|| next().map(|seed| (seed, sim::run(seed)))).collect();
    std::thread::scope(|scope| {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        let done = threads.into_iter().map(|t| t.join().expect("it returns what is wrong"));
        done.flat_map(|outcomes: Vec<_>| outcomes).collect()
    })
}

#[test]
fn every_seed_converges_and_no_frontier_is_ever_false() {
    if std::env::var("SIM_SEED").is_ok() {
        tracing_subscriber::fmt().with_test_writer().with_env_filter("info").init();
    }
    let mut faults: BTreeMap<&'static str, u64> = BTreeMap::new();
    let (mut checked, mut events, mut failures) = (0, 0, Vec::new());
    for outcome in outcomes().into_values() {
        match outcome {
            Ok(outcome) => {
                checked += outcome.checked;
                events += outcome.events;
                outcome.faults.iter().for_each(|(what, n)| *faults.entry(what).or_default() += n);
            }
            Err(why) => {
                println!("{why}");
                failures.push(why);
            }
        }
    }
    println!(
        "seeds {:?}: {events} events, {checked} frontiers checked, faults {faults:?}",
        seeds()
    );
    assert!(failures.is_empty(), "{} seeds failed; the first: {}", failures.len(), failures[0]);
    if seeds().count() as u64 >= SEEDS {
        for what in [
            "kill",
            "zombie",
            "orderly end",
            "second owner",
            "compaction",
            "log down or up",
            "new plan",
            "mirror fault",
        ] {
            assert!(
                faults.get(what).is_some_and(|n| *n > 0),
                "no {what} ever happened: {faults:?}"
            );
        }
    }
}

/// If this fails, nothing that a seed says can be replayed.
#[test]
fn a_seed_replays_to_the_same_trace() {
    let traces = [7, 7, 8].map(|seed| sim::run(seed).map(|outcome| outcome.trace));
    assert_eq!(traces[0], traces[1]);
    assert_ne!(traces[0], traces[2]);
}
