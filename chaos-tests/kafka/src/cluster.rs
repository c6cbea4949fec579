//! A cluster for a test.

use std::path::Path;
use std::sync::Arc;

use backbone_kafka::{KafkaLog, KafkaOptions};
use clock::SystemEnv;
use kafka_server::{Broker, Installation, Process};
use tempfile::TempDir;

/// The jars; without them the test fails, and says how to get them.
#[must_use]
pub fn installation() -> Installation {
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/kafka");
    Installation::find(&home).unwrap_or_else(|error| panic!("{error}"))
}

/// A cluster of one broker, gone with its handle.
pub struct Cluster {
    /// How it is set.
    pub broker: Broker,
    /// The running broker.
    pub process: Process,
    // After the process, which writes to it.
    _dir: TempDir,
}

impl Cluster {
    /// Starts one.
    #[must_use]
    pub fn start() -> Self {
        let dir = tempfile::tempdir().expect("a directory for the broker");
        let broker = Broker::on_free_ports(dir.path()).expect("free ports");
        // Compaction looks often, so that a test need not wait for it.
        let broker = broker.with("log.cleaner.backoff.ms", "100");
        // With the newer protocol of groups the cluster says how often members report.
        let broker = broker.with("group.consumer.heartbeat.interval.ms", "500");
        let broker = broker.with("group.consumer.min.heartbeat.interval.ms", "500");
        let process = broker.start(&installation()).unwrap_or_else(|error| panic!("{error}"));
        Self { broker, process, _dir: dir }
    }

    /// A connection to it.
    #[must_use]
    pub fn log(&self, options: &KafkaOptions) -> Arc<KafkaLog> {
        let options = KafkaOptions { bootstrap: self.broker.bootstrap(), ..options.clone() };
        KafkaLog::new(options, SystemEnv::shared()).expect("properties that exist")
    }
}
