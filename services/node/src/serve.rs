//! The node's edges: a log under the core, embedded or Kafka, and gRPC over it.

use std::path::PathBuf;
use std::sync::Arc;

use api::log::v1::log_server::LogServer;
use api::node::v1::node_server::NodeServer;
use axum::Router;
use axum::http::request::Parts;
use axum::middleware::from_fn_with_state;
use backbone::{Log, LogError, Tailer};
use backbone_kafka::KafkaLog;
use backbone_local::{LocalLog, LogOptions, LogService, OpenError, RemoteLog};
use clock::Env;
use edge::{BindError, Port, Speaks};
use futures::FutureExt;
use futures::future::BoxFuture;
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
/// more, hands its partitions over, and saves a last checkpoint. Boxed, or whoever calls it would
/// compile all of it once more.
///
/// # Errors
/// The configuration, the port, or what is on disk.
pub fn run(
    config: Config,
    env: Arc<dyn Env>,
    shutdown: BoxFuture<'static, ()>,
) -> BoxFuture<'static, Result<(), NodeError>> {
    run_all(config, env, shutdown).boxed()
}

async fn run_all(
    config: Config,
    env: Arc<dyn Env>,
    shutdown: BoxFuture<'static, ()>,
) -> Result<(), NodeError> {
    config.check()?;
    let directory = |cause| NodeError::Directory { path: config.data.clone(), cause };
    std::fs::create_dir_all(&config.data).map_err(directory)?;
    let port = Port::bind(("node", config.grpc), Speaks::Grpc, config.limits, env.clone())?;
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
    (drain, shutdown): (DrainSettings, BoxFuture<'static, ()>),
) -> Result<(), NodeError> {
    let load = Load::default();
    let calls = router(&env, &core, &load, tails)?;
    let stop = async {
        shutdown.await;
        tracing::info!("draining");
        core.shared().draining.send_replace(true);
        let departure = load.drained(&*env, drain).await;
        tracing::info!(?departure, "drained");
        core.leave(LEAVE_MS).await;
    };
    let stop = stop.shared();
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

/// What the port answers, each call within its caller's time.
fn router(
    env: &Arc<dyn Env>,
    core: &Arc<Core>,
    load: &Load,
    tails: Option<Tails>,
) -> Result<Router, NodeError> {
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(api::DESCRIPTORS)
        .build_v1()?;
    let nodes = NodeServer::new(NodeService::new(core.clone(), load.clone()))
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES);
    let mut calls = Routes::new(nodes).add_service(reflection);
    if let Some(tails) = tails {
        calls = calls.add_service(tails);
    }
    let router = calls.prepare().into_axum_router();
    Ok(router.layer(from_fn_with_state(env.clone(), deadline::keep)))
}

/// What comes here is a gateway's: it says whether it is traced.
fn span(request: &Parts) -> tracing::Span {
    let name = || request.uri.path().trim_start_matches('/').to_owned();
    telemetry::server(&request.headers, Begins::Nothing, name)
}

#[cfg(test)]
mod tests {
    use api::node::v1::{Position, ReadRequest};
    use axum::body::Body;
    use axum::http::Request;
    use clock::SystemEnv;
    use prost::Message;
    use store::MemoryCheckpoints;
    use tonic::{Code, Status};
    use tower::ServiceExt;

    use super::*;
    use crate::topics::Names;

    fn node(env: &Arc<dyn Env>, data: &std::path::Path) -> Arc<Core> {
        let options = LogOptions::new("nyc", "ewr");
        let log = LocalLog::open(data, env.clone(), options).unwrap();
        let identity = Identity {
            mesh: "nyc".into(),
            region: "ewr".into(),
            regions: vec!["ewr".into()],
            topics: Names::default(),
        };
        let checkpoints = Arc::new(MemoryCheckpoints::default());
        Arc::new(Core::start(identity, env.clone(), log, checkpoints, Vec::new()))
    }

    /// It waits for a push that it will never see, for as long as it is told to; its caller goes
    /// earlier, and does not say so.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_read_ends_with_its_callers_time() {
        let (env, data) = (SystemEnv::shared(), tempfile::tempdir().unwrap());
        let (core, load) = (node(&env, data.path()), Load::default());
        let router = router(&env, &core, &load, None).unwrap();
        let tokens = vec![Position::default()];
        let read =
            ReadRequest { tokens, wait_ms: 60_000, ..ReadRequest::default() }.encode_to_vec();
        let length = u32::try_from(read.len()).unwrap().to_be_bytes();
        let request = Request::post("/meridian.node.v1.Node/Read")
            .header("content-type", "application/grpc")
            .header(api::GRPC_TIMEOUT, "200m")
            .body(Body::from([&[0], &length[..], &read].concat()))
            .unwrap();
        let started_ms = env.monotonic_ms();
        let answer = router.oneshot(request).await.unwrap();
        let status = Status::from_header_map(answer.headers()).unwrap();
        assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
        assert!(env.monotonic_ms() - started_ms < 30_000, "not when it had waited");
        assert_eq!(load.now(), 0, "nobody works on it any more");
    }
}
