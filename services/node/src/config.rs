//! A node's configuration: one YAML file.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use edge::Limits;
use serde::{Deserialize, Serialize};
use telemetry::Traces;

use crate::kafka::Kafka;
use crate::serve::NodeError;
use crate::topics::Names;

/// More than its gateways take to hear that it ends.
pub const DRAIN_QUIET_MS: u64 = 300;
/// For as long as somebody has nowhere else to go, at most.
pub const DRAIN_MS: u64 = 5_000;

/// Everything that a node must be told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The mesh's name: part of every claim, and of the data directory's mark.
    pub mesh: Arc<str>,
    /// This node's region.
    pub region: Arc<str>,
    /// All regions of the mesh, this one among them.
    pub regions: Vec<Arc<str>>,
    /// Where the log and the checkpoints are kept.
    pub data: PathBuf,
    /// Where to serve gRPC.
    pub grpc: SocketAddr,
    /// The other regions' nodes, `http://host:port`, from which deltas are mirrored.
    #[serde(default)]
    pub peers: BTreeMap<Arc<str>, String>,
    /// The region's Kafka cluster, which is the log then. Without it the log is embedded in the node,
    /// and the other regions' are mirrored from `peers`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kafka: Option<Kafka>,
    /// How topics are called; the same in all regions.
    #[serde(default)]
    pub topics: Names,
    /// Serve on an address that is not loopback although there is no TLS.
    #[serde(default)]
    pub allow_remote: bool,
    /// A node that is told to end stays until nothing has been asked of it for so long, ms: others
    /// have gone elsewhere then; but
    #[serde(default = "default_drain_quiet_ms")]
    pub drain_quiet_ms: u64,
    /// no longer than this, ms. Whoever would kill it must wait some seconds longer.
    #[serde(default = "default_drain_ms")]
    pub drain_ms: u64,
    /// Where the spans of traced requests go.
    #[serde(default)]
    pub traces: Traces,
    /// What the port allows its clients.
    #[serde(default)]
    pub limits: Limits,
}

fn default_drain_quiet_ms() -> u64 {
    DRAIN_QUIET_MS
}

fn default_drain_ms() -> u64 {
    DRAIN_MS
}

impl Config {
    /// Reads YAML. What it says may still be overridden, so whoever runs it checks it.
    ///
    /// # Errors
    /// [`NodeError::Config`], naming the place.
    pub fn parse(text: &str) -> Result<Self, NodeError> {
        serde_saphyr::from_str(text).map_err(|error| NodeError::Config(error.to_string()))
    }

    /// Checks what types cannot say.
    pub fn check(&self) -> Result<(), NodeError> {
        let bad = |message: String| Err(NodeError::Config(message));
        if !self.regions.contains(&self.region) {
            return bad(format!("regions must list this node's own region '{}'", self.region));
        }
        if let Some(region) = self.regions.iter().find(|r| r.is_empty() || r.contains(['.', '/'])) {
            return bad(format!("region '{region}' must have a name without dots or slashes"));
        }
        if let Some(peer) = self.peers.keys().find(|p| !self.regions.contains(p)) {
            return bad(format!("peer '{peer}' is not one of the regions"));
        }
        if self.kafka.is_some() && !self.peers.is_empty() {
            return bad(
                "peers are for the embedded log; with kafka MirrorMaker 2 mirrors them, or \
                        `meridian mirror`: see `meridian kafka mm2-config`"
                    .to_owned(),
            );
        }
        self.topics.check(&self.regions).or_else(|why| bad(format!("topics: {why}")))?;
        edge::only_loopback(&[("grpc", self.grpc)], self.allow_remote).or_else(bad)?;
        self.limits.check().map_err(NodeError::Config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "{mesh: nyc, region: ewr, regions: [ewr, jfk], data: d, grpc: '127.0.0.1:1', peers: {jfk: 'http://127.0.0.1:2'}}";

    #[test]
    fn bad_configurations_name_the_thing_and_the_way_out() {
        let checked = |yaml: &str| Config::parse(yaml).and_then(|config| config.check());
        assert!(checked(GOOD).is_ok());
        for (old, new, message) in [
            ("region: ewr", "region: lga", "own region 'lga'"),
            ("127.0.0.1:1", "0.0.0.0:1", "allow_remote: true"),
            ("peers: {jfk", "peers: {sfo", "peer 'sfo'"),
            ("[ewr, jfk]", "[ewr, 'j.fk']", "without dots"),
            ("mesh: nyc", "mash: nyc", "mash"),
            ("mesh: nyc", "mesh: nyc, topics: {mirrored: '{topic}'}", "{region}"),
            ("mesh: nyc", "mesh: nyc, kafka: {bootstrap: 'h:1'}", "mm2-config"),
        ] {
            let error = checked(&GOOD.replacen(old, new, 1)).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }
}
