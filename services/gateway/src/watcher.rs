//! Follows one region: what it says of itself over a stream, and how far away it is. One that ends
//! the stream, or is silent for longer than it should be, is unknown until it is heard again.

use std::sync::Arc;

use api::node::v1 as node;
use api::node::v1::node_client::NodeClient;
use clock::{Env, timeout};
use lattice::{Origin, TopicId};
use routing::Part;
use tokio::sync::watch;
use tonic::transport::Channel;

use crate::catalog_cache::CatalogCache;
use crate::hop;
use crate::regions::{Health, Region, Routes, Said};
use crate::resolutions::Covered;

/// A node speaks twice a second at least.
const SILENCE_MS: u64 = 2_000;
const FIRST_BACKOFF_MS: u64 = 50;
const MAX_BACKOFF_MS: u64 = 1_000;
/// A mesh has no more shards.
const MOST_SHARDS: usize = 1 << 16;
/// Between two measurements of the round trip, ms.
const PING_EVERY_MS: u64 = 250;
/// A round trip that is longer counts as this, ms.
const PING_MOST_MS: u64 = 1_000;

/// Follows one region.
pub(crate) struct Watcher {
    at: usize,
    region: Region,
    routes: Arc<Routes>,
    env: Arc<dyn Env>,
    catalog: Arc<CatalogCache>,
    health: watch::Sender<Health>,
    /// The generation of this region that has been taken in.
    taken: Option<u64>,
}

impl Watcher {
    pub(crate) fn new(
        at: usize,
        region: &Region,
        routes: &Arc<Routes>,
        env: &Arc<dyn Env>,
        catalog: &Arc<CatalogCache>,
        health: watch::Sender<Health>,
    ) -> Self {
        let (region, routes) = (region.clone(), routes.clone());
        let (env, catalog) = (env.clone(), catalog.clone());
        Self { at, region, routes, env, catalog, health, taken: None }
    }

    pub(crate) async fn run(mut self) {
        let mut backoff_ms = FIRST_BACKOFF_MS;
        loop {
            let ended = self.follow().await;
            self.routes.lost(self.at);
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
        let opening = async move { client.watch(hop::first(node::WatchRequest {})).await };
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
            self.region.heard(&health.frontiers);
            self.routes.heard(self.at, said(&health));
            let covered = self.covered(&health);
            let shards = served(&health.shards);
            let said = Arc::new(Said { health, covered, shards });
            if self.health.send_replace(Some(said)).is_none() {
                tracing::info!(region = &*self.region.name, "region found");
            }
        }
    }

    /// What it says has caught up; what it said before, if that is the same.
    fn covered(&self, health: &node::Health) -> Arc<Covered> {
        let covered: Covered = health.covered.iter().cloned().collect();
        let before = self.health.borrow();
        let before = before.as_ref().map(|said| &said.covered);
        before.filter(|before| ***before == covered).cloned().unwrap_or_else(|| covered.into())
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

/// Measures the round trip to a region's node, for ever.
pub(crate) async fn ping(
    at: usize,
    client: NodeClient<Channel>,
    routes: Arc<Routes>,
    env: Arc<dyn Env>,
) {
    // The first one over a connection makes the connection.
    let mut connected = false;
    loop {
        let started_us = env.monotonic_us();
        let mut client = client.clone();
        let asking = async move { client.ping(hop::first(node::PingRequest {})).await };
        match timeout(&env, PING_MOST_MS, asking).await {
            Ok(Ok(_)) if connected => routes.measured(at, env.monotonic_us() - started_us),
            Ok(Ok(_)) => connected = true,
            // One that is not there is known to be lost otherwise, and its distance is not news.
            Ok(Err(_)) => connected = false,
            Err(_) => routes.measured(at, PING_MOST_MS * 1_000),
        }
        env.sleep_ms(PING_EVERY_MS).await;
    }
}

/// By shard, whether it is among these. Numbers that no mesh has are left out.
fn served(shards: &[u32]) -> Vec<bool> {
    let known = shards.iter().map(|shard| *shard as usize).filter(|shard| *shard < MOST_SHARDS);
    let mut served = Vec::new();
    for shard in known {
        served.resize(served.len().max(shard + 1), false);
        served[shard] = true;
    }
    served
}

/// A region's word as the router takes it.
fn said(health: &node::Health) -> routing::Health {
    let part = |(region, info): (&String, &api::v1::OriginInfo)| {
        let part = Part { age_ms: info.age_ms, complete_to_ms: info.complete_to_ms };
        (region.as_str().into(), part)
    };
    let frontier = |position: &node::Position| Some((origin(position)?, position.offset));
    routing::Health {
        serving: health.serving,
        ready: health.ready,
        draining: health.draining,
        parts: health.origins.iter().map(part).collect(),
        frontiers: health.frontiers.iter().filter_map(frontier).collect(),
        reason: health.reason.clone(),
    }
}

/// The origin that a position is in; `None`: it is none.
pub(crate) fn origin(position: &node::Position) -> Option<Origin> {
    let topic = TopicId(<[u8; 16]>::try_from(&position.topic_id[..]).ok()?);
    Some(Origin { region: position.region.as_str().into(), topic, partition: position.partition })
}
