//! What Kafka's own tools and kcat see of what Meridian writes.
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::time::Duration;

use backbone::{CommitError, Log, Partition, Record, Retention, Tailer, TopicSpec};
use backbone_kafka::{KafkaLog, KafkaOptions};
use kafka::{Cluster, Lag, Tools};
use testkit::within;

/// A tool is a JVM, which takes seconds on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// The n-th record that is committed.
fn record(n: usize) -> Record {
    let headers = vec![("rule".into(), format!("r{n}").into())];
    Record { headers, ..Record::new(format!("k{n}"), format!("v{n}")) }
}

/// Five commits, and before the last of them one that is aborted.
async fn fill(log: &KafkaLog, partition: &Partition) {
    let mut writer = log.claim("w").await.unwrap();
    for n in 0..5 {
        if n == 4 {
            let large = Record::new("large", vec![0; 3 << 20]);
            let bad = [Record::new("bad", "bad"), large];
            let aborted = writer.commit(bad.map(|bad| (partition.clone(), bad)).into()).await;
            assert!(matches!(aborted, Err(CommitError::Aborted(_))), "{aborted:?}");
        }
        writer.commit(vec![(partition.clone(), record(n))]).await.unwrap();
    }
}

fn they_read_what_was_committed(tools: &Tools) {
    let shown = |n| (format!("k{n}"), format!("rule=r{n}"), format!("v{n}"));
    let text = |bytes: Option<_>| String::from_utf8_lossy(bytes.as_deref().unwrap()).into_owned();
    let seen = tools.kcat("t").into_iter();
    let seen: Vec<_> = seen.map(|s| (text(s.key), s.headers, text(s.value))).collect();
    assert_eq!(seen, (0..5).map(shown).collect::<Vec<_>>());
    let said = tools.console("t", &["print.key=true", "print.headers=true"], 5);
    assert_eq!(said, [0, 1, 2, 3, 4].map(|n| format!("rule:r{n}\tk{n}\tv{n}")));
}

/// What is in the partition: 5 records, one that was aborted, and a marker for each transaction.
fn the_lag_is_what_was_noted(tools: &Tools, end: u64) {
    let expected = Lag { partition: 1, offset: 3, end, lag: end - 3 };
    let mut said = Vec::new();
    let seen = within(PATIENCE, || {
        said = tools.lag("nyc-t");
        said.contains(&expected)
    });
    assert!(seen, "{said:?}, expected {expected:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kafkas_own_tools_and_kcat_see_what_was_committed_and_noted() {
    let cluster = Cluster::start();
    let log = cluster.log(&KafkaOptions::new(""));
    let retention = Retention::Delete { ms: i64::MAX, bytes: u64::MAX };
    log.ensure(&TopicSpec { name: "t".into(), partitions: 2, retention }).await.unwrap();
    let partition = Partition::new("t", 1);
    fill(&log, &partition).await;
    let mut mine = log.assignments("nyc-t", "t").await.unwrap();
    mine.wait_for(|mine| mine.len() == 2).await.unwrap();
    log.note_progress("nyc-t", &partition, 3);
    let end = log.bounds(&partition).await.unwrap().committed_end;
    let tools = Tools::of(cluster.broker.bootstrap());
    let looked = tokio::task::spawn_blocking(move || {
        they_read_what_was_committed(&tools);
        the_lag_is_what_was_noted(&tools, end);
    });
    looked.await.unwrap();
    drop(mine);
}
