//! A traced request is told to a collector, passed on to nodes, and an exemplar of its latency; one
//! that is not traced is none of that. In a file of its own: a process has one set-up.

mod support;

use telemetry::{LogFormat, Traces};
use testkit::{Collector, Span};

use support::{Door, FakeNode, Mood, open, wait_until};

const CALLER: &str = "00f067aa0ba902b7";

fn read(door: &Door, trace: &str, flags: &str) -> (String, String) {
    door.read_one(&[("traceparent", &format!("00-{trace}-{CALLER}-{flags}"))]).served()
}

fn root<'a>(spans: &'a [Span], parent: &str) -> &'a Span {
    let mut below = spans.iter().filter(|span| span.parent == parent);
    let found = below.next().unwrap_or_else(|| panic!("none below {parent}: {spans:#?}"));
    assert!(below.next().is_none(), "one below {parent}: {spans:#?}");
    found
}

#[test]
fn a_traced_read_is_one_tree_and_an_exemplar() {
    let collector = Collector::start().unwrap();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let traces = Traces { endpoint: Some(collector.endpoint.clone()), share: Some(0.0) };
    let telemetry = runtime
        .block_on(async { telemetry::start("meridian-gateway", "us", LogFormat::Json, &traces) })
        .expect("the first set-up");
    let (us, eu) = (FakeNode::start("us"), FakeNode::start("eu"));
    let door = open(&us, &[&eu]);
    wait_until("us answers", || door.read_one(&[]).served().1 == "local");
    assert_eq!(us.header("traceparent"), None, "a share of none: no trace begins here");

    let (unsampled, local, failover) = ("1".repeat(32), "2".repeat(32), "3".repeat(32));
    assert_eq!(read(&door, &unsampled, "00").1, "local");
    assert_eq!(us.header("traceparent"), None, "its caller does not want it traced");
    assert_eq!(read(&door, &local, "01").1, "local");
    let at_node = us.header("traceparent").expect("passed on");
    us.set(Mood::Fails);
    assert_eq!(read(&door, &failover, "01"), ("eu".to_owned(), "failover".to_owned()));

    // The exemplar; and none for who does not ask for the format that has them.
    let metrics = door.scrape("application/openmetrics-text; version=1.0.0");
    let exemplar = format!(r#"# {{trace_id="{failover}"}}"#);
    let line = metrics.lines().find(|line| line.contains(&exemplar));
    let line = line.unwrap_or_else(|| panic!("no {exemplar} in {metrics}"));
    assert!(line.starts_with("meridian_gateway_request_seconds_bucket{le="), "{line}");
    assert!(metrics.ends_with("# EOF\n") && !metrics.contains(&unsampled), "{metrics}");
    assert!(!door.metrics().contains(&failover));

    // What is left is sent at the end.
    telemetry.end();
    assert_eq!(collector.trace(&unsampled), []);
    let spans = collector.trace(&local);
    let request = root(&spans, CALLER);
    assert_eq!(request.name, "POST /get-online-features");
    assert_eq!(request.service, "meridian-gateway");
    let said = |span: &Span, keys: &[&str]| keys.iter().map(|k| span.says(k).to_owned()).collect();
    let keys = ["region", "status", "route", "served_by"];
    let of_request: Vec<String> = said(request, &keys);
    assert_eq!(of_request, ["us", "200", "local", "us"]);
    let asked = root(&spans, &request.id);
    let of_try: Vec<String> = said(asked, &["region", "standing", "status"]);
    assert_eq!((&*asked.name, of_try), ("try", ["us", "fit", "OK"].map(String::from).to_vec()));
    assert_eq!(at_node, format!("00-{local}-{}-01", asked.id), "the node goes on from there");

    let spans = collector.trace(&failover);
    let request = root(&spans, CALLER);
    let tries: Vec<&Span> = spans.iter().filter(|span| span.parent == request.id).collect();
    assert_eq!((spans.len(), tries.len()), (3, 2), "{spans:#?}");
    for (region, status) in [("us", "Internal"), ("eu", "OK")] {
        let asked = tries.iter().find(|span| span.says("region") == region).expect("a try");
        assert_eq!((asked.says("status"), asked.failed), (status, status != "OK"));
    }
    assert_eq!((request.says("route"), request.failed), ("failover", false));
    assert_eq!(request.says("served_by"), "eu");
}
