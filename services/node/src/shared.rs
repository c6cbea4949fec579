//! What a node's tasks share: the store, the catalog, positions in the log, and who waits for them.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, OnceLock};

use backbone::{Log, TopicInfo};
use catalog::Catalog;
use clock::Env;
use fold::Counts;
use lattice::delta::RepairRequest;
use lattice::{Origin, Region};
use parking_lot::Mutex;
use store::{Checkpoints, Store};
use tokio::sync::watch;

use crate::claims::Claims;
use crate::positions::Positions;
use crate::topics::Names;

/// Who this node is.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The mesh's name; part of every claim.
    pub mesh: Arc<str>,
    /// This node's region.
    pub region: Region,
    /// All regions of the mesh, this one among them, in a fixed order.
    pub regions: Vec<Region>,
    /// How its topics are called.
    pub topics: Names,
}

/// One node's state. Pure of threads: all tasks run on the [`Env`].
pub struct Shared {
    /// Who this node is.
    pub identity: Identity,
    /// Time, tasks, randomness.
    pub env: Arc<dyn Env>,
    /// The region's log.
    pub log: Arc<dyn Log>,
    /// Where checkpoints are kept.
    pub checkpoints: Arc<dyn Checkpoints>,
    /// The newest catalog.
    pub catalog: watch::Sender<Arc<Catalog>>,
    /// Positions of the appliers in the delta topics.
    pub positions: Mutex<Positions>,
    /// Ticks whenever the store or a position has moved.
    pub moved: watch::Sender<u64>,
    /// What the folds did since the node started, by source.
    pub counts: Mutex<BTreeMap<Arc<str>, Counts>>,
    /// Requests for repair of origins of this region, until their fold has answered.
    pub repairs: Mutex<BTreeMap<(Origin, u32), RepairRequest>>,
    /// The newest claimant's mark read in each shard, by origin.
    pub marks: Mutex<BTreeMap<(Origin, u32), u64>>,
    /// Partitions that this node folds, or tries to.
    pub claims: Mutex<Claims>,
    /// Groups that may take this node for a member.
    pub memberships: AtomicUsize,
    /// Sources' topics, and when they were last looked up, by the environment's clock, us.
    pub looked_up: Mutex<BTreeMap<Arc<str>, (u64, TopicInfo)>>,
    /// Whether this node is about to end.
    pub draining: watch::Sender<bool>,
    /// Whether this node gives its partitions up.
    pub leaving: watch::Sender<bool>,
    /// When the last checkpoint that was saved was begun, by the environment's clock, ms.
    pub saved_ms: Mutex<Option<u64>>,
    /// Held while a checkpoint is saved: one that was begun later must not overtake it.
    pub saving: tokio::sync::Mutex<()>,
    store: OnceLock<Arc<Store>>,
}

impl Shared {
    /// A node's state before its first step.
    #[must_use]
    pub fn new(
        identity: Identity,
        env: Arc<dyn Env>,
        log: Arc<dyn Log>,
        checkpoints: Arc<dyn Checkpoints>,
    ) -> Self {
        Self {
            identity,
            env,
            log,
            checkpoints,
            catalog: watch::Sender::new(Arc::new(Catalog::default())),
            positions: Mutex::default(),
            moved: watch::Sender::new(0),
            counts: Mutex::default(),
            repairs: Mutex::default(),
            marks: Mutex::default(),
            claims: Mutex::default(),
            memberships: AtomicUsize::new(0),
            looked_up: Mutex::default(),
            draining: watch::Sender::new(false),
            leaving: watch::Sender::new(false),
            saved_ms: Mutex::default(),
            saving: tokio::sync::Mutex::default(),
            store: OnceLock::new(),
        }
    }

    /// The store; `None` until a catalog or a checkpoint has said how many shards there are.
    #[must_use]
    pub fn store(&self) -> Option<&Arc<Store>> {
        self.store.get()
    }

    /// The store, made for `shards` at the first call.
    pub fn store_of(&self, shards: u32) -> &Arc<Store> {
        self.store.get_or_init(|| Arc::new(Store::new(shards)))
    }

    /// The catalog as it is now.
    #[must_use]
    pub fn catalog_now(&self) -> Arc<Catalog> {
        self.catalog.borrow().clone()
    }

    /// Wakes whoever waits for the store or a position.
    pub fn tick(&self) {
        self.moved.send_modify(|ticks| *ticks = ticks.wrapping_add(1));
    }

    /// Waits until `done` holds; looks again whenever the store or a position has moved.
    pub async fn wait_for(&self, mut done: impl FnMut() -> bool) {
        let mut moved = self.moved.subscribe();
        while !done() {
            if moved.changed().await.is_err() {
                return;
            }
        }
    }

    /// Completes when this node gives its partitions up.
    pub async fn leaves(&self) {
        // An error would mean that the sender, which is here, is gone.
        _ = self.leaving.subscribe().wait_for(|leaving| *leaving).await;
    }

    /// `base_ms`, plus up to half of it at random, so that what failed together is not tried
    /// again together.
    pub async fn pause(&self, base_ms: u64) {
        let jitter = self.env.random_u64() % (base_ms / 2 + 1);
        self.env.sleep_ms(base_ms + jitter).await;
    }
}
