//! Kafka's own tools on the brokers of a mesh: what an operator would type.

pub mod faults;
pub mod tools;

use ::kafka::Tools;

use crate::Mesh;

/// The topic of the departures, and those that the mesh makes for it.
pub const SOURCE: &str = "departures";
/// Changed panes and progress.
pub const DELTAS: &str = "mesh-deltas-departures";
/// What broke the contract.
pub const LETTERS: &str = "mesh-dead-letters-departures";

impl Mesh {
    /// The tools, for a region's cluster.
    #[must_use]
    pub fn tools(&self, region: &str) -> Tools {
        let mesh = self.describe().expect("mesh.json");
        let bootstrap = &mesh["regions"][region]["kafka"]["bootstrap"];
        Tools::of(bootstrap.as_str().expect("a cluster"))
    }

    /// Runs `kafka-topics.sh` on a region's cluster.
    pub fn kafka_topics(&self, region: &str, args: &[&str]) {
        _ = self.tools(region).run("org.apache.kafka.tools.TopicCommand", args);
    }

    /// Changes a topic's settings by `kafka-configs.sh`.
    pub fn set_topic(&self, region: &str, topic: &str, settings: &str) {
        let args = ["--alter", "--entity-type", "topics", "--entity-name", topic];
        let args = [&args[..], &["--add-config", settings]].concat();
        _ = self.tools(region).run("kafka.admin.ConfigCommand", &args);
    }

    /// The sum of a topic's end offsets, by `kafka-get-offsets.sh`; 0 if there is no such topic.
    #[must_use]
    pub fn end_of(&self, region: &str, topic: &str) -> u64 {
        let main = "org.apache.kafka.tools.GetOffsetShell";
        let said = self.tools(region).run(main, &["--topic", topic]);
        said.lines().filter_map(|line| line.rsplit(':').next()?.parse::<u64>().ok()).sum()
    }
}
