//! Where a push goes while its region is down: nowhere else, unless it asks for that; and that it
//! passes the gate.

use std::time::{Duration, Instant};

use api::node::v1 as node;
use api::node::v1::node_client::NodeClient;
use api::v1::mesh_client::MeshClient;
use api::v1::{OnRegionDown, PushRequest, PushResponse};
use clock::Env;
use gateway::{Config, Quota};
use serde_json::{Value as Json, json};
use testkit::Skipping;
use tokio_stream::StreamExt;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

use crate::support::{
    Answer, Door, FakeNode, Mood, number, open, open_in, open_unheard, open_with, wait_until,
};

fn trip(mesh: Json) -> Json {
    let df = json!({"trip_id": ["a"], "ended_at": ["2026-12-01T00:00:00Z"], "driver_id": [1],
                    "origin": ["JFK"], "dest": ["LAX"], "km": [1.5]});
    json!({"push_source_name": "trips", "df": df, "mesh": mesh})
}

fn push(door: &Door, mesh: Json) -> Answer {
    door.post("/push", trip(mesh).to_string().as_bytes())
}

fn reroute() -> Json {
    json!({"on_region_down": "reroute"})
}

/// Which region took it, and whether it may be there twice.
fn taken(answer: &Answer) -> (Option<&str>, bool) {
    assert_eq!(answer.status, 200, "{}", answer.text);
    (answer.region.as_deref(), answer.possible_duplicate.as_deref() == Some("true"))
}

fn on_runtime<F: Future>(work: F) -> F::Output {
    tokio::runtime::Runtime::new().expect("a runtime").block_on(work)
}

fn heard(door: &Door, regions: usize) {
    wait_until("all regions are heard", || {
        let routes = on_runtime(async {
            let mut client = MeshClient::connect(door.grpc()).await.expect("a connection");
            client.routes(api::v1::RoutesRequest {}).await.expect("routes").into_inner().routes
        });
        routes.iter().filter(|route| route.standing != "not heard of").count() == regions
    });
}

fn grpc(door: &Door, pushes: Vec<PushRequest>) -> Vec<Result<PushResponse, Status>> {
    on_runtime(async {
        let mut client = MeshClient::connect(door.grpc()).await.expect("a connection");
        let answers = client.push(tokio_stream::iter(pushes)).await.expect("a stream");
        answers.into_inner().collect().await
    })
}

