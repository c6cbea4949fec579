//! Keeps the node's catalog: the union of the entries in its own and in the mirrored topics.

use std::sync::Arc;

use backbone::{LogError, Partition};
use catalog::Catalog;
use clock::Task;

use crate::shared::Shared;

const RETRY_MS: u64 = 200;
const BATCH: usize = 1_000;

/// Starts a task per region's catalog topic.
#[must_use]
pub(crate) fn start(shared: &Arc<Shared>) -> Vec<Task> {
    let (own, topics) = (&shared.identity.region, &shared.identity.topics);
    let topic = |region: &Arc<str>| match region == own {
        true => topics.catalog(),
        false => topics.mirrored(region, &topics.catalog()),
    };
    let regions = shared.identity.regions.iter();
    regions.map(|region| spawn(shared.clone(), topic(region))).collect()
}

fn spawn(shared: Arc<Shared>, topic: Arc<str>) -> Task {
    let env = shared.env.clone();
    env.spawn(
        "catalog",
        Box::pin(async move {
            loop {
                if let Err(error) = follow(&shared, &topic).await {
                    tracing::debug!(%topic, %error, "waiting for the catalog");
                }
                shared.pause(RETRY_MS).await;
            }
        }),
    )
}

async fn follow(shared: &Shared, topic: &Arc<str>) -> Result<(), LogError> {
    let own = shared.identity.topics.catalog_spec();
    if *topic == own.name {
        shared.log.ensure(&own).await?;
    }
    let mut tail = shared.log.tail(vec![(Partition::new(topic.clone(), 0), 0)]).await?;
    loop {
        let batch = tail.next(BATCH).await?;
        let entries = batch.records.into_iter().map(|stored| stored.record);
        take(shared, entries.filter_map(|record| Some((record.key?, record.value?))));
    }
}

/// Merges entries into the catalog; what cannot be read is said and passed over.
pub(crate) fn take<B: AsRef<[u8]>>(shared: &Shared, entries: impl Iterator<Item = (B, B)>) {
    let mut catalog = Catalog::clone(&shared.catalog_now());
    let mut changed = false;
    for (key, value) in entries {
        match catalog.insert(key.as_ref(), value.as_ref()) {
            Ok(new) => changed |= new,
            Err(error) => tracing::warn!(%error, "a catalog entry was passed over"),
        }
    }
    if !changed {
        return;
    }
    shared.catalog.send_modify(|current| *current = merged(current, &catalog));
    shared.tick();
}

/// Several topics are followed at once, so what another task took meanwhile must not be lost.
fn merged(current: &Arc<Catalog>, news: &Catalog) -> Arc<Catalog> {
    let mut union = Catalog::clone(current);
    crdts::CvRDT::merge(&mut union, news.clone());
    Arc::new(union)
}
