//! What cannot be answered is refused in a way that Feast's client raises: by class, and never
//! with a status that it would retry.

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use crate::support::{Door, FakeNode, open};

fn door() -> (FakeNode, Door) {
    let node = FakeNode::start("us");
    let door = open(&node, &[]);
    (node, door)
}

#[test]
fn faults_of_the_caller_have_a_class_and_a_way_out() {
    let (_node, door) = door();
    let one = json!({"driver_id": [1]});
    let km = json!(["driver_stats:km_1h"]);
    let mesh = |mesh: Json| json!({"entities": one, "features": km, "mesh": mesh});
    let cases = [
        (
            json!({"entities": one, "feature_service": "x"}),
            404,
            "FeatureServiceNotFoundException",
            "`x`",
        ),
        (json!({"entities": one, "features": ["x:y"]}), 404, "FeatureViewNotFoundException", "`x`"),
        (
            json!({"entities": one, "features": ["driver_stats:y"]}),
            404,
            "FeastObjectNotFoundException",
            "km_1h",
        ),
        (
            json!({"entities": one, "features": ["driver_stats@v9:km_1h"]}),
            404,
            "FeatureViewNotFoundException",
            "@v9",
        ),
        (
            json!({"entities": one, "features": ["driver_stats:trips_1h", "driver_other:trips_1h"]}),
            422,
            "FeatureNameCollisionError",
            "full_feature_names",
        ),
        (
            json!({"entities": {"origin": ["JFK"]}, "features": ["route_stats:km_1h"]}),
            422,
            "FeastError",
            "join key dest",
        ),
        (
            json!({"entities": one, "features": ["fare:price"]}),
            422,
            "RequestDataNotFoundInEntityRowsException",
            "rate",
        ),
        (
            json!({"entities": {"driver_id": ["one"]}, "features": km}),
            422,
            "FeastError",
            "`driver_id`, row 0",
        ),
        (
            json!({"entities": {"driver_id": [1], "other": [1, 2]}, "features": km}),
            422,
            "FeastError",
            "one length",
        ),
        (
            json!({"entities": {"driver_id": vec![1; 10_001]}, "features": km}),
            422,
            "FeastError",
            "10001 rows",
        ),
        (json!({"entities": {"driver_id": 1}, "features": km}), 422, "FeastError", "sequence"),
        (json!({"features": km}), 422, "FeastError", "entities"),
        (json!({"entities": one}), 422, "FeastError", "nothing is asked for"),
        (json!([1]), 422, "FeastError", "not what this call takes"),
        (mesh(json!({"as_of": "soon"})), 422, "FeastError", "as_of"),
        (mesh(json!({"as_off": 1})), 422, "FeastError", "as_off"),
        (mesh(json!({"token": "m1.!!"})), 422, "FeastError", "no token"),
        (mesh(json!({"max_staleness_ms": -1})), 422, "FeastError", "max_staleness_ms"),
    ];
    for (body, status, class, part) in cases {
        let answer = door.read(&body);
        let (found, message) = answer.refusal();
        assert_eq!((answer.status, found.as_str()), (status, class), "{message}");
        assert!(message.contains(part) && !message.contains('\n'), "{part}: {message}");
    }
}

#[test]
fn pushes_that_cannot_be_taken_are_refused_whole() {
    let (node, door) = door();
    let frame = json!({"trip_id": ["a"], "ended_at": ["2026-12-01T00:00:00Z"], "driver_id": [1],
                       "origin": ["JFK"], "dest": ["LAX"], "km": [1.5]});
    let mut partial = frame.clone();
    partial.as_object_mut().expect("an object").swap_remove("km");
    let mut ragged = frame.clone();
    ragged["km"] = json!([1, 2]);
    let push =
        |name: &str, df: &Json, to: &str| json!({"push_source_name": name, "df": df, "to": to});
    let cases = [
        (push("x", &frame, "online"), 404, "PushSourceNotFoundException", "`x`"),
        (push("trips", &partial, "online"), 422, "FeastError", "column km"),
        (push("trips", &ragged, "online"), 422, "FeastError", "one length"),
        (push("trips", &frame, "offline"), 422, "FeastError", "to: online"),
        (push("trips", &frame, "sideways"), 422, "FeastError", "sideways"),
    ];
    for (body, status, class, part) in cases {
        let answer = door.post("/push", body.to_string().as_bytes());
        let (found, message) = answer.refusal();
        assert_eq!((answer.status, found.as_str()), (status, class), "{message}");
        assert!(message.contains(part), "{part}: {message}");
    }
    assert_eq!(node.events(), []);
    let both = push("trips", &frame, "online_and_offline").to_string();
    assert_eq!(door.post("/push", both.as_bytes()).status, 200);
}

