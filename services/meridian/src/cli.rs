//! What can be typed: every command, argument and flag of `meridian`.

mod processes;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub(crate) use self::processes::{
    GatewayArgs, MirrorArgs, NodeArgs, ProcessAction, ProcessArgs, RunArgs,
};
use crate::wan::Carries;

/// Meridian: a multi-region feature mesh. Events become features in the region where they happen;
/// every region can read them.
#[derive(Debug, Parser)]
#[command(name = "meridian", version, max_term_width = 100)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write a commented catalog to start from
    Init(InitArgs),
    /// Show what applying a catalog would change; refuses what is wrong in it, with its place
    Plan(CatalogArgs),
    /// Apply a catalog to the running mesh
    Apply(CatalogArgs),
    /// Retire a version of a feature view
    Retire(RetireArgs),
    /// Run a mesh on this machine: a node and a gateway process per region, and Kafka if wanted
    Up(UpArgs),
    /// Stop the mesh that `up` runs
    Down(MeshArgs),
    /// Feed files of events (jsonl, jsonl.gz, csv) to a source through a region's gateway
    Ingest(IngestArgs),
    /// Push a file of events in one request, and print its token
    Push(PushArgs),
    /// Read features of one entity
    Get(GetArgs),
    /// Show the panes behind a value, per origin
    Explain(ExplainArgs),
    /// Show the events that broke their source's contract
    DeadLetters(DeadLettersArgs),
    /// Show regions, processes, origins and digests
    Status(StatusArgs),
    /// Show where gateways send reads now, and why
    Routes(RoutesArgs),
    /// Read at a constant rate, and say how long that took from when each read was due
    Load(LoadArgs),
    /// Show the links of a mesh that was started with `--wan`, or have something be wrong with them
    #[command(subcommand)]
    Wan(WanCommand),
    /// Stop, drain or start all processes of a region
    Region(ProcessArgs),
    /// Run a region's node, or stop or start one of the mesh
    Node(NodeArgs),
    /// Run a region's gateway, or stop or start one of the mesh
    Gateway(GatewayArgs),
    /// Run a mirror of the other regions' Kafka, or stop or start one of the mesh
    Mirror(MirrorArgs),
    /// Print what a mesh on Kafka needs: topics, MirrorMaker's settings
    Kafka(KafkaArgs),
    /// Become a region's broker
    #[command(hide = true)]
    Broker(KafkaRunArgs),
    /// Become the MirrorMaker that copies to a region
    #[command(hide = true)]
    MirrorMaker(KafkaRunArgs),
    /// Run a story from start to end, checking each of its claims
    #[command(subcommand)]
    Demo(Demo),
}

/// Which mesh is meant.
#[derive(Debug, Clone, Args)]
pub(crate) struct MeshArgs {
    /// The data directory of the mesh, as given to `up`
    #[arg(long, value_name = "DIR", default_value = ".meridian", env = "MERIDIAN_DATA")]
    pub(crate) data: PathBuf,
}

/// `init`.
#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// The directory to write the catalog into; made if absent
    pub(crate) dir: PathBuf,
}

/// `plan` and `apply`.
#[derive(Debug, Args)]
pub(crate) struct CatalogArgs {
    /// The catalog: a directory of YAML files
    #[arg(default_value = ".")]
    pub(crate) dir: PathBuf,
    /// Activate views in this region only; may be repeated; all regions if absent
    #[arg(long, value_name = "REGION")]
    pub(crate) region: Vec<String>,
    /// Which mesh is compared with, or changed.
    #[command(flatten)]
    pub(crate) mesh: MeshArgs,
}

/// `retire`.
#[derive(Debug, Args)]
pub(crate) struct RetireArgs {
    /// The view and version, as `card_velocity@v2`
    #[arg(value_name = "VIEW@vN")]
    pub(crate) view: String,
    /// In this region only; may be repeated; all regions if absent
    #[arg(long, value_name = "REGION")]
    pub(crate) region: Vec<String>,
    /// Whose.
    #[command(flatten)]
    pub(crate) mesh: MeshArgs,
}

