//! What a user meets when something is not as it should be: one line that names place and way out,
//! and an exit code that is not zero. Then a mesh of one region, and what becomes of its processes.

mod support;

use std::net::TcpListener;

use support::{Mesh, STARTER_SOURCE, meridian, starter};

#[test]
fn without_a_mesh_every_command_says_how_to_start_one() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("none");
    for args in [
        &["status"][..],
        &["down"],
        &["get", "view", "key=1"],
        &["explain", "view:feature", "key=1"],
        &["dead-letters", "clicks"],
        &["retire", "view@v1"],
        &["routes"],
        &["load", "view", "key=1"],
        &["wan", "show"],
        &["wan", "set", "ewr-jfk=blackhole"],
        &["region", "drain", "ewr"],
        &["node", "stop", "ewr"],
        &["region", "start", "ewr"],
        &["push", "clicks", "-f", "absent.jsonl"],
        &["ingest", "clicks", "absent.jsonl", "--region", "ewr"],
    ] {
        let error = meridian(args).data(&data).fails();
        assert!(error.contains("no mesh runs in") && error.contains("meridian up"), "{error}");
    }
}

#[test]
fn what_was_typed_wrong_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let catalog = starter(dir.path());
    let up = |regions: &str| {
        let args = ["up", "--catalog", &catalog, "--regions", regions];
        meridian(&args).data(&dir.path().join("mesh")).fails()
    };
    assert!(up("e.wr").contains("'e.wr' is no name for a region"));
    assert!(up("us,us").contains("'us' is there twice"));
    let wan = ["up", "--catalog", &catalog, "--regions", "us,eu", "--wan", "us-ap=80ms"];
    let error = meridian(&wan).data(&dir.path().join("mesh")).fails();
    assert!(error.contains("'us-ap' is not two regions") && error.contains("us, eu"), "{error}");
    let error = meridian(&["get", "view", "tailnum"]).data(dir.path()).fails();
    assert!(error.contains("KEY=VALUE"), "{error}");
    let error = meridian(&["get", "view", "a=1", "--as-of", "now"]).data(dir.path()).fails();
    assert!(error.contains("--as-of") && error.contains("2013-02-01T00:00:00Z"), "{error}");
    let args = ["ingest", "clicks", "x", "--region", "us", "--speed", "0"];
    assert!(meridian(&args).data(dir.path()).fails().contains("--speed"));
}

#[test]
fn a_catalog_starts_from_init_and_is_never_written_over() {
    let dir = tempfile::tempdir().unwrap();
    let catalog = dir.path().join("catalog").display().to_string();
    meridian(&["init", &catalog]).succeeds();
    let plan = meridian(&["plan", &catalog]).data(dir.path()).succeeds();
    assert!(plan.contains(&format!("+ source {STARTER_SOURCE}")), "{plan}");
    let error = meridian(&["init", &catalog]).fails();
    assert!(error.contains("catalog.yaml"), "{error}");
}

#[test]
fn a_wrong_catalog_is_refused_with_its_place() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("c.yaml"), "project: x\nentities:\n  a: {join_keyy: b}\n")
        .unwrap();
    let error = meridian(&["plan", &dir.path().display().to_string()]).data(dir.path()).refuses();
    assert!(error.lines().next().unwrap().contains("c.yaml:3:7: "), "{error}");
    assert!(error.contains("a: {join_keyy: b}"), "{error}");
}

#[test]
fn a_port_in_use_is_named_with_the_way_out() {
    let dir = tempfile::tempdir().unwrap();
    let catalog = starter(dir.path());
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let args = ["up", "--catalog", &catalog, "--regions", "us", "--base-port", &port];
    let error = meridian(&args).data(&dir.path().join("mesh")).fails();
    assert!(error.contains(&format!("port {port} is in use")) && error.contains("--base-port"));
}

#[test]
fn a_node_and_a_gateway_say_what_is_wrong_with_their_settings() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("settings.yaml");
    std::fs::write(&file, "{regoin: us}").unwrap();
    for command in ["node", "gateway"] {
        let error = meridian(&[command, "--config", &file.display().to_string()]).fails();
        assert!(error.contains("settings.yaml") && error.contains("regoin"), "{error}");
        let error = meridian(&[command, "--config", "absent.yaml"]).fails();
        assert!(error.contains("absent.yaml"), "{error}");
    }
}

