//! The same over three real brokers and MirrorMaker 2, or mirrors of our own. Needs `make kafka`.

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
    story::dirty_streams_lose_nothing_and_double_nothing(&mut mesh, 20_130_131);
}

#[test]
fn dirty_streams_lose_and_double_nothing_by_our_own_mirror() {
    let mut mesh = Mesh::start_on_kafka(OnKafka { own_mirror: true, ..SHARED });
    story::dirty_streams_lose_nothing_and_double_nothing(&mut mesh, 20_130_132);
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