/// `up`.
#[derive(Debug, Clone, Args)]
pub(crate) struct UpArgs {
    /// The catalog to apply once the mesh is ready: a directory of YAML files
    #[arg(long, value_name = "DIR")]
    pub(crate) catalog: PathBuf,
    /// The regions, nearest first as seen from the first one
    #[arg(long, value_delimiter = ',', required = true, value_name = "NAME,NAME,…")]
    pub(crate) regions: Vec<String>,
    /// Nodes in each region, which share its partitions and all serve; more than one needs --kafka,
    /// as the embedded log lives in one node
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub(crate) nodes: usize,
    /// Where the mesh keeps everything.
    #[command(flatten)]
    pub(crate) mesh: MeshArgs,
    /// The first region's gateway speaks HTTP on this port, the next on the one after, and so on;
    /// 0 picks free ones
    #[arg(long, default_value_t = 6566, value_name = "PORT")]
    pub(crate) base_port: u16,
    /// Keep the log in Kafka: `start` runs a broker and a MirrorMaker 2 per region here, pairs name
    /// clusters that exist, mirrored by your own MirrorMaker (see `kafka mm2-config`)
    #[arg(long, value_delimiter = ',', value_name = "start|REGION=HOST:PORT,…")]
    pub(crate) kafka: Vec<String>,
    /// Mirror between the regions' Kafka by `meridian mirror`, a process per region, and not by
    /// MirrorMaker
    #[arg(long, requires = "kafka")]
    pub(crate) own_mirror: bool,
    /// How topics are called.
    #[command(flatten)]
    pub(crate) topics: TopicArgs,
    /// How far regions are apart, as round trips: all that goes between regions, and from each gateway
    /// to its node, then goes over links that can be given faults (see `wan`)
    #[arg(long, value_delimiter = ',', value_name = "A-B=TIME,…", conflicts_with = "kafka")]
    pub(crate) wan: Vec<String>,
    /// Where `make kafka` put Kafka
    #[arg(long, value_name = "DIR", default_value = "target/kafka", env = "MERIDIAN_KAFKA")]
    pub(crate) kafka_home: PathBuf,
    /// End when standard input ends: whoever started this process is gone
    #[arg(long, hide = true)]
    pub(crate) exit_with_parent: bool,
}

/// `kafka`.
#[derive(Debug, Args)]
pub(crate) struct KafkaArgs {
    /// What to print.
    #[command(subcommand)]
    pub(crate) what: KafkaCommand,
}

/// What a mesh needs of Kafka.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum KafkaCommand {
    /// Each region's topics, with the settings that Meridian makes them with
    Topics {
        /// The catalog: a directory of YAML files
        #[arg(default_value = ".")]
        catalog: PathBuf,
        /// How they are called.
        #[command(flatten)]
        topics: TopicArgs,
    },
    /// A ready `mm2.properties` for MirrorMaker 2
    Mm2Config {
        /// Each region's cluster
        #[arg(long, value_delimiter = ',', required = true, value_name = "REGION=HOST:PORT,…")]
        kafka: Vec<String>,
        /// Copies of each mirrored topic
        #[arg(long, default_value_t = 3)]
        replication: u32,
        /// Copy in transactions; a mesh needs none, as what comes twice changes nothing
        #[arg(long)]
        exactly_once: bool,
        /// How they are called.
        #[command(flatten)]
        topics: TopicArgs,
    },
}

/// How the topics of a mesh on Kafka are called.
#[derive(Debug, Clone, Args)]
pub(crate) struct TopicArgs {
    /// Before the names of the mesh's own topics: two meshes in one cluster need different ones
    #[arg(long, default_value = "", value_name = "TEXT")]
    pub(crate) topic_prefix: String,
    /// What a region's topic is called where it is mirrored to
    #[arg(long, default_value = "{region}.{topic}", value_name = "PATTERN")]
    pub(crate) mirrored_topics: String,
}

/// `broker` and `mirror-maker`.
#[derive(Debug, Args)]
pub(crate) struct KafkaRunArgs {
    /// The YAML file that `up` wrote
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// End when the supervisor that started this process is gone
    #[arg(long)]
    pub(crate) exit_with_parent: bool,
}

/// `ingest`.
#[derive(Debug, Args)]
pub(crate) struct IngestArgs {
    /// The source that the events are for
    pub(crate) source: String,
    /// Files, in order: .jsonl, .jsonl.gz, .csv, .csv.gz; - is standard input (JSON lines)
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// The region whose gateway takes the events
    #[arg(long)]
    pub(crate) region: String,
    /// Replay by event time, this many times as fast as the events happened; without it, as fast
    /// as the mesh takes them
    #[arg(long, value_name = "FACTOR")]
    pub(crate) speed: Option<f64>,
    /// Which mesh.
    #[command(flatten)]
    pub(crate) mesh: MeshArgs,
}

