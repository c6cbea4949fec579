//! Folding the partitions of this region's sources: who tries, and what becomes of each try.

mod commit;
mod frozen;
mod handover;
mod session;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use backbone::{CommitError, LogError, Partition, TopicSpec};
use catalog::Source;
use clock::Task;
use store::Store;

use crate::claims::Claim;
use crate::shared::Shared;

use session::Session;

pub(crate) use commit::{APPENDED_MS, RULE};

const RETRY_MS: u64 = 100;
/// Who was fenced leaves the partition to the other for this long, unless assigned anew.
const FENCED_MS: u64 = 5_000;

/// Why a session ended. None of them loses anything: what was committed is in the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum End {
    #[error("this node ends, and has committed what it had folded")]
    Left,
    #[error("another node has claimed the partition")]
    Fenced,
    #[error("it is unknown whether the last commit was written")]
    Unknown,
    #[error(transparent)]
    Log(#[from] LogError),
    #[error("waiting for catalog generation {needed}; this node has {known}")]
    CatalogBehind { needed: u64, known: u64 },
    #[error(
        "{0} was deleted and made again: it is folded from its start, beside what the old one gave"
    )]
    Remade(Arc<str>),
    #[error("shard {shard} of {origin:?} does not add up")]
    Unproven { shard: u32, origin: lattice::Origin },
}

impl From<CommitError> for End {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Aborted(cause) => Self::Log(cause),
            CommitError::Fenced => Self::Fenced,
            CommitError::Unknown => Self::Unknown,
        }
    }
}

/// Folds every source of the catalog, also those that come later.
pub(crate) async fn run(shared: Arc<Shared>, store: Arc<Store>) {
    let mut catalog = shared.catalog.subscribe();
    let mut tasks: BTreeMap<Arc<str>, Task> = BTreeMap::new();
    loop {
        let sources = catalog.borrow_and_update().sources();
        for source in sources {
            tasks
                .entry(source.name.clone())
                .or_insert_with(|| spawn_source(shared.clone(), store.clone(), source));
        }
        if catalog.changed().await.is_err() {
            return;
        }
    }
}

fn spawn_source(shared: Arc<Shared>, store: Arc<Store>, source: Arc<Source>) -> Task {
    let env = shared.env.clone();
    env.spawn(
        "source",
        Box::pin(async move {
            while !*shared.leaving.borrow() {
                if let Err(error) = follow_assignments(&shared, &store, &source).await {
                    tracing::warn!(source = %source.name, %error, "trying again");
                }
                shared.pause(RETRY_MS).await;
            }
        }),
    )
}

/// The group of the nodes that share a source's partitions.
fn group(shared: &Shared, source: &Source) -> String {
    format!("{}-{}", shared.identity.mesh, source.name)
}

/// Makes the source's topics, then keeps a task per partition that is assigned to this node; until it
/// leaves, and they have.
async fn follow_assignments(
    shared: &Arc<Shared>,
    store: &Arc<Store>,
    source: &Arc<Source>,
) -> Result<(), LogError> {
    let [events, deltas, rejected] = shared.identity.topics.source_specs(source, store.shards());
    shared.log.ensure(&events).await?;
    shared.log.ensure(&deltas).await?;
    let mut letters = shared.log.ensure(&rejected).await?.partitions;
    let group = group(shared, source);
    let mut assigned = shared.log.assignments(&group, &source.topic).await?;
    let membership = Membership::new(shared);
    let mut tasks: BTreeMap<Partition, Task> = BTreeMap::new();
    loop {
        let mine = assigned.borrow_and_update().clone();
        // A source may have, or get, more partitions than the catalog says.
        let partitions = mine.iter().map(|partition| partition.index + 1).max().unwrap_or(0);
        if partitions > letters {
            let grown = TopicSpec { partitions, ..rejected.clone() };
            letters = shared.log.ensure(&grown).await?.partitions;
        }
        tasks.retain(|partition, _| mine.contains(partition));
        shared.claims.lock().retain(|p, _| p.topic != source.topic || mine.contains(p));
        for partition in mine {
            tasks.entry(partition.clone()).or_insert_with(|| {
                spawn_partition(shared.clone(), store.clone(), source.clone(), partition)
            });
        }
        tokio::select! {
            biased;
            () = shared.leaves() => {
                let held = || shared.claims.lock().keys().any(|p| p.topic == source.topic);
                shared.wait_for(|| !held()).await;
                drop(assigned);
                shared.log.left(&group, &source.topic).await;
                drop(membership);
                return Ok(());
            }
            changed = assigned.changed() => if changed.is_err() {
                return Ok(());
            }
        }
    }
}

/// Counted for as long as a group may take this node for a member.
struct Membership<'a>(&'a Shared);

impl<'a> Membership<'a> {
    fn new(shared: &'a Shared) -> Self {
        shared.memberships.fetch_add(1, Ordering::SeqCst);
        Self(shared)
    }
}

impl Drop for Membership<'_> {
    fn drop(&mut self) {
        self.0.memberships.fetch_sub(1, Ordering::SeqCst);
        self.0.tick();
    }
}

fn spawn_partition(
    shared: Arc<Shared>,
    store: Arc<Store>,
    source: Arc<Source>,
    partition: Partition,
) -> Task {
    let env = shared.env.clone();
    env.spawn(
        "partition",
        Box::pin(async move {
            loop {
                let claimed = tokio::select! {
                    biased;
                    () = shared.leaves() => Err(End::Left),
                    claimed = Session::claim(&shared, &store, &source, &partition) => claimed,
                };
                let end = match claimed {
                    Ok(session) => {
                        let claim = Claim::new(shared.env.monotonic_ms());
                        shared.claims.lock().insert(partition.clone(), claim);
                        session.run().await
                    }
                    Err(end) => end,
                };
                if *shared.leaving.borrow() {
                    tracing::info!(%partition, %end, "given up");
                    shared.claims.lock().remove(&partition);
                    return shared.tick();
                }
                tracing::info!(%partition, %end, "the fold begins again");
                let claim = Claim::failed(end.to_string(), shared.env.monotonic_ms());
                shared.claims.lock().insert(partition.clone(), claim);
                let pause = shared.pause(if end == End::Fenced { FENCED_MS } else { RETRY_MS });
                tokio::select! {
                    biased;
                    () = pause => {}
                    () = shared.leaves() => {}
                }
            }
        }),
    )
}
