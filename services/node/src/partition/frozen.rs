//! Origins of a source topic that was deleted and made again. Nothing is appended to them any more,
//! and what they hold is still part of every answer. So the region goes on to say that they are
//! complete up to now, and appends them again to whoever asks, until the catalog retires their plans.

use backbone::Record;
use bytes::Bytes;
use lattice::delta::{progress_key, run_record};
use lattice::{Origin, PlanHash, Progress};
use store::{Proven, StateView};

use super::session::Session;

/// A plan's state there, if it adds up.
type Kept = (Origin, PlanHash, Option<Proven>);

/// What a heartbeat writes into a shard of the frozen origins that are this session's to care for.
/// It has claimed their writers' name and read what they committed, so that nothing is to come.
pub(super) fn heartbeat(session: &Session, shard: u32) -> Vec<Record> {
    let mut kept: Vec<Kept> = session.store.look(shard, |states| {
        let ours = states.iter().filter(|state| is_ours(session, state.origin));
        let proven =
            |state: &StateView<'_>| state.proven.filter(|_| state.pending.is_none()).cloned();
        ours.map(|state| (state.origin.clone(), state.plan, proven(state))).collect()
    });
    if kept.is_empty() {
        return Vec::new();
    }
    let live = session.shared.catalog_now().live(&session.origin.region);
    kept.retain(|(_, plan, _)| {
        live.iter().any(|of| of.hash == *plan && of.source.name == session.source.name)
    });
    kept.sort_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
    let origins = kept.chunk_by(|a, b| a.0 == b.0);
    origins.flat_map(|plans| of_origin(session, shard, plans)).collect()
}

/// Of this region and source, and of this partition; the first one takes those that have no
/// successor.
fn is_ours(session: &Session, origin: &Origin) -> bool {
    let index = session.origin.partition;
    origin.region == session.origin.region
        && origin.topic != session.origin.topic
        && (origin.partition == index || (index == 0 && origin.partition >= session.partitions))
}

/// `plans`: all of one origin, ordered. Nothing while one of them does not add up.
fn of_origin(session: &Session, shard: u32, plans: &[Kept]) -> Vec<Record> {
    let proven: Option<Vec<Proven>> = plans.iter().map(|(.., proven)| proven.clone()).collect();
    let (Some(proven), Some((origin, ..))) = (proven, plans.first()) else { return Vec::new() };
    let known_ms = proven.iter().map(|p| p.complete_to_ms).max().unwrap_or(i64::MIN);
    let progress = Progress {
        complete_to_ms: session.shared.env.now_ms().max(known_ms),
        generation: session.generation,
        plans: proven.into_iter().map(|proven| proven.progress).collect(),
    };
    let asked = session.shared.repairs.lock().remove(&(origin.clone(), shard));
    let mut deltas: Vec<(Bytes, Bytes)> = Vec::new();
    if let Some(request) = asked {
        deltas.push(run_record(origin, request.serial));
        deltas.extend(session.store.records(shard, origin));
    }
    deltas.push((progress_key(origin), progress.encode()));
    deltas.into_iter().map(|(key, value)| Record::new(key, value)).collect()
}
