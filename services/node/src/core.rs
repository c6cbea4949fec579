//! A node without its edges: the tasks that fold, mirror, apply, repair and checkpoint, over an
//! environment, a log and a place for checkpoints. What runs here runs in the simulation too.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use backbone::{Log, Tailer};
use clock::{Env, Task, timeout};
use lattice::Region;
use store::Checkpoints;

use crate::mirrors::{Mirrors, Sharing};
use crate::shared::{Identity, Shared};
use crate::{applier, catalog_watch, checkpointer, partition, repairer};

/// How often panes of retired plans are looked for that have come since.
const RETIRE_MS: u64 = 5_000;

/// A running node. Its tasks end when it is dropped.
pub struct Core {
    shared: Arc<Shared>,
    mirrors: Mirrors,
    _node: Task,
}

impl Core {
    /// Starts a node: it serves as soon as its checkpoint is loaded, and folds as soon as its
    /// digests agree. `peers`: the logs of the other regions, if this node is to mirror them.
    #[must_use]
    pub fn start(
        identity: Identity,
        env: Arc<dyn Env>,
        log: Arc<dyn Log>,
        checkpoints: Arc<dyn Checkpoints>,
        peers: Vec<(Region, Arc<dyn Tailer>)>,
    ) -> Self {
        let shared = Arc::new(Shared::new(identity, env.clone(), log, checkpoints));
        let node = env.spawn("node", Box::pin(run(shared.clone())));
        let mirrors = Mirrors::start(&shared, peers, Sharing::Alone);
        Self { shared, mirrors, _node: node }
    }

    /// The node's state.
    #[must_use]
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// The mirrors into this region that run in this node.
    pub fn mirrors(&self) -> &Mirrors {
        &self.mirrors
    }

    /// Commits what is folded, gives up every partition and leaves its groups, so that whoever claims
    /// one next does so at once and starts where this node ended. What is not given up within
    /// `most_ms` is folded again by the next one.
    pub async fn leave(&self, most_ms: u64) {
        let shared = &self.shared;
        shared.leaving.send_replace(true);
        let left = shared.wait_for(|| {
            shared.claims.lock().is_empty() && shared.memberships.load(Ordering::SeqCst) == 0
        });
        if clock::timeout(&shared.env, most_ms, left).await.is_err() {
            tracing::warn!("some partitions are left as they were, not handed over");
        }
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

/// Only a catalog record retires a plan; panes of plans that the catalog does not know stay. A
/// region that has not heard of it yet goes on for a while, and what it writes brings the plan back.
async fn retire(shared: Arc<Shared>, store: Arc<store::Store>) {
    let mut catalog = shared.catalog.subscribe();
    loop {
        let retired = catalog.borrow_and_update().retired();
        if !retired.is_empty() {
            store.retain(&|plan| !retired.contains(&plan));
        }
        if let Ok(Err(_)) = timeout(&shared.env, RETIRE_MS, catalog.changed()).await {
            return;
        }
    }
}
