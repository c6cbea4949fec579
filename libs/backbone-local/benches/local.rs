//! Commits per second (each with an fsync), records and bytes of them, and the rate of a tail.
//!
//! A commit is bound by the disk's sync: measure that beside it (`fdatasync` after a write of the
//! same size), or the numbers say little. `tail/store` goes through the store's tables and blobs,
//! which the system's page cache holds: it is no cold disk.
#![allow(clippy::unwrap_used, missing_docs, reason = "a failed step fails the run")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use backbone::{Log, Partition, Record, Retention, Tailer, TopicSpec, Writer};
use backbone_local::{LocalLog, LogOptions};
use clock::SystemEnv;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tokio::runtime::Runtime;

const PARTITIONS: u32 = 16;
const KEY_BYTES: usize = 40;
const RECORD_BYTES: usize = 200;

/// Bytes that do not compress (xorshift64, Marsaglia 2003).
fn noise(state: &mut u64, bytes: usize) -> Vec<u8> {
    let words = std::iter::repeat_with(|| {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        *state
    });
    words.flat_map(u64::to_le_bytes).take(bytes).collect()
}

fn records(count: usize) -> Vec<(Partition, Record)> {
    let mut state = 88_172_645_463_325_252;
    let partitions: Vec<_> = (0..PARTITIONS).map(|index| Partition::new("t", index)).collect();
    let record = |at: usize| {
        let key = noise(&mut state, KEY_BYTES);
        let value = noise(&mut state, RECORD_BYTES - KEY_BYTES);
        (partitions[at % partitions.len()].clone(), Record::new(key, value))
    };
    (0..count).map(record).collect()
}

async fn open(dir: &std::path::Path, recent_bytes: usize) -> Arc<LocalLog> {
    let options = LogOptions { recent_bytes, ..LogOptions::new("bench", "one") };
    let log = LocalLog::open(dir, SystemEnv::shared(), options).unwrap();
    let retention = Retention::Delete { ms: i64::MAX, bytes: 64 << 20 };
    let topic = TopicSpec { name: "t".into(), partitions: PARTITIONS, retention };
    log.ensure(&topic).await.unwrap();
    log
}

/// `rounds` commits in all, shared out over the writers.
async fn commit(
    writers: Vec<Box<dyn Writer>>,
    records: &[(Partition, Record)],
    rounds: u64,
) -> (Vec<Box<dyn Writer>>, Duration) {
    let begun = Instant::now();
    let count = writers.len() as u64;
    let tasks = writers.into_iter().zip(0u64..).map(|(mut writer, place)| {
        let records = records.to_vec();
        tokio::spawn(async move {
            for _ in (place..rounds).step_by(count as usize) {
                writer.commit(records.clone()).await.unwrap();
            }
            writer
        })
    });
    let mut writers = Vec::new();
    for task in tasks.collect::<Vec<_>>() {
        writers.push(task.await.unwrap());
    }
    (writers, begun.elapsed())
}

fn commits(c: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    for writers in [1, 4] {
        let mut group = c.benchmark_group(format!("commit/{writers} writers"));
        group.sample_size(20).measurement_time(Duration::from_secs(5));
        for count in [200, 500, 1_500] {
            let dir = tempfile::tempdir().unwrap();
            let records = records(count);
            let log = runtime.block_on(open(dir.path(), 1 << 20));
            let claim = |at| runtime.block_on(log.claim(&format!("w{at}"))).unwrap();
            let mut idle: Vec<_> = (0..writers).map(claim).collect();
            group.throughput(Throughput::ElementsAndBytes {
                elements: count as u64,
                bytes: (count * RECORD_BYTES) as u64,
            });
            group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
                bencher.iter_custom(|rounds| {
                    let busy = std::mem::take(&mut idle);
                    let (done, elapsed) = runtime.block_on(commit(busy, &records, rounds));
                    idle = done;
                    elapsed
                });
            });
        }
        group.finish();
    }
}

/// Reads everything once.
async fn tail(log: &LocalLog, records: usize) {
    let from = (0..PARTITIONS).map(|index| (Partition::new("t", index), 0)).collect();
    let mut tail = log.tail(from).await.unwrap();
    let mut left = records;
    while left > 0 {
        left -= black_box(tail.next(1_000).await.unwrap()).records.len();
    }
}

fn tails(c: &mut Criterion) {
    // 100 MB: more than the store keeps in memory before it writes tables, and than its cache.
    const COMMITS: usize = 500;
    const COUNT: usize = 1_000;
    let runtime = Runtime::new().unwrap();
    let mut group = c.benchmark_group("tail");
    group.sample_size(10);
    group.throughput(Throughput::ElementsAndBytes {
        elements: (COMMITS * COUNT) as u64,
        bytes: (COMMITS * COUNT * RECORD_BYTES) as u64,
    });
    for (name, recent_bytes) in [("recent", 64 << 20), ("store", 0)] {
        let dir = tempfile::tempdir().unwrap();
        let log = runtime.block_on(open(dir.path(), recent_bytes));
        let writer = runtime.block_on(log.claim("w")).unwrap();
        runtime.block_on(commit(vec![writer], &records(COUNT), COMMITS as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| runtime.block_on(tail(&log, COMMITS * COUNT)));
        });
    }
    group.finish();
}

criterion_group!(benches, commits, tails);
criterion_main!(benches);
