//! One broker that is its own controller: a cluster of one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use clock::Env as _;

use crate::error::KafkaError;
use crate::installation::Installation;
use crate::process::{Process, free_ports};

/// MB of objects; a broker with a hundred partitions needs half of it.
const HEAP_MB: u32 = 256;
/// How long a broker may take to listen, s: thirty times what it takes on a quiet machine.
const START_S: u64 = 60;

/// Where a broker lives and how it is set. It keeps its data and its ports over restarts.
#[derive(Debug, Clone)]
pub struct Broker {
    dir: PathBuf,
    port: u16,
    controller_port: u16,
    settings: BTreeMap<String, String>,
}

impl Broker {
    /// A broker in a directory of its own, on these two ports of loopback.
    pub fn new(dir: impl Into<PathBuf>, port: u16, controller_port: u16) -> Self {
        Self { dir: dir.into(), port, controller_port, settings: BTreeMap::new() }
    }

    /// A broker on ports that are free now.
    ///
    /// # Errors
    /// The system has no free ports.
    pub fn on_free_ports(dir: impl Into<PathBuf>) -> Result<Self, KafkaError> {
        let [port, controller_port] = free_ports()?;
        Ok(Self::new(dir, port, controller_port))
    }

    /// With a setting of `server.properties`, over those that are made here.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.settings.insert(name.to_owned(), value.to_owned());
        self
    }

    /// `host:port` for clients.
    #[must_use]
    pub fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The file that its output goes to.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.dir.join("broker.log")
    }

    /// Writes its settings, and formats its directory unless that was done before.
    ///
    /// # Errors
    /// The directory cannot be written to; Kafka's own tool fails.
    pub fn prepare(&self, kafka: &Installation) -> Result<(), KafkaError> {
        let data = self.data();
        std::fs::create_dir_all(&data)
            .map_err(KafkaError::io("make", data.display().to_string()))?;
        let file = self.properties_file();
        std::fs::write(&file, self.properties())
            .map_err(KafkaError::io("write", file.display().to_string()))?;
        if data.join("meta.properties").exists() {
            return Ok(());
        }
        let mut format = kafka.java("kafka.tools.StorageTool", 64);
        format.args(["format", "--cluster-id", &cluster_id(), "--config"]).arg(&file);
        let made = format.output().map_err(KafkaError::io("start", "Kafka's StorageTool"))?;
        if made.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&made.stderr).into_owned();
        Err(KafkaError::Ended { what: "Kafka's StorageTool".to_owned(), said })
    }

    /// How to start it, once it is prepared.
    #[must_use]
    pub fn command(&self, kafka: &Installation) -> Command {
        let mut command = kafka.java("kafka.Kafka", HEAP_MB);
        command.arg(self.properties_file());
        command
    }

    /// Prepares and starts it, and waits until it listens.
    ///
    /// # Errors
    /// As of [`Broker::prepare`]; it ends, or does not listen in time.
    pub fn start(&self, kafka: &Installation) -> Result<Process, KafkaError> {
        self.prepare(kafka)?;
        let mut process = Process::start("the broker", self.command(kafka), &self.log())?;
        process.wait_for(self.port, START_S)?;
        Ok(process)
    }

    fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    fn properties_file(&self) -> PathBuf {
        self.dir.join("server.properties")
    }

    /// One of everything; internal topics small; no wait for others, as there are none; a broker
    /// that was killed counts as gone soon, so that it may come back.
    fn properties(&self) -> String {
        let (client, controller) = (self.port, self.controller_port);
        let own = [
            ("process.roles", "broker,controller".to_owned()),
            ("node.id", "1".to_owned()),
            ("controller.quorum.voters", format!("1@127.0.0.1:{controller}")),
            ("controller.listener.names", "CONTROLLER".to_owned()),
            (
                "listeners",
                format!("PLAINTEXT://127.0.0.1:{client},CONTROLLER://127.0.0.1:{controller}"),
            ),
            ("advertised.listeners", format!("PLAINTEXT://127.0.0.1:{client}")),
            (
                "listener.security.protocol.map",
                "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT".to_owned(),
            ),
            ("log.dirs", path(&self.data())),
        ];
        let fixed = [
            ("auto.create.topics.enable", "false"),
            ("background.threads", "2"),
            ("broker.heartbeat.interval.ms", "500"),
            ("broker.session.timeout.ms", "5000"),
            ("group.initial.rebalance.delay.ms", "0"),
            ("log.cleaner.dedupe.buffer.size", "2097152"),
            ("num.io.threads", "2"),
            ("num.network.threads", "1"),
            ("offsets.topic.num.partitions", "1"),
            ("offsets.topic.replication.factor", "1"),
            ("share.coordinator.state.topic.min.isr", "1"),
            ("share.coordinator.state.topic.num.partitions", "1"),
            ("share.coordinator.state.topic.replication.factor", "1"),
            ("transaction.abort.timed.out.transaction.cleanup.interval.ms", "1000"),
            ("transaction.state.log.min.isr", "1"),
            ("transaction.state.log.num.partitions", "1"),
            ("transaction.state.log.replication.factor", "1"),
        ];
        let mut all: BTreeMap<String, String> = BTreeMap::new();
        all.extend(own.map(|(name, value)| (name.to_owned(), value)));
        all.extend(fixed.map(|(name, value)| (name.to_owned(), value.to_owned())));
        all.extend(self.settings.clone());
        all.iter().map(|(name, value)| format!("{name}={value}\n")).collect()
    }
}

/// A path as a properties file takes it.
fn path(of: &Path) -> String {
    of.display().to_string().replace('\\', "\\\\")
}

/// Kafka's form of a random UUID; it must not begin with a dash.
fn cluster_id() -> String {
    let env = clock::SystemEnv;
    let random = u128::from(env.random_u64()) << 64 | u128::from(env.random_u64());
    BASE64_URL_SAFE_NO_PAD.encode((random >> 2).to_be_bytes())
}
