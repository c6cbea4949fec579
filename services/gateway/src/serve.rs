//! The gateway's edges: three ports over one door.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use api::node::v1::node_server::NodeServer;
use api::v1::mesh_server::MeshServer;
use axum::Router;
use axum::http::request::Parts;
use clock::{Env, timeout};
use edge::{BindError, Port, Speaks};
use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use routing::{Departure, Drain, DrainSettings};
use telemetry::{Begins, Metrics};
use tokio::sync::watch;
use tonic::service::{LayerExt, Routes};
use tower::util::MapResponseLayer;

use crate::cache::Answers;
use crate::catalog_cache::CatalogCache;
use crate::config::Config;
use crate::door::Door;
use crate::extra::Extra;
use crate::gate::Gate;
use crate::grpc::{MeshService, Relay, blame_caller};
use crate::http;
use crate::metrics::{Instruments, Watched};
use crate::pushing::Pusher;
use crate::regions::Regions;
use crate::resolutions::Resolutions;

/// A request names at most a few thousand entities or events.
const MAX_MESSAGE_BYTES: usize = 16 << 20;
/// How long the first requests wait for somebody to say what the catalog is; then they are refused.
const FIRST_CATALOG_MS: u64 = 2_000;
/// How often a gateway that ends looks whether it is still asked, ms.
const LOOK_MS: u64 = 20;
/// Streams that others hold open do not keep a gateway from ending.
const GRACE: Duration = Duration::from_secs(2);

/// Why a gateway did not start, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// The configuration is not what it should be.
    #[error("the gateway's configuration: {0}")]
    Config(String),
    /// A port cannot be had.
    #[error(transparent)]
    Listen(#[from] BindError),
    /// A port's address is not known.
    #[error("a port that is bound has no address: {0}")]
    Address(#[from] std::io::Error),
    /// The reflection service could not be built.
    #[error("reflection: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
}

/// Where a gateway listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    /// Feast's HTTP protocol.
    pub http: SocketAddr,
    /// gRPC.
    pub grpc: SocketAddr,
    /// `/metrics`.
    pub metrics: SocketAddr,
}

/// A gateway whose ports are bound.
pub struct Gateway {
    door: Arc<Door>,
    metrics: Metrics,
    ports: [Port; 3],
    addresses: Addresses,
}

type Stop = Shared<BoxFuture<'static, ()>>;

impl Gateway {
    /// Binds all ports, and starts to watch the regions; none of them needs to be up. Within a tokio runtime.
    ///
    /// # Errors
    /// The configuration, or a port in use.
    pub fn bind(config: Config, env: Arc<dyn Env>) -> Result<Self, GatewayError> {
        config.check()?;
        let port =
            |name, address, speaks| Port::bind((name, address), speaks, config.limits, env.clone());
        let ports = [
            port("http", config.http, Speaks::Http)?.traced(http::span),
            port("grpc", config.grpc, Speaks::Grpc)?.traced(span),
            port("metrics", config.metrics, Speaks::Http)?,
        ];
        let addresses = Addresses {
            http: ports[0].local_addr()?,
            grpc: ports[1].local_addr()?,
            metrics: ports[2].local_addr()?,
        };
        let mut metrics = Metrics::default();
        edge::observe(metrics.registry(), &ports);
        let catalog = Arc::new(CatalogCache::default());
        let instruments = Arc::new(Instruments::new(metrics.registry()));
        let regions = Arc::new(Regions::start(&config, &env, &catalog, &instruments)?);
        let door = Arc::new(Door {
            gate: Arc::new(Gate::new(&config, env.clone(), instruments.clone())),
            answers: Answers::new(
                config.cache_bytes,
                env.clone(),
                instruments.clone(),
                regions.clone(),
            ),
            extra: Extra::new(&config, env.clone()),
            resolutions: Resolutions::default(),
            pusher: Pusher::new(
                &config,
                env.clone(),
                (regions.clone(), catalog.clone()),
                instruments.clone(),
            ),
            draining: watch::Sender::new(false),
            regions,
            instruments,
            catalog,
            env,
            config,
        });
        metrics.registry().register_collector(Box::new(Watched::new(&door)));
        Ok(Self { door, metrics, ports, addresses })
    }

