//! What Feast's clients get, byte for byte where it matters.

use serde_json::{Value as Json, json};

use crate::support::{Door, FakeNode, open};

fn door() -> (FakeNode, Door) {
    let node = FakeNode::start("us");
    let door = open(&node, &[]);
    (node, door)
}

/// The answer without its mesh part, which must be 200.
fn feast(door: &Door, body: &Json) -> Json {
    let answer = door.read(body);
    assert_eq!(answer.status, 200, "{}", answer.text);
    let mut json = answer.json();
    json.as_object_mut().expect("an object").swap_remove("mesh");
    json
}

fn names(answer: &Json) -> Vec<&str> {
    let names = answer["metadata"]["feature_names"].as_array().expect("names");
    names.iter().map(|name| name.as_str().expect("text")).collect()
}

#[test]
fn an_answer_is_columnar_with_entities_first_and_all_four_statuses() {
    let (_node, door) = door();
    let body = json!({
        "entities": {"driver_id": ["1001", 404, 410, 204, 1001, null]},
        "features": ["driver_stats:km_1h", "driver_stats:trips_1h"],
        "full_feature_names": false,
        "include_feature_view_version_metadata": false,
        "no_such_key": {"ignored": [1]},
    });
    let (seen, epoch) = ("2026-11-23T06:27:30Z", "1970-01-01T00:00:00Z");
    let statuses =
        json!(["PRESENT", "NOT_FOUND", "OUTSIDE_MAX_AGE", "NULL_VALUE", "PRESENT", "NOT_FOUND"]);
    let times = json!([seen, epoch, seen, seen, seen, epoch]);
    let expected = json!({
        "results": [
            {
                "values": [1001, 404, 410, 204, 1001, null],
                "statuses": ["PRESENT", "PRESENT", "PRESENT", "PRESENT", "PRESENT", "NULL_VALUE"],
                "event_timestamps": [epoch, epoch, epoch, epoch, epoch, epoch],
            },
            {
                "values": [2.0, null, null, null, 2.0, null],
                "statuses": statuses,
                "event_timestamps": times,
            },
            {
                "values": [7, null, null, null, 7, null],
                "statuses": statuses,
                "event_timestamps": times,
            },
        ],
        "metadata": {"feature_names": ["driver_id", "km_1h", "trips_1h"]},
    });
    assert_eq!(feast(&door, &body), expected);
}

