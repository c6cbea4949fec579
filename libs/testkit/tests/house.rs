//! Who may depend on whom: the rooms of ARCHITECTURE.md, held over `cargo metadata`.
//!
//! Normal and build dependencies count; dev-dependencies are free.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail by panicking")]

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package, PackageId};

/// The rooms by floor. Calls go down, or stay on a floor where cargo sees to it that there is no
/// way back.
const FLOORS: [&[&str]; 4] = [
    &["clock", "lattice", "expr"],
    &["catalog", "fold", "backbone", "routing"],
    &[
        "backbone-local",
        "backbone-kafka",
        "kafka-server",
        "fault-proxy",
        "store",
        "edge",
        "api",
        "telemetry",
        "testkit",
    ],
    &["node", "gateway", "meridian"],
];
const SERVICES: usize = 3;
/// The command line starts the other services in processes of their own.
const MAY_CALL_SERVICES: [(&str, &str); 2] = [("meridian", "node"), ("meridian", "gateway")];
/// Rooms that nothing depends on.
const TESTS: [&str; 4] = ["sim", "cluster", "checkers", "kafka"];
/// Rooms without a runtime: what they do is decided by their arguments.
const PURE: [&str; 5] = ["lattice", "expr", "fold", "catalog", "routing"];
const RUNTIMES: [&str; 3] = ["tokio", "tonic", "rdkafka"];
/// What only some rooms may use at all.
const RESERVED: [(&str, &[&str]); 3] = [
    ("fjall", &["backbone-local", "store", "node"]),
    ("rdkafka", &["backbone-kafka"]),
    ("getrandom", &["clock"]),
];

fn metadata() -> Metadata {
    // Crates of other platforms were never downloaded where this runs.
    let options = ["--offline", "--filter-platform", "host-tuple"].map(str::to_owned);
    MetadataCommand::new().other_options(options).exec().unwrap()
}

fn floor(room: &str) -> Option<usize> {
    FLOORS.iter().position(|rooms| rooms.contains(&room))
}

/// What a room depends on outside its tests.
fn uses(room: &Package) -> impl Iterator<Item = &str> {
    let used = room.dependencies.iter().filter(|d| d.kind != DependencyKind::Development);
    used.map(|dependency| dependency.name.as_str())
}

/// (who, whom, why not), for every edge that the house does not allow.
fn broken(edges: &[(&str, &str)]) -> Vec<String> {
    let mut found = Vec::new();
    for &(from, to) in edges {
        let refuse = |why: &str| format!("{from} depends on {to}: {why}");
        if to == "testkit" && !TESTS.contains(&from) {
            found.push(refuse("only tests use testkit"));
        }
        if let (Some(above), Some(below)) = (floor(from), floor(to)) {
            if below > above {
                found.push(refuse("calls go down only"));
            }
            if below == SERVICES && !MAY_CALL_SERVICES.contains(&(from, to)) {
                found.push(refuse("services meet over proto"));
            }
        }
        for (reserved, rooms) in RESERVED {
            if to == reserved && !rooms.contains(&from) {
                found.push(refuse(&format!("only {rooms:?} may")));
            }
        }
    }
    found
}

#[test]
fn calls_go_down_only() {
    let metadata = metadata();
    let rooms = metadata.workspace_packages();
    let edges: Vec<(&str, &str)> =
        rooms.iter().flat_map(|room| uses(room).map(|to| (room.name.as_str(), to))).collect();
    assert!(edges.len() > 50, "cargo metadata shows the workspace");
    assert_eq!(broken(&edges), [""; 0]);
}

#[test]
fn every_room_has_its_place() {
    let metadata = metadata();
    let names = metadata.workspace_packages().into_iter().map(|room| room.name.to_string());
    let unplaced: Vec<String> =
        names.filter(|name| floor(name).is_none() && !TESTS.contains(&name.as_str())).collect();
    assert_eq!(unplaced, [""; 0], "add it to FLOORS, and to ARCHITECTURE.md");
}

#[test]
fn pure_rooms_reach_no_runtime() {
    let metadata = metadata();
    let resolved = metadata.resolve.as_ref().unwrap();
    let nodes: BTreeMap<&PackageId, _> = resolved.nodes.iter().map(|n| (&n.id, n)).collect();
    let names: BTreeMap<&PackageId, &str> =
        metadata.packages.iter().map(|p| (&p.id, p.name.as_str())).collect();
    let rooms = metadata.workspace_packages();
    for room in rooms.iter().filter(|room| PURE.contains(&room.name.as_str())) {
        let clocks = room.dependencies.iter().filter(|d| d.name == "clock");
        let mut clocks = clocks.filter(|d| d.kind != DependencyKind::Development);
        assert!(
            clocks.all(|clock| !clock.features.contains(&"tokio".to_owned())),
            "{} asks for clock's runtime",
            room.name
        );
        let (mut reached, mut todo) = (BTreeSet::new(), vec![&room.id]);
        while let Some(id) = todo.pop() {
            let normal = nodes[id].deps.iter().filter(|dependency| {
                dependency.dep_kinds.iter().any(|kind| kind.kind == DependencyKind::Normal)
            });
            for to in normal.map(|dependency| &dependency.pkg) {
                // Others switch clock's runtime on in this workspace; a pure room does not.
                let switched_on = names[id] == "clock" && names[to] == "tokio";
                if !switched_on && reached.insert(to) {
                    todo.push(to);
                }
            }
        }
        let runtimes: Vec<&str> =
            reached.iter().map(|id| names[id]).filter(|name| RUNTIMES.contains(name)).collect();
        assert_eq!(runtimes, [""; 0], "reached by {}", room.name);
    }
}

#[test]
fn forbidden_edges_are_noticed() {
    for (from, to) in [
        ("lattice", "catalog"),
        ("backbone", "backbone-local"),
        ("store", "node"),
        ("node", "gateway"),
        ("gateway", "node"),
        ("node", "testkit"),
        ("gateway", "fjall"),
        ("node", "rdkafka"),
    ] {
        assert!(!broken(&[(from, to)]).is_empty(), "{from} -> {to}");
    }
    for edge in [("meridian", "node"), ("fold", "catalog"), ("sim", "testkit")] {
        assert_eq!(broken(&[edge]), [""; 0]);
    }
}
