//! Kafka's own tools on the brokers of a mesh: what an operator would type.

pub mod faults;

use std::process::Stdio;
use std::sync::LazyLock;

use kafka_server::Installation;

use crate::Mesh;
use crate::mesh::root;

/// The topic of the departures, and those that the mesh makes for it.
pub const SOURCE: &str = "departures";
/// Changed panes and progress.
pub const DELTAS: &str = "mesh-deltas-departures";
/// What broke the contract.
pub const LETTERS: &str = "mesh-dead-letters-departures";

/// MB of objects, for a tool.
const HEAP_MB: u32 = 128;

static KAFKA: LazyLock<Installation> = LazyLock::new(|| {
    Installation::find(&root().join("target/kafka")).unwrap_or_else(|error| panic!("{error}"))
});

impl Mesh {
    /// Runs `kafka-topics.sh` on a region's cluster.
    pub fn kafka_topics(&self, region: &str, args: &[&str]) -> String {
        self.kafka_tool(region, "org.apache.kafka.tools.TopicCommand", args)
    }

    /// Changes a topic's settings by `kafka-configs.sh`.
    pub fn set_topic(&self, region: &str, topic: &str, settings: &str) {
        let args = ["--alter", "--entity-type", "topics", "--entity-name", topic];
        let args = [&args[..], &["--add-config", settings]].concat();
        self.kafka_tool(region, "kafka.admin.ConfigCommand", &args);
    }

    /// The sum of a topic's end offsets, by `kafka-get-offsets.sh`; 0 if there is no such topic.
    #[must_use]
    pub fn end_of(&self, region: &str, topic: &str) -> u64 {
        let main = "org.apache.kafka.tools.GetOffsetShell";
        let said = self.kafka_tool(region, main, &["--topic", topic]);
        said.lines().filter_map(|line| line.rsplit(':').next()?.parse::<u64>().ok()).sum()
    }

    /// The committed records of a topic, by `kafka-console-consumer.sh`: as many as are there, but
    /// not more than this.
    #[must_use]
    pub fn consume(&self, region: &str, topic: &str, most: usize) -> Vec<String> {
        let most = most.to_string();
        let args = ["--topic", topic, "--from-beginning", "--isolation-level", "read_committed"];
        let until = ["--timeout-ms", "15000", "--max-messages", &most];
        let main = "org.apache.kafka.tools.consumer.ConsoleConsumer";
        let said = self.kafka_tool(region, main, &[&args[..], &until].concat());
        said.lines().map(str::to_owned).collect()
    }

    fn kafka_tool(&self, region: &str, main: &str, args: &[&str]) -> String {
        let mesh = self.describe().expect("mesh.json");
        let bootstrap = mesh["regions"][region]["kafka"]["bootstrap"].as_str().expect("a cluster");
        let mut tool = KAFKA.java(main, HEAP_MB);
        let tool = tool.args(["--bootstrap-server", bootstrap]).args(args).stderr(Stdio::piped());
        let output = tool.output().expect("java runs");
        let [out, err] =
            [output.stdout, output.stderr].map(|b| String::from_utf8_lossy(&b).into_owned());
        assert!(output.status.success(), "{region}: {main} {args:?}: {out}{err}");
        out
    }
}
