//! An answer is given twice only to who said how old it may be.

use serde_json::{Value as Json, json};

use crate::support::{Answer, Door, FakeNode, Mood, open, open_with, wait_until};

fn read(door: &Door, mesh: Json) -> Answer {
    let features = ["driver_stats:km_1h"];
    door.read(&json!({"entities": {"driver_id": [1]}, "features": features, "mesh": mesh}))
}

fn route(answer: &Answer) -> String {
    answer.served().1
}

fn door() -> (FakeNode, Door) {
    let us = FakeNode::start("us");
    let door = open(&us, &[]);
    wait_until("us answers", || route(&read(&door, json!({}))) == "local");
    (us, door)
}

/// The fake node says that its oldest part is 30 ms old.
#[test]
fn an_answer_is_given_again_while_it_is_young_enough_and_says_its_age() {
    let (us, door) = door();
    let minute = json!({"max_staleness_ms": 60_000});
    assert_eq!(route(&read(&door, minute.clone())), "local");
    let reads = us.reads().len();
    let age = |answer: &Answer| answer.json()["mesh"]["origins"]["ap"]["age_ms"].as_i64();
    wait_until("it grows older", || {
        let again = read(&door, minute.clone());
        assert_eq!(route(&again), "cache");
        age(&again) > Some(40)
    });
    assert_eq!(us.reads().len(), reads, "nobody was asked");
    // Now it is more than 40 ms old, which is too much for this one: it is read anew, for both.
    let strict = read(&door, json!({"max_staleness_ms": 40}));
    assert_eq!((route(&strict), age(&strict)), ("local".to_owned(), Some(30)));
    assert_eq!(us.reads().len(), reads + 1);
    assert!(age(&read(&door, minute)) < Some(1_000));
    let metrics = door.metrics();
    assert!(
        metrics.contains(r#"route="cache""#) && metrics.contains("meridian_gateway_cache_bytes")
    );
}

#[test]
fn a_token_an_instant_and_who_names_no_bound_are_read_anew() {
    let (us, door) = door();
    let df = json!({"trip_id": ["a"], "ended_at": ["2026-12-01T00:00:00Z"], "driver_id": [1],
                    "origin": ["JFK"], "dest": ["LAX"], "km": [1.5]});
    let pushed =
        door.post("/push", json!({"push_source_name": "trips", "df": df}).to_string().as_bytes());
    let token = pushed.token.expect("a token");
    for mesh in [
        json!({"max_staleness_ms": 60_000, "token": token}),
        json!({"max_staleness_ms": 60_000, "as_of": "2026-11-01T00:00:00Z"}),
        json!({}),
    ] {
        let reads = us.reads().len();
        (0..2).for_each(|_| assert_eq!(route(&read(&door, mesh.clone())), "local", "{mesh}"));
        assert_eq!(us.reads().len(), reads + 2, "{mesh}");
    }
}

#[test]
fn what_is_asked_for_tells_answers_apart() {
    let (us, door) = door();
    let minute = json!({"max_staleness_ms": 60_000});
    read(&door, minute);
    let without = json!({"max_staleness_ms": 60_000, "exclude_regions": ["ap"]});
    assert_eq!(route(&read(&door, without)), "local");
    assert_eq!(us.reads().last().expect("a read").exclude_regions, ["ap"]);
    let other = door
        .read(&json!({"entities": {"driver_id": [2]}, "features": ["driver_stats:km_1h"],
                                  "mesh": {"max_staleness_ms": 60_000}}));
    assert_eq!(route(&other), "local");
}

#[test]
fn those_who_ask_for_the_same_at_once_share_one_read() {
    let (us, door) = door();
    us.set(Mood::Slow(200));
    let reads = us.reads().len();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope
                .spawn(|| assert_eq!(read(&door, json!({"max_staleness_ms": 60_000})).status, 200));
        }
    });
    assert_eq!(us.reads().len(), reads + 1);
}

#[test]
fn a_failure_is_not_kept_and_no_room_keeps_nothing() {
    let us = FakeNode::start("us");
    let door = open_with(&us, &[], |config| config.cache_bytes = 0);
    wait_until("us answers", || route(&read(&door, json!({}))) == "local");
    let minute = json!({"max_staleness_ms": 60_000});
    us.set(Mood::Fails);
    assert_eq!(read(&door, minute.clone()).status, 503);
    us.set(Mood::Well);
    assert_eq!(route(&read(&door, minute.clone())), "local");
    assert!(door.metrics().contains("meridian_gateway_cache_bytes 0"), "{}", door.metrics());
}

/// Whoever comes first: each gets what its own bound allows.
#[test]
fn those_who_ask_at_once_with_other_bounds_do_not_share() {
    let (us, door) = door();
    us.set(Mood::OldAndSlow(200));
    for (first, second) in [(7_200_000, 1_000), (1_000, 7_200_000)] {
        let status = |bound: i64| read(&door, json!({"max_staleness_ms": bound})).status;
        let due = |bound: i64| if bound == 1_000 { 409 } else { 200 };
        std::thread::scope(|scope| {
            let reads = us.reads().len();
            scope.spawn(move || assert_eq!(status(first), due(first), "{first}"));
            wait_until("the first is under way", || us.reads().len() > reads);
            scope.spawn(move || assert_eq!(status(second), due(second), "{second}"));
        });
    }
}

/// However old an answer may be, one that the own node is known to have left behind is not given; nor
/// is one dropped that it has not.
#[test]
fn an_answer_of_the_own_node_is_given_until_that_node_says_that_it_is_further() {
    let (us, door) = door();
    us.fold_to(10);
    let hour = json!({"max_staleness_ms": 3_600_000});
    let settled = |what: &str| {
        wait_until(what, || {
            read(&door, hour.clone());
            let reads = us.reads().len();
            us.speaks(5);
            route(&read(&door, hour.clone())) == "cache" && us.reads().len() == reads
        });
    };
    settled("its first word is taken in");
    for next in [11, 15] {
        us.fold_to(next);
        wait_until("it is read anew", || route(&read(&door, hour.clone())) == "local");
        settled("what is new is given again");
    }
    let outdated = r#"meridian_gateway_cache_lookups_total{found="outdated"}"#;
    assert!(door.metrics().contains(outdated), "{}", door.metrics());
}

/// It cost a journey, and is kept for its age alone.
#[test]
fn an_answer_of_another_region_is_given_while_it_is_young_enough() {
    let (us, eu) = (FakeNode::start("us"), FakeNode::start("eu"));
    us.set(Mood::NotReady);
    let door = open(&us, &[&eu]);
    let hour = json!({"max_staleness_ms": 3_600_000});
    wait_until("eu answers", || route(&read(&door, json!({}))) == "failover");
    us.fold_to(10);
    assert_eq!(route(&read(&door, hour.clone())), "failover");
    for next in [20, 30] {
        us.fold_to(next);
        us.speaks(5);
    }
    assert_eq!(route(&read(&door, hour)), "cache");
}
