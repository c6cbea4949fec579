//! One mesh over three brokers and MirrorMaker 2, four source partitions and two nodes in each
//! region, and what may happen to it, one after the other. After each fault all nodes hold the same;
//! at the end of each half SQL says the same, and each broken event is one dead letter. See
//! `scripts/kafka-faults`. `FAULT_SEED=7` chooses other victims, moments and streams.

#![allow(clippy::expect_used, clippy::print_stdout, reason = "it fails by panicking")]

use cluster::feed::Feed;
use cluster::kafka::{faults, tools};
use cluster::reading::{compare_all, compare_last};
use cluster::{Mesh, OnKafka, rollout};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

fn main() {
    let seed = std::env::var("FAULT_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(2_013);
    println!("fault seed {seed}");
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut mesh = Mesh::start_on_kafka(OnKafka { partitions: 4, nodes: 2, own_mirror: false });
    let (mesh, rng, feed) = (&mut mesh, &mut rng, &mut Feed::new(seed, 10));
    feed.send(mesh).finish();
    mesh.wait_until_equal();

    faults::killed(mesh, feed, rng, &["node"]);
    mesh.wait_until_equal();
    faults::killed(mesh, feed, rng, &["broker", "mirror_maker", "node-2"]);
    mesh.wait_until_equal();
    faults::zombie(mesh, feed, rng);
    mesh.wait_until_equal();
    faults::mirror_paused(mesh, feed, rng);
    mesh.wait_until_equal();
    faults::mirror_rewound(mesh, feed, rng);
    mesh.wait_until_equal();
    faults::compaction(mesh, feed, rng);
    mesh.wait_until_equal();
    faults::growth(mesh, feed, rng);
    mesh.wait_until_equal();
    faults::restart_without_broker(mesh, rng);
    mesh.wait_until_equal();
    faults::from_nothing(mesh, rng);
    check(mesh, feed);
    for regions in [["ewr", "jfk"], ["jfk", "lga"], ["lga", "ewr"]] {
        let (sent, broken) = feed.sent(regions[0]);
        tools::read_what_was_sent(mesh, regions, sent, broken);
    }

    rollout::old_and_new_are_served_while_a_view_goes_from_region_to_region(mesh);
    // Last: a version that comes later cannot know what the deleted topic held.
    faults::remade(mesh, feed, rng);
    check(mesh, feed);
}

fn check(mesh: &mut Mesh, feed: &Feed) {
    mesh.wait_until_equal();
    let oracle = feed.oracle();
    let compared = compare_all(mesh, &oracle) + compare_last(mesh, &oracle);
    feed.check_dead_letters(mesh);
    println!("{compared} values compared");
}