#[test]
fn events_come_and_go_and_what_is_wrong_with_them_is_said() {
    let mesh = Mesh::start(&["us"]);
    let file = |name: &str, bytes: &[u8]| {
        let path = mesh.path(name);
        std::fs::write(&path, bytes).unwrap();
        path.display().to_string()
    };
    let event = |n: u32| {
        format!(
            "{{\"click_id\":\"c{n}\",\"user_id\":\"u\",\"page\":null,\"seconds\":1.5,\"clicked_at\":\"2026-01-01T00:00:00Z\"}}\n"
        )
    };
    let good: String = (0..3_000).map(event).collect();
    let packed = support::gzip(good.as_bytes());

    let cut = file("cut.jsonl.gz", &packed[..packed.len() / 2]);
    let outcome = mesh.run(&["ingest", STARTER_SOURCE, &cut, "--region", "us"]);
    let error = outcome.fails();
    let whole = support::number_before(&error, "whole lines");
    assert!(error.contains("cut.jsonl.gz") && error.contains("cut short"), "{error}");
    assert!(whole > 100 && whole < 3_000);
    let said = outcome.stdout();
    assert!(said.contains(&format!("{} events", support::grouped(whole))), "{said}");

    // The whole file again: what is known by its id counts once.
    let all = file("all.jsonl.gz", &packed);
    mesh.run(&["ingest", STARTER_SOURCE, &all, "--region", "us"]).succeeds();
    mesh.wait_until("all is folded once", |mesh| {
        let counts = &mesh.status()["regions"]["us"]["folded"][STARTER_SOURCE];
        counts["folded"] == 3_000 && counts["repeated"] == whole
    });

    // `explain` shows the panes behind what `get` gives, and is as sure of it.
    let read = |command| {
        let asked = [command, "user_activity:clicks_7d", "user_id=u", "--json"];
        let at = ["--as-of", "2026-01-02T00:00:00Z"];
        let answer = mesh.run(&[&asked[..], &at[..]].concat()).succeeds();
        serde_json::from_str::<serde_json::Value>(&answer).unwrap()
    };
    let (value, panes) = (read("get"), read("explain"));
    assert_eq!(panes["value"], 3_000, "{panes}");
    let counts = panes["panes"].as_array().unwrap().iter().map(|pane| pane["events"].as_u64());
    assert_eq!(counts.sum::<Option<u64>>(), Some(3_000), "{panes}");
    assert_eq!(value["mesh"]["complete"], true, "{value}");
    assert_eq!(panes["mesh"]["complete"], true, "{panes}");

    // Broken events arrive as they are.
    let broken = file("broken.jsonl", b"not json\n\xff\xfe\n");
    mesh.run(&["ingest", STARTER_SOURCE, &broken, "--region", "us"]).succeeds();
    mesh.wait_until("two dead letters", |mesh| {
        let letters = mesh.run(&["dead-letters", STARTER_SOURCE, "--json"]).succeeds();
        letters.lines().count() == 2 && letters.contains("\"bytes_hex\":\"fffe\"")
    });

    let one = file("one.jsonl", event(7).as_bytes());
    let pushed = mesh.run(&["push", STARTER_SOURCE, "-f", &one]).succeeds();
    assert!(pushed.contains("1 events accepted") && pushed.contains("token "), "{pushed}");
    let error = mesh.run(&["push", "nothing", "-f", &one]).fails();
    assert!(error.contains("`nothing`"), "{error}");
    let error = mesh.run(&["ingest", "nothing", &one, "--region", "us"]).fails();
    assert!(error.contains("no source 'nothing'") && error.contains(STARTER_SOURCE), "{error}");
    let error = mesh.run(&["ingest", STARTER_SOURCE, &one, "--region", "eu"]).fails();
    assert!(error.contains("no region 'eu': this mesh has us"), "{error}");
    let error = mesh.run(&["get", "nothing", "user_id=u"]).fails();
    assert!(error.contains("nothing"), "{error}");
    let error = mesh.run(&["get", "nothing", "user_id=u", "--exclude-region", "eu"]).fails();
    assert!(error.contains("no region 'eu'"), "{error}");
}

