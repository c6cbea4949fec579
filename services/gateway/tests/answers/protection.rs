//! What keeps a gateway and its regions from harm, and that it is said: breakers, hedges, sheds,
//! quotas, deadlines, hops.

use std::time::{Duration, Instant};

use api::node::v1 as node;
use api::node::v1::node_client::NodeClient;
use api::v1::mesh_client::MeshClient;
use api::v1::{GetFeaturesRequest, PushRequest, Route, RoutesRequest, StatusRequest};
use gateway::Quota;
use tokio_stream::StreamExt;
use tonic::{Code, Request};

use crate::support::{
    Answer, Door, FakeNode, Mood, number, open, open_unheard, open_with, wait_until,
};

fn by(region: &str, route: &str) -> (String, String) {
    (region.to_owned(), route.to_owned())
}

fn read(door: &Door) -> Answer {
    door.read_one(&[])
}

fn on_runtime<F: Future>(work: F) -> F::Output {
    tokio::runtime::Runtime::new().expect("a runtime").block_on(work)
}

fn routes(door: &Door) -> Vec<Route> {
    on_runtime(async {
        let mut client = MeshClient::connect(door.grpc()).await.expect("a connection");
        client.routes(RoutesRequest {}).await.expect("routes").into_inner().routes
    })
}

/// Both regions are known, and reads go to the own one.
fn settled(us: &FakeNode, eu: &FakeNode) -> Door {
    let door = open(us, &[eu]);
    let fit = |routes: &[Route]| routes[0].home && routes.iter().all(|r| r.standing == "fit");
    wait_until("both are fit", || fit(&routes(&door)));
    door
}

