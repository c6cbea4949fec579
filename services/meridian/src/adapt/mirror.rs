//! The mirror: its settings as `up` writes them, and running one in this process.

use std::sync::Arc;

use clock::Env;
use futures::future::BoxFuture;
use node::mirror::MirrorConfig;

use crate::cli::MirrorArgs;
use crate::error::{CliError, Result};
use crate::mesh::Mesh;
use crate::supervisor::socket;

/// The YAML of a region's mirror.
///
/// # Errors
/// `mesh.json` was edited into something else.
pub(crate) fn settings(mesh: &Mesh, region: &str) -> Result<String> {
    let own = mesh.region(region)?;
    let missing = || CliError::Usage(format!("mesh.json: {region} has no mirror"));
    let (kafka, process) = own.kafka.as_ref().zip(own.mirror()).ok_or_else(missing)?;
    let others = mesh.regions.iter().filter(|(name, _)| *name != region);
    let peers = others.filter_map(|(name, other)| {
        let kafka = other.kafka.as_ref()?;
        Some((name.as_str().into(), node::Kafka::new(&kafka.bootstrap)))
    });
    let config = MirrorConfig {
        mesh: mesh.mesh.as_str().into(),
        region: region.into(),
        kafka: node::Kafka::new(&kafka.bootstrap),
        kafka_peers: peers.collect(),
        grpc: socket(&process.grpc)?,
        metrics: socket(&process.metrics)?,
        topics: mesh.topics.clone(),
        allow_remote: false,
        limits: Default::default(),
    };
    serde_saphyr::to_string(&config).map_err(|e| CliError::Usage(format!("mirror.yaml: {e}")))
}

/// Runs a mirror until `shutdown`.
///
/// # Errors
/// Its settings, or its ports.
pub(crate) async fn run(
    args: &MirrorArgs,
    env: Arc<dyn Env>,
    shutdown: BoxFuture<'static, ()>,
) -> Result<()> {
    let (path, yaml) = super::read_settings(&args.run)?;
    let failed = |error: node::NodeError| super::failed(&path, &error);
    let mut config = MirrorConfig::parse(&yaml).map_err(failed)?;
    if let Some(grpc) = &args.run.grpc {
        config.grpc = super::address("--grpc", grpc)?;
    }
    if let Some(metrics) = &args.metrics {
        config.metrics = super::address("--metrics", metrics)?;
    }
    config.allow_remote = args.run.allow_remote.unwrap_or(config.allow_remote);
    // It answers no requests, so there is nothing to trace.
    let traces = telemetry::Traces::default();
    let telemetry = super::telemetry("meridian-mirror", &config.region, &traces, &args.run)?;
    super::raise_file_limit();
    let ended = node::mirror::run(config, env, shutdown).await.map_err(failed);
    super::end(telemetry).await;
    ended
}
