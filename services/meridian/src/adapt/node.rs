//! The node: its settings as `up` writes them, and running one in this process.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use clock::Env;
use futures::future::BoxFuture;

use crate::cli::{NodeArgs, TopicArgs};
use crate::error::{CliError, Result};
use crate::mesh::{Mesh, Region};
use crate::supervisor::{ProcessId, socket};
use crate::wan::Carries;

/// The YAML of a node, which keeps its data in `data`.
///
/// # Errors
/// `mesh.json` was edited into something else.
pub(crate) fn settings(data: &Path, mesh: &Mesh, id: &ProcessId) -> Result<String> {
    let region = id.region.as_str();
    let own = mesh.region(region)?;
    let process = own.nodes().nth(id.number - 1);
    let process = process.ok_or_else(|| CliError::Usage(format!("mesh.json: there is no {id}")))?;
    let others = mesh.regions.iter().filter(|(name, _)| *name != region);
    let embedded = others.filter(|_| own.kafka.is_none());
    let peer = |(name, other): (&String, &Region)| {
        let way = mesh.way((region, name, Carries::Mirror), &other.node.grpc);
        (name.as_str().into(), way.to_owned())
    };
    let peers: BTreeMap<Arc<str>, String> = embedded.map(peer).collect();
    let config = node::Config {
        mesh: mesh.mesh.as_str().into(),
        region: region.into(),
        regions: mesh.regions.keys().map(|name| name.as_str().into()).collect(),
        data: data.to_owned(),
        grpc: socket(&process.grpc)?,
        peers,
        kafka: own.kafka.as_ref().map(|kafka| node::Kafka::new(&kafka.bootstrap)),
        topics: mesh.topics.clone(),
        allow_remote: false,
        drain_quiet_ms: node::DRAIN_QUIET_MS,
        drain_ms: node::DRAIN_MS,
        traces: telemetry::Traces::default(),
        limits: Default::default(),
    };
    serde_saphyr::to_string(&config).map_err(|e| CliError::Usage(format!("node.yaml: {e}")))
}

/// How topics are to be called.
pub(crate) fn names(args: &TopicArgs) -> node::Names {
    node::Names {
        prefix: args.topic_prefix.as_str().into(),
        mirrored: args.mirrored_topics.as_str().into(),
    }
}

/// Runs a node until `shutdown`.
///
/// # Errors
/// Its settings, its data, or its port.
pub(crate) async fn run(
    args: &NodeArgs,
    env: Arc<dyn Env>,
    shutdown: BoxFuture<'static, ()>,
) -> Result<()> {
    let (path, yaml) = super::read_settings(&args.run)?;
    let failed = |error: node::NodeError| super::failed(&path, &error);
    let mut config = node::Config::parse(&yaml).map_err(failed)?;
    if let Some(grpc) = &args.run.grpc {
        config.grpc = super::address("--grpc", grpc)?;
    }
    if let Some(data) = &args.data {
        config.data.clone_from(data);
    }
    config.allow_remote = args.run.allow_remote.unwrap_or(config.allow_remote);
    let telemetry = super::telemetry("meridian-node", &config.region, &config.traces, &args.run)?;
    super::raise_file_limit();
    let ended = node::run(config, env, shutdown).await.map_err(failed);
    super::end(telemetry).await;
    ended
}
