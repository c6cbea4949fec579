//! The same over three real brokers and MirrorMaker 2, or mirrors of our own. Needs `make kafka`.

use cluster::feed::Feed;
use cluster::kafka::{faults, tools};
use cluster::mirror::SecondMirror;
use cluster::reading::{compare_all, compare_last};
use cluster::{Mesh, OnKafka, rollout, story};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// Four partitions, shared by two nodes in each region.
const SHARED: OnKafka = OnKafka { partitions: 4, nodes: 2, own_mirror: false };

/// One after the other. After each all nodes hold the same; at the end of each half SQL says the
/// same, and each broken event is one dead letter. `FAULT_SEED=7` chooses other victims, moments and
/// streams.
#[test]
fn dirty_streams_and_faults_lose_nothing_and_double_nothing() {
    let seed = std::env::var("FAULT_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(2_013);
    println!("fault seed {seed}");
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut mesh = Mesh::start_on_kafka(SHARED);
    let (mesh, rng, feed) = (&mut mesh, &mut rng, &mut Feed::new(seed, 10));
    feed.send(mesh).finish();
    mesh.wait_until_equal();

    faults::killed(mesh, feed, rng, &["node"]);
    mesh.wait_until_equal();
    faults::killed(mesh, feed, rng, &["broker", "mirror_maker", "node-2"]);
    mesh.wait_until_equal();
    faults::zombie(mesh, feed, rng);
    mesh.wait_until_equal();
    faults::mirror_asleep(mesh, feed, rng);
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

#[test]
fn dirty_streams_lose_and_double_nothing_by_our_own_mirror() {
    let mut mesh = Mesh::start_on_kafka(OnKafka { own_mirror: true, ..SHARED });
    story::dirty_streams_lose_nothing_and_double_nothing(&mut mesh, 20_130_132);
}

#[test]
fn a_mirror_that_dies_is_replaced_by_one_that_stood_by() {
    let mut mesh = Mesh::start_on_kafka(OnKafka { own_mirror: true, ..OnKafka::default() });
    let second = SecondMirror::start(&mesh, "ewr");
    let working = |from| second.metric("meridian_mirror_working", from);
    mesh.wait_until("a second mirror stands by", |_| {
        ["jfk", "lga"].iter().all(|from| working(from) == Some(0))
    });
    mesh.run(&["mirror", "stop", "ewr", "--kill"]);
    story::replay(&mesh);
    mesh.wait_until_equal();
    for from in ["jfk", "lga"] {
        assert_eq!(working(from), Some(1), "{from}");
        assert!(second.metric("meridian_mirror_records_total", from) > Some(0), "{from}");
    }
    mesh.run(&["mirror", "start", "ewr"]);
    drop(second);
    mesh.wait_until("the first one works again", |mesh| {
        let status = mesh.status("ewr");
        let mirrors = status.as_ref().and_then(|status| status["mirrors"].as_array());
        mirrors.is_some_and(|mirrors| {
            mirrors.len() == 2 && mirrors.iter().all(|m| m["standby"] == false)
        })
    });
    // Who stands by does not fence who works.
    let log = std::fs::read_to_string(mesh.data().join("ewr/second-mirror.log")).expect("a log");
    assert!(!log.contains("holds the claim"), "{log}");
    mesh.wait_until_equal();
}
