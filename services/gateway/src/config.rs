//! A gateway's configuration: one YAML file.

use std::net::SocketAddr;
use std::sync::Arc;

use edge::Limits;
use indexmap::IndexMap;
use serde::{Deserialize, Deserializer, Serialize};
use telemetry::Traces;

use crate::serve::GatewayError;

/// Everything that a gateway must be told. Port 0 picks a free one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// This gateway's region.
    pub region: Arc<str>,
    /// Where to serve HTTP.
    pub http: SocketAddr,
    /// Where to serve gRPC.
    pub grpc: SocketAddr,
    /// Where to serve `/metrics`.
    pub metrics: SocketAddr,
    /// The own region's node, `http://host:port`, or a list of its nodes: each serves all, and reads
    /// go to whichever is best.
    #[serde(rename = "node", deserialize_with = "one_or_more")]
    pub nodes: Vec<String>,
    /// The other regions, in the order to ask them while round trips, which are measured, do not tell
    /// them apart: the gRPC of their gateway (or, where there is none in
    /// between, of their node, which answers the same calls), `http://host:port`.
    #[serde(default)]
    pub peers: IndexMap<Arc<str>, String>,
    /// Regions that count as so many times as near as they are; 1 for those that are not here.
    #[serde(default)]
    pub prefer: IndexMap<Arc<str>, f64>,
    /// Serve on addresses that are not loopback although there is no TLS.
    #[serde(default)]
    pub allow_remote: bool,
    /// How long a read may take in all, over all regions that are tried, ms.
    #[serde(default = "default_deadline_ms")]
    pub deadline_ms: u64,
    /// How long one region may take to answer a read, beyond waiting for tokens, ms.
    #[serde(default = "default_try_ms")]
    pub try_ms: u64,
    /// How long a push may take, ms.
    #[serde(default = "default_push_ms")]
    pub push_ms: u64,
    /// Requests that are worked on at a time, at most; the limit adapts below it.
    #[serde(default = "default_in_flight")]
    pub max_in_flight: usize,
    /// Requests that wait for a moment until they are worked on; more are refused.
    #[serde(default = "default_waiting")]
    pub max_waiting: usize,
    /// What a client, by its `x-meridian-client`, may ask; absent: whatever it likes.
    #[serde(default)]
    pub quota: Option<Quota>,
    /// Answers that are kept for readers who say how old one may be, bytes as sent.
    #[serde(default = "default_cache_bytes")]
    pub cache_bytes: u64,
    /// Reads that may be asked of a second region because the first one is slow, percent.
    #[serde(default = "default_hedge_percent")]
    pub hedge_percent: u64,
    /// Reads that may be asked again because a region did not answer, percent; and in addition,
    #[serde(default = "default_retry_percent")]
    pub retry_percent: u64,
    /// so many a second.
    #[serde(default = "default_retry_per_s")]
    pub retry_per_s: u64,
    /// A gateway that is told to end stays until nothing has been asked of it for so long, ms: clients
    /// have gone elsewhere then; but
    #[serde(default = "default_drain_quiet_ms")]
    pub drain_quiet_ms: u64,
    /// no longer than this, ms. Whoever would kill it must wait some seconds longer.
    #[serde(default = "default_drain_ms")]
    pub drain_ms: u64,
    /// Where the spans of traced requests go.
    #[serde(default)]
    pub traces: Traces,
    /// What each port allows its clients.
    #[serde(default)]
    pub limits: Limits,
}

/// A client's share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quota {
    /// Requests a second.
    pub per_s: u64,
    /// Requests at once.
    pub burst: u64,
}

/// A text, or a list of texts.
fn one_or_more<'de, D: Deserializer<'de>>(yaml: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMore {
        One(String),
        More(Vec<String>),
    }
    Ok(match OneOrMore::deserialize(yaml)? {
        OneOrMore::One(node) => vec![node],
        OneOrMore::More(nodes) => nodes,
    })
}

fn default_drain_quiet_ms() -> u64 {
    500
}

fn default_drain_ms() -> u64 {
    3_000
}

fn default_cache_bytes() -> u64 {
    64 << 20
}

fn default_waiting() -> usize {
    256
}

fn default_hedge_percent() -> u64 {
    5
}

fn default_retry_percent() -> u64 {
    20
}

fn default_retry_per_s() -> u64 {
    10
}

fn default_deadline_ms() -> u64 {
    1_000
}

fn default_try_ms() -> u64 {
    400
}

