//! Reads go on, whatever becomes of a region. How long they take is measured elsewhere: here it
//! counts that they are answered.

use std::time::Duration;

use checkers::flights::REGIONS;
use clock::Stopwatch;
use cluster::Mesh;
use nix::sys::signal::Signal;
use serde_json::Value;

/// At most one read in a thousand failed.
fn hardly_any_failed(report: &Value) {
    let (answered, failed) = (report["answered"].as_u64(), report["failed"].as_u64());
    let (answered, failed) = (answered.expect("a count"), failed.expect("a count"));
    println!("{} {} {}", report["routes"], report["failures"], report["us"]);
    assert!(failed * 1_000 <= answered, "{failed} failed: {}", report["failures"]);
}

fn of_other_regions(report: &Value) -> u64 {
    let regions = report["regions"].as_object().expect("regions");
    regions.iter().filter(|(region, _)| *region != "ewr").filter_map(|(_, n)| n.as_u64()).sum()
}

#[test]
fn a_killed_and_a_stopped_node_cost_hardly_any_read() {
    let mut mesh = Mesh::start();
    let mut load = mesh.load(100, 12, &["ewr"]);
    mesh.kill("ewr", "node");
    mesh.wait_until("the node is back", |mesh| mesh.status("ewr").is_some());
    assert!(load.is_running(), "the kill must fall into the load");
    let report = load.end();
    hardly_any_failed(&report);
    assert!(of_other_regions(&report) > 0, "{report}");

    mesh.wait_until("reads go home again", |mesh| mesh.home("ewr").as_deref() == Some("ewr"));
    let mut load = mesh.load(100, 12, &["ewr"]);
    assert!(mesh.signal("ewr", "node", Signal::SIGSTOP));
    mesh.wait_until("reads go elsewhere", |mesh| mesh.home("ewr").is_some_and(|r| r != "ewr"));
    assert!(mesh.signal("ewr", "node", Signal::SIGCONT));
    assert!(load.is_running(), "the stop must fall into the load");
    let report = load.end();
    hardly_any_failed(&report);
    assert!(of_other_regions(&report) > 0, "{report}");
}

/// How long a push waits for its node (`push_ms` of a gateway's file).
const PUSH: Duration = Duration::from_secs(5);

/// Every process of every region in turn, node and gateway apart in two regions and both at once in
/// the third.
#[test]
fn a_rolling_restart_fails_no_read_and_loses_no_push() {
    let mut mesh = Mesh::start();
    let steady = mesh.steady();
    let mut longest = Duration::ZERO;
    for (region, process) in [
        ("ewr", "node"),
        ("ewr", "gateway"),
        ("jfk", "gateway"),
        ("jfk", "node"),
        ("lga", "region"),
    ] {
        let orderly = if process == "region" { "drain" } else { "stop" };
        let restart = Stopwatch::start();
        mesh.run(&[process, orderly, region]);
        mesh.run(&[process, "start", region]);
        mesh.wait_until("every region is ready", |mesh| {
            REGIONS.iter().all(|r| mesh.status(r).is_some_and(|status| status["ready"] == true))
        });
        mesh.wait_until("its gateway is back", |mesh| mesh.home(region).is_some());
        longest = longest.max(restart.elapsed());
    }
    let (reads, pushes) = steady.end();
    println!("{} reads, {} rerouted", reads.answered, reads.rerouted);
    println!(
        "{} pushes, {} rerouted, {} sent again, restarts took {longest:?} at most",
        pushes.answered, pushes.rerouted, pushes.repeated
    );
    assert_eq!((reads.failures, pushes.failures), (Vec::new(), Vec::new()));
    assert!(reads.rerouted > 0 && pushes.rerouted > 0, "clients did have to go elsewhere");
    assert!(pushes.repeated == 0 || longest >= PUSH, "they wait for a node that is restarted");
    // Nothing that was acknowledged is lost, and nothing counts twice.
    mesh.wait_until("all pushes are read", |mesh| mesh.pushed() == Some(pushes.answered));
    mesh.wait_until_equal();
}
