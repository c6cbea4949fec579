//! A replica's way out when an origin's panes do not add up: read its own log to the end that it
//! saw, read it again from the start, then ask the owner to append its panes again.

use std::collections::BTreeMap;
use std::sync::Arc;

use backbone::{LogError, Partition, Record};
use lattice::Origin;
use lattice::delta::{RepairRequest, repair_record};
use store::Store;

use crate::applier::delta_topic;
use crate::shared::Shared;

const LOOK_MS: u64 = 500;
/// The first plea may be lost like anything else; the next ones come ever more slowly.
const FIRST_WAIT_MS: u64 = 2_000;
const LONGEST_WAIT_MS: u64 = 60_000;
/// After so many pleas somebody should look; asking goes on at the slowest pace.
const ALARM_AFTER: u32 = 5;

/// One (origin, shard) that does not add up.
struct Case {
    /// The end of the mirrored partition when the mismatch was first seen.
    end: u64,
    rebuilt: bool,
    asked: u32,
    wait_ms: u64,
    /// By the steady clock: a wall clock that is set back would put it off.
    due_ms: u64,
}

/// Looks for what does not add up, forever.
pub(crate) async fn run(shared: Arc<Shared>, store: Arc<Store>) {
    let mut cases: BTreeMap<(Origin, u32), Case> = BTreeMap::new();
    loop {
        shared.env.sleep_ms(LOOK_MS).await;
        let open = unproven(&shared, &store);
        cases.retain(|place, _| open.contains_key(place));
        for ((origin, shard), source) in open {
            if let Err(error) = look(&shared, &mut cases, &origin, shard, &source).await {
                tracing::warn!(?origin, shard, %error, "repair waits");
            }
        }
    }
}

/// Where a progress is known whose digest does not agree, and the source that it is of.
fn unproven(shared: &Shared, store: &Store) -> BTreeMap<(Origin, u32), Arc<str>> {
    let catalog = shared.catalog_now();
    let mut found = BTreeMap::new();
    for shard in 0..store.shards() {
        for state in store.states(shard) {
            let foreign = state.origin.region != shared.identity.region;
            let plan = catalog.plan(state.plan);
            if let (true, Some(_), Some(plan)) = (foreign, state.pending, plan) {
                found.insert((state.origin, shard), plan.source.name.clone());
            }
        }
    }
    found
}

async fn look(
    shared: &Shared,
    cases: &mut BTreeMap<(Origin, u32), Case>,
    origin: &Origin,
    shard: u32,
    source: &str,
) -> Result<(), LogError> {
    let partition = Partition::new(delta_topic(shared, &origin.region, source), shard);
    let now_ms = shared.env.monotonic_ms();
    let place = (origin.clone(), shard);
    let Some(case) = cases.get_mut(&place) else {
        let end = shared.log.bounds(&partition).await?.committed_end;
        let due_ms = now_ms + FIRST_WAIT_MS;
        cases.insert(place, Case { end, rebuilt: false, asked: 0, wait_ms: FIRST_WAIT_MS, due_ms });
        return Ok(());
    };
    if now_ms < case.due_ms || !shared.positions.lock().reached(&partition, case.end) {
        return Ok(());
    }
    case.due_ms = now_ms + case.wait_ms;
    if !case.rebuilt {
        case.rebuilt = true;
        shared.positions.lock().rewind(&partition);
        shared.tick();
        return Ok(());
    }
    case.wait_ms = (case.wait_ms * 2).min(LONGEST_WAIT_MS);
    case.asked += 1;
    if case.asked > ALARM_AFTER {
        tracing::error!(
            ?origin,
            shard,
            asked = case.asked,
            "the owner's panes do not reach this region"
        );
    }
    ask(shared, origin, shard, source).await
}

/// The plea goes the way of the deltas: into this region's topic, from where the owner's region
/// mirrors it.
async fn ask(shared: &Shared, origin: &Origin, shard: u32, source: &str) -> Result<(), LogError> {
    let request = RepairRequest {
        origin: origin.clone(),
        by: shared.identity.region.clone(),
        serial: shared.env.random_u64(),
    };
    tracing::info!(?origin, shard, "asking the owner to append its panes again");
    let (key, value) = repair_record(&request);
    let partition = Partition::new(shared.identity.topics.deltas(source), shard);
    shared.log.append(&partition, vec![Record::new(key, value)]).await.map(|_| ())
}
