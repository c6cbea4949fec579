//! The same over three real brokers and MirrorMaker 2, or mirrors of our own. Needs `make kafka`.

use std::time::Instant;

use cluster::feed::Feed;
use cluster::kafka::{faults, tools};
use cluster::mirror::SecondMirror;
use cluster::reading::{END, INSTANTS, compare_at, compare_last};
use cluster::{Mesh, OnKafka, rollout, story};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// Four partitions, shared by two nodes in each region.
const SHARED: OnKafka = OnKafka { partitions: 4, nodes: 2, own_mirror: false };

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

/// One mesh, and what may happen to it. After each fault all nodes hold the same, SQL says the same,
/// and each broken event is one dead letter. `FAULT_SEED=7` chooses other victims, moments and
/// streams.
#[test]
fn no_fault_changes_a_value() {
    let seed = std::env::var("FAULT_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(2_013);
    println!("fault seed {seed}");
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut mesh = timed("start", || Mesh::start_on_kafka(SHARED));
    let (mesh, rng, feed) = (&mut mesh, &mut rng, &mut Feed::new(seed, 12));
    timed("before any fault", || {
        feed.send(mesh).finish();
        check(mesh, feed, &INSTANTS);
    });
    for (name, fault) in FAULTS {
        timed(name, || {
            fault(mesh, feed, rng);
            check(mesh, feed, &[END]);
        });
    }
    timed("tools", || {
        let (sent, broken) = feed.sent("ewr");
        tools::read_what_was_sent(mesh, ["ewr", "jfk"], sent, broken);
    });
    timed("rollout", || {
        rollout::old_and_new_are_served_while_a_view_goes_from_region_to_region(mesh);
    });
    // Last: a version that comes later cannot know what the deleted topic held.
    timed("made again", || faults::remade(mesh, feed, rng));
    timed("in the end", || check(mesh, feed, &INSTANTS));
}

fn check(mesh: &mut Mesh, feed: &Feed, instants: &[&str]) {
    mesh.wait_until_equal();
    let oracle = feed.oracle();
    let compared = compare_at(mesh, &oracle, instants) + compare_last(mesh, &oracle);
    feed.check_dead_letters(mesh);
    println!("{compared} values compared");
}

/// Says how long a step took, until all was checked.
fn timed<T>(name: &str, step: impl FnOnce() -> T) -> T {
    let begun = Instant::now();
    let came_to = step();
    println!("{name}: {:.0?}", begun.elapsed());
    came_to
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