#[test]
fn broken_events_that_no_commit_could_hold_at_once_stop_nothing() {
    let mesh = Mesh::start(&["us"]);
    // More than the log's queue takes, and all of it goes into dead letters.
    let file = mesh.path("large.jsonl");
    std::fs::write(&file, format!("{}\n", "x".repeat(1_000_000)).repeat(40)).unwrap();
    let file = file.display().to_string();
    mesh.run(&["ingest", STARTER_SOURCE, &file, "--region", "us"]).succeeds();
    // A new version folds the log from its start, as fast as it can.
    let catalog = mesh.path("catalog/catalog.yaml");
    let text = std::fs::read_to_string(&catalog).unwrap();
    let next = text.replace("windows: [1h, 24h, 7d]", "version: 2\n    windows: [1h, 7d]");
    assert_ne!(text, next);
    std::fs::write(&catalog, next).unwrap();
    mesh.run(&["apply", &mesh.path("catalog").display().to_string()]).succeeds();
    mesh.wait_until("both versions have seen all of them", |mesh| {
        let status = mesh.status();
        let origins = status["regions"]["us"]["origins"].as_array().unwrap();
        origins.len() == 2 && origins.iter().all(|o| o["next"] == 40)
    });
    let letters = mesh.run(&["dead-letters", STARTER_SOURCE, "--json"]).succeeds();
    assert_eq!(letters.lines().count(), 40);
}

#[test]
fn what_dies_is_restarted_unless_it_was_stopped() {
    let mesh = Mesh::start(&["us"]);
    let first = mesh.pid("us", "node").unwrap();
    support::kill(first);
    mesh.wait_until("another process", |mesh| mesh.pid("us", "node").is_some_and(|p| p != first));
    mesh.wait_until("it answers", Mesh::is_ready);

    mesh.run(&["node", "stop", "us", "--kill"]).succeeds();
    assert_eq!(mesh.pid("us", "node"), None);
    let gateway = mesh.pid("us", "gateway");
    assert!(gateway.is_some(), "only the node was to be stopped");
    mesh.run(&["node", "start", "us"]).succeeds();
    mesh.wait_until("it answers again", Mesh::is_ready);
    assert_eq!(mesh.pid("us", "gateway"), gateway);

    mesh.run(&["region", "stop", "us"]).succeeds();
    assert_eq!((mesh.pid("us", "node"), mesh.pid("us", "gateway")), (None, None));
    let error = mesh.run(&["region", "start", "eu"]).fails();
    assert!(error.contains("no region 'eu'"), "{error}");
}

#[test]
fn a_directory_holds_one_mesh() {
    let mut mesh = Mesh::start(&["us"]);
    let error = mesh.up_again(&["us"]).fails();
    assert!(error.contains("a mesh already runs here"), "{error}");
    let us = [mesh.pid("us", "node"), mesh.pid("us", "gateway")];
    mesh.run(&["down"]).succeeds();
    assert!(mesh.ended().success(), "told to end, it ends well");
    assert!(us.into_iter().flatten().all(|pid| !support::is_alive(pid)), "children are left");
    let error = mesh.up_again(&["us", "eu"]).fails();
    assert!(error.contains("the regions us, not us,eu"), "{error}");
}

#[test]
fn no_process_outlives_a_supervisor_that_is_killed_and_its_mesh_comes_back() {
    let mut mesh = Mesh::start(&["us"]);
    let node = mesh.pid("us", "node").unwrap();
    let gateway = mesh.pid("us", "gateway").unwrap();
    mesh.kill_supervisor();
    mesh.wait_until("both have noticed", |_| {
        !support::is_alive(node) && !support::is_alive(gateway)
    });
    let error = mesh.run(&["status"]).fails();
    assert!(error.contains("no mesh runs in"), "{error}");
    mesh.restart(&["us"]);
    assert!(mesh.is_ready());
}
