//! What retention and compaction drop, seen against a naive model of the whole log.
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;

use backbone::{Log, LogError, Partition, Record, Retention, Stored, Tailer};
use backbone_local::{LocalLog, LogOptions};
use clock::SystemEnv;
use proptest::prelude::*;
use support::*;

const NULL_MS: i64 = 50;

fn compacted() -> Retention {
    Retention::Compact { null_ms: NULL_MS }
}

/// No memory of recent batches, so that tails read what is on the disk.
fn from_disk() -> LogOptions {
    LogOptions { recent_bytes: 0, compaction_keys: 3, ..options() }
}

#[tokio::test]
async fn old_batches_go_by_age_and_by_size() {
    let dir = tempfile::tempdir().unwrap();
    let env = TestEnv::at(0);
    let log = open(dir.path(), env.clone());
    let (aged, sized) = (Partition::new("aged", 0), Partition::new("sized", 0));
    let by_age = Retention::Delete { ms: 100, bytes: u64::MAX };
    let by_size = Retention::Delete { ms: i64::MAX, bytes: 5_000 };
    log.ensure(&spec("aged", 1, by_age)).await.unwrap();
    log.ensure(&spec("sized", 1, by_size)).await.unwrap();
    for _ in 0..20 {
        for partition in [&aged, &sized] {
            log.append(partition, vec![record("k", &"x".repeat(1_000))]).await.unwrap();
        }
        env.advance(10);
    }
    let mut slow = log.tail(vec![(aged.clone(), 1)]).await.unwrap();
    log.maintain().await.unwrap();
    // Now is 200: what was written at 100 is just not too old.
    let bounds = log.bounds(&aged).await.unwrap();
    assert_eq!((bounds.start, bounds.committed_end), (10, 20));
    let start = log.bounds(&sized).await.unwrap().start;
    assert_eq!(start, 16, "four batches of a little over 1000 bytes fit into 5000");
    let truncated = LogError::Truncated { partition: aged.clone(), start: 10 };
    assert_eq!(slow.next(1).await.unwrap_err(), truncated);
    assert_eq!(log.tail(vec![(aged.clone(), 9)]).await.err(), Some(truncated));
    let offsets = |records: Vec<Stored>| records.iter().map(|r| r.offset).collect::<Vec<_>>();
    assert_eq!(offsets(read(&*log, &aged, 0).await), (10..20).collect::<Vec<_>>());
    env.advance(1_000);
    log.maintain().await.unwrap();
    drop((log, slow));

    // An empty partition remembers where it was, and its stamp.
    env.advance(-2_000);
    let log = open(dir.path(), env);
    let bounds = log.bounds(&aged).await.unwrap();
    assert_eq!((bounds.start, bounds.committed_end), (20, 20));
    assert_eq!(log.append(&aged, vec![record("k", "v")]).await.unwrap(), [20]);
    let read = read(&*log, &aged, 0).await;
    assert_eq!((read[0].offset, read[0].appended_ms), (20, 190));
}

#[derive(Clone, Debug)]
enum Step {
    Append(Vec<(u8, bool)>),
    Maintain,
    Compact,
    Read(usize),
    Advance(i64),
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let records = proptest::collection::vec((0u8..8, proptest::bool::weighted(0.2)), 1..60);
    let step = prop_oneof![
        8 => records.prop_map(Step::Append),
        2 => Just(Step::Maintain),
        2 => Just(Step::Compact),
        4 => (1usize..200).prop_map(Step::Read),
        2 => (1i64..40).prop_map(Step::Advance),
        1 => Just(Step::Reopen),
    ];
    proptest::collection::vec(step, 1..80)
}

fn content(at: usize, key: u8, is_null: bool) -> Record {
    let key = format!("key{key}");
    if is_null { null(&key) } else { record(&key, &format!("{at}")) }
}

/// Every record that was ever written, and whether the log may have dropped it.
struct Model {
    written: Vec<Stored>,
    now_ms: i64,
}

impl Model {
    fn may_drop(&self, offset: u64) -> bool {
        let stored = &self.written[offset as usize];
        let newer = &self.written[offset as usize + 1..];
        let replaced = newer.iter().any(|newer| newer.record.key == stored.record.key);
        let old_null = stored.record.value.is_none() && stored.appended_ms < self.now_ms - NULL_MS;
        replaced || old_null
    }

    fn check(&self, seen: &[Stored], from: u64, next: u64) {
        let mut expected = from;
        for stored in seen {
            assert!(stored.offset >= expected, "{} came again", stored.offset);
            assert_eq!(stored, &self.written[stored.offset as usize]);
            assert!((expected..stored.offset).all(|skipped| self.may_drop(skipped)));
            expected = stored.offset + 1;
        }
        assert!(
            (expected..next).all(|skipped| self.may_drop(skipped)),
            "lost in {expected}..{next}"
        );
    }

    fn values(seen: impl IntoIterator<Item = Stored>) -> BTreeMap<Vec<u8>, Vec<u8>> {
        let mut values = BTreeMap::new();
        for stored in seen {
            let key = stored.record.key.unwrap().to_vec();
            match stored.record.value {
                Some(value) => values.insert(key, value.to_vec()),
                None => values.remove(&key),
            };
        }
        values
    }
}

