//! SIGKILL at seeded moments of the replay, of nodes and of whole regions: the oracle still holds.

use std::time::{Duration, Instant};

use checkers::Oracle;
use checkers::flights::{REGIONS, lines};
use cluster::Mesh;
use cluster::mesh::{PATIENCE, root};
use cluster::reading::compare_all;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const KILLS: usize = 20;

#[test]
fn twenty_kills_change_no_value() {
    let seed: u64 = std::env::var("KILL_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(2013);
    println!("kill seed {seed}");
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut mesh = Mesh::start();
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
    let mut kills = 0;
    while kills < KILLS {
        // The wait is part of the experiment: a kill at a moment that the seed says.
        std::thread::sleep(Duration::from_millis(rng.random_range(300..1_800)));
        let region = REGIONS[rng.random_range(0..3usize)];
        let whole = rng.random_bool(0.3);
        if !mesh.kill(region, "node") {
            continue;
        }
        kills += 1;
        if whole {
            mesh.kill(region, "gateway");
        }
        println!(
            "{kills}: {region} {} at {:?}",
            if whole { "whole" } else { "node" },
            started.elapsed()
        );
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
    let compared = compare_all(&mesh, &Oracle::load(all.iter().map(String::as_str)));
    println!("{compared} values compared after {KILLS} kills");
}
