//! The regions as this gateway sees them: the own node, then the other regions' gateways, and the
//! router that says which of them to ask.

use std::sync::Arc;
use std::time::Duration;

use api::node::v1 as node;
use api::node::v1::node_client::NodeClient;
use arc_swap::{ArcSwap, Guard};
use clock::{Env, Task};
use futures::FutureExt;
use futures::future::{join_all, select_ok};
use parking_lot::Mutex;
use routing::{
    Lagging, Move, Need, Outcome, Pick, Priority, Router, Row, Settings, Standing, Transition, Try,
};
use tokio::sync::watch;
use tonic::Status;
use tonic::metadata::MetadataValue;
use tonic::transport::{Channel, Endpoint};

use crate::catalog_cache::CatalogCache;
use crate::config::Config;
use crate::frontier::Frontier;
use crate::lines::Lines;
use crate::metrics::Instruments;
use crate::resolutions::Covered;
use crate::serve::GatewayError;
use crate::watcher::{self, Watcher};
use crate::{caller, hop, stack};

const CONNECT: Duration = Duration::from_millis(200);
/// A connection on which nothing comes back is given up: its machine may have gone without a word, and
/// TCP would go on to send for minutes.
const PING_EVERY: Duration = Duration::from_secs(2);
const PING_ANSWER: Duration = Duration::from_secs(3);
/// Answers are bounded in values (see `request`), catalogs in entries.
const MAX_MESSAGE_BYTES: usize = 64 << 20;

/// What a region last said of itself; `None`: unknown.
pub(crate) type Health = Option<Arc<Said>>;

/// What a region said of itself.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) health: node::Health,
    /// The same one for as long as it says the same.
    pub(crate) covered: Arc<Covered>,
    /// By shard, whether it serves it.
    pub(crate) shards: Vec<bool>,
}

/// Somebody who can be asked: a node of the own region, or another region's gateway.
#[derive(Clone)]
pub(crate) struct Region {
    /// The region's name.
    pub(crate) name: Arc<str>,
    /// Its node, or the gateway in front of it.
    pub(crate) client: NodeClient<Channel>,
    health: watch::Receiver<Health>,
    /// What it said of how far it is; the nodes of the own region share one, as any may be asked.
    frontier: Arc<ArcSwap<Frontier>>,
    lines: Lines,
}

impl Region {
    /// Lazily connected: nothing needs to be up for a gateway to start.
    fn new(
        name: Arc<str>,
        address: &str,
        health: watch::Receiver<Health>,
        env: &Arc<dyn Env>,
    ) -> Result<Self, GatewayError> {
        let endpoint = Endpoint::from_shared(address.to_owned()).map_err(|cause| {
            GatewayError::Config(format!(
                "{name}: '{address}' is no address like http://host:port ({cause})"
            ))
        })?;
        let channel = endpoint
            .connect_timeout(CONNECT)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PING_ANSWER)
            .keep_alive_while_idle(true)
            .connect_lazy();
        let client = NodeClient::new(channel)
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES);
        let lines = Lines::new(&client, hop::OWN, env);
        Ok(Self { name, client, health, frontier: Arc::default(), lines })
    }

    /// Asks it, for so long at most: in a message that it shares with others, if it is small.
    pub(crate) async fn read(
        &self,
        asked: stack::Try<node::ReadRequest>,
    ) -> Result<node::ReadResponse, Status> {
        let stack::Try { question, ms, usual, priority, .. } = asked;
        if usual {
            return self.lines.read(question, ms, priority).await;
        }
        let mut request = hop::first(question);
        request.set_timeout(Duration::from_millis(ms));
        if priority != Priority::default() {
            let word = MetadataValue::from_static(caller::word(priority));
            request.metadata_mut().insert(caller::PRIORITY, word);
        }
        Ok(self.client.clone().read(request).await?.into_inner())
    }

    /// What it last said.
    pub(crate) fn health(&self) -> Health {
        self.health.borrow().clone()
    }

    /// It said how far it is.
    pub(crate) fn heard(&self, said: &[node::Position]) {
        self.frontier.rcu(|now| now.heard(said).map_or_else(|| now.clone(), Arc::new));
    }

    /// Whether it has this shard; who does not say which it has is taken to have all.
    pub(crate) fn serves(&self, shard: u32) -> bool {
        let said = self.health.borrow();
        let shards = said.as_ref().map_or(&[][..], |said| &said.shards);
        shards.is_empty() || shards.get(shard as usize).is_some_and(|serves| *serves)
    }

    /// To be told of changes.
    pub(crate) fn watch(&self) -> watch::Receiver<Health> {
        self.health.clone()
    }
}

/// All regions, the own one first, a target for each of its nodes.
pub(crate) struct Regions {
    all: Vec<Region>,
    own: usize,
    routes: Arc<Routes>,
    _watching: Vec<Task>,
}

