//! What happens to a mesh on Kafka, one fault each. Each says what it did, and asserts that it
//! happened; that no value changed is for the caller to see.

use std::time::{Duration, Instant};

use checkers::flights::REGIONS;
use nix::sys::signal::Signal;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

use super::{DELTAS, SOURCE};
use crate::Mesh;
use crate::feed::Feed;

/// Longer than the session timeout of the nodes' group, and than a transaction may stay open.
const ASLEEP: Duration = Duration::from_secs(13);
/// Longer than MirrorMaker's session timeout.
const MIRROR_ASLEEP: Duration = Duration::from_secs(8);

/// One of the regions.
fn region(rng: &mut ChaCha8Rng) -> &'static str {
    REGIONS[rng.random_range(0..REGIONS.len())]
}

/// The partitions that a region's n-th node says it folds.
fn held(mesh: &Mesh, region: &str, node: usize) -> usize {
    let status = mesh.status(region).unwrap_or_default();
    let claims = status["nodes"][node]["claims"].as_array();
    claims.into_iter().flatten().filter(|claim| claim["error"] == "").count()
}

/// How far each of a region's partitions is folded, and where it ends, as a node of it says.
fn folded(mesh: &Mesh, region: &str, node: usize) -> Vec<(u64, Option<u64>)> {
    let status = mesh.status(region).unwrap_or_default();
    let origins = status["nodes"][node]["origins"].as_array();
    let own = origins
        .into_iter()
        .flatten()
        .filter(|origin| origin["region"] == region && origin["view"] == "plane_delays@v1");
    own.map(|origin| (origin["next"].as_u64().unwrap_or(0), origin["log_end"].as_u64())).collect()
}

/// Each of these dies in the middle of the commits of its region, and is started again.
pub fn killed(mesh: &mut Mesh, feed: &mut Feed, rng: &mut ChaCha8Rng, victims: &[&str]) {
    let region = region(rng);
    let events = |mesh: &Mesh| folded(mesh, region, 0).iter().map(|(next, _)| *next).sum::<u64>();
    let moment = events(mesh) + rng.random_range(1..400);
    let sending = feed.send(mesh);
    mesh.wait_until("it folds what comes", |mesh| events(mesh) >= moment);
    for victim in victims {
        assert!(mesh.kill(region, victim), "{region}: no {victim}");
    }
    println!("killed: {region} {victims:?}");
    sending.finish();
}

/// Each node of a region ends in order and comes back, as in an upgrade, while events come in.
pub fn rolling_restart(mesh: &mut Mesh, feed: &mut Feed, rng: &mut ChaCha8Rng) {
    let region = region(rng);
    for (node, seat) in ["1", "2"].map(|number| format!("{region}/{number}")).iter().enumerate() {
        let sending = feed.send(mesh);
        mesh.run(&["node", "drain", seat]);
        mesh.wait_until("the other node folds all", |mesh| held(mesh, region, 1 - node) == 4);
        mesh.run(&["node", "start", seat]);
        mesh.wait_until("both fold", |mesh| {
            let of = [held(mesh, region, 0), held(mesh, region, 1)];
            of.iter().sum::<usize>() == 4 && of.iter().all(|held| *held > 0)
        });
        sending.finish();
    }
    println!("rolling restart: {region}");
}

/// A node sleeps through its session in the middle of its commits, and wakes as a zombie whose
/// partitions are another's.
pub fn zombie(mesh: &mut Mesh, feed: &mut Feed, rng: &mut ChaCha8Rng) {
    let (region, node) = (region(rng), rng.random_range(0..2usize));
    let victim = ["node", "node-2"][node];
    let had = held(mesh, region, node);
    assert!(had > 0, "{region}: {victim} folds nothing");
    let events =
        |mesh: &Mesh| folded(mesh, region, node).iter().map(|(next, _)| *next).sum::<u64>();
    let moment = events(mesh) + rng.random_range(1..400);
    let sending = feed.send(mesh);
    mesh.wait_until("it folds what comes", |mesh| events(mesh) >= moment);
    let slept = Instant::now();
    assert!(mesh.signal(region, victim, Signal::SIGSTOP), "{region}: no {victim}");
    mesh.wait_until("the other node folds all", |mesh| held(mesh, region, 1 - node) == 4);
    sending.finish();
    mesh.wait_until("it slept for long, and the other one has folded all", |mesh| {
        let parts = folded(mesh, region, 1 - node);
        let all = parts.len() == 4 && parts.iter().all(|(next, end)| Some(*next) == *end);
        all && slept.elapsed() > ASLEEP
    });
    assert!(mesh.signal(region, victim, Signal::SIGCONT), "{region}: no {victim}");
    println!("zombie: {region} {victim}, with {had} partitions, asleep for {:?}", slept.elapsed());
}

