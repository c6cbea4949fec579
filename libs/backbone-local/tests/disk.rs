//! The directory shrinks too, not only what can be read.
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

mod support;

use backbone::{Log, Partition, Retention};
use clock::SystemEnv;
use support::*;

const VALUE_BYTES: usize = 2_000;
const WRITTEN_BYTES: usize = 600 << 20;
/// What the store may hold beside the data: its journal, of which a part may wait for a flush,
/// and tables and blobs that wait for their own compaction.
const OVERHEAD_BYTES: u64 = 280 << 20;

/// Values that do not compress, as panes hardly do.
fn value(random: &mut Random) -> Vec<u8> {
    let words = std::iter::repeat_with(|| random.below(u64::MAX));
    words.take(VALUE_BYTES / 8).flat_map(u64::to_le_bytes).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn overwriting_and_expiring_keep_the_directory_small() {
    const PARTITIONS: u32 = 4;
    const BATCH: usize = 250;
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), SystemEnv::shared());
    log.ensure(&spec("c", PARTITIONS, Retention::Compact { null_ms: 0 })).await.unwrap();
    let by_size = Retention::Delete { ms: i64::MAX, bytes: 10 << 20 };
    log.ensure(&spec("d", PARTITIONS, by_size)).await.unwrap();
    let mut writer = log.claim("w").await.unwrap();
    let (mut random, mut largest) = (Random(1), 0);
    for round in 0..WRITTEN_BYTES / VALUE_BYTES / BATCH {
        let records = (0..BATCH).map(|at| {
            let topic = if at % 2 == 0 { "c" } else { "d" };
            let index = (at as u32 / 2) % PARTITIONS;
            let key = (at / 2 + round * 13) % 500;
            let record = backbone::Record::new(key.to_string(), value(&mut random));
            (Partition::new(topic, index), record)
        });
        writer.commit(records.collect()).await.unwrap();
        if round % 50 == 0 {
            log.maintain().await.unwrap();
            largest = largest.max(directory_bytes(dir.path()));
        }
    }
    log.maintain().await.unwrap();
    let held: u64 = (0..PARTITIONS)
        .flat_map(|index| [Partition::new("c", index), Partition::new("d", index)])
        .map(|partition| log.partition_bytes(&partition).unwrap())
        .sum();
    println!(
        "held {} MB, directory at most {} MB, now {} MB",
        held >> 20,
        largest >> 20,
        directory_bytes(dir.path()) >> 20
    );
    assert!(held < 60 << 20, "{held} bytes of batches");
    assert!(largest < held + OVERHEAD_BYTES, "{largest} bytes in the directory for {held}");
}
