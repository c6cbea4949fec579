//! MirrorMaker 2: every region's mirrored topics, to every other region.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::KafkaError;
use crate::installation::Installation;
use crate::process::Process;

/// MB of objects; with 96 it runs out, and hangs.
const HEAP_MB: u32 = 256;

/// The flows between regions' clusters, and how they are set.
#[derive(Debug, Clone)]
pub struct MirrorMaker {
    /// Each region's cluster, `host:port,…`.
    pub clusters: BTreeMap<String, String>,
    /// Which topics, a regular expression. It must not match the names of mirrored ones, or they
    /// would be mirrored on and on.
    pub topics: String,
    /// Between region and topic in a mirrored topic's name.
    pub separator: String,
    /// Copies of each topic that MirrorMaker makes.
    pub replication: u32,
    /// Whether it copies in transactions. Meridian needs none: what comes twice changes nothing.
    pub exactly_once: bool,
}

impl MirrorMaker {
    /// Of these clusters, with these topics, one copy of each, at least once.
    pub fn new(clusters: BTreeMap<String, String>, topics: impl Into<String>) -> Self {
        let (topics, separator) = (topics.into(), ".".to_owned());
        Self { clusters, topics, separator, replication: 1, exactly_once: false }
    }

    /// Its settings as `connect-mirror-maker.sh` takes them, with a comment where the default
    /// would not do.
    #[must_use]
    pub fn properties(&self) -> String {
        let names: Vec<&str> = self.clusters.keys().map(String::as_str).collect();
        let mut text = format!("clusters={}\n", names.join(","));
        for (name, bootstrap) in &self.clusters {
            text += &format!("{name}.bootstrap.servers={bootstrap}\n");
        }
        text += "\n# Every region to every other, directly. Mirrored topics are not mirrored on: the\n\
                 # pattern is matched against whole names, and theirs begin with a region's.\n";
        for from in &names {
            for to in names.iter().filter(|to| *to != from) {
                text += &format!("{from}->{to}.enabled=true\n");
                text += &format!("{from}->{to}.topics={}\n", self.topics);
            }
        }
        text += SHARED;
        text += &format!("replication.policy.separator={}\n", self.separator);
        for of in TOPICS {
            text += &format!("{of}replication.factor={}\n", self.replication);
        }
        text += "\n# Settings of the workers count only with a cluster's name before them. Aborted\n\
                 # commits are not mirrored. A copier that died is replaced within seconds.\n";
        for name in &names {
            for (setting, value) in WORKER {
                text += &format!("{name}.{setting}={value}\n");
            }
            if self.exactly_once {
                // With the default, a minute, a flow stands still for as long after a crash.
                text += &format!("{name}.exactly.once.source.support=enabled\n");
                text += &format!("{name}.producer.transaction.timeout.ms=5000\n");
            }
        }
        text
    }

    /// How to start it with the settings in `file`, for the flows that end in these regions.
    #[must_use]
    pub fn command<'a>(
        kafka: &Installation,
        file: &Path,
        into: impl IntoIterator<Item = &'a str>,
    ) -> Command {
        let mut command = kafka.java("org.apache.kafka.connect.mirror.MirrorMaker", HEAP_MB);
        command.arg(file).arg("--clusters").args(into);
        command
    }

    /// Starts all flows in one process, with its settings and its log in `dir`. It copies after
    /// about ten seconds.
    ///
    /// # Errors
    /// The directory cannot be written to, or the program not started.
    pub fn start(&self, kafka: &Installation, dir: &Path) -> Result<Process, KafkaError> {
        let file = self.write(dir)?;
        let command = Self::command(kafka, &file, self.clusters.keys().map(String::as_str));
        Process::start("MirrorMaker 2", command, &dir.join("mm2.log"))
    }

    /// Writes its settings to `dir`/mm2.properties.
    ///
    /// # Errors
    /// The directory cannot be written to.
    pub fn write(&self, dir: &Path) -> Result<PathBuf, KafkaError> {
        std::fs::create_dir_all(dir).map_err(KafkaError::io("make", dir.display().to_string()))?;
        let file = dir.join("mm2.properties");
        std::fs::write(&file, self.properties())
            .map_err(KafkaError::io("write", file.display().to_string()))?;
        Ok(file)
    }
}

const SHARED: &str = "
# New topics and partitions flow after a second, not after ten minutes.
refresh.topics.interval.seconds=1
sync.topic.configs.interval.seconds=5
sync.topic.acls.enabled=false
# Nobody fails over by offsets: each region reads its own copies from its own positions.
emit.heartbeats.enabled=false
emit.checkpoints.enabled=false
sync.group.offsets.enabled=false
refresh.groups.enabled=false
tasks.max=1
offset.storage.partitions=1
status.storage.partitions=1

";

/// What has copies: mirrored topics, and MirrorMaker's own.
const TOPICS: [&str; 7] = [
    "",
    "checkpoints.topic.",
    "heartbeats.topic.",
    "offset-syncs.topic.",
    "config.storage.",
    "offset.storage.",
    "status.storage.",
];

const WORKER: [(&str, &str); 13] = [
    ("plugin.discovery", "service_load"),
    ("consumer.isolation.level", "read_committed"),
    ("consumer.auto.offset.reset", "earliest"),
    ("consumer.metadata.max.age.ms", "2000"),
    ("producer.acks", "all"),
    ("producer.linger.ms", "0"),
    ("producer.metadata.max.age.ms", "2000"),
    ("producer.max.request.size", "2200000"),
    ("session.timeout.ms", "6000"),
    ("heartbeat.interval.ms", "1000"),
    ("rebalance.timeout.ms", "6000"),
    ("offset.flush.interval.ms", "1000"),
    ("scheduled.rebalance.max.delay.ms", "0"),
];
