//! A process that mirrors the other regions' Kafka into its region's, exactly once, where nobody wants
//! to run MirrorMaker 2. Several may run: one works, and the others take over when it dies.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use api::mirror::v1::mirror_server::{Mirror, MirrorServer};
use api::mirror::v1::{StatusRequest, StatusResponse};
use api::v1::MirrorStatus;
use axum::Router;
use backbone::Tailer;
use backbone_kafka::KafkaLog;
use clock::Env;
use edge::{Limits, Port, Speaks};
use futures::FutureExt;
use futures::future::BoxFuture;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use serde::{Deserialize, Serialize};
use store::MemoryCheckpoints;
use telemetry::Metrics;
use tonic::service::Routes;
use tonic::{Request, Response, Status};

use crate::kafka::Kafka;
use crate::mirrors::{Mirrors, Sharing};
use crate::serve::{GRACE_MS, NodeError};
use crate::shared::{Identity, Shared};
use crate::topics::Names;
use crate::{catalog_watch, status};

/// Everything that a mirror must be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MirrorConfig {
    /// The mesh's name: part of every claim.
    pub mesh: Arc<str>,
    /// The region that is mirrored to.
    pub region: Arc<str>,
    /// Its Kafka cluster.
    pub kafka: Kafka,
    /// The other regions' clusters, which are only read.
    pub kafka_peers: BTreeMap<Arc<str>, Kafka>,
    /// How topics are called, here and there.
    #[serde(default)]
    pub topics: Names,
    /// Where to say how it is, over gRPC.
    pub grpc: SocketAddr,
    /// Where to serve `/metrics`.
    pub metrics: SocketAddr,
    /// Serve on addresses that are not loopback although there is no TLS.
    #[serde(default)]
    pub allow_remote: bool,
    /// What each port allows its clients.
    #[serde(default)]
    pub limits: Limits,
}

impl MirrorConfig {
    /// Reads YAML. What it says may still be overridden, so whoever runs it checks it.
    ///
    /// # Errors
    /// [`NodeError::Config`], naming the place.
    pub fn parse(text: &str) -> Result<Self, NodeError> {
        serde_saphyr::from_str(text).map_err(|error| NodeError::Config(error.to_string()))
    }

    fn regions(&self) -> Vec<Arc<str>> {
        self.kafka_peers.keys().chain([&self.region]).cloned().collect()
    }

    /// Checks what types cannot say.
    pub fn check(&self) -> Result<(), NodeError> {
        let bad = |message: String| Err(NodeError::Config(message));
        if self.kafka_peers.is_empty() {
            return bad("kafka_peers: name the regions to mirror from, and their clusters".into());
        }
        if self.kafka_peers.contains_key(&self.region) {
            return bad(format!(
                "kafka_peers: '{}' is the region that is mirrored to; it goes in kafka",
                self.region
            ));
        }
        self.topics.check(&self.regions()).or_else(|why| bad(format!("topics: {why}")))?;
        let listeners = [("grpc", self.grpc), ("metrics", self.metrics)];
        edge::only_loopback(&listeners, self.allow_remote).or_else(bad)?;
        self.limits.check().or_else(bad)
    }
}

/// Mirrors until `shutdown` completes. Boxed, or whoever calls it would compile all of it once more.
///
/// # Errors
/// The configuration, the ports, or Kafka's properties.
pub fn run(
    config: MirrorConfig,
    env: Arc<dyn Env>,
    shutdown: BoxFuture<'static, ()>,
) -> BoxFuture<'static, Result<(), NodeError>> {
    run_all(config, env, shutdown).boxed()
}

async fn run_all(
    config: MirrorConfig,
    env: Arc<dyn Env>,
    shutdown: BoxFuture<'static, ()>,
) -> Result<(), NodeError> {
    config.check()?;
    let port =
        |name, address, speaks| Port::bind((name, address), speaks, config.limits, env.clone());
    let ports =
        [port("grpc", config.grpc, Speaks::Grpc)?, port("metrics", config.metrics, Speaks::Http)?];
    let mut peers: Vec<(Arc<str>, Arc<dyn Tailer>)> = Vec::new();
    for (region, peer) in &config.kafka_peers {
        peers.push((region.clone(), KafkaLog::new(peer.options()?, env.clone())?));
    }
    let log = KafkaLog::new(config.kafka.options()?, env.clone())?;
    let regions = config.regions();
    let (mesh, region, topics) = (config.mesh, config.region.clone(), config.topics);
    let identity = Identity { mesh, region, regions, topics };
    // Of a node it has the catalog alone: that names the sources whose deltas are mirrored.
    let shared =
        Arc::new(Shared::new(identity, env.clone(), log, Arc::new(MemoryCheckpoints::default())));
    let _catalog = catalog_watch::start(&shared);
    let mirrors = Arc::new(Mirrors::start(&shared, peers, Sharing::InTurn));
    let mut observed = Metrics::default();
    observed.registry().register_collector(Box::new(Watched(mirrors.clone())));
    edge::observe(observed.registry(), &ports);
    let service = MirrorServer::new(Service { region: config.region, mirrors });
    let calls = Routes::new(service).prepare().into_axum_router();
    serve(ports, [calls, observed.router()], (env, shutdown)).await;
    Ok(())
}

