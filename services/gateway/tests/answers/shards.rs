//! Nodes that do not serve all shards: a batch is split over those that do.

use std::collections::BTreeSet;

use serde_json::{Value as Json, json};

use crate::support::{Answer, Door, FakeNode, Mood, open, wait_until};

const SHARDS: u32 = 64;

fn read(door: &Door, rows: &[i64]) -> Answer {
    let features = ["driver_stats:km_1h", "driver_stats:trips_1h"];
    door.read(&json!({"entities": {"driver_id": rows}, "features": features}))
}

/// Shards in which the last `reads` of a node were.
fn shards(node: &FakeNode, before: usize) -> BTreeSet<u32> {
    let reads = node.reads();
    let views = reads[before..].iter().flat_map(|read| &read.views);
    views.flat_map(|view| view.shards.clone()).collect()
}

fn column(answer: &Answer, column: usize) -> Vec<Json> {
    answer.json()["results"][column]["values"].as_array().expect("values").clone()
}

#[test]
fn a_batch_is_split_over_nodes_and_answered_in_order() {
    let (us, mut eu) = (FakeNode::start("us"), FakeNode::start("eu"));
    let (even, odd): (Vec<u32>, Vec<u32>) = (0..SHARDS).partition(|shard| shard % 2 == 0);
    us.serve(&even);
    eu.serve(&odd);
    let door = open(&us, &[&eu]);
    // Rows that have no value tell whether the others are in their places.
    let rows: Vec<i64> = (1_000..1_030).chain([404]).chain(1_030..1_060).chain([204]).collect();
    wait_until("both are heard", || {
        let answer = read(&door, &rows);
        answer.status == 200 && answer.served().0.len() == "us,eu".len()
    });
    let before = (us.reads().len(), eu.reads().len());
    let answer = read(&door, &rows);
    assert_eq!(answer.json()["mesh"]["route"], "failover", "{}", answer.text);
    let (asked_us, asked_eu) = (shards(&us, before.0), shards(&eu, before.1));
    assert!(asked_us.iter().all(|shard| shard % 2 == 0) && !asked_us.is_empty(), "{asked_us:?}");
    assert!(asked_eu.iter().all(|shard| shard % 2 == 1) && !asked_eu.is_empty(), "{asked_eu:?}");
    let empty = |row: &i64| [404, 204].contains(row);
    let expected = |value: Json| -> Vec<Json> {
        rows.iter().map(|row| if empty(row) { Json::Null } else { value.clone() }).collect()
    };
    assert_eq!(column(&answer, 0), rows.iter().map(|row| json!(row)).collect::<Vec<_>>());
    assert_eq!(column(&answer, 1), expected(json!(2.0)));
    assert_eq!(column(&answer, 2), expected(json!(7)));
    // Of what both say of the mesh, the worse holds.
    eu.set(Mood::Old);
    let old = &read(&door, &rows).json()["mesh"]["origins"]["ap"]["age_ms"];
    assert_eq!(old, &json!(3_600_000));
    // Nobody else has its shards.
    eu.kill();
    wait_until("a half is not answered as if it were the whole", || {
        read(&door, &rows).status == 503
    });
}

#[test]
fn what_one_node_serves_is_asked_of_it_alone() {
    let (us, eu) = (FakeNode::start("us"), FakeNode::start("eu"));
    us.serve(&[SHARDS]);
    let door = open(&us, &[&eu]);
    wait_until("eu has what us has not", || {
        let answer = read(&door, &[1, 2, 3]);
        answer.status == 200 && answer.served() == ("eu".to_owned(), "failover".to_owned())
    });
    let before = us.reads().len();
    read(&door, &[1, 2, 3]).served();
    assert_eq!(us.reads().len(), before);
}
