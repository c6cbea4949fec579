//! The mirrors into this region, one for each other region: of the catalog, and of the deltas of
//! every source in it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use backbone::mirror::{Mirror, MirrorStatus, Names, positions_spec};
use backbone::{LogError, Tailer};
use clock::Task;
use futures::future::{BoxFuture, select};
use lattice::Region;
use tokio::sync::watch;

use crate::shared::Shared;

const RETRY_MS: u64 = 200;

/// Who else may mirror the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// Nobody.
    Alone,
    /// Other processes: for each region that is read from one works, and the others stand by.
    InTurn,
}

/// The mirrors of a process. They end when it is dropped.
pub struct Mirrors {
    all: Vec<Arc<One>>,
    _tasks: Vec<Task>,
}

/// What is read from one region.
struct One {
    from: Region,
    mirror: Mirror,
    works: AtomicBool,
}

impl Mirrors {
    /// Starts them; `peers`: the logs of the other regions. What they copy follows the catalog.
    #[must_use]
    pub fn start(
        shared: &Arc<Shared>,
        peers: Vec<(Region, Arc<dyn Tailer>)>,
        sharing: Sharing,
    ) -> Self {
        let (wanted, topics) = watch::channel(vec![shared.identity.topics.catalog()]);
        let env = &shared.env;
        let keeping = keep_topics(shared.clone(), wanted);
        let mut tasks = vec![env.spawn("topics", Box::pin(keeping))];
        let mut all = Vec::new();
        for (from, peer) in peers {
            let (target, names) = (shared.log.clone(), names(shared, &from));
            let mirror =
                Mirror::new(env.clone(), from.clone(), peer, target, names, topics.clone());
            let one = Arc::new(One { from, mirror, works: AtomicBool::new(false) });
            let (shared, running) = (shared.clone(), one.clone());
            let running: BoxFuture<'static, ()> = match sharing {
                Sharing::Alone => Box::pin(async move { running.run().await }),
                Sharing::InTurn => Box::pin(async move { running.run_in_turn(&shared).await }),
            };
            tasks.push(env.spawn("mirror", running));
            all.push(one);
        }
        Self { all, _tasks: tasks }
    }

    /// Each region that is read from, whether this process is at work on it, and how far it is.
    pub fn status(&self) -> impl Iterator<Item = (&Region, bool, MirrorStatus)> {
        self.all
            .iter()
            .map(|one| (&one.from, one.works.load(Ordering::Relaxed), one.mirror.status()))
    }
}

fn names(shared: &Shared, from: &Region) -> Names {
    let (of, region) = (shared.identity.topics.clone(), from.clone());
    Names {
        claim: claim(shared, from).into(),
        positions: of.positions(),
        topic: Arc::new(move |topic| of.mirrored(&region, topic)),
    }
}

/// The claim, and the group of those who take turns.
fn claim(shared: &Shared, from: &Region) -> String {
    let identity = &shared.identity;
    format!("{}-{}-mirror-{from}", identity.mesh, identity.region)
}

impl One {
    async fn run(&self) {
        self.works.store(true, Ordering::Relaxed);
        self.mirror.run().await;
    }

    /// Works while the group says that it is this process's turn. The group has one thing to give
    /// away, the partition of the positions; two that both hold it for a moment fence each other, and
    /// the fenced one waits for longer than that moment.
    async fn run_in_turn(&self, shared: &Shared) {
        loop {
            if let Err(error) = self.follow_turns(shared).await {
                tracing::warn!(from = %self.from, %error, "no turns to take; trying again");
            }
            shared.pause(RETRY_MS).await;
        }
    }

    async fn follow_turns(&self, shared: &Shared) -> Result<(), LogError> {
        let positions = shared.identity.topics.positions();
        shared.log.ensure(&positions_spec(&positions)).await?;
        let group = claim(shared, &self.from);
        let mut turn = shared.log.assignments(&group, &positions).await?;
        loop {
            if turn.wait_for(|mine| !mine.is_empty()).await.is_err() {
                return Ok(());
            }
            tracing::info!(from = %self.from, "mirroring");
            let over = Box::pin(turn.wait_for(Vec::is_empty));
            // Dropping a commit leaves its outcome unknown: whoever is next claims, and reads.
            select(Box::pin(self.run()), over).await;
            self.works.store(false, Ordering::Relaxed);
            tracing::info!(from = %self.from, "standing by");
        }
    }
}

/// The mirrors copy the catalog, and the deltas of every source in it.
async fn keep_topics(shared: Arc<Shared>, topics: watch::Sender<Vec<Arc<str>>>) {
    let mut catalog = shared.catalog.subscribe();
    loop {
        let sources = catalog.borrow_and_update().sources();
        let names = &shared.identity.topics;
        let deltas = sources.iter().map(|source| names.deltas(&source.name));
        let wanted: Vec<_> = std::iter::once(names.catalog()).chain(deltas).collect();
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
