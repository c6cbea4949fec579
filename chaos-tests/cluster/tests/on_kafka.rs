//! The same over three real brokers and MirrorMaker 2, or mirrors of our own. Needs `make kafka`.

use cluster::kafka::tools;
use cluster::mirror::SecondMirror;
use cluster::{Mesh, OnKafka, story};
use rand::RngExt;

/// Four partitions, shared by two nodes in each region.
const SHARED: OnKafka = OnKafka { partitions: 4, nodes: 2, own_mirror: false };

#[test]
fn every_region_answers_what_sql_says() {
    story::every_region_answers_what_sql_says(&mut Mesh::start_on_kafka(OnKafka::default()));
}

#[test]
fn dirty_streams_lose_nothing_and_double_nothing() {
    let mut mesh = Mesh::start_on_kafka(SHARED);
    let sent = story::dirty_streams_lose_nothing_and_double_nothing(&mut mesh, 20_130_131);
    let ewr = &sent["ewr"];
    tools::read_what_was_sent(&mesh, ["ewr", "jfk"], &ewr.lines, &ewr.broken);
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

#[test]
fn kills_of_nodes_brokers_and_mirror_makers_change_no_value() {
    let mut mesh = Mesh::start_on_kafka(OnKafka::default());
    story::kills_change_no_value(&mut mesh, 12, 1_500..3_000, |rng| match rng.random_range(0..4) {
        0 => &["broker"],
        1 => &["mirror_maker"],
        2 => &["node", "broker", "mirror_maker"],
        _ => &["node"],
    });
}
