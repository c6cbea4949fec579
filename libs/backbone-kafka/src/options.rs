//! Where the cluster is, and how its clients are set.

use std::collections::BTreeMap;
use std::fmt;

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;

const MESSAGE_BYTES: &str = "message.max.bytes";
/// Somewhat less than the topics that Meridian makes take, which counts whole batches.
const DEFAULT_MESSAGE_BYTES: usize = 2_000_000;
/// More than librdkafka and a batch add to a record.
const FRAME_BYTES: usize = 1_024;

/// Which cluster, and what of it is this mesh's to decide.
#[derive(Clone)]
pub struct KafkaOptions {
    /// Some of its brokers: `host:port,host:port`.
    pub bootstrap: String,
    /// librdkafka's properties, for every client: security, tuning. They win over what Meridian
    /// sets, but for those that its guarantees rest on. May hold secrets: never logged.
    pub properties: BTreeMap<String, String>,
    /// Copies of each topic that Meridian makes; −1 leaves it to the cluster.
    pub replication: i32,
    /// A transaction that is open for longer is aborted by the cluster, ms: a hung writer holds
    /// back the readers of all partitions that it wrote to for as long.
    pub transaction_ms: u64,
    /// How long the cluster may take to answer, ms, before it counts as not answering.
    pub request_ms: u64,
    /// Settings of the topics that Meridian makes, over its own.
    pub topic_settings: BTreeMap<String, String>,
}

impl KafkaOptions {
    /// The defaults, for a cluster at `bootstrap`.
    pub fn new(bootstrap: impl Into<String>) -> Self {
        Self {
            bootstrap: bootstrap.into(),
            properties: BTreeMap::new(),
            replication: -1,
            transaction_ms: 10_000,
            request_ms: 10_000,
            topic_settings: BTreeMap::new(),
        }
    }

    /// What a record may have: a message less what Kafka adds to it.
    pub(crate) fn max_record_bytes(&self) -> usize {
        let set = self.properties.get(MESSAGE_BYTES).and_then(|bytes| bytes.parse().ok());
        set.unwrap_or(DEFAULT_MESSAGE_BYTES).saturating_sub(FRAME_BYTES)
    }

    /// For appends: idempotent, acknowledged by all replicas.
    pub(crate) fn appender(&self) -> ClientConfig {
        let defaults = [
            ("linger.ms", "1"),
            ("message.timeout.ms", "10000"),
            ("queue.buffering.max.kbytes", "131072"),
            ("topic.metadata.propagation.max.ms", "5000"),
        ];
        self.client(&defaults, &[("enable.idempotence", "true"), ("acks", "all")])
    }

    /// For the transactions of one claim.
    pub(crate) fn writer(&self, claim: &str) -> ClientConfig {
        let defaults = [
            // The first request of a transaction registers its partitions; by its answer the
            // records are there.
            ("linger.ms", "0"),
            ("queue.buffering.max.messages", "1000000"),
            ("queue.buffering.max.kbytes", "131072"),
        ];
        let timeout = self.transaction_ms.to_string();
        let fixed = [("transactional.id", claim), ("transaction.timeout.ms", &timeout)];
        self.client(&defaults, &fixed)
    }

    /// For reading partitions that the reader chooses.
    pub(crate) fn tail(&self) -> ClientConfig {
        let defaults = [
            ("queued.max.messages.kbytes", "16384"),
            ("fetch.error.backoff.ms", "100"),
            // After so long a topic that is not seen is gone.
            ("topic.metadata.propagation.max.ms", "5000"),
        ];
        let fixed = [
            // Nobody joins it; librdkafka does not assign without one.
            ("group.id", "meridian-tails"),
            ("enable.auto.commit", "false"),
            ("enable.auto.offset.store", "false"),
            ("isolation.level", "read_committed"),
            ("auto.offset.reset", "error"),
        ];
        self.client(&defaults, &fixed)
    }

    /// For membership in a group: nothing is read.
    pub(crate) fn member(&self, group: &str) -> ClientConfig {
        let mut defaults = vec![
            // So that new partitions are noticed.
            ("topic.metadata.refresh.interval.ms", "2000"),
            ("queued.min.messages", "1"),
        ];
        // The newer protocol leaves these to the cluster, and refuses them.
        if self.properties.get("group.protocol").is_none_or(|protocol| protocol != "consumer") {
            defaults.extend([
                ("partition.assignment.strategy", "cooperative-sticky"),
                ("session.timeout.ms", "10000"),
                ("heartbeat.interval.ms", "1000"),
            ]);
        }
        let fixed = [
            ("group.id", group),
            ("enable.auto.commit", "false"),
            ("enable.auto.offset.store", "false"),
            ("auto.offset.reset", "latest"),
        ];
        self.client(&defaults, &fixed)
    }

    /// For making topics.
    pub(crate) fn admin(&self) -> ClientConfig {
        self.client(&[], &[])
    }

    fn client(&self, defaults: &[(&str, &str)], fixed: &[(&str, &str)]) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("client.id", "meridian");
        // Half a second is long for a commit that waits for a broker to come back.
        config.set("reconnect.backoff.max.ms", "1000");
        config.set(MESSAGE_BYTES, DEFAULT_MESSAGE_BYTES.to_string());
        for (key, value) in defaults {
            config.set(*key, *value);
        }
        for (key, value) in &self.properties {
            config.set(key, value);
        }
        for (key, value) in fixed {
            config.set(*key, *value);
        }
        config.set("bootstrap.servers", &self.bootstrap);
        let debugged = self.properties.contains_key("debug");
        config.set_log_level(if debugged { RDKafkaLogLevel::Debug } else { RDKafkaLogLevel::Info });
        config
    }
}

impl fmt::Debug for KafkaOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&String> = self.properties.keys().collect();
        f.debug_struct("KafkaOptions")
            .field("bootstrap", &self.bootstrap)
            .field("properties", &names)
            .field("replication", &self.replication)
            .finish_non_exhaustive()
    }
}
