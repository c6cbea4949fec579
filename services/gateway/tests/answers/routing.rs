//! Which region answers, when regions fail in all the ways they do.

use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use crate::support::{Answer, Door, FakeNode, Mood, number, open, open_unheard, wait_until};

fn read(door: &Door, mesh: Json) -> Answer {
    let features = ["driver_stats:km_1h"];
    door.read(&json!({"entities": {"driver_id": [1]}, "features": features, "mesh": mesh}))
}

/// Who answered, and by which route.
fn served(answer: &Answer) -> (String, String) {
    assert_eq!(answer.status, 200, "{}", answer.text);
    let mesh = &answer.json()["mesh"];
    let part = |key: &str| mesh[key].as_str().expect("text").to_owned();
    (part("served_by"), part("route"))
}

fn by(region: &str, route: &str) -> (String, String) {
    (region.to_owned(), route.to_owned())
}

fn push(door: &Door) -> Answer {
    let df = json!({"trip_id": ["a"], "ended_at": ["2026-12-01T00:00:00Z"], "driver_id": [1],
                    "origin": ["JFK"], "dest": ["LAX"], "km": [1.5]});
    door.post("/push", json!({"push_source_name": "trips", "df": df}).to_string().as_bytes())
}

#[test]
fn a_killed_node_costs_no_read_and_pushes_are_not_rerouted() {
    let (mut us, eu, ap) = (FakeNode::start("us"), FakeNode::start("eu"), FakeNode::start("ap"));
    let door = open(&us, &[&eu, &ap]);
    wait_until("the own node is known", || served(&read(&door, json!({}))) == by("us", "local"));
    let token = push(&door).token.expect("a token");
    std::thread::scope(|scope| {
        let reading = scope.spawn(|| {
            for _ in 0..200 {
                let (region, _) = served(&read(&door, json!({})));
                assert!(["us", "eu", "ap"].contains(&&*region));
            }
        });
        us.kill();
        reading.join().expect("every read is answered");
    });
    wait_until("eu is the nearest", || served(&read(&door, json!({}))) == by("eu", "failover"));
    assert_eq!(served(&read(&door, json!({"token": token}))), by("eu", "failover"));
    let refused = push(&door);
    assert_eq!(refused.status, 503);
    assert!(refused.refusal().1.contains("repeated ids count once"), "{}", refused.text);
    assert_eq!((eu.events(), ap.events()), (vec![], vec![]));
    assert_eq!(door.get("/health").status, 200);
    assert!(door.metrics().contains(r#"route="failover""#), "{}", door.metrics());
}

#[test]
fn a_node_that_takes_reads_and_never_answers_is_left_within_the_deadline() {
    let (us, eu) = (FakeNode::start("us"), FakeNode::start("eu"));
    let door = open(&us, &[&eu]);
    wait_until("us answers", || served(&read(&door, json!({}))) == by("us", "local"));
    us.set(Mood::Hangs);
    let start = Instant::now();
    assert_eq!(served(&read(&door, json!({}))), by("eu", "failover"));
    assert!(start.elapsed() < Duration::from_millis(1_000));
    assert!(door.metrics().contains("meridian_gateway_failovers_total"), "{}", door.metrics());
}

#[test]
fn a_region_that_is_not_ready_is_asked_only_when_nobody_is() {
    let (us, mut eu) = (FakeNode::start("us"), FakeNode::start("eu"));
    us.set(Mood::NotReady);
    let door = open(&us, &[&eu]);
    wait_until("eu is preferred", || served(&read(&door, json!({}))) == by("eu", "failover"));
    eu.kill();
    assert_eq!(served(&read(&door, json!({}))), by("us", "local"));
}

#[test]
fn a_token_that_no_region_has_reached_is_a_conflict() {
    let (us, eu) = (FakeNode::start("us"), FakeNode::start("eu"));
    let door = open(&us, &[&eu]);
    wait_until("us answers", || served(&read(&door, json!({}))) == by("us", "local"));
    let token = push(&door).token.expect("a token");
    us.set(Mood::Behind);
    assert_eq!(served(&read(&door, json!({"token": token}))), by("eu", "failover"));
    eu.set(Mood::Behind);
    let refused = read(&door, json!({"token": token}));
    assert_eq!(refused.status, 409, "{}", refused.text);
    assert_eq!(served(&read(&door, json!({}))), by("us", "local"));
}

#[test]
fn a_part_that_is_too_old_is_looked_for_elsewhere_then_refused() {
    let (us, eu) = (FakeNode::start("us"), FakeNode::start("eu"));
    let door = open(&us, &[&eu]);
    us.set(Mood::Old);
    wait_until("us answers", || served(&read(&door, json!({}))) == by("us", "local"));
    let fresh = json!({"max_staleness_ms": 1_000});
    assert_eq!(served(&read(&door, fresh.clone())), by("eu", "failover"));
    eu.set(Mood::Old);
    // What was answered a moment ago is fresh enough for as long as the request says.
    wait_until("it is refused", || read(&door, fresh.clone()).status == 409);
    let refused = read(&door, fresh);
    assert!(refused.refusal().1.contains("ap's part is 1h old"), "{}", refused.text);
    let without = json!({"max_staleness_ms": 1_000, "exclude_regions": ["ap"]});
    assert_eq!(served(&read(&door, without)), by("us", "local"));
}

#[test]
fn nobody_there_is_said_and_the_catalog_is_kept() {
    let mut us = FakeNode::start("us");
    let door = open(&us, &[]);
    us.kill();
    wait_until("us is lost", || door.get("/health").status == 503);
    let refused = read(&door, json!({}));
    assert_eq!(refused.status, 503);
    assert!(refused.refusal().1.starts_with("no region can answer: us:"), "{}", refused.text);
    let unknown = door.read(&json!({"entities": {"driver_id": [1]}, "features": ["x:y"]}));
    assert_eq!(unknown.status, 404, "the catalog outlives its node");
}

/// The own node never came up; a peer's gateway relays to its own node, and no further.
#[test]
fn a_gateway_reads_through_another_regions_gateway() {
    let (mut us, mut eu) = (FakeNode::start("us"), FakeNode::start("eu"));
    us.kill();
    let far = open(&eu, &[]);
    let near = open_unheard(&us, &[("eu", far.grpc())]);
    wait_until("eu is heard", || near.get("/health").status == 200);
    assert_eq!(served(&read(&near, json!({}))), by("eu", "failover"));
    let relayed =
        r#"meridian_gateway_requests_total{call="Relay.Read",status="OK",route="relay"} "#;
    assert_eq!(number(&far, relayed), 1);
    eu.kill();
    wait_until("eu is lost", || near.get("/health").status == 503);
    assert_eq!(read(&near, json!({})).status, 503);
}

/// An address that belongs to another region would make `served_by` a lie.
#[test]
fn a_region_under_a_wrong_name_is_not_believed() {
    let (us, eu) = (FakeNode::start("us"), FakeNode::start("eu"));
    let door = open_unheard(&us, &[("ap", eu.url())]);
    wait_until("us is heard", || door.get("/health").status == 200);
    drop(us);
    wait_until("nobody is believed", || door.get("/health").status == 503);
}
