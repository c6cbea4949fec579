//! What Kafka's own tools see of Meridian.
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::process::{Command, Stdio};
use std::time::Duration;

use backbone::{Log, Partition, Record, Retention, TopicSpec};
use backbone_kafka::KafkaOptions;
use kafka::{Cluster, installation};
use testkit::within;

/// The tool is a JVM, which takes seconds on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// `kafka-consumer-groups --describe`: per partition its offset, the log's end and the lag.
fn described(bootstrap: &str, group: &str) -> String {
    let main = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand";
    let mut tool: Command = installation().java(main, 128);
    tool.args(["--bootstrap-server", bootstrap, "--describe", "--group", group]);
    let output = tool.stderr(Stdio::inherit()).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_lag_of_a_group_is_what_its_members_note() {
    let cluster = Cluster::start();
    let log = cluster.log(&KafkaOptions::new(""));
    let retention = Retention::Delete { ms: i64::MAX, bytes: u64::MAX };
    log.ensure(&TopicSpec { name: "t".into(), partitions: 2, retention }).await.unwrap();
    let partition = Partition::new("t", 1);
    log.append(&partition, vec![Record::new("k", "v"); 5]).await.unwrap();
    let mut mine = log.assignments("nyc-t", "t").await.unwrap();
    mine.wait_for(|mine| mine.len() == 2).await.unwrap();
    log.note_progress("nyc-t", &partition, 3);
    let bootstrap = cluster.broker.bootstrap();
    let seen = tokio::task::spawn_blocking(move || {
        let mut said = String::new();
        let seen = within(PATIENCE, || {
            said = described(&bootstrap, "nyc-t");
            said.lines()
                .any(|line| line.split_whitespace().take(6).eq(["nyc-t", "t", "1", "3", "5", "2"]))
        });
        (seen, said)
    });
    let (seen, said) = seen.await.unwrap();
    assert!(seen, "{said}");
    drop(mine);
}
