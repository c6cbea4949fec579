//! A gateway's configuration: one YAML file.

use std::net::SocketAddr;
use std::sync::Arc;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::serve::GatewayError;

/// Everything that a gateway must be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// This gateway's region.
    pub region: Arc<str>,
    /// Where to serve Feast's HTTP protocol.
    pub http: SocketAddr,
    /// Where to serve gRPC.
    pub grpc: SocketAddr,
    /// Where to serve Prometheus metrics.
    pub metrics: SocketAddr,
    /// The region's node, `http://host:port`.
    pub node: String,
    /// Other regions' gateways (gRPC, `http://host:port`), nearest first.
    #[serde(default)]
    pub peers: IndexMap<Arc<str>, String>,
    /// How long a read may take in all, ms.
    #[serde(default = "default_deadline_ms")]
    pub deadline_ms: u64,
    /// How long one region is waited for before the next is asked, ms.
    #[serde(default = "default_try_ms")]
    pub try_ms: u64,
    /// How long a push may take, ms.
    #[serde(default = "default_push_ms")]
    pub push_ms: u64,
    /// Requests at work at once; one more is refused.
    #[serde(default = "default_max_in_flight")]
    pub max_in_flight: usize,
    /// Serve on addresses that are not loopback although there is no TLS.
    #[serde(default)]
    pub allow_remote: bool,
}

fn default_deadline_ms() -> u64 {
    2_000
}

fn default_try_ms() -> u64 {
    1_000
}

fn default_push_ms() -> u64 {
    5_000
}

fn default_max_in_flight() -> usize {
    1_024
}

impl Config {
    /// Reads YAML; errors name the place.
    ///
    /// # Errors
    /// [`GatewayError::Config`].
    pub fn from_yaml(text: &str) -> Result<Self, GatewayError> {
        let config: Self =
            serde_saphyr::from_str(text).map_err(|e| GatewayError::Config(e.to_string()))?;
        config.check()?;
        Ok(config)
    }

    /// Checks what types cannot say.
    ///
    /// # Errors
    /// [`GatewayError::Config`].
    pub fn check(&self) -> Result<(), GatewayError> {
        let listen = [("http", self.http), ("grpc", self.grpc), ("metrics", self.metrics)];
        for (name, address) in listen {
            if !address.ip().is_loopback() && !self.allow_remote {
                return Err(GatewayError::Config(format!(
                    "{name}: {address} is not a loopback address, and there is no TLS yet; \
                     set allow_remote: true if the network is trusted"
                )));
            }
        }
        if self.peers.contains_key(&self.region) {
            return Err(GatewayError::Config(format!(
                "peers must not list this gateway's own region '{}'",
                self.region
            )));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "{region: ewr, http: '127.0.0.1:1', grpc: '127.0.0.1:2', metrics: '127.0.0.1:3', node: 'http://127.0.0.1:4', peers: {jfk: 'http://127.0.0.1:5'}}";

    #[test]
    fn bad_configurations_name_the_thing_and_the_way_out() {
        assert!(Config::from_yaml(GOOD).is_ok());
        for (old, new, message) in [
            ("127.0.0.1:1", "0.0.0.0:1", "allow_remote: true"),
            ("peers: {jfk", "peers: {ewr", "own region 'ewr'"),
            ("region: ewr", "reign: ewr", "reign"),
        ] {
            let error = Config::from_yaml(&GOOD.replacen(old, new, 1)).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }
}