/// Until it is told to end, and for a moment after that: nobody holds it up.
async fn serve(
    [grpc, metrics]: [Port; 2],
    [calls, scrapes]: [Router; 2],
    (env, shutdown): (Arc<dyn Env>, BoxFuture<'static, ()>),
) {
    let stop = shutdown.shared();
    let serving = async {
        tokio::join!(grpc.serve(calls, stop.clone()), metrics.serve(scrapes, stop.clone()))
    };
    let ending = async {
        stop.clone().await;
        env.sleep_ms(GRACE_MS).await;
    };
    tokio::select! {
        biased;
        _ = serving => {}
        () = ending => {}
    }
}

struct Service {
    region: Arc<str>,
    mirrors: Arc<Mirrors>,
}

#[tonic::async_trait]
impl Mirror for Service {
    async fn status(&self, _: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        let (region, mirrors) = (self.region.to_string(), status::mirrors(&self.mirrors));
        Ok(Response::new(StatusResponse { region, mirrors }))
    }
}

/// What it counts, each by the region that is read from, whenever somebody asks.
struct Watched(Arc<Mirrors>);

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watched")
    }
}

impl Collector for Watched {
    fn encode(&self, mut out: DescriptorEncoder<'_>) -> fmt::Result {
        let mirrors = status::mirrors(&self.0);
        let mut each = |name, help, value: fn(&MirrorStatus) -> u64| {
            let mut metric = out.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for mirror in &mirrors {
                let of = [("from", &*mirror.from)];
                metric.encode_family(&of)?.encode_gauge(&value(mirror))?;
            }
            Ok(())
        };
        let help = "Offsets that are still to be copied";
        each("meridian_mirror_lag", help, |mirror| mirror.lag)?;
        let help = "1: this process copies; 0: it stands by";
        each("meridian_mirror_working", help, |mirror| u64::from(!mirror.standby))?;
        let help = "1: the last session ended with an error";
        each("meridian_mirror_failing", help, |mirror| u64::from(!mirror.error.is_empty()))?;
        let counter = MetricType::Counter;
        let mut records =
            out.encode_descriptor("meridian_mirror_records", "Records copied", None, counter)?;
        for mirror in &mirrors {
            let of = [("from", &*mirror.from)];
            records
                .encode_family(&of)?
                .encode_counter::<NoLabelSet, _, u64>(&mirror.records, None)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clock::SystemEnv;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpSocket;
    use tokio::time::timeout;

    use super::*;

    /// Only a failing test waits for it.
    const PATIENCE: Duration = Duration::from_secs(20);

    const GOOD: &str = "{mesh: nyc, region: ewr, grpc: '127.0.0.1:1', metrics: '127.0.0.1:2', \
        kafka: {bootstrap: 'h:1'}, kafka_peers: {jfk: {bootstrap: 'h:2'}}}";

    /// Sends something as soon as somebody listens; all that comes until the other side ends it.
    async fn say(to: SocketAddr, words: &str) -> String {
        let talk = async {
            let mut stream = loop {
                // From another address than its own: a port of its own choice may be the very one that
                // nobody listens at yet, and then it would talk to itself.
                let socket = TcpSocket::new_v4().unwrap();
                socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
                match socket.connect(to).await {
                    Ok(stream) => break stream,
                    Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
                }
            };
            stream.write_all(words.as_bytes()).await.unwrap();
            let mut heard = Vec::new();
            stream.read_to_end(&mut heard).await.unwrap();
            String::from_utf8_lossy(&heard).into_owned()
        };
        timeout(PATIENCE, talk).await.expect("it is ended")
    }

    /// It serves them whether its Kafka is there or not.
    #[tokio::test(flavor = "multi_thread")]
    async fn its_ports_end_slow_clients() {
        let free = || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let (grpc, metrics) = (free(), free());
        let yaml = GOOD
            .replacen("127.0.0.1:1", &grpc.to_string(), 1)
            .replacen("127.0.0.1:2", &metrics.to_string(), 1)
            .replacen("{mesh", "{limits: {head_ms: 100}, mesh", 1)
            .replace("h:1", "127.0.0.1:1")
            .replace("h:2", "127.0.0.1:1");
        let (end, told) = tokio::sync::oneshot::channel::<()>();
        let config = MirrorConfig::parse(&yaml).unwrap();
        let running = tokio::spawn(run(config, SystemEnv::shared(), told.map(drop).boxed()));
        let told = say(metrics, "GET /metrics HTTP/1.1\r\nhost").await;
        assert!(told.starts_with("HTTP/1.1 408"), "{told}");
        say(grpc, "PRI * HTTP/2.0\r\n").await;
        let scraped =
            say(metrics, "GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
        for port in ["grpc", "metrics"] {
            let line =
                format!("meridian_port_closed_total{{port=\"{port}\",reason=\"slow_head\"}} 1");
            assert!(scraped.contains(&line), "{line} in {scraped}");
        }
        drop(end);
        timeout(PATIENCE, running).await.expect("it ends").unwrap().unwrap();
    }

    #[test]
    fn bad_configurations_name_the_thing_and_the_way_out() {
        let checked = |yaml: &str| MirrorConfig::parse(yaml).and_then(|config| config.check());
        assert!(checked(GOOD).is_ok());
        for (old, new, message) in [
            ("127.0.0.1:2", "0.0.0.0:2", "allow_remote: true"),
            ("{jfk:", "{ewr:", "'ewr' is the region"),
            ("{jfk: {bootstrap: 'h:2'}}", "{}", "name the regions"),
            ("mesh: nyc", "mash: nyc", "mash"),
            ("{mesh", "{limits: {idle_ms: 0}, mesh", "limits: idle_ms"),
        ] {
            let error = checked(&GOOD.replacen(old, new, 1)).unwrap_err();
            assert!(error.to_string().contains(message), "{error}");
        }
    }
}
