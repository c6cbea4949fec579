//! What MirrorMaker 2 makes of Meridian's topics.
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use backbone::{CommitError, Log, LogError, Partition, Record, Retention, Tailer, TopicSpec};
use backbone_kafka::{KafkaLog, KafkaOptions};
use clock::SystemEnv;
use kafka::{Cluster, installation};
use kafka_server::MirrorMaker;

/// It takes about ten seconds to come up, ms.
const DEADLINE_MS: u64 = 120_000;

fn value(n: usize) -> String {
    format!("v{n}")
}

/// Commits `count` records, and one that is aborted after every tenth.
async fn fill(log: &KafkaLog, topic: &str, count: usize) {
    let retention = Retention::Compact { null_ms: 60_000 };
    log.ensure(&TopicSpec { name: topic.into(), partitions: 2, retention }).await.unwrap();
    let at = |n: usize| Partition::new(topic, (n % 2) as u32);
    let mut writer = log.claim("w").await.unwrap();
    for n in 0..count {
        writer.commit(vec![(at(n), Record::new(format!("k{n}"), value(n)))]).await.unwrap();
        if n % 10 == 0 {
            let large = Record::new("large", vec![0; 3 << 20]);
            let bad = vec![(at(n), Record::new("bad", "bad")), (at(n), large)];
            let aborted = writer.commit(bad).await;
            assert!(matches!(aborted, Err(CommitError::Aborted(_))), "{aborted:?}");
        }
    }
}

async fn read(log: &KafkaLog, topic: &str, count: usize) -> Vec<String> {
    let mut info = log.topic(topic).await;
    while !matches!(info, Ok(Some(_))) {
        clock::Env::sleep_ms(&SystemEnv, 100).await;
        info = log.topic(topic).await;
    }
    assert_eq!(info.unwrap().unwrap().partitions, 2);
    let from: Vec<_> = (0..2).map(|index| (Partition::new(topic, index), 0)).collect();
    let mut tail = loop {
        match log.tail(from.clone()).await {
            // A topic is there a moment before its partitions have leaders.
            Err(LogError::Transient(_)) => clock::Env::sleep_ms(&SystemEnv, 100).await,
            opened => break opened.unwrap(),
        }
    };
    let mut seen = Vec::new();
    while seen.len() < count {
        for stored in tail.next(1_000).await.unwrap().records {
            seen.push(String::from_utf8_lossy(&stored.record.value.unwrap()).into_owned());
        }
    }
    seen.sort();
    seen.dedup();
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_region_gets_what_the_others_committed() {
    let (ewr, jfk) = (Cluster::start(), Cluster::start());
    let clusters =
        [("ewr", &ewr), ("jfk", &jfk)].map(|(name, c)| (name.to_owned(), c.broker.bootstrap()));
    let dir = tempfile::tempdir().unwrap();
    let mirror = MirrorMaker::new(clusters.into(), "mesh-deltas-.*");
    let running = mirror.start(&installation(), dir.path()).unwrap();
    let (ewr, jfk) = (ewr.log(&KafkaOptions::new("")), jfk.log(&KafkaOptions::new("")));
    let mirrored = async {
        fill(&ewr, "mesh-deltas-x", 30).await;
        fill(&jfk, "mesh-deltas-x", 20).await;
        (read(&jfk, "ewr.mesh-deltas-x", 30).await, read(&ewr, "jfk.mesh-deltas-x", 20).await)
    };
    let mirrored = clock::timeout(&SystemEnv::shared(), DEADLINE_MS, mirrored).await;
    let (in_jfk, in_ewr) = mirrored.unwrap_or_else(|_| panic!("{}", running.last_words()));
    let mut expected: Vec<String> = (0..30).map(value).collect();
    expected.sort();
    assert_eq!(in_jfk, expected);
    expected.retain(|v| (0..20).map(value).any(|of| of == *v));
    assert_eq!(in_ewr, expected);
    assert!(ewr.topic("jfk.ewr.mesh-deltas-x").await.unwrap().is_none());
}
