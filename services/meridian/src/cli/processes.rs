//! The processes of a mesh: what each is started with, and what `up` does to those that it supervises.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::MeshArgs;

/// `region`.
#[derive(Debug, Args)]
pub(crate) struct ProcessArgs {
    /// What to do.
    #[command(subcommand)]
    pub(crate) action: ProcessAction,
}

/// What can be done to a process that `up` supervises.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum ProcessAction {
    /// Stop it, and do not restart it
    Stop {
        /// The region's name; of several nodes one by its number, as ewr/2
        region: String,
        /// With SIGKILL, as a crash would
        #[arg(long)]
        kill: bool,
        /// Which mesh.
        #[command(flatten)]
        mesh: MeshArgs,
    },
    /// Let everybody go elsewhere, finish what is under way, then stop it
    Drain {
        /// The region's name; of several nodes one by its number, as ewr/2
        region: String,
        /// Which mesh.
        #[command(flatten)]
        mesh: MeshArgs,
    },
    /// Put its wall clock ahead, until it is started again: for drills
    #[command(hide = true)]
    Skew {
        /// The region's name
        region: String,
        /// By so much, as 30s or -30s
        #[arg(value_name = "TIME", allow_hyphen_values = true)]
        ahead: String,
        /// Which mesh.
        #[command(flatten)]
        mesh: MeshArgs,
    },
    /// Bring it back
    Start {
        /// The region's name; of several nodes one by its number, as ewr/2
        region: String,
        /// Which mesh.
        #[command(flatten)]
        mesh: MeshArgs,
    },
}

/// `node`: settings of the file can be overridden one by one.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct NodeArgs {
    /// Stop or start one that `up` supervises.
    #[command(subcommand)]
    pub(crate) action: Option<ProcessAction>,
    /// How to run one here.
    #[command(flatten)]
    pub(crate) run: RunArgs,
    /// Keep data here instead
    #[arg(long, env = "MERIDIAN_NODE_DATA", value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
}

/// `gateway`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct GatewayArgs {
    /// Stop or start one that `up` supervises.
    #[command(subcommand)]
    pub(crate) action: Option<ProcessAction>,
    /// How to run one here.
    #[command(flatten)]
    pub(crate) run: RunArgs,
    /// Listen here for HTTP instead, as 127.0.0.1:6566
    #[arg(long, env = "MERIDIAN_HTTP", value_name = "ADDRESS")]
    pub(crate) http: Option<String>,
    /// Listen here for Prometheus instead
    #[arg(long, env = "MERIDIAN_METRICS", value_name = "ADDRESS")]
    pub(crate) metrics: Option<String>,
}

/// `mirror`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct MirrorArgs {
    /// Stop or start one that `up` supervises.
    #[command(subcommand)]
    pub(crate) action: Option<ProcessAction>,
    /// How to run one here.
    #[command(flatten)]
    pub(crate) run: RunArgs,
    /// Listen here for Prometheus instead
    #[arg(long, env = "MERIDIAN_METRICS", value_name = "ADDRESS")]
    pub(crate) metrics: Option<String>,
}

/// What `node`, `gateway` and `mirror` have in common.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The YAML file with its settings
    #[arg(long, env = "MERIDIAN_CONFIG", value_name = "FILE", required = true)]
    pub(crate) config: Option<PathBuf>,
    /// Listen here for gRPC instead, as 127.0.0.1:7566
    #[arg(long, env = "MERIDIAN_GRPC", value_name = "ADDRESS")]
    pub(crate) grpc: Option<String>,
    /// How to write the log, which goes to standard error; RUST_LOG says how much of it
    #[arg(long, env = "MERIDIAN_LOG_FORMAT", value_enum, default_value_t, value_name = "FORMAT")]
    pub(crate) log_format: LogFormat,
    /// Listen on addresses that are not loopback, although there is no TLS yet; `=false` forbids what
    /// the file allows
    #[arg(
        long,
        env = "MERIDIAN_ALLOW_REMOTE",
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true"
    )]
    pub(crate) allow_remote: Option<bool>,
    /// End when standard input ends: the supervisor that started this process is gone
    #[arg(long, hide = true)]
    pub(crate) exit_with_parent: bool,
}

/// How lines of the log are written.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people
    #[default]
    Text,
    /// An object a line, with the trace of traced requests
    Json,
}

impl From<LogFormat> for telemetry::LogFormat {
    fn from(format: LogFormat) -> Self {
        match format {
            LogFormat::Text => Self::Text,
            LogFormat::Json => Self::Json,
        }
    }
}