/// The router with what it needs from outside, shared by those who feed it and those who ask it.
pub(crate) struct Routes {
    env: Arc<dyn Env>,
    router: Mutex<Router>,
    names: Vec<Arc<str>>,
    instruments: Arc<Instruments>,
}

/// A request to a region; nobody waits for one that is dropped.
pub(crate) struct UnderWay {
    routes: Arc<Routes>,
    tried: Option<Try>,
}

impl Regions {
    /// Starts to watch every region, and to take in their catalogs.
    pub(crate) fn start(
        config: &Config,
        env: &Arc<dyn Env>,
        catalog: &Arc<CatalogCache>,
        instruments: &Arc<Instruments>,
    ) -> Result<Self, GatewayError> {
        let own = config.nodes.iter().map(|node| (&config.region, node));
        let regions: Vec<(&Arc<str>, &String)> = own.chain(&config.peers).collect();
        let routes = Arc::new(Routes::new(config, env, &regions, instruments));
        let (mut all, mut watching) = (Vec::<Region>::new(), Vec::new());
        for (at, (name, address)) in regions.into_iter().enumerate() {
            let (sender, health) = watch::channel(None);
            let mut region = Region::new(name.clone(), address, health, env)?;
            if let Some(first) = all.first().filter(|_| at < config.nodes.len()) {
                region.frontier = first.frontier.clone();
            }
            let watcher = Watcher::new(at, &region, &routes, env, catalog, sender);
            watching.push(env.spawn("watch region", Box::pin(watcher.run())));
            let pings = watcher::ping(at, region.client.clone(), routes.clone(), env.clone());
            watching.push(env.spawn("ping region", Box::pin(pings)));
            all.push(region);
        }
        Ok(Self { all, own: config.nodes.len(), routes, _watching: watching })
    }

    /// The own region: a node of it that nothing speaks against, if there is one.
    pub(crate) fn own(&self) -> &Region {
        &self.all[self.own_target()]
    }

    /// Which that is.
    pub(crate) fn own_target(&self) -> usize {
        if self.own == 1 {
            return 0;
        }
        let picks = self.routes.plan(&Need::default());
        let own = || picks.iter().filter(|pick| pick.target < self.own);
        let fit = own().find(|pick| pick.standing == Standing::Fit);
        fit.or_else(|| own().next()).map_or(0, |pick| pick.target)
    }

    /// The own region's nodes, as targets count them.
    pub(crate) fn own_nodes(&self) -> &[Region] {
        &self.all[..self.own]
    }

    /// Whether a node of the own region says that it serves.
    pub(crate) fn own_serves(&self) -> bool {
        self.own_nodes().iter().any(|node| serves(&node.health.borrow()))
    }

    /// Waits until one does.
    pub(crate) async fn own_returns(&self) {
        let returns = self.own_nodes().iter().map(|node| {
            let mut health = node.watch();
            async move { health.wait_for(serves).await.map(drop) }.boxed()
        });
        // An error is the gateway's end: nobody follows its nodes any more.
        _ = select_ok(returns).await;
    }

    /// Waits until none does.
    pub(crate) async fn own_goes(&self) {
        let goes = self.own_nodes().iter().map(|node| {
            let mut health = node.watch();
            async move { health.wait_for(|health| !serves(health)).await.map(drop) }
        });
        join_all(goes).await;
    }

    /// How far the own region's nodes said that they are.
    pub(crate) fn frontier(&self) -> Guard<Arc<Frontier>> {
        self.all[0].frontier.load()
    }

    /// The region that was picked.
    pub(crate) fn at(&self, target: usize) -> &Region {
        &self.all[target]
    }

    /// The word for how its answer came about.
    pub(crate) fn route(&self, pick: &Pick, hedged: bool) -> &'static str {
        match self.at(pick.target).name == self.all[0].name {
            _ if pick.standing.is_last_resort() => "stale",
            _ if hedged => "hedged",
            true => "local",
            false => "failover",
        }
    }

    /// Who decides.
    pub(crate) fn routes(&self) -> &Arc<Routes> {
        &self.routes
    }

    /// Whether some region says that it can answer.
    pub(crate) fn serving(&self) -> bool {
        let picks = self.routes.plan(&Need::default());
        picks.iter().any(|pick| !matches!(pick.standing, Standing::Unknown | Standing::NotServing))
    }

    /// How old each region said each origin's part is in it, ms: (region, origin, age).
    pub(crate) fn ages(&self) -> Vec<(Arc<str>, String, i64)> {
        let said = self.all.iter().filter_map(|region| Some((region, region.health()?)));
        let ages = said.flat_map(|(region, said)| {
            let age = |(origin, info): (&String, &api::v1::OriginInfo)| {
                Some((region.name.clone(), origin.clone(), info.age_ms?))
            };
            said.health.origins.iter().filter_map(age).collect::<Vec<_>>()
        });
        ages.collect()
    }

    /// What has caught up, as the region says that reads go to, or else any that is heard.
    pub(crate) fn covered(&self) -> Arc<Covered> {
        let home = self.routes.home().and_then(|home| self.all[home].health());
        let said = home.or_else(|| self.all.iter().find_map(Region::health));
        said.map(|said| said.covered.clone()).unwrap_or_default()
    }
}

