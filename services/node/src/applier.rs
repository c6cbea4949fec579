//! Applies delta topics, the region's own and the mirrored ones, to the store.

use std::collections::BTreeMap;
use std::sync::Arc;

use backbone::{Batch, LogError, Stored, TopicInfo};
use clock::Task;
use lattice::delta::claim_of;
use store::{Record, Store};

use crate::shared::Shared;

const RETRY_MS: u64 = 200;
const BATCH: usize = 2_000;

/// Follows the delta topics of every source in every region, also of sources that come later.
pub(crate) async fn run(shared: Arc<Shared>, store: Arc<Store>) {
    let mut catalog = shared.catalog.subscribe();
    let mut tasks: BTreeMap<Arc<str>, Task> = BTreeMap::new();
    loop {
        let sources = catalog.borrow_and_update().sources();
        for source in &sources {
            for region in &shared.identity.regions {
                let topic = delta_topic(&shared, region, &source.name);
                tasks
                    .entry(topic.clone())
                    .or_insert_with(|| spawn(shared.clone(), store.clone(), topic));
            }
        }
        if catalog.changed().await.is_err() {
            return;
        }
    }
}

/// The name in this region's log of a region's delta topic.
#[must_use]
pub(crate) fn delta_topic(shared: &Shared, region: &str, source: &str) -> Arc<str> {
    let topics = &shared.identity.topics;
    let deltas = topics.deltas(source);
    match *region == *shared.identity.region {
        true => deltas,
        false => topics.mirrored(region, &deltas),
    }
}

fn spawn(shared: Arc<Shared>, store: Arc<Store>, topic: Arc<str>) -> Task {
    let env = shared.env.clone();
    env.spawn(
        "apply",
        Box::pin(async move {
            loop {
                if let Err(error) = follow(&shared, &store, &topic).await {
                    tracing::warn!(%topic, %error, "reading deltas again");
                }
                shared.pause(RETRY_MS).await;
            }
        }),
    )
}

/// Returns without an error when a partition is to be read again from its start.
async fn follow(shared: &Shared, store: &Store, topic: &Arc<str>) -> Result<(), LogError> {
    let info = wait_for_topic(shared, topic, store.shards()).await?;
    let from = shared.positions.lock().begin(topic, info.id, info.partitions);
    for (partition, _) in &from {
        let end = shared.log.bounds(partition).await?.committed_end;
        shared.positions.lock().set_goal(partition, end);
    }
    let mut tail = match shared.log.tail(from).await {
        Err(LogError::Truncated { partition, start }) => {
            tracing::warn!(%partition, start, "deltas were dropped below the checkpoint's position");
            shared.positions.lock().rewind(&partition);
            return Ok(());
        }
        other => other?,
    };
    loop {
        let batch = tokio::select! {
            biased;
            () = shared.wait_for(|| shared.positions.lock().is_rewound(topic)) => return Ok(()),
            batch = tail.next(BATCH) => batch?,
        };
        take(shared, store, batch);
    }
}

/// Waits until it is there, with a partition for every shard: a tail sees none that are added later.
async fn wait_for_topic(shared: &Shared, topic: &str, shards: u32) -> Result<TopicInfo, LogError> {
    let mut told = false;
    loop {
        match shared.log.topic(topic).await? {
            Some(info) if info.partitions >= shards => return Ok(info),
            Some(TopicInfo { partitions, .. }) if !told => {
                told = true;
                tracing::warn!(%topic, partitions, shards, "not read before it has a partition for every shard");
            }
            _ => {}
        }
        shared.pause(RETRY_MS).await;
    }
}

fn take(shared: &Shared, store: &Store, batch: Batch) {
    let partition = batch.partition;
    let records = without_marks(shared, partition.index, batch.records);
    let applied = store.apply(partition.index, &records);
    shared.positions.lock().advance(&partition, batch.next);
    if applied.forked + applied.undecodable > 0 {
        let (forked, undecodable) = (applied.forked, applied.undecodable);
        tracing::error!(%partition, forked, undecodable, "a delta topic holds what it must not");
    }
    let own = applied.repairs.into_iter().filter(|r| r.origin.region == shared.identity.region);
    for request in own {
        shared.repairs.lock().insert((request.origin.clone(), partition.index), request);
    }
    shared.tick();
}

/// The records that are state; claimants' marks are noted for whoever waits for them.
fn without_marks(shared: &Shared, shard: u32, records: Vec<Stored>) -> Vec<Record> {
    let mut state = Vec::with_capacity(records.len());
    for record in records.into_iter().map(|stored| stored.record) {
        let Some(key) = record.key else { continue };
        match claim_of(&key, record.value.as_ref()) {
            Some((origin, serial)) => _ = shared.marks.lock().insert((origin, shard), serial),
            None => state.push((key, record.value)),
        }
    }
    state
}
