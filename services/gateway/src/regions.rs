//! The regions as this gateway sees them: the own node, then the other regions' gateways.
//!
//! Each is watched over a stream. One that ends it, or is silent for longer than it should be, is
//! unknown until it is heard again; it is still asked when nothing better is there.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use api::node::v1 as node;
use api::node::v1::node_client::NodeClient;
use clock::{Env, Task, timeout};
use tokio::sync::watch;
use tonic::transport::{Channel, Endpoint};

use crate::catalog_cache::CatalogCache;
use crate::config::Config;
use crate::serve::GatewayError;

/// A node speaks at least once a second.
const SILENCE_MS: u64 = 3_000;
const CONNECT: Duration = Duration::from_millis(200);
const FIRST_BACKOFF_MS: u64 = 50;
const MAX_BACKOFF_MS: u64 = 1_000;
/// Answers are bounded in values (see `request`), catalogs in entries.
const MAX_MESSAGE_BYTES: usize = 64 << 20;

/// What a region last said of itself; `None`: unknown.
pub(crate) type Health = Option<Arc<node::Health>>;

/// A region that can be asked.
#[derive(Clone, Debug)]
pub(crate) struct Region {
    /// Its name.
    pub(crate) name: Arc<str>,
    /// Its node, or the gateway in front of it.
    pub(crate) client: NodeClient<Channel>,
    health: watch::Receiver<Health>,
}

impl Region {
    /// Lazily connected: nothing needs to be up for a gateway to start.
    fn new(
        name: Arc<str>,
        address: &str,
        health: watch::Receiver<Health>,
    ) -> Result<Self, GatewayError> {
        let endpoint = Endpoint::from_shared(address.to_owned()).map_err(|cause| {
            GatewayError::Config(format!(
                "{name}: '{address}' is no address like http://host:port ({cause})"
            ))
        })?;
        let channel = endpoint.connect_timeout(CONNECT).tcp_nodelay(true).connect_lazy();
        let client = NodeClient::new(channel)
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES);
        Ok(Self { name, client, health })
    }

    /// What it last said.
    pub(crate) fn health(&self) -> Health {
        self.health.borrow().clone()
    }

    /// To be told of changes.
    pub(crate) fn watch(&self) -> watch::Receiver<Health> {
        self.health.clone()
    }

    /// 0: ready; 1: answers, but of an older state; 2: unknown, or says that it cannot.
    fn rank(&self) -> u8 {
        match &*self.health.borrow() {
            Some(health) if health.ready && health.serving => 0,
            Some(health) if health.serving => 1,
            _ => 2,
        }
    }
}

/// All regions, nearest first.
pub(crate) struct Regions {
    all: Vec<Region>,
    _watching: Vec<Task>,
}

impl Regions {
    /// Starts to watch every region, and to take in their catalogs.
    pub(crate) fn start(
        config: &Config,
        env: &Arc<dyn Env>,
        catalog: &Arc<CatalogCache>,
    ) -> Result<Self, GatewayError> {
        let own = std::iter::once((&config.region, &config.node));
        let (mut all, mut watching) = (Vec::new(), Vec::new());
        for (name, address) in own.chain(&config.peers) {
            let (sender, health) = watch::channel(None);
            let region = Region::new(name.clone(), address, health)?;
            let watcher = Watcher {
                region: region.clone(),
                env: env.clone(),
                catalog: catalog.clone(),
                health: sender,
                taken: None,
            };
            watching.push(env.spawn("watch region", Box::pin(watcher.run())));
            all.push(region);
        }
        Ok(Self { all, _watching: watching })
    }

    /// The own region.
    pub(crate) fn own(&self) -> &Region {
        &self.all[0]
    }

    /// Whom to ask, in this order.
    pub(crate) fn candidates(&self) -> Vec<&Region> {
        let mut candidates: Vec<&Region> = self.all.iter().collect();
        candidates.sort_by_key(|region| region.rank());
        candidates
    }

    /// Whether some region says that it can answer.
    pub(crate) fn serving(&self) -> bool {
        self.all.iter().any(|region| region.rank() < 2)
    }

    /// The versions of views (`view@v2`) that have caught up, as the first candidate says.
    pub(crate) fn covered(&self) -> HashSet<String> {
        let health = self.candidates().into_iter().find_map(Region::health);
        health.map(|health| health.covered.iter().cloned().collect()).unwrap_or_default()
    }
}

/// Follows one region.
struct Watcher {
    region: Region,
    env: Arc<dyn Env>,
    catalog: Arc<CatalogCache>,
    health: watch::Sender<Health>,
    /// The generation of this region that has been taken in.
    taken: Option<u64>,
}

impl Watcher {
    async fn run(mut self) {
        let mut backoff_ms = FIRST_BACKOFF_MS;
        loop {
            let ended = self.follow().await;
            if self.health.send_replace(None).is_some() {
                tracing::warn!(region = &*self.region.name, reason = ended, "region lost");
                backoff_ms = FIRST_BACKOFF_MS;
            }
            let jitter_ms = self.env.random_u64() % backoff_ms;
            self.env.sleep_ms(backoff_ms / 2 + jitter_ms).await;
            backoff_ms = (backoff_ms * 2).min(MAX_BACKOFF_MS);
        }
    }

    /// One stream, until it ends; says why it did.
    async fn follow(&mut self) -> String {
        let mut client = self.region.client.clone();
        let opening = async move { client.watch(node::WatchRequest {}).await };
        let mut stream = match timeout(&self.env, SILENCE_MS, opening).await {
            Ok(Ok(response)) => response.into_inner(),
            Ok(Err(status)) => return status.message().to_owned(),
            Err(_) => return "no connection".into(),
        };
        loop {
            let health = match timeout(&self.env, SILENCE_MS, stream.message()).await {
                Ok(Ok(Some(health))) => health,
                Ok(Ok(None)) => return "it ended the stream".into(),
                Ok(Err(status)) => return status.message().to_owned(),
                Err(_) => return format!("silent for {SILENCE_MS} ms"),
            };
            if *health.region != *self.region.name {
                return format!("its address is that of region '{}'", health.region);
            }
            if self.taken != Some(health.generation) {
                self.take_catalog().await;
            }
            if self.health.send_replace(Some(Arc::new(health))).is_none() {
                tracing::info!(region = &*self.region.name, "region found");
            }
        }
    }

    /// Fetches what this region has and the gateway may not have. Failing, the next message of the
    /// stream tries again.
    async fn take_catalog(&mut self) {
        let known_generation = self.catalog.now().generation();
        let mut client = self.region.client.clone();
        let request = node::CatalogRequest { known_generation };
        let fetching = async move { client.catalog(request).await };
        if let Ok(Ok(response)) = timeout(&self.env, SILENCE_MS, fetching).await {
            let response = response.into_inner();
            self.catalog.take(&response.entries);
            self.taken = Some(response.generation);
        }
    }
}