/// `push`.
#[derive(Debug, Args)]
pub(crate) struct PushArgs {
    /// The source that the events are for
    pub(crate) source: String,
    /// A file of JSON lines; - is standard input
    #[arg(short, long, value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// The region whose gateway takes the events; the first that can be reached if absent
    #[arg(long)]
    pub(crate) region: Option<String>,
    /// While that region is down, let another one take them: should both have them in the end, they
    /// count twice
    #[arg(long)]
    pub(crate) reroute: bool,
    /// Which mesh.
    #[command(flatten)]
    pub(crate) mesh: MeshArgs,
}

/// How a read is routed and what it sees.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ReadArgs {
    /// Read as of this event time, floored to each feature's resolution
    #[arg(long, value_name = "TIME")]
    pub(crate) as_of: Option<String>,
    /// Leave the events of this region out; may be repeated
    #[arg(long, value_name = "REGION")]
    pub(crate) exclude_region: Vec<String>,
    /// Read from this region's gateway; the first that can be reached if absent
    #[arg(long)]
    pub(crate) region: Option<String>,
    /// See at least what the push that returned this token wrote; may be repeated
    #[arg(long)]
    pub(crate) token: Vec<String>,
    /// Print the answer as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `get`.
#[derive(Debug, Args)]
pub(crate) struct GetArgs {
    /// A feature service, a view, or one feature of a view
    #[arg(value_name = "SERVICE|VIEW[:FEATURE]")]
    pub(crate) what: String,
    /// Join keys and request fields
    #[arg(required = true, value_name = "KEY=VALUE")]
    pub(crate) keys: Vec<String>,
    /// How.
    #[command(flatten)]
    pub(crate) read: ReadArgs,
    /// Which mesh.
    #[command(flatten)]
    pub(crate) mesh: MeshArgs,
}

/// `explain`.
#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// One feature of a view
    #[arg(value_name = "VIEW:FEATURE")]
    pub(crate) feature: String,
    /// Join keys
    #[arg(required = true, value_name = "KEY=VALUE")]
    pub(crate) keys: Vec<String>,
    /// How.
    #[command(flatten)]
    pub(crate) read: ReadArgs,
    /// Which mesh.
    #[command(flatten)]
    pub(crate) mesh: MeshArgs,
}

/// `dead-letters`.
#[derive(Debug, Args)]
pub(crate) struct DeadLettersArgs {
    /// The source
    pub(crate) source: String,
    /// Only this region's; all regions if absent
    #[arg(long)]
    pub(crate) region: Option<String>,
    /// Print one JSON object a line
    #[arg(long)]
    pub(crate) json: bool,
    /// Which mesh.
    #[command(flatten)]
    pub(crate) mesh: MeshArgs,
}

/// `status`.
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Which mesh.
    #[command(flatten)]
    pub(crate) mesh: MeshArgs,
}

/// `load`.
#[derive(Debug, Args)]
pub(crate) struct LoadArgs {
    /// A feature service, a view, or one feature of a view
    #[arg(value_name = "SERVICE|VIEW[:FEATURE]")]
    pub(crate) what: String,
    /// Join keys and request fields of one entity
    #[arg(value_name = "KEY=VALUE")]
    pub(crate) keys: Vec<String>,
    /// Entities instead: a JSON object a line, the most popular first
    #[arg(long, value_name = "FILE", conflicts_with = "keys")]
    pub(crate) keys_file: Option<PathBuf>,
    /// How much more popular each entity is than the next: 0 for alike, 1 for Zipf's law
    #[arg(long, default_value_t = 1.0, value_name = "EXPONENT")]
    pub(crate) zipf: f64,
    /// Rows in each read
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub(crate) rows: usize,
    /// Reads a second
    #[arg(long, default_value_t = 100.0, value_name = "N")]
    pub(crate) rate: f64,
    /// For how long, as 30s
    #[arg(long, default_value = "10s", value_name = "TIME")]
    pub(crate) duration: String,
    /// How long an answer may take, ms
    #[arg(long, default_value_t = 1_000, value_name = "MS")]
    pub(crate) timeout_ms: u64,
    /// Read from this region's gateway, and from the next one named when it does not answer at all;
    /// may be repeated; all regions if absent
    #[arg(long, value_name = "REGION")]
    pub(crate) region: Vec<String>,
    /// Read over Feast's HTTP protocol instead of gRPC
    #[arg(long)]
    pub(crate) http: bool,
    /// Give quantiles also from the start to the first of these times of the run, from there to the
    /// next, and so on, as 10s,20s
    #[arg(long, value_delimiter = ',', value_name = "TIME,…")]
    pub(crate) mark: Vec<String>,
    /// Draw quantiles and failures by second
    #[arg(long, value_name = "FILE.svg")]
    pub(crate) plot: Option<PathBuf>,
    /// Write every request: when it was due, how long it took, who answered or why nobody did
    #[arg(long, value_name = "FILE.csv")]
    pub(crate) samples: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Which mesh.
    #[command(flatten)]
    pub(crate) mesh: MeshArgs,
}

