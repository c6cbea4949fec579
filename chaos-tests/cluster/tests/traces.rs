//! The spans of a read, from all the processes that it goes through, are one tree of the caller's
//! trace; and what they write of it into their logs names it.

use cluster::Mesh;
use serde_json::json;
use testkit::{Collector, Span};

/// The caller's span.
const CALLER: &str = "00f067aa0ba902b7";

/// Reads through `ewr`'s gateway; its route.
fn read(mesh: &Mesh, trace: &str) -> Option<String> {
    let body = json!({"entities": {"tailnum": ["N14228"]}, "features": ["plane_delays:delay_24h"]});
    let context = format!("00-{trace}-{CALLER}-01");
    let headers = [("traceparent", &*context)];
    let (status, answer) = mesh.post_with("ewr", "/get-online-features", &body, &headers)?;
    (status == 200).then(|| answer["mesh"]["route"].as_str().unwrap_or_default().to_owned())
}

/// The spans from the caller's down, each the only one below the one before.
fn chain(spans: &[Span]) -> Vec<(&str, &str, &str)> {
    let (mut chain, mut parent) = (Vec::new(), CALLER);
    while let Some(span) = spans.iter().find(|span| span.parent == parent) {
        chain.push((&*span.service, &*span.name, span.says("region")));
        parent = &span.id;
    }
    chain
}

#[test]
fn a_read_is_one_tree_over_all_processes() {
    let collector = Collector::start().unwrap();
    let mut mesh = Mesh::start_traced(&collector.endpoint);
    let (near, far) = ("a".repeat(32), "b".repeat(32));
    let (gateway, node) = ("meridian-gateway", "meridian-node");
    let (post, at_node) = ("POST /get-online-features", "meridian.node.v1.Node/Read");

    mesh.wait_until("the own node is home", |mesh| mesh.home("ewr").as_deref() == Some("ewr"));
    assert_eq!(read(&mesh, &near).as_deref(), Some("local"));
    mesh.wait_until("three spans", |_| collector.trace(&near).len() == 3);
    let spans = collector.trace(&near);
    let due = [(gateway, post, "ewr"), (gateway, "try", "ewr"), (node, at_node, "ewr")];
    assert_eq!(chain(&spans), due, "{spans:#?}");

    mesh.run(&["node", "stop", "ewr"]);
    mesh.wait_until("reads go elsewhere", |mesh| mesh.home("ewr").is_some_and(|r| r != "ewr"));
    assert_eq!(read(&mesh, &far).as_deref(), Some("failover"));
    mesh.wait_until("five spans", |_| collector.trace(&far).len() == 5);
    let spans = collector.trace(&far);
    let other = chain(&spans).last().map(|(_, _, region)| *region).expect("a node");
    let due = [
        (gateway, post, "ewr"),
        (gateway, "try", other),
        (gateway, at_node, other),
        (gateway, "relay", other),
        (node, at_node, other),
    ];
    assert_ne!(other, "ewr");
    assert_eq!(chain(&spans), due, "{spans:#?}");
}