    /// Where it listens; ports that were 0 are known here.
    #[must_use]
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// Serves until `shutdown` completes, and then for as long as others need to go elsewhere. Boxed,
    /// or whoever calls it would compile all of it once more.
    ///
    /// # Errors
    /// The reflection service could not be built.
    pub fn serve(
        self,
        shutdown: BoxFuture<'static, ()>,
    ) -> BoxFuture<'static, Result<(), GatewayError>> {
        self.serve_ports(shutdown).boxed()
    }

    async fn serve_ports(self, shutdown: BoxFuture<'static, ()>) -> Result<(), GatewayError> {
        let door = self.door.clone();
        let drained = async move {
            shutdown.await;
            tracing::info!("draining");
            door.draining.send_replace(true);
            let departure = drained(&door).await;
            tracing::info!(?departure, "drained");
        };
        let stop: Stop = drained.boxed().shared();
        let [http, grpc, metrics] = self.ports;
        let calls = grpc_router(self.door.clone())?;
        let requests = async {
            let catalog = self.door.catalog.heard();
            let _ = timeout(&self.door.env, FIRST_CATALOG_MS, catalog).await;
            tokio::join!(
                http.serve(http::serving(self.door.clone()), stop.clone()),
                grpc.serve(calls, stop.clone()),
            )
        };
        let metrics = metrics.serve(self.metrics.router(), stop.clone());
        let serving = async { tokio::join!(requests, metrics) };
        let ending = async {
            stop.clone().await;
            tokio::time::sleep(GRACE).await;
        };
        tokio::select! {
            _ = serving => {}
            () = ending => {}
        }
        Ok(())
    }
}

/// Binds and serves a gateway until `shutdown` completes.
///
/// # Errors
/// See [`Gateway::bind`] and [`Gateway::serve`].
pub async fn run(
    config: Config,
    env: Arc<dyn Env>,
    shutdown: BoxFuture<'static, ()>,
) -> Result<(), GatewayError> {
    let gateway = Gateway::bind(config, env)?;
    let Addresses { http, grpc, metrics } = gateway.addresses();
    tracing::info!(%http, %grpc, %metrics, "gateway");
    gateway.serve(shutdown).await
}

/// Waits until nobody asks any more, or the time is up.
async fn drained(door: &Door) -> Departure {
    let Config { drain_quiet_ms: quiet_ms, drain_ms: most_ms, .. } = door.config;
    let (gate, env) = (&door.gate, &door.env);
    let mut drain =
        Drain::new(DrainSettings { quiet_ms, most_ms }, gate.busy(), env.monotonic_ms());
    loop {
        match drain.look(gate.busy(), env.monotonic_ms()) {
            Departure::Stays => env.sleep_ms(LOOK_MS).await,
            departure => return departure,
        }
    }
}

fn grpc_router(door: Arc<Door>) -> Result<Router, GatewayError> {
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(api::DESCRIPTORS)
    };
    // Many clients ask for the older name of the same service only.
    let (v1, v1alpha) = (reflection().build_v1()?, reflection().build_v1alpha()?);
    let mesh = MeshServer::new(MeshService::new(door.clone()))
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES);
    let relay = NodeServer::new(Relay::new(door))
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES);
    let calls = Routes::new(MapResponseLayer::new(blame_caller).named_layer(mesh))
        .add_service(MapResponseLayer::new(blame_caller).named_layer(relay))
        .add_service(v1)
        .add_service(v1alpha);
    Ok(calls.prepare().into_axum_router())
}

/// Clients come by `Mesh`; what comes by `Node` is another gateway's.
fn span(request: &Parts) -> tracing::Span {
    let path = request.uri.path();
    let begins = match path.starts_with("/meridian.v1.Mesh/") {
        true => Begins::Traces,
        false => Begins::Nothing,
    };
    telemetry::server(&request.headers, begins, || path.trim_start_matches('/').to_owned())
}