#[test]
fn a_double_keeps_its_point_and_what_json_cannot_say_is_text() {
    let (_node, door) = door();
    let text = door
        .read(
            &json!({"entities": {"driver_id": [1, 500, 501]}, "features": ["driver_stats:km_1h"]}),
        )
        .text;
    assert!(text.contains(r#""values":[2.0,"-Infinity","NaN"]"#), "{text}");
}

#[test]
fn names_follow_the_request() {
    let (_node, door) = door();
    let entities = json!({"driver_id": [1]});
    let asked = ["driver_other:trips_1h", "driver_stats:trips_1h", "versioned@v2:longest_1h"];
    let full =
        feast(&door, &json!({"entities": entities, "features": asked, "full_feature_names": true}));
    let expected =
        ["driver_id", "driver_other__trips_1h", "driver_stats__trips_1h", "versioned__longest_1h"];
    assert_eq!(names(&full), expected);
    let service = feast(
        &door,
        &json!({"entities": entities, "feature_service": "driver_svc", "features": asked}),
    );
    assert_eq!(names(&service), ["driver_id", "km_1h", "trips_1h"]);
    let whole = feast(&door, &json!({"entities": entities, "features": ["driver_stats"]}));
    assert_eq!(names(&whole), ["driver_id", "trips_1h", "km_1h", "last_origin"]);
}

#[test]
fn composite_keys_are_read_by_all_their_parts_and_each_entity_once() {
    let (node, door) = door();
    let body = json!({
        "entities": {"dest": ["LAX", "BOS", "LAX"], "origin": ["JFK", "JFK", "JFK"], "unused": [1, 2, 3]},
        "features": ["route_stats:last_origin"],
    });
    let answer = feast(&door, &body);
    assert_eq!(names(&answer), ["origin", "dest", "last_origin"]);
    assert_eq!(answer["results"][2]["values"], json!(["JFK", "JFK", "JFK"]));
    let reads = node.reads();
    let entities: usize = reads[0].views.iter().map(|view| view.entities.len()).sum();
    assert_eq!((reads.len(), entities), (1, 2));
    for view in &reads[0].views {
        for (entity, shard) in view.entities.iter().zip(&view.shards) {
            assert_eq!(lattice::shard_of(entity, 16), *shard);
        }
    }
}

#[test]
fn on_demand_features_are_computed_from_features_and_request_fields() {
    let (_node, door) = door();
    let body = json!({
        "entities": {"driver_id": [1, 204, 400], "rate": [1.5, 1.5, "1.5"]},
        "request_context": {"tip": [2, 2, null]},
        "features": ["fare:price", "fare:generous"],
    });
    let answer = feast(&door, &body);
    assert_eq!(names(&answer), ["driver_id", "price", "generous"]);
    assert_eq!(answer["results"][1]["values"], json!([3.0, null, null]));
    assert_eq!(answer["results"][1]["statuses"], json!(["PRESENT", "NULL_VALUE", "INVALID"]));
    assert_eq!(answer["results"][2]["values"], json!([true, true, false]));
    assert_eq!(door.read(&body).json()["mesh"]["invalid"], json!({"price": "too long ago"}));
}

#[test]
fn the_mesh_part_says_how_the_answer_came_about() {
    let (node, door) = door();
    let body = json!({
        "entities": {"driver_id": [1]},
        "features": ["driver_stats:km_1h"],
        "mesh": {"as_of": "2026-11-23T06:27:30", "exclude_regions": ["ap"], "max_staleness_ms": 25},
    });
    let mesh = &door.read(&body).json()["mesh"];
    let origin = |state: &str, age_ms: i64| json!({"state": state, "age_ms": age_ms, "watermark": "1970-01-01T00:00:00Z"});
    assert_eq!(mesh["served_by"], "us");
    assert_eq!(mesh["route"], "local");
    assert_eq!(mesh["as_of"], "2026-11-23T06:27:30Z");
    assert_eq!(mesh["complete"], false, "a region is excluded");
    assert_eq!(
        mesh["origins"],
        json!({"ap": origin("excluded", 30), "eu": origin("ok", 20), "us": origin("ok", 10)})
    );
    assert_eq!(
        mesh["features"],
        json!({"km_1h": {"resolution": "1m", "covered_from": null, "as_of": null}})
    );
    let read = &node.reads()[0];
    assert_eq!(read.as_of_ms, Some(1_795_415_250_000));
    assert_eq!(read.exclude_regions, ["ap"]);
    let plain = json!({"entities": {"driver_id": [1]}, "features": ["driver_stats:km_1h"]});
    assert_eq!(door.read(&plain).json()["mesh"]["complete"], true);
    let ms = json!({"entities": {"driver_id": [1]}, "features": ["driver_stats:km_1h"], "mesh": {"as_of": 5}});
    assert_eq!(door.read(&ms).json()["mesh"]["as_of"], "1970-01-01T00:00:00.005Z");
}

#[test]
fn a_push_becomes_events_of_its_source() {
    let (node, door) = door();
    let body = json!({
        "push_source_name": "trips", "to": "online", "allow_registry_cache": true,
        "df": {
            "trip_id": ["a", "b"], "ended_at": ["2026-12-01T00:00:00", 1_796_083_200],
            "driver_id": [1, 2], "origin": ["JFK", "LGA"], "dest": ["LAX", "BOS"],
            "km": [1.5, "not a number: a dead letter, later"], "created": [null, null],
        },
    });
    let pushed = door.post("/push", body.to_string().as_bytes());
    assert_eq!((pushed.status, pushed.text.as_str()), (200, ""));
    let expected = [
        json!({"trip_id": "a", "ended_at": "2026-12-01T00:00:00Z", "driver_id": 1,
               "origin": "JFK", "dest": "LAX", "km": 1.5}),
        json!({"trip_id": "b", "ended_at": "2026-12-01T00:00:00Z", "driver_id": 2,
               "origin": "LGA", "dest": "BOS", "km": "not a number: a dead letter, later"}),
    ];
    let events: Vec<Json> = node.events().into_iter().map(|(_, event)| event).collect();
    assert_eq!(events, expected);
    let token = pushed.token.expect("a token");
    let read = |token: Json| {
        let body = json!({"entities": {"driver_id": [1]}, "features": ["driver_stats:km_1h"],
                          "mesh": {"token": token}});
        let answer = door.read(&body);
        assert_eq!(answer.status, 200, "{}", answer.text);
        (answer.json()["mesh"]["token"].clone(), node.reads().pop().expect("a read"))
    };
    let (seen, asked) = read(json!(token));
    assert_eq!(asked.tokens[0].offset, 2);
    assert!(asked.wait_ms > 0 && asked.wait_ms <= 1_000);
    let (_, asked) = read(json!([token, seen]));
    assert_eq!(asked.tokens.len(), 2);
}

/// `FeatureStore.push` of the real client calls this, with two column names of its own.
#[test]
fn writing_to_a_view_feeds_its_source() {
    let (node, door) = door();
    let body = json!({
        "feature_view_name": "driver_stats", "allow_registry_cache": false,
        "df": {
            "driver_id": [1], "trip_id": ["a"], "origin": ["JFK"], "dest": ["LAX"], "km": [1.5],
            "event_timestamp": ["2026-11-23T06:27:30.854472"], "created": ["2026-11-23T06:27:30.854520"],
        },
    });
    let written = door.post("/write-to-online-store", body.to_string().as_bytes());
    assert_eq!((written.status, written.text.as_str()), (200, "null"));
    let (source, event) = node.events().pop().expect("an event");
    assert_eq!(
        (source.as_str(), &event["ended_at"]),
        ("trips", &json!("2026-11-23T06:27:30.854Z"))
    );
}