/// `routes`.
#[derive(Debug, Args)]
pub(crate) struct RoutesArgs {
    /// Ask this region's gateway; all of them if absent
    #[arg(long)]
    pub(crate) region: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Which mesh.
    #[command(flatten)]
    pub(crate) mesh: MeshArgs,
}

/// `wan`.
#[derive(Debug, Subcommand)]
pub(crate) enum WanCommand {
    /// Show every link
    Show {
        /// Print JSON
        #[arg(long)]
        json: bool,
        /// Which mesh.
        #[command(flatten)]
        mesh: MeshArgs,
    },
    /// Have this be wrong with the links between two regions, or, with one region twice, from its
    /// gateway to its node: ok, blackhole, reset, +500ms (longer), drip:20 (bytes a second), errors:30
    /// (percent of answers), flap:2s (a black hole every other 2 s)
    Set {
        /// Which, and what
        #[arg(required = true, value_name = "A-B=FAULT")]
        links: Vec<String>,
        /// Only what gateways ask, or only what nodes mirror
        #[arg(long)]
        only: Option<Carries>,
        /// Only where the first region is the one that connects
        #[arg(long)]
        one_way: bool,
        /// Which mesh.
        #[command(flatten)]
        mesh: MeshArgs,
    },
}

/// The stories.
#[derive(Debug, Subcommand)]
pub(crate) enum Demo {
    /// January's flights out of New York: replay, read, lose a region, get it back
    Departures(DemoArgs),
}

/// `demo departures`.
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Leave the mesh running; `meridian down` stops it
    #[arg(long)]
    pub(crate) keep: bool,
    /// Where the examples are
    #[arg(long, default_value = "examples", value_name = "DIR")]
    pub(crate) examples: PathBuf,
    /// Where the demo's mesh lives; emptied first if an earlier demo left it
    #[arg(long, value_name = "DIR", default_value = ".meridian/demo")]
    pub(crate) data: PathBuf,
    /// The first gateway's HTTP port
    #[arg(long, default_value_t = 6566, value_name = "PORT")]
    pub(crate) base_port: u16,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_sound() {
        <Cli as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn node_runs_here_or_stops_elsewhere() {
        let run = Cli::try_parse_from(["meridian", "node", "--config", "node.yaml"]).unwrap();
        assert!(matches!(run.command, Command::Node(NodeArgs { action: None, .. })));
        let stop = Cli::try_parse_from(["meridian", "node", "stop", "ewr", "--kill"]).unwrap();
        let Command::Node(NodeArgs {
            action: Some(ProcessAction::Stop { region, kill, .. }), ..
        }) = stop.command
        else {
            panic!("not a stop")
        };
        assert_eq!((region.as_str(), kill), ("ewr", true));
        assert!(Cli::try_parse_from(["meridian", "node"]).is_err());
    }

    #[test]
    fn regions_are_a_list() {
        let line = ["meridian", "up", "--catalog", "c", "--regions", "ewr,jfk,lga"];
        let Command::Up(up) = Cli::try_parse_from(line).unwrap().command else { panic!("not up") };
        assert_eq!(up.regions, ["ewr", "jfk", "lga"]);
        assert_eq!(up.mesh.data, PathBuf::from(".meridian"));
    }
}
