//! Real input through real processes: what SQL says is what every region answers.

use std::collections::BTreeMap;

use checkers::flights::{REGIONS, lines};
use checkers::{Broken, Injected, Oracle, inject};
use cluster::reading::{compare_all, compare_last};
use cluster::{Mesh, fresh};

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

#[test]
fn every_region_answers_what_sql_says() {
    let mut mesh = Mesh::start();
    let raw: BTreeMap<_, _> = REGIONS.map(|region| (region, lines(region))).into();
    ingest(&mesh, &raw);
    let digest = mesh.wait_until_equal();
    let oracle = Oracle::load(raw.values().flatten().map(String::as_str));
    let compared = compare_all(&mesh, &oracle) + compare_last(&mesh, &oracle);
    println!("{compared} values compared, digest {digest}");
    as_a_fresh_fold_says(&mut mesh);
}

/// The regions' digests are those of a fold of the logs from nothing.
fn as_a_fresh_fold_says(mesh: &mut Mesh) {
    let seen = REGIONS.map(|region| mesh.digests(region));
    mesh.stop();
    let fresh = fresh::digests("nyc", &mesh.data());
    assert_eq!(fresh.len(), 12, "four views of three regions: {fresh:?}");
    for (region, seen) in REGIONS.iter().zip(seen) {
        assert_eq!(seen, fresh, "{region}");
    }
}

#[test]
fn dirty_streams_lose_nothing_and_double_nothing() {
    let seed = 20_130_131;
    println!("injector seed {seed}");
    let mut mesh = Mesh::start();
    let dirty: BTreeMap<_, Injected> =
        REGIONS.map(|region| (region, inject(seed, &lines(region)))).into();
    ingest(&mesh, &dirty.iter().map(|(region, i)| (*region, i.lines.clone())).collect());
    mesh.wait_until_equal();
    let oracle = Oracle::load(dirty.values().flat_map(|i| &i.clean).map(String::as_str));
    compare_all(&mesh, &oracle);
    for (region, injected) in &dirty {
        let counts = mesh.status(region).expect("a status")["folded"]["departures"].clone();
        assert_eq!(counts["repeated"], injected.repeats, "{region}: {counts}");
        dead_letters_are(&mesh, region, &injected.broken);
    }
    as_a_fresh_fold_says(&mut mesh);
}

/// Each broken line is one dead letter, with its rule, and there are no others.
fn dead_letters_are(mesh: &Mesh, region: &str, broken: &[Broken]) {
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