/// MirrorMaker sleeps for longer than its sessions last.
pub fn mirror_paused(mesh: &mut Mesh, feed: &mut Feed, rng: &mut ChaCha8Rng) {
    let region = region(rng);
    assert!(mesh.signal(region, "mirror_maker", Signal::SIGSTOP), "{region}: no MirrorMaker");
    let sending = feed.send(mesh);
    mesh.wait_until("its copies are as old as that", |mesh| {
        let behind = mesh.status(region).unwrap_or_default()["behind_ms"].clone();
        let behind_ms = behind.as_object().into_iter().flatten().filter_map(|(_, ms)| ms.as_u64());
        behind_ms.min().is_some_and(|ms| u128::from(ms) > MIRROR_ASLEEP.as_millis())
    });
    assert!(mesh.signal(region, "mirror_maker", Signal::SIGCONT), "{region}: no MirrorMaker");
    println!("MirrorMaker asleep: into {region} for {MIRROR_ASLEEP:?}");
    sending.finish();
}

/// More records than a copy can be behind its source, and less than a source's log holds.
const AGAIN: u64 = 5_000;

/// MirrorMaker forgets how far it was, and copies everything once more.
pub fn mirror_rewound(mesh: &mut Mesh, feed: &mut Feed, rng: &mut ChaCha8Rng) {
    let to = region(rng);
    let from = REGIONS.into_iter().find(|from| *from != to).expect("another region");
    let (copy, offsets) = (format!("{from}.{DELTAS}"), format!("mm2-offsets.{from}.internal"));
    let sending = feed.send(mesh);
    assert!(mesh.signal(to, "mirror_maker", Signal::SIGSTOP), "{to}: no MirrorMaker");
    let before = [mesh.end_of(from, DELTAS), mesh.end_of(to, &copy)];
    mesh.kafka_topics(to, &["--delete", "--topic", &offsets]);
    assert!(mesh.kill(to, "mirror_maker"), "{to}: no MirrorMaker");
    sending.finish();
    // Ends count what compaction removed, and the source's its commits, so that a copy that is not
    // rewound grows by less than its source.
    let grew =
        |mesh: &Mesh| [mesh.end_of(from, DELTAS) - before[0], mesh.end_of(to, &copy) - before[1]];
    mesh.wait_until("everything is copied once more", |mesh| {
        let [source, copy] = grew(mesh);
        copy > source + AGAIN
    });
    println!("MirrorMaker rewound: {from} to {to}; source and copy grew by {:?}", grew(mesh));
}

/// Compaction runs all the time, over segments of a second, under load.
pub fn compaction(mesh: &mut Mesh, feed: &mut Feed, rng: &mut ChaCha8Rng) {
    let region = region(rng);
    let copy = format!("{}.{DELTAS}", REGIONS.iter().find(|r| **r != region).expect("another"));
    let tiny = "segment.ms=1000,min.cleanable.dirty.ratio=0.01,segment.bytes=1048576";
    let cleaned = mesh.data().join(region).join("broker/data/cleaner-offset-checkpoint");
    let cleaned = |topic: &str| -> u64 {
        let text = std::fs::read_to_string(&cleaned).unwrap_or_default();
        let lines = text.lines().filter_map(|line| line.strip_prefix(&format!("{topic} ")));
        lines.filter_map(|rest| rest.split(' ').nth(1)?.parse::<u64>().ok()).sum()
    };
    let before = [DELTAS, &copy].map(cleaned);
    // In every region: MirrorMaker gives copies the settings of what it copies.
    for region in REGIONS {
        mesh.set_topic(region, DELTAS, tiny);
    }
    mesh.set_topic(region, &copy, tiny);
    let sending = feed.send(mesh);
    mesh.wait_until("both topics were compacted", |_| {
        [DELTAS, &copy].iter().zip(before).all(|(topic, before)| cleaned(topic) > before)
    });
    println!("compaction: {region}, {:?} after {before:?}", [DELTAS, &copy].map(cleaned));
    sending.finish();
    let usual = "segment.ms=600000,min.cleanable.dirty.ratio=0.3,segment.bytes=16777216";
    for region in REGIONS {
        mesh.set_topic(region, DELTAS, usual);
    }
    mesh.set_topic(region, &copy, usual);
}