#[test]
fn a_region_that_fails_is_left_out_then_probed_and_no_read_is_lost() {
    let (us, eu) = (FakeNode::start("us"), FakeNode::start("eu"));
    let door = settled(&us, &eu);
    us.set(Mood::Fails);
    wait_until("the breaker opens", || {
        assert_eq!(read(&door).served(), by("eu", "failover"));
        routes(&door)[0].breaker == "open"
    });
    assert_eq!(routes(&door)[0].standing, "left out for its failures");
    let asked = us.reads().len();
    (0..20).for_each(|_| assert_eq!(read(&door).served(), by("eu", "failover")));
    assert!(us.reads().len() <= asked + 1, "but for a probe, it is left in peace");
    us.set(Mood::Well);
    wait_until("a probe closes it", || {
        assert_eq!(read(&door).status, 200);
        routes(&door)[0].breaker == "closed"
    });
    let metrics = door.metrics();
    for to in ["open", "half-open", "closed"] {
        let line =
            format!(r#"meridian_gateway_breaker_transitions_total{{region="us",to="{to}"}}"#);
        assert!(metrics.contains(&line), "{line} in {metrics}");
    }
    assert!(metrics.contains("meridian_gateway_retries_total"), "{metrics}");
}

#[test]
fn when_all_fail_the_last_is_not_left_out_and_the_answer_says_so() {
    let us = FakeNode::start("us");
    let door = open(&us, &[]);
    wait_until("us answers", || read(&door).served() == by("us", "local"));
    us.set(Mood::Fails);
    wait_until("it counts as failing", || {
        assert_eq!(read(&door).status, 503);
        routes(&door)[0].standing.starts_with("failing")
    });
    us.set(Mood::Well);
    assert_eq!(read(&door).served(), by("us", "stale"));
    wait_until("it has done well again", || read(&door).served() == by("us", "local"));
}

#[test]
fn a_slow_read_is_asked_of_another_region_beside_it() {
    let (us, eu) = (FakeNode::start("us"), FakeNode::start("eu"));
    let door = open_with(&us, &[&eu], |config| config.try_ms = 5_000);
    let fit = |routes: &[Route]| routes[0].home && routes.iter().all(|r| r.standing == "fit");
    wait_until("both are fit", || fit(&routes(&door)));
    (0..150).for_each(|_| assert_eq!(read(&door).status, 200));
    us.set(Mood::Slow(900));
    let start = Instant::now();
    assert_eq!(read(&door).served(), by("eu", "hedged"));
    assert!(start.elapsed() < Duration::from_millis(800), "{:?}", start.elapsed());
    let metrics = door.metrics();
    let hedges = metrics.lines().find_map(|l| l.strip_prefix("meridian_gateway_hedges_total "));
    let hedges: u64 = hedges.expect("hedges are counted").parse().expect("a number");
    assert!((1..=151 / 20).contains(&hedges), "{hedges}");
}

#[test]
fn a_region_that_drains_is_left() {
    let (us, eu) = (FakeNode::start("us"), FakeNode::start("eu"));
    let door = settled(&us, &eu);
    us.set(Mood::Draining);
    wait_until("eu answers", || read(&door).served() == by("eu", "failover"));
    assert_eq!(routes(&door)[0].standing, "draining");
}

#[test]
fn a_region_whose_mirror_stands_still_is_left_by_those_whom_it_concerns() {
    let (us, eu) = (FakeNode::start("us"), FakeNode::start("eu"));
    let door = settled(&us, &eu);
    us.set(Mood::Frozen);
    wait_until("eu answers", || read(&door).served() == by("eu", "failover"));
    let without = serde_json::json!({"entities": {"driver_id": [1]},
        "features": ["driver_stats:km_1h"], "mesh": {"exclude_regions": ["ap"]}});
    assert_eq!(door.read(&without).served(), by("us", "local"));
    let routes = routes(&door);
    assert_eq!((routes[0].home, &*routes[0].standing), (true, "lags its peers in ap"));
    let line = r#"meridian_gateway_lag_demotions_total{region="us",origin="ap"} "#;
    assert_eq!(number(&door, line), 1);
}

#[test]
fn more_than_it_can_do_is_sent_away_at_once() {
    let us = FakeNode::start("us");
    let door = open_with(&us, &[], |config| {
        (config.max_in_flight, config.max_waiting) = (1, 0);
    });
    wait_until("us answers", || read(&door).served() == by("us", "local"));
    us.set(Mood::Hangs);
    std::thread::scope(|scope| {
        scope.spawn(|| read(&door));
        let reads = us.reads().len();
        wait_until("one read is under way", || us.reads().len() > reads);
        let refused = read(&door);
        assert_eq!((refused.status, refused.retry_after.as_deref()), (503, Some("1")));
        let status = on_runtime(async {
            let mut client = MeshClient::connect(door.grpc()).await.expect("a connection");
            client.get_features(GetFeaturesRequest::default()).await.expect_err("refused")
        });
        let known = on_runtime(async {
            let mut client = MeshClient::connect(door.grpc()).await.expect("a connection");
            client.status(StatusRequest {}).await.expect_err("refused")
        });
        assert_eq!([status.code(), known.code()], [Code::ResourceExhausted; 2]);
        us.set(Mood::Well);
    });
    assert!(door.metrics().contains(r#"meridian_gateway_sheds_total{reason="busy"} 3"#));
    wait_until("there is room again", || read(&door).status == 200);
}

#[test]
fn a_client_that_has_had_its_share_is_told_when_to_come_back() {
    let us = FakeNode::start("us");
    let door = open_with(&us, &[], |config| config.quota = Some(Quota { per_s: 1, burst: 3 }));
    let greedy = [("x-meridian-client", "greedy")];
    let statuses: Vec<u16> = (0..5).map(|_| door.read_one(&greedy).status).collect();
    assert_eq!(statuses[..3], [200; 3]);
    let refused = door.read_one(&greedy);
    assert_eq!((refused.status, refused.retry_after.as_deref()), (429, Some("1")));
    assert!(refused.refusal().1.contains("'greedy'"));
    assert_eq!(door.read_one(&[("x-meridian-client", "modest")]).status, 200);
}

/// The client's own gateway has charged it; and its priority holds there too.
#[test]
fn what_another_region_asks_is_charged_to_nobody_and_keeps_its_priority() {
    let (mut us, eu) = (FakeNode::start("us"), FakeNode::start("eu"));
    let far = open_with(&eu, &[], |config| config.quota = Some(Quota { per_s: 1, burst: 1 }));
    let near = open_unheard(&us, &[("eu", far.grpc())]);
    us.kill();
    wait_until("eu answers", || read(&near).served() == by("eu", "failover"));
    for _ in 0..5 {
        let answer = near.read_one(&[("x-meridian-priority", "critical")]);
        assert_eq!(answer.served(), by("eu", "failover"));
    }
    assert_eq!(eu.header("x-meridian-priority").as_deref(), Some("critical"));
}

/// Or a few of them would leave no room for anybody.
#[test]
fn callers_without_patience_do_not_shrink_the_limit_and_others_do() {
    let us = FakeNode::start("us");
    let door = open(&us, &[]);
    wait_until("us answers", || read(&door).served() == by("us", "local"));
    us.set(Mood::Hangs);
    let limit = || number(&door, "meridian_gateway_admission{kind=\"limit\"} ");
    let before = limit();
    for _ in 0..4 {
        assert_eq!(door.read_one(&[("x-meridian-timeout-ms", "120")]).status, 504);
    }
    assert_eq!(limit(), before);
    assert_eq!(door.read_one(&[("x-meridian-timeout-ms", "500")]).status, 504);
    assert!(limit() < before, "{} of {before}", limit());
}

#[test]
fn a_callers_time_is_kept_and_handed_on() {
    let us = FakeNode::start("us");
    let door = open(&us, &[]);
    wait_until("us answers", || read(&door).served() == by("us", "local"));
    assert_eq!(door.read_one(&[("x-meridian-timeout-ms", "300")]).status, 200);
    let told = us.timeout_ms().expect("a timeout");
    assert!((1..=300).contains(&told), "{told}");
    assert_eq!(us.header("x-meridian-hops").as_deref(), Some("1"));
    us.set(Mood::Hangs);
    let start = Instant::now();
    let refused = door.read_one(&[("x-meridian-timeout-ms", "60")]);
    assert_eq!(refused.status, 504, "{}", refused.text);
    assert!(start.elapsed() < Duration::from_millis(390), "sooner than the house would");
    wait_until("the node is told that nobody waits", || us.under_way() == 0);
    assert_eq!(routes(&door)[0].failures, 0, "one impatient caller proves nothing");
    let odd = door.read_one(&[("x-meridian-priority", "urgent")]);
    assert!(odd.status == 422 && odd.refusal().1.contains("x-meridian-priority"), "{}", odd.text);
}

#[test]
fn what_has_been_through_two_gateways_goes_no_further() {
    let us = FakeNode::start("us");
    let door = open(&us, &[]);
    let relayed = |hops: &'static str| {
        on_runtime(async {
            let mut client = NodeClient::connect(door.grpc()).await.expect("a connection");
            let mut request = Request::new(node::ReadRequest::default());
            request.metadata_mut().insert("x-meridian-hops", hops.parse().expect("text"));
            client.read(request).await
        })
    };
    relayed("1").expect("another gateway may ask");
    assert_eq!(us.header("x-meridian-hops").as_deref(), Some("2"));
    let shared = |hops: &'static str| {
        on_runtime(async {
            let mut client = NodeClient::connect(door.grpc()).await.expect("a connection");
            let read = Some(node::ReadRequest::default());
            let read =
                node::NumberedRead { number: 7, read, timeout_ms: 1_000, ..Default::default() };
            let asked = node::ReadsRequest { reads: vec![read], ..Default::default() };
            let mut request =
                Request::new(tokio_stream::once(asked).chain(tokio_stream::pending()));
            request.metadata_mut().insert("x-meridian-hops", hops.parse().expect("text"));
            client.reads(request).await?.into_inner().message().await
        })
    };
    let answers = shared("1").expect("another gateway may ask").expect("a message").answers;
    assert_eq!(answers.len(), 1);
    let answer = answers[0].clone();
    assert_eq!((answer.number, answer.into_outcome().is_ok()), (7, true));
    assert_eq!(us.header("x-meridian-hops").as_deref(), Some("2"));
    for refused in [relayed("2").map(|_| ()), shared("2").map(|_| ())] {
        let refused = refused.expect_err("a circle");
        let said = "what is configured as a node is a gateway";
        assert!(refused.message().contains(said), "{refused}");
    }
}

#[test]
fn a_gateway_that_ends_tells_its_clients_and_its_peers_first() {
    let (us, eu) = (FakeNode::start("us"), FakeNode::start("eu"));
    let far = open_with(&eu, &[], |config| {
        (config.drain_quiet_ms, config.drain_ms) = (60_000, 60_000);
    });
    let near = open_unheard(&us, &[("eu", far.grpc())]);
    wait_until("eu is heard", || routes(&near)[1].standing == "fit");
    far.end();
    wait_until("its peers know", || routes(&near)[1].standing == "draining");
    assert_eq!(far.get("/health").status, 503, "nobody new");
    let answer = read(&far);
    assert_eq!((answer.status, answer.connection.as_deref()), (200, Some("close")), "still there");
    drop(far);
    wait_until("it is gone", || routes(&near)[1].standing == "not heard of");
}

fn listens(door: &Door) -> bool {
    std::net::TcpStream::connect(door.addresses.http).is_ok()
}

/// It stays for whoever still asks, far beyond its quiet, and goes once nobody does.
#[test]
fn a_gateway_that_ends_stays_until_nobody_asks() {
    let us = FakeNode::start("us");
    let door = open_with(&us, &[], |config| {
        (config.drain_quiet_ms, config.drain_ms) = (2_000, 600_000);
        (config.try_ms, config.deadline_ms) = (60_000, 60_000);
    });
    us.set(Mood::Slow(2_500));
    door.end();
    wait_until("it says so", || door.get("/health").status == 503);
    (0..2).for_each(|_| assert_eq!(read(&door).served(), by("us", "local")));
    wait_until("it is gone", || !listens(&door));
}

/// Whoever does not go elsewhere does not keep it.
#[test]
fn a_gateway_that_ends_goes_in_time() {
    let us = FakeNode::start("us");
    let door = open_with(&us, &[], |config| {
        (config.drain_quiet_ms, config.drain_ms) = (300_000, 500);
    });
    door.end();
    wait_until("it is gone", || !listens(&door));
}

/// It would be so in every region, and a client that asks again gets no further.
#[test]
fn what_is_too_large_for_a_message_is_refused_at_once_and_counts_against_nobody() {
    let (us, eu) = (FakeNode::start("us"), FakeNode::start("eu"));
    let door = settled(&us, &eu);
    us.set(Mood::TooLarge);
    let mesh = serde_json::json!({"on_region_down": "reroute"});
    let remark = serde_json::json!({"push_source_name": "remarks", "mesh": mesh,
                                    "df": {"at": [1], "driver_id": [1]}});
    let before = eu.reads().len();
    for _ in 0..6 {
        for refused in [read(&door), door.post("/push", remark.to_string().as_bytes())] {
            assert_eq!((refused.status, &refused.retry_after), (413, &None), "{}", refused.text);
            assert!(refused.refusal().1.contains("70000000 bytes"), "{}", refused.text);
        }
    }
    assert_eq!((eu.reads().len(), eu.appends(), us.appends()), (before, 0, 6));
    let route = &routes(&door)[0];
    assert_eq!((&*route.breaker, route.failures), ("closed", 0));
    let pushed = on_runtime(async {
        let mut client = MeshClient::connect(door.grpc()).await.expect("a connection");
        let push = PushRequest { source: "trips".into(), ..PushRequest::default() };
        let answers = client.push(tokio_stream::once(push)).await.expect("a stream");
        answers.into_inner().message().await.expect_err("too large")
    });
    assert_eq!(pushed.code(), Code::OutOfRange);
}

/// A call of its own is ended by its channel, which says CANCELLED. Or it would not be known that it was
/// late: to the limit here, and to who asked.
#[test]
fn a_relayed_read_that_is_late_is_said_to_be_late() {
    let us = FakeNode::start("us");
    let door = open_with(&us, &[], |config| config.deadline_ms = 450);
    us.set(Mood::Hangs);
    let limit = || number(&door, "meridian_gateway_admission{kind=\"limit\"} ");
    let before = limit();
    let late = on_runtime(async {
        let mut client = NodeClient::connect(door.grpc()).await.expect("a connection");
        client.read(node::ReadRequest::default()).await.expect_err("nobody answers")
    });
    assert_eq!(late.code(), Code::DeadlineExceeded, "{late}");
    wait_until("the limit has learned it", || limit() < before);
}
