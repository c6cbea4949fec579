//! The node's edges: a log under the core, embedded or Kafka, and gRPC over it.

use std::path::PathBuf;
use std::sync::Arc;

use api::log::v1::log_server::LogServer;
use api::node::v1::node_server::NodeServer;
use axum::http::request::Parts;
use axum::middleware::from_fn_with_state;
use backbone::{Log, LogError, Tailer};
use backbone_kafka::KafkaLog;
use backbone_local::{LocalLog, LogOptions, LogService, OpenError, RemoteLog};
use clock::Env;
use edge::{BindError, Port, Speaks};
use futures::FutureExt;
use routing::DrainSettings;
use store::{CheckpointError, Checkpoints, DiskCheckpoints};
use telemetry::Begins;
use tonic::service::Routes;

use crate::checkpointer;
use crate::config::Config;
use crate::core::Core;
use crate::deadline;
use crate::load::Load;
use crate::service::NodeService;
use crate::shared::Identity;

/// How long its partitions may take to be handed over, ms.
const LEAVE_MS: u64 = 2_000;
/// Other regions' mirrors hold their tails open; they do not keep a node from ending.
pub(crate) const GRACE_MS: u64 = 1_000;
/// A request names at most a few thousand entities or events.
const MAX_MESSAGE_BYTES: usize = 16 << 20;

/// Why a node did not start, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The configuration is not what it should be.
    #[error("the node's configuration: {0}")]
    Config(String),
    /// A port cannot be had.
    #[error(transparent)]
    Listen(#[from] BindError),
    /// The data directory.
    #[error("cannot make {path}: {cause}")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// The log could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The log failed.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The checkpoint could not be opened.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The reflection service could not be built.
    #[error("reflection: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
}

/// Runs a node until `shutdown` completes; then says that it ends, waits until nobody asks it any
/// more, hands its partitions over, and saves a last checkpoint.
pub async fn run(
    config: Config,
    env: Arc<dyn Env>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), NodeError> {
    config.check()?;
    let directory = |cause| NodeError::Directory { path: config.data.clone(), cause };
    std::fs::create_dir_all(&config.data).map_err(directory)?;
    let port = Port::bind(("node", config.grpc), Speaks::Grpc, config.limits, env.clone()).await?;
    let (log, tails) = open_log(&config, &env)?;
    let checkpoints: Arc<dyn Checkpoints> =
        Arc::new(DiskCheckpoints::open(&config.data.join("checkpoint"))?);
    let mut peers: Vec<(Arc<str>, Arc<dyn Tailer>)> = Vec::new();
    for (region, address) in &config.peers {
        let peer = RemoteLog::connect(address)?;
        peers.push((region.clone(), Arc::new(peer)));
    }
    let drain = DrainSettings { quiet_ms: config.drain_quiet_ms, most_ms: config.drain_ms };
    let identity = Identity {
        mesh: config.mesh,
        region: config.region,
        regions: config.regions,
        topics: config.topics,
    };
    let core = Arc::new(Core::start(identity, env.clone(), log, checkpoints, peers));
    serve(env, core.clone(), tails, port.traced(span), (drain, shutdown)).await?;
    if let Some(store) = core.shared().store() {
        checkpointer::save(core.shared(), store, true).await?;
    }
    Ok(())
}

type Tails = LogServer<LogService>;

/// The region's log; and what other regions read it through, if it is embedded here.
fn open_log(
    config: &Config,
    env: &Arc<dyn Env>,
) -> Result<(Arc<dyn Log>, Option<Tails>), NodeError> {
    if let Some(kafka) = &config.kafka {
        return Ok((KafkaLog::new(kafka.options()?, env.clone())?, None));
    }
    let options = LogOptions::new(config.mesh.clone(), config.region.clone());
    let log = LocalLog::open(config.data.join("log"), env.clone(), options)?;
    let topics = config.topics.clone();
    let tails = LogService::new(log.clone(), move |topic: &str| topics.is_mirrored(topic));
    Ok((log, Some(tails)))
}

async fn serve(
    env: Arc<dyn Env>,
    core: Arc<Core>,
    tails: Option<Tails>,
    port: Port,
    (drain, shutdown): (DrainSettings, impl Future<Output = ()>),
) -> Result<(), NodeError> {
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(api::DESCRIPTORS)
        .build_v1()?;
    let load = Load::default();
    let nodes = NodeServer::new(NodeService::new(core.clone(), load.clone()))
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES);
    let stop = async {
        shutdown.await;
        tracing::info!("draining");
        core.shared().draining.send_replace(true);
        let departure = load.drained(&*env, drain).await;
        tracing::info!(?departure, "drained");
        core.leave(LEAVE_MS).await;
    };
    let stop = stop.shared();
    let mut calls = Routes::new(nodes).add_service(reflection);
    if let Some(tails) = tails {
        calls = calls.add_service(tails);
    }
    let calls = calls.prepare().into_axum_router();
    let calls = calls.layer(from_fn_with_state(env.clone(), deadline::keep));
    let serving = port.serve(calls, stop.clone());
    let ending = async {
        stop.clone().await;
        env.sleep_ms(GRACE_MS).await;
    };
    tokio::select! {
        biased;
        () = serving => {}
        () = ending => {}
    }
    Ok(())
}

/// What comes here is a gateway's: it says whether it is traced.
fn span(request: &Parts) -> tracing::Span {
    let name = || request.uri.path().trim_start_matches('/').to_owned();
    telemetry::server(&request.headers, Begins::Nothing, name)
}
