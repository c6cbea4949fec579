//! Requests that are nearly right, by hazard: what is wrong with them is their sender's fault, and
//! the gateway says so. Never a failure of its own, in neither protocol.

use api::node::v1 as node;
use api::v1;
use api::v1::value::Kind;
use bytes::Bytes;
use proptest::prelude::*;
use proptest::sample::Index;
use prost::Message;
use serde_json::json;
use testkit::AsIs;
use tokio::runtime::Runtime;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

use crate::support::{FakeNode, open};

/// A change of some bytes.
#[derive(Clone, Debug)]
enum Change {
    Set(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, usize),
    Repeat(Index, usize),
    Cut(Index),
}

impl Change {
    fn make(&self, bytes: &mut Vec<u8>) {
        let at = |index: &Index, len: usize| index.index(len + 1);
        match self {
            Self::Set(index, byte) if !bytes.is_empty() => {
                let at = index.index(bytes.len());
                bytes[at] = *byte;
            }
            Self::Set(..) => {}
            Self::Insert(index, more) => {
                let at = at(index, bytes.len());
                bytes.splice(at..at, more.iter().copied());
            }
            Self::Remove(index, length) => {
                let from = at(index, bytes.len());
                bytes.drain(from..(from + length).min(bytes.len()));
            }
            Self::Repeat(index, length) => {
                let from = at(index, bytes.len());
                let again = bytes[from..(from + length).min(bytes.len())].to_vec();
                bytes.splice(from..from, again);
            }
            Self::Cut(index) => bytes.truncate(at(index, bytes.len())),
        }
    }
}

/// Bytes that were right once.
fn nearly(right: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let change = prop_oneof![
        (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Change::Set(at, byte)),
        (any::<Index>(), prop::collection::vec(any::<u8>(), 1..8))
            .prop_map(|(at, bytes)| Change::Insert(at, bytes)),
        (any::<Index>(), 1..8_usize).prop_map(|(at, n)| Change::Remove(at, n)),
        (any::<Index>(), 1..40_usize).prop_map(|(at, n)| Change::Repeat(at, n)),
        any::<Index>().prop_map(Change::Cut),
    ];
    (prop::sample::select(right), prop::collection::vec(change, 0..5)).prop_map(
        |(mut bytes, changes)| {
            changes.iter().for_each(|change| change.make(&mut bytes));
            bytes
        },
    )
}

fn requests() -> Vec<Vec<u8>> {
    let value = |kind: Kind| v1::Value { kind: Some(kind) };
    let keys =
        v1::ValueList { values: vec![value(Kind::IntValue(1)), value(Kind::DoubleValue(2.0))] };
    let read = v1::GetFeaturesRequest {
        feature_service: String::new(),
        features: vec!["driver_stats:km_1h".into(), "fare:price".into()],
        entities: [("driver_id".into(), keys.clone()), ("rate".into(), keys)].into(),
        full_feature_names: true,
        options: Some(v1::ReadOptions {
            as_of_ms: Some(1_795_415_250_000),
            exclude_regions: vec!["ap".into()],
            tokens: vec!["m1.AAAA".into()],
            max_staleness_ms: Some(60_000),
        }),
    };
    let explain = v1::ExplainRequest {
        feature: "driver_stats:km_1h".into(),
        entity: [("driver_id".into(), value(Kind::StringValue("1".into())))].into(),
        options: None,
    };
    let push = v1::PushRequest {
        source: "trips".into(),
        events: vec!["{\"trip_id\": \"a\"}".into()],
        on_region_down: v1::OnRegionDown::Reroute.into(),
    };
    let relayed = node::ReadRequest {
        views: vec![node::ViewRead {
            view: "driver_stats".into(),
            version: 1,
            entities: vec![lattice::shard::entity_key(&[lattice::Value::Int(1)]).expect("a key")],
            shards: vec![3],
            features: vec![0, 1],
        }],
        now_ms: 1,
        wait_ms: 5,
        ..node::ReadRequest::default()
    };
    vec![
        read.encode_to_vec(),
        explain.encode_to_vec(),
        push.encode_to_vec(),
        relayed.encode_to_vec(),
    ]
}