#[test]
fn a_push_is_rerouted_if_it_asks_for_that_and_says_so() {
    let (us, eu) = (FakeNode::start("us"), FakeNode::start("eu"));
    let door = open(&us, &[&eu]);
    heard(&door, 2);
    assert_eq!(taken(&push(&door, reroute())), (Some("us"), false), "while it is there");
    us.set(Mood::LogDown);
    let tried = us.appends();
    let rerouted = push(&door, reroute());
    assert_eq!(taken(&rerouted), (Some("eu"), true));
    assert_eq!(us.appends(), tried + 1, "it is not repeated where another one can take it");
    assert_eq!(eu.events().len(), 1);
    let whole = trip(reroute());
    let written =
        json!({"feature_view_name": "driver_stats", "df": whole["df"], "mesh": reroute()});
    let written = door.post("/write-to-online-store", written.to_string().as_bytes());
    assert_eq!(taken(&written), (Some("eu"), true));
    let event = eu.events()[0].1.to_string().into_bytes().into();
    let asked = PushRequest {
        source: "trips".into(),
        events: vec![event],
        on_region_down: OnRegionDown::Reroute.into(),
    };
    let answers = grpc(&door, vec![asked]);
    let answer = answers[0].as_ref().expect("pushed");
    assert_eq!((&*answer.region, answer.possible_duplicate), ("eu", true));
    let metrics = door.metrics();
    assert!(metrics.contains(r#"meridian_gateway_reroutes_total{to="eu"} 3"#), "{metrics}");

    // Its token is one of the other region, which reads of any region may present.
    us.set(Mood::Well);
    let token = rerouted.token.expect("a token");
    let read = json!({"entities": {"driver_id": [1]}, "features": ["driver_stats:km_1h"],
                      "mesh": {"token": token}});
    assert_eq!(door.read(&read).status, 200);
    assert_eq!(us.reads().last().expect("a read").tokens[0].region, "eu");
}

#[test]
fn a_push_that_does_not_ask_is_refused_and_goes_nowhere_else() {
    let (us, eu) = (FakeNode::start("us"), FakeNode::start("eu"));
    let door = open_with(&us, &[&eu], |config| config.push_ms = 300);
    heard(&door, 2);
    us.set(Mood::LogDown);
    for mesh in [json!({}), json!({"on_region_down": "refuse"})] {
        let refused = push(&door, mesh);
        assert_eq!((refused.status, refused.retry_after.as_deref()), (503, Some("1")));
        assert!(refused.refusal().1.contains("repeated ids count once"), "{}", refused.text);
    }
    let odd = push(&door, json!({"on_region_down": "elsewhere"}));
    assert!(odd.status == 422 && odd.refusal().1.contains("reroute"), "{}", odd.text);
    assert_eq!(eu.events(), []);
    us.set(Mood::LogFull);
    let refused = push(&door, reroute());
    assert_eq!(refused.status, 503, "a log that is full burdens no other: {}", refused.text);
    assert_eq!(eu.events(), []);
}

#[test]
fn where_no_region_takes_it_all_are_named() {
    let (us, eu) = (FakeNode::start("us"), FakeNode::start("eu"));
    let door = open(&us, &[&eu]);
    heard(&door, 2);
    us.set(Mood::LogDown);
    eu.set(Mood::LogDown);
    let refused = push(&door, reroute());
    assert_eq!(refused.status, 503);
    let (_, message) = refused.refusal();
    assert!(message.contains("us: the log is away; eu: the log is away"), "{message}");
}

/// A node that comes back in time costs its pushes nothing, where repeats count once.
#[test]
fn a_push_waits_for_its_node_where_repeats_count_once() {
    let us = FakeNode::start("us");
    let door = open(&us, &[]);
    us.set(Mood::LogDown);
    std::thread::scope(|scope| {
        let pushing = scope.spawn(|| push(&door, json!({})));
        wait_until("it was tried again", || us.appends() > 1);
        us.set(Mood::Well);
        assert_eq!(taken(&pushing.join().expect("an answer")), (Some("us"), false));
    });
    assert_eq!(us.events().len(), 1);
    assert!(door.metrics().contains("meridian_gateway_push_retries_total"));

    us.set(Mood::LogDown);
    let tried = us.appends();
    let remark = json!({"push_source_name": "remarks", "df": {"at": [1], "driver_id": [1]}});
    let refused = door.post("/push", remark.to_string().as_bytes());
    assert_eq!(refused.status, 503, "{}", refused.text);
    assert_eq!(us.appends(), tried + 1, "without an id it may count twice");
}

/// How many pushes wait for their node.
fn parked(door: &Door) -> u64 {
    number(door, "meridian_gateway_admission{kind=\"parked\"} ")
}

/// A gateway that may repeat nothing: what passes has waited.
fn without_repeats(config: &mut Config) {
    (config.retry_percent, config.retry_per_s) = (0, 0);
}

/// What was not sent yet can wait, whether its source has an id or not.
#[test]
fn a_push_waits_for_a_node_that_is_restarted_and_costs_no_repeat() {
    let mut us = FakeNode::start("us");
    let door = open_with(&us, &[], without_repeats);
    us.kill();
    wait_until("it is missed", || door.get("/health").status == 503);
    let remark = json!({"push_source_name": "remarks", "df": {"at": [1], "driver_id": [1]}});
    std::thread::scope(|scope| {
        let trip = scope.spawn(|| push(&door, json!({})));
        let remark = scope.spawn(|| door.post("/push", remark.to_string().as_bytes()));
        wait_until("both wait", || parked(&door) == 2);
        us.restart();
        assert_eq!(taken(&trip.join().expect("an answer")), (Some("us"), false));
        assert_eq!(taken(&remark.join().expect("an answer")), (Some("us"), false));
    });
    assert_eq!((us.appends(), us.events().len(), parked(&door)), (2, 2, 0));
    assert!(door.metrics().contains("meridian_gateway_push_retries_total 0"));
}

/// What became of it is not known: it is sent again when the node is back, and only if that counts
/// once.
#[test]
fn a_push_whose_node_goes_away_meanwhile_is_sent_again() {
    let mut us = FakeNode::start("us");
    let door = open(&us, &[]);
    us.set(Mood::LogHangs);
    let remark = json!({"push_source_name": "remarks", "df": {"at": [1], "driver_id": [1]}});
    std::thread::scope(|scope| {
        let trip = scope.spawn(|| push(&door, json!({})));
        let remark = scope.spawn(|| door.post("/push", remark.to_string().as_bytes()));
        wait_until("both are with the node", || us.appends() == 2);
        us.kill();
        assert_eq!(remark.join().expect("an answer").status, 503, "it may count twice");
        wait_until("the other one waits", || parked(&door) == 1);
        us.set(Mood::Well);
        us.restart();
        assert_eq!(taken(&trip.join().expect("an answer")), (Some("us"), false));
    });
    assert_eq!((us.appends(), us.events().len()), (3, 1));
}

#[test]
fn a_push_waits_no_longer_than_it_has_time() {
    let mut us = FakeNode::start("us");
    let time = Skipping::new();
    let door = &open_in(time.clone(), &us, |config| config.push_ms = 600_000);
    us.kill();
    wait_until("it is missed", || door.get("/health").status == 503);
    std::thread::scope(|scope| {
        let start_ms = time.monotonic_ms();
        let pushing = scope.spawn(|| push(door, json!({})));
        let body = trip(json!({})).to_string();
        let hurried = scope.spawn(move || {
            door.post_with("/push", body.as_bytes(), &[("x-meridian-timeout-ms", "200000")])
        });
        wait_until("both wait", || parked(door) == 2);
        time.skip_ms(200_000);
        assert_eq!(hurried.join().expect("an answer").status, 503, "its caller waits no longer");
        assert_eq!(parked(door), 1, "the other one has time");
        time.skip_ms(400_000);
        let refused = pushing.join().expect("an answer");
        assert!(time.monotonic_ms() - start_ms >= 600_000);
        assert_eq!((refused.status, refused.retry_after.as_deref()), (503, Some("1")));
        let (_, why) = refused.refusal();
        assert!(why.contains("did not return in time") && why.contains("count once"), "{why}");
    });
    assert_eq!((parked(door), us.appends()), (0, 0));
}

async fn push_nothing(mut client: MeshClient<Channel>) -> Result<Option<PushResponse>, Status> {
    let push = PushRequest { source: "trips".into(), ..PushRequest::default() };
    client.push(tokio_stream::once(push)).await?.into_inner().message().await
}

/// Those that wait are no load: reads go on, also where few may be worked on. And they are bounded.
#[test]
fn pushes_that_wait_keep_nobody_out_and_are_bounded() {
    let (mut us, eu) = (FakeNode::start("us"), FakeNode::start("eu"));
    let door = open_with(&us, &[&eu], |config| {
        (config.max_in_flight, config.push_ms) = (8, 60_000);
    });
    heard(&door, 2);
    us.kill();
    heard(&door, 1);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let connect = || runtime.block_on(MeshClient::connect(door.grpc())).expect("a connection");
    let clients = [connect(), connect()];
    let waiting = (1..=256).map(|n| {
        let client = clients[n % 2].clone();
        let push = runtime.spawn(push_nothing(client));
        if n % 8 == 0 {
            wait_until("they wait", || parked(&door) == n as u64);
        }
        push
    });
    let waiting: Vec<_> = waiting.collect();
    assert_eq!(door.read_one(&[]).served(), ("eu".to_owned(), "failover".to_owned()));
    let refused = runtime.block_on(push_nothing(clients[0].clone())).expect_err("one too many");
    assert_eq!(refused.code(), Code::Unavailable);
    assert!(refused.message().contains("enough pushes wait"), "{refused}");
    us.restart();
    for push in waiting {
        let answer = runtime.block_on(push).expect("no panic").expect("an answer");
        assert_eq!(answer.map(|answer| answer.region).as_deref(), Some("us"));
    }
    assert_eq!((parked(&door), us.appends()), (0, 256));
}

/// Repeats are bounded by what comes in, so that a region that returns is not met by a crowd.
#[test]
fn repeats_have_a_budget() {
    let us = FakeNode::start("us");
    let door = open_with(&us, &[], |config| {
        (config.retry_percent, config.retry_per_s) = (0, 0);
    });
    us.set(Mood::LogDown);
    let start = Instant::now();
    assert_eq!(push(&door, json!({})).status, 503);
    assert_eq!(us.appends(), 1);
    assert!(start.elapsed() < Duration::from_millis(4_000), "it is refused at once");
}

/// The own node never came up. The other region's gateway passes the push to its own node, and what
/// has been through two gateways no further.
#[test]
fn a_push_goes_through_another_regions_gateway() {
    let (mut us, eu) = (FakeNode::start("us"), FakeNode::start("eu"));
    us.kill();
    let far = open(&eu, &[]);
    let near = open_unheard(&us, &[("eu", far.grpc())]);
    wait_until("eu is heard", || near.get("/health").status == 200);
    assert_eq!(taken(&push(&near, reroute())), (Some("eu"), true));
    assert_eq!(eu.header("x-meridian-hops").as_deref(), Some("2"));
    let relayed =
        r#"meridian_gateway_requests_total{call="Relay.Append",status="OK",route="relay"} "#;
    assert_eq!(number(&far, relayed), 1);
    let circle = on_runtime(async {
        let mut client = NodeClient::connect(far.grpc()).await.expect("a connection");
        let append = node::AppendRequest { source: "trips".into(), events: vec![] };
        let mut request = Request::new(tokio_stream::once(append));
        request.metadata_mut().insert("x-meridian-hops", "2".parse().expect("text"));
        client.append(request).await?.into_inner().message().await
    });
    let circle = circle.expect_err("a circle");
    assert!(circle.message().contains("what is configured as a node is a gateway"), "{circle}");
    assert_eq!(eu.events().len(), 1);
}

#[test]
fn each_push_of_a_stream_passes_the_gate() {
    let us = FakeNode::start("us");
    let door = open_with(&us, &[], |config| config.quota = Some(Quota { per_s: 1, burst: 3 }));
    let push = || PushRequest {
        source: "trips".into(),
        events: vec!["{}".into()],
        ..PushRequest::default()
    };
    let answers = grpc(&door, vec![push(), push(), push(), push(), push(), push()]);
    let (last, taken) = answers.split_last().expect("answers");
    assert!(taken.iter().all(Result::is_ok) && taken.len() >= 3, "{answers:?}");
    let refused = last.as_ref().expect_err("the share is used up");
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert_eq!(us.events().len(), taken.len());
    assert!(
        door.metrics().contains(r#"call="Push",status="OK",route="local""#),
        "{}",
        door.metrics()
    );
}

/// An event without an id counts as often as a region's log has it, whichever of its nodes took it.
#[test]
fn a_second_node_of_the_own_region_may_be_one_too_many_without_ids() {
    let (one, two) = (FakeNode::start("us"), FakeNode::start("us"));
    let door = open_with(&one, &[], |config| config.nodes.push(two.url()));
    heard(&door, 2);
    one.set(Mood::LogDown);
    let remark = json!({"push_source_name": "remarks", "mesh": reroute(),
                        "df": {"at": [1], "driver_id": [1]}});
    let asked_both = |body: &Json, twice| {
        // Which of the two is asked first depends on how near they seem.
        wait_until("the one that fails is asked first", || {
            let before = one.appends();
            let answer = door.post("/push", body.to_string().as_bytes());
            let asked_both = one.appends() > before;
            assert_eq!(taken(&answer), (Some("us"), asked_both && twice));
            asked_both
        });
    };
    asked_both(&remark, true);
    asked_both(&trip(reroute()), false);
    assert_eq!(
        number(
            &door,
            r#"meridian_gateway_requests_total{call="push",status="200",route="reroute"} "#
        ),
        0
    );
}
