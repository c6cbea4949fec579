//! What the tests of the embedded log share.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use backbone::{Partition, Record, Retention, Stored, Tailer, TopicSpec};
use backbone_local::{LocalLog, LogOptions};
use clock::{Env, SystemEnv, Task};

/// Nothing here should ever take this long; what does has hung.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// The real environment with a clock that the test sets.
pub(crate) struct TestEnv {
    now_ms: AtomicI64,
}

impl TestEnv {
    pub(crate) fn at(now_ms: i64) -> Arc<Self> {
        Arc::new(Self { now_ms: AtomicI64::new(now_ms) })
    }

    pub(crate) fn advance(&self, ms: i64) {
        self.now_ms.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Env for TestEnv {
    fn now_ms(&self) -> i64 {
        self.now_ms.load(Ordering::SeqCst)
    }

    fn monotonic_us(&self) -> u64 {
        SystemEnv.monotonic_us()
    }

    fn sleep_ms(&self, ms: u64) -> futures::future::BoxFuture<'static, ()> {
        SystemEnv.sleep_ms(ms)
    }

    fn spawn(&self, name: &'static str, future: futures::future::BoxFuture<'static, ()>) -> Task {
        SystemEnv.spawn(name, future)
    }

    fn random_u64(&self) -> u64 {
        SystemEnv.random_u64()
    }
}

/// Maintained only when the test says so.
pub(crate) fn options() -> LogOptions {
    LogOptions { maintain_every_ms: 0, ..LogOptions::new("nyc", "ewr") }
}

pub(crate) fn open(dir: &Path, env: Arc<dyn Env>) -> Arc<LocalLog> {
    LocalLog::open(dir, env, options()).unwrap()
}

pub(crate) fn spec(name: &str, partitions: u32, retention: Retention) -> TopicSpec {
    TopicSpec { name: name.into(), partitions, retention }
}

pub(crate) fn forever() -> Retention {
    Retention::Delete { ms: i64::MAX, bytes: u64::MAX }
}

pub(crate) fn record(key: &str, value: &str) -> Record {
    Record::new(key.to_owned(), value.to_owned())
}

pub(crate) fn null(key: &str) -> Record {
    Record { key: Some(key.to_owned().into()), ..Record::default() }
}

/// Everything of one partition from `from` to the committed end as it is now.
pub(crate) async fn read(log: &dyn Tailer, partition: &Partition, from: u64) -> Vec<Stored> {
    let end = log.bounds(partition).await.unwrap().committed_end;
    let mut tail = log.tail(vec![(partition.clone(), from)]).await.unwrap();
    let (mut records, mut next) = (Vec::new(), from);
    while next < end {
        let batch = tokio::time::timeout(DEADLINE, tail.next(100)).await.unwrap().unwrap();
        records.extend(batch.records);
        next = batch.next;
    }
    records
}

/// Bytes of all files below a directory.
pub(crate) fn directory_bytes(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).unwrap();
    // Files come and go meanwhile.
    let size = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => directory_bytes(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    };
    entries.map(|entry| size(entry.unwrap())).sum()
}

/// Seeded numbers (splitmix64, Steele et al. 2014), so that a failure can be run again.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}
