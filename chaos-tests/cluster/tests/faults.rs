//! What a fault on the way costs. How long things take is measured by `scripts/bench-faults`; here it
//! counts how many reads fail, who answers instead, and how often reads move.

use cluster::Mesh;
use cluster::faults::{WAN, calm};
use serde_json::Value;

/// The share of reads that failed is at most one in so many.
fn at_most_one_failed_in(one_in: u64, report: &Value) {
    let count = |name: &str| report[name].as_u64().expect("a count");
    println!("{} {} {} {}", report["routes"], report["regions"], report["failures"], report["us"]);
    let (answered, failed) = (count("answered"), count("failed"));
    assert!(failed * one_in <= answered, "{failed} of {answered}: {}", report["failures"]);
}

fn answered_elsewhere(report: &Value, home: &str) -> u64 {
    let regions = report["regions"].as_object().expect("regions");
    regions.iter().filter(|(region, _)| *region != home).filter_map(|(_, n)| n.as_u64()).sum()
}

/// Reads of one region through a fault of the way from its gateway to its node; what became of them.
fn through(mesh: &mut Mesh, region: &'static str, fault: &str) -> Value {
    let link = |fault: &str| format!("{region}-{region}={fault}");
    let mut load = mesh.load(100, 15, &[region]);
    mesh.wan(&[&link(fault)]);
    mesh.wait_until("reads go elsewhere", |mesh| mesh.home(region).is_some_and(|r| r != region));
    assert!(load.is_running(), "the fault must fall into the load");
    let report = load.end();
    mesh.wan(&[&link("ok")]);
    assert!(answered_elsewhere(&report, region) > 0, "{report}");
    report
}

/// One region after the other, so that none needs to wait until the last one has returned.
#[test]
fn a_way_that_fails_costs_hardly_any_read() {
    let mut mesh = Mesh::start_over(WAN);
    mesh.wait_until("the mesh is calm", calm);
    at_most_one_failed_in(100, &through(&mut mesh, "ewr", "blackhole"));
    at_most_one_failed_in(100, &through(&mut mesh, "jfk", "drip:20"));
}

/// A region that mirrors nothing answers, and is not asked while others are fresher.
#[test]
fn stale_data_is_not_read_while_others_are_fresh_and_a_flapping_way_moves_reads_once() {
    let mut mesh = Mesh::start_over(WAN);
    mesh.wait_until("the mesh is calm", calm);
    let frozen = ["ewr-jfk=blackhole", "ewr-lga=blackhole", "--only", "mirror", "--one-way"];
    mesh.wan(&frozen);
    mesh.wait_until("it is seen to lag", |mesh| {
        let standing = |route: &Value| {
            let lags = route["standing"].as_str().is_some_and(|s| s.starts_with("lags"));
            route["region"] == "ewr" && lags
        };
        let table = mesh.routes().unwrap_or_default();
        table["ewr"]["routes"].as_array().is_some_and(|routes| routes.iter().any(standing))
    });
    let report = mesh.load(100, 3, &["ewr"]).end();
    at_most_one_failed_in(1_000, &report);
    assert_eq!(answered_elsewhere(&report, "ewr"), report["answered"], "{}", report["regions"]);
    mesh.wan(&["ewr-jfk=ok", "ewr-lga=ok"]);
    mesh.wait_until("the mesh is calm again", calm);

    let moves = |mesh: &Mesh| mesh.counter("jfk", "meridian_gateway_home_moves_total");
    let before = moves(&mesh);
    mesh.wan(&["jfk-jfk=flap:2s"]);
    let report = mesh.load(100, 20, &["jfk"]).end();
    at_most_one_failed_in(50, &report);
    let moved = moves(&mesh) - before;
    assert!((1..=2).contains(&moved), "in 20 s reads moved {moved} times");
}
