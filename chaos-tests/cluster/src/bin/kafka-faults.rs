//! One mesh over three brokers and MirrorMaker 2, four source partitions and two nodes in each
//! region, and what may happen to it, one after the other. After each fault all nodes hold the same,
//! SQL says the same, and each broken event is one dead letter. See `scripts/kafka-faults`.
//! `FAULT_SEED=7` chooses other victims, moments and streams.

#![allow(clippy::expect_used, clippy::print_stdout, reason = "it fails by panicking")]

use std::time::Instant;

use cluster::feed::Feed;
use cluster::kafka::{faults, tools};
use cluster::reading::{END, INSTANTS, compare_at, compare_last};
use cluster::{Mesh, OnKafka, rollout};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

type Fault = fn(&mut Mesh, &mut Feed, &mut ChaCha8Rng);

/// One after the other.
const FAULTS: [(&str, Fault); 10] = [
    ("node killed", |mesh, feed, rng| faults::killed(mesh, feed, rng, &["node"])),
    ("broker, MirrorMaker and node killed", |mesh, feed, rng| {
        faults::killed(mesh, feed, rng, &["broker", "mirror_maker", "node-2"]);
    }),
    ("rolling restart", faults::rolling_restart),
    ("zombie", faults::zombie),
    ("MirrorMaker asleep", faults::mirror_paused),
    ("MirrorMaker rewound", faults::mirror_rewound),
    ("compaction", faults::compaction),
    ("growth", faults::growth),
    ("restart without a broker", |mesh, _, rng| faults::restart_without_broker(mesh, rng)),
    ("from nothing", |mesh, _, rng| faults::from_nothing(mesh, rng)),
];

fn main() {
    let seed = std::env::var("FAULT_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(2_013);
    println!("fault seed {seed}");
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut mesh = Mesh::start_on_kafka(OnKafka { partitions: 4, nodes: 2, own_mirror: false });
    let (mesh, rng, feed) = (&mut mesh, &mut rng, &mut Feed::new(seed, 12));
    feed.send(mesh).finish();
    mesh.wait_until_equal();
    for (name, fault) in FAULTS {
        let begun = Instant::now();
        fault(mesh, feed, rng);
        check(mesh, feed, &[END]);
        println!("{name}: {:?} until all was checked", begun.elapsed());
    }
    for regions in [["ewr", "jfk"], ["jfk", "lga"], ["lga", "ewr"]] {
        let (sent, broken) = feed.sent(regions[0]);
        tools::read_what_was_sent(mesh, regions, sent, broken);
    }

    rollout::old_and_new_are_served_while_a_view_goes_from_region_to_region(mesh);
    // Last: a version that comes later cannot know what the deleted topic held.
    faults::remade(mesh, feed, rng);
    check(mesh, feed, &INSTANTS);
}

fn check(mesh: &mut Mesh, feed: &Feed, instants: &[&str]) {
    mesh.wait_until_equal();
    let oracle = feed.oracle();
    let compared = compare_at(mesh, &oracle, instants) + compare_last(mesh, &oracle);
    feed.check_dead_letters(mesh);
    println!("{compared} values compared");
}