async fn run(steps: Vec<Step>) {
    let dir = tempfile::tempdir().unwrap();
    let t = Partition::new("t", 0);
    let env = TestEnv::at(0);
    let reopen = || LocalLog::open(dir.path(), env.clone(), from_disk()).unwrap();
    let mut log = reopen();
    log.ensure(&spec("t", 1, compacted())).await.unwrap();
    let mut model = Model { written: Vec::new(), now_ms: 0 };
    let mut tail = log.tail(vec![(t.clone(), 0)]).await.unwrap();
    let mut at = 0;
    for step in steps {
        match step {
            Step::Append(keys) => {
                let first = model.written.len();
                let records: Vec<_> = keys
                    .iter()
                    .enumerate()
                    .map(|(index, (key, is_null))| content(first + index, *key, *is_null))
                    .collect();
                for (index, record) in records.iter().cloned().enumerate() {
                    let offset = (first + index) as u64;
                    model.written.push(Stored { offset, appended_ms: model.now_ms, record });
                }
                let offsets = log.append(&t, records).await.unwrap();
                assert_eq!(offsets[0], first as u64);
            }
            Step::Maintain => log.maintain().await.unwrap(),
            Step::Compact => log.compact(&t).await.unwrap(),
            Step::Advance(ms) => {
                env.advance(ms);
                model.now_ms += ms;
            }
            Step::Read(max) if at < model.written.len() as u64 => {
                let batch = tokio::time::timeout(DEADLINE, tail.next(max)).await.unwrap().unwrap();
                assert!(batch.records.len() <= max && batch.next > at);
                model.check(&batch.records, at, batch.next);
                at = batch.next;
            }
            Step::Read(_) => {}
            Step::Reopen => {
                drop((log, tail));
                log = reopen();
                tail = log.tail(vec![(t.clone(), at)]).await.unwrap();
            }
        }
    }
    let all = read(&*log, &t, 0).await;
    model.check(&all, 0, model.written.len() as u64);
    assert_eq!(Model::values(all), Model::values(model.written));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn compaction_loses_nothing_that_counts_and_doubles_nothing(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        runtime.unwrap().block_on(run(steps));
    }
}

/// Heartbeats for an hour, five a second, into a partition with some values: about one record per
/// key is left, and nothing of a key that was removed.
#[tokio::test]
async fn heartbeats_do_not_pile_up() {
    let dir = tempfile::tempdir().unwrap();
    let env = TestEnv::at(0);
    let log = open(dir.path(), env.clone());
    log.ensure(&spec("t", 1, compacted())).await.unwrap();
    let t = Partition::new("t", 0);
    let values: Vec<_> = (0..100).map(|i| record(&format!("key{i}"), "v")).collect();
    log.append(&t, values).await.unwrap();
    log.append(&t, vec![null("key7")]).await.unwrap();
    for beat in 0..3_600 * 5 {
        log.append(&t, vec![record("progress", &format!("{beat}"))]).await.unwrap();
        env.advance(200);
        if beat % 25 == 0 {
            log.maintain().await.unwrap();
        }
    }
    let left = read(&*log, &t, 0).await;
    assert!(left.len() < 100 + 300, "{} records are left", left.len());
    assert!(left.iter().all(|stored| stored.record.key.as_deref() != Some(b"key7")));
    assert!(log.partition_bytes(&t).unwrap() < 100 * left.len() as u64);
}

/// Tails on the disk and at the end run while compaction replaces what they read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tails_run_through_compaction() {
    const ROUNDS: u64 = 300;
    const KEYS: u64 = 40;
    let dir = tempfile::tempdir().unwrap();
    let options = LogOptions { compaction_keys: 1_000, ..from_disk() };
    let log = LocalLog::open(dir.path(), SystemEnv::shared(), options).unwrap();
    log.ensure(&spec("t", 1, Retention::Compact { null_ms: i64::MAX })).await.unwrap();
    let t = Partition::new("t", 0);
    let tail = |log: Arc<LocalLog>, max: usize| {
        let t = t.clone();
        tokio::spawn(async move {
            let mut tail = log.tail(vec![(t, 0)]).await.unwrap();
            let (mut values, mut next) = (BTreeMap::new(), 0);
            while next < ROUNDS * KEYS {
                let batch = tail.next(max).await.unwrap();
                for stored in &batch.records {
                    assert!(stored.offset >= next, "{} came again", stored.offset);
                    next = stored.offset + 1;
                    let key = stored.record.key.clone().unwrap();
                    let last = values.insert(key, stored.record.value.clone());
                    assert!(last < Some(stored.record.value.clone()));
                }
                next = batch.next;
            }
            values
        })
    };
    let last = format!("{:06}", ROUNDS - 1);
    let tails = [7, 100, 10_000].map(|max| tail(log.clone(), max));
    for round in 0..ROUNDS {
        let value = format!("{round:06}");
        let mut records: Vec<_> = (1..KEYS).map(|key| record(&format!("{key}"), &value)).collect();
        // Nothing replaces this one, so nobody may miss it.
        records.push(record(&format!("once {round}"), &last));
        log.append(&t, records).await.unwrap();
        if round % 4 == 0 {
            log.compact(&t).await.unwrap();
        }
    }
    let last = Some(last.into());
    for tail in tails {
        let values = tokio::time::timeout(DEADLINE, tail).await.unwrap().unwrap();
        assert_eq!(values.len() as u64, KEYS - 1 + ROUNDS);
        assert!(values.values().all(|value| *value == last));
    }
}
