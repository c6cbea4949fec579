//! The public gRPC contract, answered by the same code as HTTP.

use std::collections::HashMap;

use api::v1;
use api::v1::mesh_client::MeshClient;
use api::v1::value::Kind;
use tokio_stream::StreamExt;
use tonic::Code;
use tonic::transport::Channel;

use crate::support::{Door, FakeNode, Mood, number, open, open_with, wait_until};

fn value(n: i64) -> v1::Value {
    v1::Value { kind: Some(Kind::IntValue(n)) }
}

fn push_of(source: &str, events: usize) -> v1::PushRequest {
    let (source, events) = (source.into(), vec!["{}".into(); events]);
    v1::PushRequest { source, events, ..v1::PushRequest::default() }
}

fn with_client<F: Future>(door: &Door, test: impl FnOnce(MeshClient<Channel>) -> F) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let client = MeshClient::connect(door.grpc()).await.expect("a connection");
        test(client).await;
    });
}

#[test]
fn reads_are_answered_in_columns_and_refused_by_code() {
    let node = FakeNode::start("us");
    let door = open(&node, &[]);
    with_client(&door, |mut client| async move {
        let entities =
            HashMap::from([("driver_id".into(), v1::ValueList { values: vec![value(1)] })]);
        let mut request = v1::GetFeaturesRequest {
            features: vec!["driver_stats:km_1h".into()],
            entities,
            ..v1::GetFeaturesRequest::default()
        };
        let answer = client.get_features(request.clone()).await.expect("an answer").into_inner();
        assert_eq!(answer.feature_names, ["driver_id", "km_1h"]);
        let columns = answer.columns().expect("columns");
        assert_eq!(columns[1].values[0].kind, Some(Kind::DoubleValue(2.0)));
        assert_eq!(answer.mesh.expect("mesh").route, "local");
        request.features = vec!["x:y".into()];
        let refused = client.get_features(request).await.expect_err("no such view");
        assert_eq!(refused.code(), Code::NotFound);
    });
}

#[test]
fn pushes_are_answered_one_by_one() {
    let node = FakeNode::start("us");
    let door = open(&node, &[]);
    with_client(&door, |mut client| async move {
        let push = |n: usize| push_of("trips", n);
        let answers = client.push(tokio_stream::iter([push(2), push(0), push(3)])).await;
        let answers: Vec<_> = answers.expect("a stream").into_inner().collect().await;
        let accepted: Vec<u64> =
            answers.iter().map(|a| a.as_ref().expect("pushed").accepted).collect();
        assert_eq!(accepted, [2, 0, 3]);
        let wrong = push_of("x", 1);
        let answers = client.push(tokio_stream::iter([wrong])).await.expect("a stream");
        let refused = answers.into_inner().next().await.expect("an answer").expect_err("refused");
        assert_eq!(refused.code(), Code::NotFound);
    });
    assert_eq!(node.events().len(), 5);
}

/// As over HTTP, and before any of them is unpacked.
#[test]
fn too_many_rows_or_events_are_refused() {
    let node = FakeNode::start("us");
    let door = open(&node, &[]);
    with_client(&door, |mut client| async move {
        let list = v1::ValueList { values: vec![value(1); 10_001] };
        let read = v1::GetFeaturesRequest {
            features: vec!["driver_stats:km_1h".into()],
            entities: HashMap::from([("driver_id".into(), list)]),
            ..Default::default()
        };
        let refused = client.get_features(read).await.expect_err("too many rows");
        let push = v1::PushRequest {
            source: "trips".into(),
            events: vec![Default::default(); 10_001],
            ..Default::default()
        };
        let mut answers = client.push(tokio_stream::once(push)).await.expect("a stream");
        let unpushed = answers.get_mut().message().await.expect_err("too many events");
        for status in [refused, unpushed] {
            assert_eq!(status.code(), Code::InvalidArgument);
            assert!(status.message().contains("10001 rows"), "{status}");
        }
    });
    assert_eq!(node.appends(), 0);
}

#[test]
fn explain_names_view_shard_and_region() {
    let node = FakeNode::start("us");
    let door = open(&node, &[]);
    with_client(&door, |mut client| async move {
        let request = |feature: &str| v1::ExplainRequest {
            feature: feature.into(),
            entity: HashMap::from([("driver_id".into(), value(1))]),
            options: None,
        };
        let answer = client.explain(request("versioned:longest_1h")).await.expect("an answer");
        let answer = answer.into_inner();
        assert_eq!((answer.view.as_str(), answer.version), ("versioned", 2));
        assert_eq!(answer.mesh.expect("mesh").served_by, "us");
        for whole in ["driver_stats", "fare:price"] {
            let refused = client.explain(request(whole)).await.expect_err("not one feature");
            assert_eq!(refused.code(), Code::InvalidArgument);
        }
        let status = client.status(v1::StatusRequest {}).await.expect("a status").into_inner();
        assert_eq!(status.region, "us");
    });
}

/// As reads are: a region that fails costs no more than the budget allows.
#[test]
fn an_explanation_is_asked_again_within_the_budget() {
    let (us, eu) = (FakeNode::start("us"), FakeNode::start("eu"));
    us.set(Mood::Fails);
    let rich = open(&us, &[&eu]);
    let poor = open_with(&us, &[&eu], |config| (config.retry_percent, config.retry_per_s) = (0, 0));
    let explain = |mut client: MeshClient<Channel>| async move {
        let request = v1::ExplainRequest {
            feature: "versioned:longest_1h".into(),
            entity: HashMap::from([("driver_id".into(), value(1))]),
            options: None,
        };
        client.explain(request).await
    };
    // Until both regions are heard, and the own one is the first to be asked.
    wait_until("it is asked again", || {
        with_client(&rich, |client| async move { explain(client).await.map(drop).expect("eu") });
        number(&rich, "meridian_gateway_retries_total ") > 0
    });
    wait_until("it is not asked again", || {
        let mut said = String::new();
        with_client(&poor, |client| {
            let said = &mut said;
            async move {
                *said = explain(client).await.err().map_or_else(String::new, |e| e.to_string())
            }
        });
        said.contains("a disk is on fire") && said.contains("asked again")
    });
}
