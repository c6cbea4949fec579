//! The gateway: its settings as `up` writes them, and running one in this process.

use std::net::SocketAddr;
use std::sync::Arc;

use clock::Env;
use futures::future::BoxFuture;
use indexmap::IndexMap;
use serde::Serialize;

use crate::cli::GatewayArgs;
use crate::error::{CliError, Result};
use crate::mesh::Mesh;
use crate::supervisor::socket;
use crate::wan::Carries;

/// What `up` has to say; the rest of `gateway::Config` has defaults.
#[derive(Debug, Serialize)]
struct Settings<'a> {
    region: &'a str,
    http: SocketAddr,
    grpc: SocketAddr,
    metrics: SocketAddr,
    /// Its region's.
    node: Vec<&'a str>,
    /// The other regions' gateways, in the order to ask them.
    peers: IndexMap<&'a str, &'a str>,
}

/// The YAML of a region's gateway. How near regions are is measured; while that does not tell them
/// apart, as on one machine, they are asked in the order of the mesh, as a ring: the next ones first.
///
/// # Errors
/// `mesh.json` was edited into something else.
pub(crate) fn settings(mesh: &Mesh, region: &str) -> Result<String> {
    let own = mesh.region(region)?;
    let at = mesh.regions.get_index_of(region).unwrap_or(0);
    let ring = mesh.regions.iter().cycle().skip(at + 1).take(mesh.regions.len() - 1);
    let way = |to: &str, address| mesh.way((region, to, Carries::Reads), address);
    let settings = Settings {
        region,
        http: socket(&own.gateway.http)?,
        grpc: socket(&own.gateway.grpc)?,
        metrics: socket(&own.gateway.metrics)?,
        node: own.nodes().map(|node| way(region, &node.grpc)).collect(),
        peers: ring.map(|(to, peer)| (to.as_str(), way(to, &peer.gateway.grpc))).collect(),
    };
    serde_saphyr::to_string(&settings).map_err(|e| CliError::Usage(format!("gateway.yaml: {e}")))
}

/// Runs a gateway until `shutdown`.
///
/// # Errors
/// Its settings, or its ports.
pub(crate) async fn run(
    args: &GatewayArgs,
    env: Arc<dyn Env>,
    shutdown: BoxFuture<'static, ()>,
) -> Result<()> {
    let (path, yaml) = super::read_settings(&args.run)?;
    let failed = |error: gateway::GatewayError| super::failed(&path, &error);
    let mut config = gateway::Config::parse(&yaml).map_err(failed)?;
    if let Some(grpc) = &args.run.grpc {
        config.grpc = super::address("--grpc", grpc)?;
    }
    if let Some(http) = &args.http {
        config.http = super::address("--http", http)?;
    }
    if let Some(metrics) = &args.metrics {
        config.metrics = super::address("--metrics", metrics)?;
    }
    config.allow_remote = args.run.allow_remote.unwrap_or(config.allow_remote);
    let (region, traces) = (&config.region, &config.traces);
    let telemetry = super::telemetry("meridian-gateway", region, traces, &args.run)?;
    super::raise_file_limit();
    let ended = gateway::run(config, env, shutdown).await.map_err(failed);
    super::end(telemetry).await;
    ended
}