#[test]
fn what_is_no_request_is_said_to_be_none() {
    let (_node, door) = door();
    let status = |path: &str, body: &[u8]| {
        let answer = door.post(path, body);
        answer.refusal();
        answer.status
    };
    assert_eq!(status("/get-online-features", b"{"), 400);
    assert_eq!(status("/get-online-features", b""), 400);
    assert_eq!(status("/get-online-features", b"\"\xff\xfe\""), 400);
    assert_eq!(status("/get-online-features", b"{\"entities\": {\"driver_id\": [NaN]}}"), 400);
    assert_eq!(status("/get-online-features", "[".repeat(100_000).as_bytes()), 422);
    assert_eq!(status("/nowhere", b"{}"), 404);
    assert_eq!(status("/health", b"{}"), 405);
    assert_eq!(door.get("/push").status, 405);
}

/// The client gets to see the answer, although nothing of what it sends is kept.
#[test]
fn a_body_of_100_mb_is_refused() {
    let (_node, door) = door();
    for path in ["/get-online-features", "/push"] {
        let answer = door.post(path, &vec![b' '; 100 << 20]);
        assert_eq!(answer.status, 413);
        assert!(answer.refusal().1.contains("8388608 bytes"));
    }
}

fn json() -> BoxedStrategy<Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<f64>().prop_map(Json::from),
        ".{0,12}".prop_map(Json::from),
        prop::sample::select(vec!["driver_stats:km_1h", "driver_svc", "fare", "trips", "m1.AAAA"])
            .prop_map(Json::from),
    ];
    let keys = vec![
        "entities",
        "features",
        "feature_service",
        "full_feature_names",
        "request_context",
        "mesh",
        "driver_id",
        "rate",
        "as_of",
        "token",
        "df",
        "to",
        "push_source_name",
        "max_staleness_ms",
        "feature_view_name",
        "exclude_regions",
        "ended_at",
    ];
    leaf.prop_recursive(4, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Json::from),
            prop::collection::vec((prop::sample::select(keys.clone()), inner), 0..6).prop_map(
                |pairs| Json::Object(pairs.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())
            ),
        ]
    })
    .boxed()
}

#[test]
fn no_body_makes_a_gateway_fail() {
    let (_node, door) = door();
    let sane = |path: &str, body: &[u8]| {
        let answer = door.post(path, body);
        assert!(answer.status < 500, "{path} {}: {}", answer.status, answer.text);
        if answer.status != 200 {
            answer.refusal();
        }
    };
    // A body that is nearly right gets further in.
    let column = prop::collection::vec(json(), 0..3).boxed();
    let near = (column.clone(), json(), json()).prop_map(|(keys, features, mesh)| {
        json!({"entities": {"driver_id": keys}, "features": [features, "fare:price"], "mesh": mesh})
    });
    let frame = (column.clone(), column).prop_map(|(a, b)| {
        json!({"push_source_name": "trips", "df": {"trip_id": a, "ended_at": b, "driver_id": [1],
               "origin": [1], "dest": [1], "km": [1]}})
    });
    let bodies = prop_oneof![
        json().prop_map(|json| json.to_string().into_bytes()),
        near.prop_map(|json| json.to_string().into_bytes()),
        frame.prop_map(|json| json.to_string().into_bytes()),
        prop::collection::vec(any::<u8>(), 0..200),
    ];
    proptest!(ProptestConfig::with_cases(600), |(body in bodies)| {
        for path in ["/get-online-features", "/push", "/write-to-online-store"] {
            sane(path, &body);
        }
    });
    assert_eq!(door.get("/health").status, 200);
}