/// The source's topic gets two more partitions while events come in; then those get events too.
pub fn growth(mesh: &mut Mesh, feed: &mut Feed, rng: &mut ChaCha8Rng) {
    let region = region(rng);
    let sending = feed.send_once_each(mesh);
    mesh.kafka_topics(region, &["--alter", "--topic", SOURCE, "--partitions", "6"]);
    sending.finish();
    mesh.wait_until("all six are folded", |mesh| {
        held(mesh, region, 0) + held(mesh, region, 1) == 6
    });
    feed.send(mesh).finish();
    mesh.wait_until("the new ones have events", |mesh| {
        let status = mesh.status(region).unwrap_or_default();
        let has_events = |index: u64| {
            let mut origins = status["nodes"][0]["origins"].as_array().into_iter().flatten();
            origins.any(|origin| {
                origin["region"] == region
                    && origin["partition"] == index
                    && origin["next"].as_u64() > Some(0)
            })
        };
        has_events(4) && has_events(5)
    });
    println!("growth: {region} has 6 partitions");
}

/// A node comes back while its broker hangs: it serves what its checkpoint has, and says how old.
pub fn restart_without_broker(mesh: &mut Mesh, rng: &mut ChaCha8Rng) {
    let region = region(rng);
    let panes = mesh.status(region).expect("a status")["panes"].clone();
    let settled = Instant::now();
    mesh.wait_until("checkpoints that were begun since are saved", |mesh| {
        let since = settled.elapsed().as_millis();
        let status = mesh.status(region).unwrap_or_default();
        let begun_since = |node: &Value| {
            node["checkpoint_age_ms"].as_u64().is_some_and(|age_ms| u128::from(age_ms) < since)
        };
        let nodes = status["nodes"].as_array();
        nodes.is_some_and(|nodes| nodes.len() == 2 && nodes.iter().all(begun_since))
    });
    assert!(mesh.signal(region, "broker", Signal::SIGSTOP), "{region}: no broker");
    assert!(mesh.kill(region, "node") && mesh.kill(region, "node-2"), "{region}: no nodes");
    let stale = |node: &Value| {
        let origins = node["origins"].as_array();
        node["ready"] == false
            && node["panes"] == panes
            && origins.is_some_and(|all| all.iter().all(|origin| origin["state"] == "stale"))
    };
    mesh.wait_for("restarted nodes serve what they had, stale", |mesh| {
        let status = mesh.status(region).unwrap_or_default();
        let nodes = status["nodes"].as_array();
        let all = nodes.is_some_and(|nodes| nodes.len() == 2 && nodes.iter().all(stale));
        all.then_some(()).ok_or_else(|| format!("{panes} panes were there; {status}"))
    });
    println!("restart without a broker: {region} serves {panes} panes, stale");
    assert!(mesh.signal(region, "broker", Signal::SIGCONT), "{region}: no broker");
}

/// All nodes of a region lose their disks: their brokers have everything.
pub fn from_nothing(mesh: &mut Mesh, rng: &mut ChaCha8Rng) {
    let region = region(rng);
    mesh.run(&["node", "stop", region, "--kill"]);
    for node in ["node", "node-2"] {
        let disk = mesh.data().join(region).join(node);
        assert!(disk.join("checkpoint").exists(), "{region}: {node} has no checkpoint");
        std::fs::remove_dir_all(disk).expect("a node that is down holds nothing");
    }
    mesh.run(&["node", "start", region]);
    println!("from nothing: {region}");
}

/// The source's topic is deleted, then made again: meanwhile the region says what is missing, and
/// afterwards it folds the new topic beside what the old one gave.
pub fn remade(mesh: &mut Mesh, feed: &mut Feed, rng: &mut ChaCha8Rng) {
    let region = region(rng);
    mesh.kafka_topics(region, &["--delete", "--topic", SOURCE]);
    mesh.wait_until("the region says that its source is missing", |mesh| {
        let status = mesh.status(region).unwrap_or_default();
        status["ready"] == false && status["warnings"].to_string().contains(SOURCE)
    });
    // As many as the region that grew has: never fewer than before.
    mesh.kafka_topics(region, &["--create", "--topic", SOURCE, "--partitions", "6"]);
    mesh.wait_until("the new topic is folded", |mesh| {
        held(mesh, region, 0) + held(mesh, region, 1) == 6
    });
    println!("made again: {region}");
    feed.send(mesh).finish();
}
