//! What is asked of a mesh, whatever its log is.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Instant;

use checkers::flights::{REGIONS, lines};
use checkers::{Broken, Injected, Oracle, inject};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::Mesh;
use crate::mesh::{PATIENCE, root};
use crate::reading::{compare_all, compare_last};

/// A month of flights: what SQL says is what every region answers.
pub fn every_region_answers_what_sql_says(mesh: &mut Mesh) {
    let raw: BTreeMap<_, _> = REGIONS.map(|region| (region, lines(region))).into();
    ingest(mesh, &raw);
    let digest = mesh.wait_until_equal();
    let oracle = Oracle::load(raw.values().flatten().map(String::as_str));
    let compared = compare_all(mesh, &oracle) + compare_last(mesh, &oracle);
    println!("{compared} values compared, digest {digest}");
}

/// The same with duplicates, disorder, late and broken events, by a seed.
pub fn dirty_streams_lose_nothing_and_double_nothing(mesh: &mut Mesh, seed: u64) {
    println!("injector seed {seed}");
    let dirty: BTreeMap<_, Injected> =
        REGIONS.map(|region| (region, inject(seed, &lines(region)))).into();
    ingest(mesh, &dirty.iter().map(|(region, i)| (*region, i.lines.clone())).collect());
    mesh.wait_until_equal();
    let oracle = Oracle::load(dirty.values().flat_map(|i| &i.clean).map(String::as_str));
    compare_all(mesh, &oracle);
    for (region, injected) in &dirty {
        let counts = mesh.status(region).expect("a status")["folded"]["departures"].clone();
        assert_eq!(counts["repeated"], injected.repeats, "{region}: {counts}");
        dead_letters_are(mesh, region, &injected.broken);
    }
}

/// SIGKILLs processes of a random region during a replay, this many times, each so many folded events
/// after the last; `victims` says which, the first of which must run. The seed is in `KILL_SEED`.
pub fn kills_change_no_value(
    mesh: &mut Mesh,
    kills: usize,
    events: Range<u64>,
    victims: fn(&mut ChaCha8Rng) -> &'static [&'static str],
) {
    let seed: u64 = std::env::var("KILL_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(2013);
    println!("kill seed {seed}");
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    // Slow enough that all kills fall into the replay.
    let mut replays: Vec<_> = REGIONS
        .iter()
        .map(|region| {
            let path = root().join(format!("examples/departures/data/{region}.jsonl.gz"));
            let path = path.to_str().expect("a path").to_owned();
            let args = ["ingest", "departures", &path, "--region", region, "--speed", "60000"];
            mesh.spawn_command(&args)
        })
        .collect();
    let started = Instant::now();
    let mut done = 0;
    while done < kills {
        let moment = folded(mesh) + rng.random_range(events.clone());
        mesh.wait_until("the replay goes on", |mesh| folded(mesh) >= moment);
        let region = REGIONS[rng.random_range(0..3usize)];
        let killed = victims(&mut rng);
        if !mesh.kill(region, killed[0]) {
            continue;
        }
        done += 1;
        killed[1..].iter().for_each(|also| _ = mesh.kill(region, also));
        println!("{done}: {region} {killed:?} at {:?}", started.elapsed());
    }
    let still_replaying = replays.iter_mut().any(|r| matches!(r.try_wait(), Ok(None)));
    assert!(still_replaying, "the kills must fall into the replay");
    for replay in replays {
        let output = replay.wait_with_output().expect("ingest ends");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert!(started.elapsed() < PATIENCE * 3, "the replay took {:?}", started.elapsed());
    mesh.wait_until_equal();
    let all: Vec<String> = REGIONS.iter().flat_map(|region| lines(region)).collect();
    let compared = compare_all(mesh, &Oracle::load(all.iter().map(String::as_str)));
    println!("{compared} values compared after {kills} kills");
}

/// Events that are folded, of all regions, as the region says that knows of most.
fn folded(mesh: &Mesh) -> u64 {
    let in_sight = |region| {
        let status = mesh.status(region).unwrap_or_default();
        let origins = status["origins"].as_array().into_iter().flatten();
        let of_view = origins.filter(|origin| origin["view"] == "plane_delays@v1");
        of_view.filter_map(|origin| origin["next"].as_u64()).sum()
    };
    REGIONS.map(in_sight).into_iter().max().unwrap_or(0)
}

/// A month of flights, each in its region.
pub fn replay(mesh: &Mesh) {
    ingest(mesh, &REGIONS.map(|region| (region, lines(region))).into());
}

fn ingest(mesh: &Mesh, lines: &BTreeMap<&str, Vec<String>>) {
    let dir = tempfile::tempdir().expect("a directory");
    let children: Vec<_> = lines
        .iter()
        .map(|(region, lines)| {
            let path = dir.path().join(format!("{region}.jsonl"));
            std::fs::write(&path, lines.join("\n") + "\n").expect("a file");
            let path = path.to_str().expect("a path").to_owned();
            mesh.spawn_command(&["ingest", "departures", &path, "--region", region])
        })
        .collect();
    for child in children {
        let output = child.wait_with_output().expect("ingest ends");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

/// Each broken line is one dead letter, with its rule, and there are no others.
pub(crate) fn dead_letters_are(mesh: &Mesh, region: &str, broken: &[Broken]) {
    let text = mesh.run(&["dead-letters", "departures", "--region", region, "--json"]);
    let letters: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let mut found: Vec<(&str, &str)> = letters
        .iter()
        .map(|l| (l["event"].as_str().unwrap_or_default(), l["rule"].as_str().unwrap_or_default()))
        .collect();
    found.sort_unstable();
    let mut expected: Vec<&Broken> = broken.iter().collect();
    expected.sort_unstable_by_key(|broken| &broken.line);
    assert_eq!(found.len(), expected.len(), "{region}");
    for ((event, rule), broken) in found.iter().zip(expected) {
        assert_eq!(*event, broken.line, "{region}");
        assert!(
            rule.contains(broken.rule),
            "{region}: '{rule}' of {event}, expected {}",
            broken.rule
        );
    }
}