fn serves(health: &Health) -> bool {
    health.as_ref().is_some_and(|said| said.health.serving)
}

impl Routes {
    fn new(
        config: &Config,
        env: &Arc<dyn Env>,
        regions: &[(&Arc<str>, &String)],
        instruments: &Arc<Instruments>,
    ) -> Self {
        let bias = |name: &Arc<str>| config.prefer.get(name).copied().unwrap_or(1.0);
        let several = config.nodes.len();
        // As commands name a region's nodes: `ewr`, `ewr/2`.
        let label = |(at, (name, _)): (usize, &(&Arc<str>, &String))| match at {
            0 => (*name).clone(),
            at if at < several => format!("{name}/{}", at + 1).into(),
            _ => (*name).clone(),
        };
        let names: Vec<Arc<str>> = regions.iter().enumerate().map(label).collect();
        let biases = regions.iter().map(|(name, _)| bias(name));
        let targets: Vec<_> = names.iter().cloned().zip(biases).collect();
        let router = Router::new(Settings::default(), &targets, env.monotonic_ms());
        let router = router.with_alike(several);
        let (env, instruments) = (env.clone(), instruments.clone());
        Self { env, router: Mutex::new(router), names, instruments }
    }

    /// Whom to ask, best first.
    pub(crate) fn plan(&self, need: &Need<'_>) -> Vec<Pick> {
        let random = self.env.random_u64();
        self.tell(|router, now_ms| router.plan(need, now_ms, random))
    }

    /// Where reads go that need nothing in particular.
    fn home(&self) -> Option<usize> {
        self.router.lock().home()
    }

    /// Counts a request, which is like most or not; `None`: somebody else probes the target already.
    pub(crate) fn start(self: &Arc<Self>, pick: &Pick, usual: bool) -> Option<UnderWay> {
        let tried = self.tell(|router, now_ms| router.start(pick, now_ms))?;
        tried.changed().into_iter().for_each(|changed| self.note(changed));
        Some(UnderWay { routes: self.clone(), tried: Some(tried.usual(usual)) })
    }

    /// A region said how it is.
    pub(crate) fn heard(&self, target: usize, health: routing::Health) {
        self.tell(|router, now_ms| router.heard(target, health, now_ms));
    }

    /// A region is not heard any more.
    pub(crate) fn lost(&self, target: usize) {
        self.tell(|router, now_ms| router.lost(target, now_ms));
    }

    /// A round trip to a region was measured.
    pub(crate) fn measured(&self, target: usize, took_us: u64) {
        self.tell(|router, now_ms| router.measured(target, took_us, now_ms));
    }

    /// For people and metrics.
    pub(crate) fn table(&self) -> Vec<Row> {
        self.router.lock().table(self.env.monotonic_ms())
    }

    /// A breaker changed.
    fn note(&self, Transition { target, from, to }: Transition) {
        let region = &self.names[target];
        tracing::warn!(region = &**region, from = from.name(), to = to.name(), "breaker");
        self.instruments.breaker(region, to.name());
    }

    /// Tells or asks the router something, and says where the home went, if it did, and who lags now.
    fn tell<T>(&self, what: impl FnOnce(&mut Router, u64) -> T) -> T {
        let (answer, moves, lagging) = {
            let mut router = self.router.lock();
            let answer = what(&mut router, self.env.monotonic_ms());
            (answer, router.take_moves(), router.take_lagging())
        };
        for Lagging { target, origin, lag_ms } in lagging {
            let region = &self.names[target];
            match lag_ms {
                Some(lag_ms) => {
                    tracing::warn!(region = &**region, origin = &*origin, lag_ms, "lags its peers");
                    self.instruments.demoted(region, &origin);
                }
                None => {
                    tracing::info!(region = &**region, origin = &*origin, "lags its peers no more")
                }
            }
        }
        for Move { from, to, forced } in moves {
            let from = from.map(|from| &*self.names[from]);
            tracing::info!(from, to = &*self.names[to], forced, "reads go to another region");
            self.instruments.moved(&self.names[to]);
        }
        answer
    }
}

impl UnderWay {
    /// How it ended.
    pub(crate) fn end(mut self, outcome: Outcome) {
        self.finish(outcome);
    }

    fn finish(&mut self, outcome: Outcome) {
        let Some(tried) = self.tried.take() else { return };
        let routes = &self.routes;
        let random = routes.env.random_u64();
        let changed = routes.tell(|router, now_ms| router.finish(tried, outcome, now_ms, random));
        changed.into_iter().for_each(|changed| routes.note(changed));
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.finish(Outcome::Abandoned);
    }
}
