//! SIGKILL at any moment: what was acknowledged is there, and commits are whole.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a failed step fails the test"
)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use backbone::{Log, Partition, Record, Retention};
use clock::SystemEnv;
use support::*;

const DIRECTORY: &str = "MERIDIAN_CRASH_TEST_DIRECTORY";
const SEED: u64 = 20_130_201;
const KILLS: u64 = 12;
const PARTITIONS: u32 = 3;
const WRITERS: u64 = 4;
const KEYS: u64 = 5;
const PADDING_BYTES: usize = 10_000;

/// Commit `number` of a writer: a record in each partition of `all`, and one of few keys in `few`.
fn commit(writer: u64, number: u64) -> Vec<(Partition, Record)> {
    let value = format!("{writer} {number}");
    // Large, so that kills also meet the store while it moves its journal into tables.
    let long = format!("{value} {}", "x".repeat(PADDING_BYTES));
    let mut records: Vec<_> =
        (0..PARTITIONS).map(|index| (Partition::new("all", index), record("any", &long))).collect();
    let key = format!("{writer} {}", number % KEYS);
    records.push((Partition::new("few", 0), record(&key, &value)));
    records
}

async fn prepare(dir: &Path) -> Arc<backbone_local::LocalLog> {
    let log = open(dir, SystemEnv::shared());
    log.ensure(&spec("all", PARTITIONS, forever())).await.unwrap();
    log.ensure(&spec("few", 1, Retention::Compact { null_ms: 0 })).await.unwrap();
    log
}

/// The process that is killed; the test below starts it, and without it there is nothing to do.
/// Prints a line for each commit.
#[test]
fn writes_until_killed() {
    let Ok(dir) = std::env::var(DIRECTORY) else { return };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let log = prepare(Path::new(&dir)).await;
        let done = committed(&*log).await;
        let writers = (0..WRITERS).map(|writer| {
            let last = done.get(&writer).and_then(BTreeSet::last);
            tokio::spawn(write(log.clone(), writer, last.map_or(0, |last| last + 1)))
        });
        for writer in writers.collect::<Vec<_>>() {
            writer.await.unwrap();
        }
    });
}

async fn write(log: Arc<backbone_local::LocalLog>, writer: u64, first: u64) {
    let mut claimed = log.claim(&format!("w{writer}")).await.unwrap();
    for number in first.. {
        claimed.commit(commit(writer, number)).await.unwrap();
        println!("\nack {writer} {number}");
        if writer == 0 && number % 20 == 0 {
            log.maintain().await.unwrap();
        }
    }
}

/// The commits of each writer that are in the log; in each partition the same.
async fn committed(log: &dyn Log) -> BTreeMap<u64, BTreeSet<u64>> {
    let mut partitions = Vec::new();
    for index in 0..PARTITIONS {
        let mut commits: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
        for stored in read(log, &Partition::new("all", index), 0).await {
            let (writer, number) = parse(&stored.record.value.unwrap());
            assert!(commits.entry(writer).or_default().insert(number), "{writer} {number} twice");
        }
        partitions.push(commits);
    }
    assert!(partitions.windows(2).all(|pair| pair[0] == pair[1]), "a commit is not whole");
    partitions.swap_remove(0)
}

fn parse(text: &[u8]) -> (u64, u64) {
    let mut words = std::str::from_utf8(text).unwrap().split(' ');
    let mut number = || words.next().unwrap().parse().unwrap();
    (number(), number())
}

/// Runs the writing process and kills it some time after its `count`th acknowledgement.
fn kill_after(dir: &Path, count: u64, pause: Duration) -> Vec<(u64, u64)> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "writes_until_killed", "--nocapture", "--test-threads=1"])
        .env(DIRECTORY, dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut acks = Vec::new();
    while (acks.len() as u64) < count {
        let line = lines.next().expect("the writing process ended by itself").unwrap();
        acks.extend(line.strip_prefix("ack ").map(|ack| parse(ack.as_bytes())));
    }
    let until = Instant::now() + pause;
    while Instant::now() < until {
        std::hint::spin_loop();
    }
    kill(&mut child);
    // What it said before it died counts, except for a line cut short.
    let rest = lines.map_while(Result::ok).collect::<Vec<_>>();
    let whole = rest.len().saturating_sub(1);
    acks.extend(
        rest[..whole].iter().filter_map(|line| Some(parse(line.strip_prefix("ack ")?.as_bytes()))),
    );
    acks
}

/// On Unix this is SIGKILL, to this process alone.
fn kill(child: &mut Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_loses_nothing_and_halves_nothing() {
    println!("seed {SEED}");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_owned();
    let mut random = Random(SEED);
    let mut acked: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
    for _ in 0..KILLS {
        let (count, pause) = (random.below(300), Duration::from_micros(random.below(5_000)));
        let path = path.clone();
        let killing = tokio::task::spawn_blocking(move || kill_after(&path, count, pause));
        for (writer, number) in tokio::time::timeout(DEADLINE, killing).await.unwrap().unwrap() {
            acked.entry(writer).or_default().insert(number);
        }
        let log = prepare(dir.path()).await;
        check(&*log, &acked).await;
    }
    assert!(acked.values().map(BTreeSet::len).sum::<usize>() > 100);
}

async fn check(log: &dyn Log, acked: &BTreeMap<u64, BTreeSet<u64>>) {
    let committed = committed(log).await;
    let none = BTreeSet::new();
    for (writer, numbers) in acked {
        let found = committed.get(writer).unwrap_or(&none);
        assert!(numbers.is_subset(found), "lost {:?}", numbers.difference(found));
    }
    // A writer has one commit after the other: no number is missing below its last.
    let whole = |numbers: &BTreeSet<u64>| numbers.iter().copied().eq(0..numbers.len() as u64);
    assert!(committed.values().all(whole));
    let mut newest = BTreeMap::new();
    for stored in read(log, &Partition::new("few", 0), 0).await {
        let (writer, number) = parse(&stored.record.value.unwrap());
        newest.insert((writer, number % KEYS), number);
    }
    for (writer, numbers) in committed {
        for key in 0..KEYS {
            let last = numbers.iter().rfind(|number| *number % KEYS == key);
            assert_eq!(newest.get(&(writer, key)), last, "compaction lost a key of {writer}");
        }
    }
}
