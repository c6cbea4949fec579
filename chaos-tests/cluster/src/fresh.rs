//! What the logs say: every origin folded from its first event, from the files that a stopped mesh
//! left. No commits, no store, no checkpoints, no other region.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use backbone::{Partition, Stored, Tailer};
use backbone_local::{LocalLog, LogOptions};
use catalog::{Catalog, Plan};
use checkers::flights::REGIONS;
use clock::SystemEnv;
use lattice::{Digest, Origin, TopicId};
use node::Names;
use sim::reference::Reference;

const READ: usize = 10_000;

/// The digest of every (region, plan, partition) of the mesh named `mesh`, whose data is in `data`.
///
/// # Panics
/// If a log cannot be opened or read.
#[must_use]
pub fn digests(mesh: &str, data: &Path) -> BTreeMap<(String, String, u32), String> {
    tokio::runtime::Runtime::new().expect("a runtime").block_on(async {
        let logs: Vec<_> = REGIONS.iter().map(|region| open(mesh, data, region)).collect();
        // A definition is in the catalog's topic of the region that it was applied in.
        let mut catalog = Catalog::default();
        for log in &logs {
            for stored in read(log, &Partition::new(Names::default().catalog(), 0)).await {
                let (key, value) = (stored.record.key.expect("a key"), stored.record.value);
                catalog.insert(&key, &value.expect("an entry")).expect("an entry of the catalog");
            }
        }
        let mut all = BTreeMap::new();
        for (region, log) in REGIONS.into_iter().zip(&logs) {
            for plan in catalog.live(region) {
                let topic = &plan.source.topic;
                let info = log.topic(topic).await.expect("topics").expect("the source's topic");
                for index in 0..info.partitions {
                    let events = read(log, &Partition::new(topic.clone(), index)).await;
                    let topic = TopicId(info.id);
                    let origin = Origin { region: region.into(), topic, partition: index };
                    let digest = digest(&origin, &plan, catalog.shards_or_default(), &events);
                    all.insert((region.into(), plan.hash.to_string(), index), digest.to_string());
                }
            }
        }
        all
    })
}

fn open(mesh: &str, data: &Path, region: &str) -> Arc<LocalLog> {
    let dir = data.join(region).join("node/log");
    let log = LocalLog::open(dir, SystemEnv::shared(), LogOptions::new(mesh, region));
    log.expect("the log of a stopped node opens")
}

/// The whole of a partition.
async fn read(log: &Arc<LocalLog>, partition: &Partition) -> Vec<Stored> {
    let bounds = log.bounds(partition).await.expect("bounds");
    assert_eq!(bounds.start, 0, "{partition} has lost its start");
    let mut tail = log.tail(vec![(partition.clone(), 0)]).await.expect("a tail");
    let (mut all, mut at) = (Vec::new(), 0);
    while at < bounds.committed_end {
        let batch = tail.next(READ).await.expect("a batch");
        at = batch.next;
        all.extend(batch.records);
    }
    all
}

/// Over all shards, as a node reports it.
fn digest(origin: &Origin, plan: &Arc<Plan>, shards: u32, events: &[Stored]) -> Digest {
    let mut reference = Reference::new(origin, plan, shards);
    reference.advance(events);
    let next = events.last().map_or(0, |last| last.offset + 1);
    let mut sum = Digest::default();
    (0..shards).for_each(|shard| sum.add(reference.digest(shard, next).0));
    sum
}
