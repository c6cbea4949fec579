//! A node without its edges: the tasks that fold, mirror, apply, repair and checkpoint, over an
//! environment, a log and a place for checkpoints. What runs here runs in the simulation too.

use std::sync::Arc;

use backbone::mirror::{Mirror, MirrorStatus};
use backbone::{Log, Tailer};
use clock::{Env, Task};
use lattice::Region;
use store::Checkpoints;
use tokio::sync::watch;

use crate::shared::{Identity, Shared};
use crate::{applier, catalog_watch, checkpointer, partition, repairer, topics};

/// A running node. Its tasks end when it is dropped.
pub struct Core {
    shared: Arc<Shared>,
    mirrors: Vec<(Region, Arc<Mirror>)>,
    _tasks: Vec<Task>,
}

impl Core {
    /// Starts a node: it serves as soon as its checkpoint is loaded, and folds as soon as its
    /// digests agree. `peers`: the logs of the other regions.
    #[must_use]
    pub fn start(
        identity: Identity,
        env: Arc<dyn Env>,
        log: Arc<dyn Log>,
        checkpoints: Arc<dyn Checkpoints>,
        peers: Vec<(Region, Arc<dyn Tailer>)>,
    ) -> Self {
        let shared = Arc::new(Shared::new(identity, env.clone(), log.clone(), checkpoints));
        let (topics, mirrored) = watch::channel(vec![Arc::from(topics::CATALOG)]);
        let mirror = |(region, peer): (Region, Arc<dyn Tailer>)| {
            let mirror =
                Mirror::new(env.clone(), region.clone(), peer, log.clone(), mirrored.clone());
            (region, Arc::new(mirror))
        };
        let mirrors: Vec<_> = peers.into_iter().map(mirror).collect();
        let mut tasks = vec![env.spawn("node", Box::pin(run(shared.clone())))];
        tasks.push(env.spawn("topics", Box::pin(keep_topics(shared.clone(), topics))));
        for (_, mirror) in &mirrors {
            let mirror = mirror.clone();
            tasks.push(env.spawn("mirror", Box::pin(async move { mirror.run().await })));
        }
        Self { shared, mirrors, _tasks: tasks }
    }

    /// The node's state.
    #[must_use]
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Each mirror into this region, and how it is.
    pub fn mirrors(&self) -> impl Iterator<Item = (&Region, MirrorStatus)> {
        self.mirrors.iter().map(|(region, mirror)| (region, mirror.status()))
    }
}

/// Loads the checkpoint, waits for a catalog, then runs everything that needs a store.
async fn run(shared: Arc<Shared>) {
    if let Err(error) = checkpointer::load(&shared).await {
        tracing::error!(%error, "starting from the log instead");
    }
    let _catalog = catalog_watch::start(&shared);
    let mut catalog = shared.catalog.subscribe();
    let shards = loop {
        if let Some(shards) = catalog.borrow_and_update().shards() {
            break shards;
        }
        if catalog.changed().await.is_err() {
            return;
        }
    };
    let store = shared.store_of(shards).clone();
    futures::join!(
        applier::run(shared.clone(), store.clone()),
        partition::run(shared.clone(), store.clone()),
        checkpointer::run(shared.clone(), store.clone()),
        repairer::run(shared.clone(), store.clone()),
        retire(shared.clone(), store),
    );
}

/// The mirrors copy the catalog, and the deltas of every source in it.
async fn keep_topics(shared: Arc<Shared>, topics: watch::Sender<Vec<Arc<str>>>) {
    let mut catalog = shared.catalog.subscribe();
    loop {
        let sources = catalog.borrow_and_update().sources();
        let deltas = sources.iter().map(|source| topics::deltas(&source.name));
        let wanted: Vec<_> = std::iter::once(topics::CATALOG.into()).chain(deltas).collect();
        topics.send_if_modified(|known| {
            let news = *known != wanted;
            *known = wanted;
            news
        });
        if catalog.changed().await.is_err() {
            return;
        }
    }
}

/// Only a catalog record retires a plan; panes of plans that the catalog does not know stay.
async fn retire(shared: Arc<Shared>, store: Arc<store::Store>) {
    let mut catalog = shared.catalog.subscribe();
    loop {
        let retired = catalog.borrow_and_update().retired();
        if !retired.is_empty() {
            store.retain(&|plan| !retired.contains(&plan));
        }
        if catalog.changed().await.is_err() {
            return;
        }
    }
}