fn default_push_ms() -> u64 {
    5_000
}

fn default_in_flight() -> usize {
    1_024
}

impl Config {
    /// Reads YAML. What it says may still be overridden, so whoever runs it checks it.
    ///
    /// # Errors
    /// [`GatewayError::Config`], naming the place.
    pub fn parse(text: &str) -> Result<Self, GatewayError> {
        serde_saphyr::from_str(text).map_err(|error| GatewayError::Config(error.to_string()))
    }

    /// Checks what types cannot say.
    ///
    /// # Errors
    /// [`GatewayError::Config`].
    pub fn check(&self) -> Result<(), GatewayError> {
        let bad = |message: String| Err(GatewayError::Config(message));
        let listeners = [("http", self.http), ("grpc", self.grpc), ("metrics", self.metrics)];
        edge::only_loopback(&listeners, self.allow_remote).or_else(bad)?;
        if self.nodes.is_empty() {
            return bad("node: name the region's node, or its nodes".into());
        }
        if self.peers.contains_key(&self.region) {
            return bad(format!(
                "peers: '{}' is this gateway's own region; it goes in node",
                self.region
            ));
        }
        if self.max_in_flight == 0 || self.deadline_ms == 0 || self.try_ms == 0 {
            return bad("max_in_flight, deadline_ms and try_ms must be above 0".into());
        }
        if let Some((region, bias)) =
            self.prefer.iter().find(|(_, bias)| !bias.is_normal() || **bias < 0.0)
        {
            return bad(format!("prefer: {region}: {bias} is not a factor above 0"));
        }
        let known = |region: &Arc<str>| *region == self.region || self.peers.contains_key(region);
        if let Some(region) = self.prefer.keys().find(|region| !known(region)) {
            return bad(format!("prefer: '{region}' is neither this region nor one of the peers"));
        }
        if self.quota.as_ref().is_some_and(|quota| quota.per_s == 0 || quota.burst == 0) {
            return bad("quota: per_s and burst must be above 0".into());
        }
        if self.hedge_percent > 100 || self.retry_percent > 100 {
            return bad("hedge_percent and retry_percent are at most 100".into());
        }
        self.limits.check().map_err(GatewayError::Config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "{region: ewr, http: '127.0.0.1:1', grpc: '127.0.0.1:2', \
        metrics: '127.0.0.1:3', node: 'http://127.0.0.1:4', peers: {lga: 'http://127.0.0.1:5', \
        jfk: 'http://127.0.0.1:6'}}";

    fn checked(yaml: &str) -> Result<Config, GatewayError> {
        let config = Config::parse(yaml)?;
        config.check().map(|()| config)
    }

    #[test]
    fn keeps_the_order_of_nearness() {
        let config = checked(GOOD).unwrap();
        assert!(config.peers.keys().map(|region| &**region).eq(["lga", "jfk"]));
        assert_eq!(config.deadline_ms, 1_000);
    }

    #[test]
    fn a_region_has_a_node_or_several() {
        let one = checked(GOOD).unwrap();
        assert_eq!(one.nodes, ["http://127.0.0.1:4"]);
        let list = "['http://127.0.0.1:4', 'http://127.0.0.1:7']";
        let several = checked(&GOOD.replace("'http://127.0.0.1:4'", list)).unwrap();
        assert_eq!(several.nodes, ["http://127.0.0.1:4", "http://127.0.0.1:7"]);
    }

    #[test]
    fn bad_configurations_name_the_thing_and_the_way_out() {
        for (old, new, message) in [
            ("127.0.0.1:1", "0.0.0.0:1", "allow_remote: true"),
            ("'http://127.0.0.1:4'", "[]", "name the region's node"),
            ("lga:", "ewr:", "own region"),
            ("region:", "regoin:", "regoin"),
            ("{region", "{max_in_flight: 0, region", "max_in_flight"),
            ("{region", "{prefer: {lga: 0}, region", "lga: 0"),
            ("{region", "{prefer: {sfo: 2}, region", "'sfo'"),
            ("{region", "{quota: {per_s: 0, burst: 1}, region", "per_s"),
            ("{region", "{hedge_percent: 101, region", "hedge_percent"),
            ("{region", "{limits: {idle_ms: 0}, region", "limits: idle_ms"),
            ("{region", "{limits: {max_conections: 9}, region", "max_conections"),
        ] {
            let error = checked(&GOOD.replacen(old, new, 1)).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }
}