const CALLS: [&str; 6] = [
    "/meridian.v1.Mesh/GetFeatures",
    "/meridian.v1.Mesh/Explain",
    "/meridian.v1.Mesh/Push",
    "/meridian.node.v1.Node/Read",
    "/meridian.node.v1.Node/Explain",
    "/meridian.node.v1.Node/Append",
];

async fn call(channel: Channel, path: &'static str, body: Bytes) -> Result<(), Status> {
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await.expect("a connection");
    let messages = Request::new(tokio_stream::once(body));
    let path = path.parse().expect("a path");
    let mut answers = client.streaming(messages, path, AsIs).await?.into_inner();
    while answers.message().await?.is_some() {}
    Ok(())
}

#[test]
fn no_message_makes_a_gateway_fail() {
    let us = FakeNode::start("us");
    let door = open(&us, &[]);
    let runtime = Runtime::new().expect("a runtime");
    let channel = runtime.block_on(async {
        Channel::from_shared(door.grpc())
            .expect("an address")
            .connect()
            .await
            .expect("a connection")
    });
    let allowed = [
        Code::InvalidArgument,
        Code::NotFound,
        Code::FailedPrecondition,
        Code::OutOfRange,
        Code::ResourceExhausted,
        // A read that names a push of the future waits for it in vain; the fake node has no such view.
        Code::DeadlineExceeded,
    ];
    let config = ProptestConfig::with_cases(500);
    proptest!(config, |(body in nearly(requests()), path in prop::sample::select(&CALLS[..]))| {
        let answer = runtime.block_on(call(channel.clone(), path, body.into()));
        let code = answer.as_ref().map_or_else(Status::code, |()| Code::Ok);
        prop_assert!(code == Code::Ok || allowed.contains(&code), "{path}: {answer:?}");
    });
    assert_eq!(door.read_one(&[]).status, 200);
}

#[test]
fn what_is_no_message_is_the_senders_fault() {
    let us = FakeNode::start("us");
    let door = open(&us, &[]);
    let runtime = Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let channel = Channel::from_shared(door.grpc()).expect("an address");
        let channel = channel.connect().await.expect("a connection");
        for path in CALLS {
            let refused = call(channel.clone(), path, Bytes::from_static(&[0xff; 9])).await;
            let refused = refused.expect_err("refused");
            assert_eq!(refused.code(), Code::InvalidArgument, "{path}: {refused}");
            assert!(refused.message().contains("malformed"), "{refused}");
        }
    });
}

#[test]
fn no_json_makes_a_gateway_fail() {
    let us = FakeNode::start("us");
    let door = open(&us, &[]);
    let read = json!({
        "entities": {"driver_id": [1, "2", null], "rate": [1.5, 1, -0.0]},
        "features": ["driver_stats:km_1h", "fare:price"],
        "request_context": {"tip": [2, 2, null]},
        "full_feature_names": true,
        "mesh": {"as_of": "2026-11-23T06:27:30Z", "exclude_regions": ["ap"],
                 "token": ["m1.AAAA"], "max_staleness_ms": 60_000},
    });
    let push = json!({
        "push_source_name": "trips", "to": "online", "mesh": {"on_region_down": "reroute"},
        "df": {"trip_id": ["a", "b"], "ended_at": ["2026-12-01T00:00:00", 1_796_083_200],
               "driver_id": [1, 2], "origin": ["JFK", "\u{e9}\u{1f6eb}"], "dest": ["LAX", "BOS"],
               "km": [1.5, 1e300]},
    });
    let right = [read, push].map(|body| body.to_string().into_bytes()).to_vec();
    proptest!(ProptestConfig::with_cases(500), |(body in nearly(right))| {
        for path in ["/get-online-features", "/push", "/write-to-online-store"] {
            let answer = door.post(path, &body);
            prop_assert!(answer.status < 500, "{path}: {} {}", answer.status, answer.text);
            if answer.status != 200 {
                answer.refusal();
            }
        }
    });
    assert_eq!(door.read_one(&[]).status, 200);
}
