//! One commit: changed panes, nulls for what expires, progress with digests, dead letters.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use backbone::{Partition, Record};
use bytes::Bytes;
use fold::{Changed, Draft, PlanStart, Rejected};
use lattice::delta::{pane_key, progress_key, run_record};
use lattice::{Digest, PlanProgress, Progress};
use store::StagedPlan;

use super::session::Session;
use super::{End, frozen};

/// The header of a dead letter that says which rule it broke.
pub(crate) const RULE: &str = "rule";
/// The header that says when its event was appended: text, as people read it with any tool.
pub(crate) const APPENDED_MS: &str = "appended_ms";

/// What a dead letter has beside its event: key, headers, a rule that shows some of it.
const ENVELOPE_BYTES: usize = 4 << 10;

type Delta = (Bytes, Option<Bytes>);

/// Writes everything folded since the last commit in one transaction, then applies it to the store:
/// what the log has not taken is never served. `heartbeat`: progress in all shards, not only in
/// those that changed. `repairs`: shards (with the request's serial) to append whole.
pub(super) async fn write(
    session: &mut Session,
    heartbeat: bool,
    repairs: &[(u32, u64)],
) -> Result<(), End> {
    let drafts: Vec<Draft> = session.cohorts.iter_mut().map(|cohort| cohort.fold.draft()).collect();
    let mut changed: BTreeMap<u32, Vec<(Bytes, Bytes)>> = BTreeMap::new();
    for Changed { shard, key, pane } in drafts.iter().flat_map(|draft| &draft.panes) {
        changed.entry(*shard).or_default().push((pane_key(key), pane.encode()));
    }
    let mut deltas: BTreeMap<u32, Vec<Delta>> = BTreeMap::new();
    for shard in shards_to_write(session, &changed, heartbeat, repairs) {
        let panes = changed.remove(&shard).unwrap_or_default();
        let serial = repairs.iter().find(|(asked, _)| *asked == shard).map(|(_, serial)| *serial);
        deltas.insert(shard, shard_deltas(session, shard, panes, serial));
    }
    let mut records: Vec<(Partition, Record)> = Vec::new();
    for (shard, entries) in &deltas {
        let partition = Partition::new(session.deltas.clone(), *shard);
        records.extend(entries.iter().map(|(key, value)| {
            let record =
                Record { key: Some(key.clone()), value: value.clone(), headers: Vec::new() };
            (partition.clone(), record)
        }));
    }
    if heartbeat {
        for shard in 0..session.store.shards() {
            let to = Partition::new(session.deltas.clone(), shard);
            let frozen = frozen::heartbeat(session, shard).into_iter();
            records.extend(frozen.map(|record| (to.clone(), record)));
        }
    }
    let letters = drafts.iter().flat_map(|draft| &draft.rejected);
    records.extend(letters.map(|rejected| dead_letter(session, rejected)));
    session.writer.commit(records).await?;
    for (shard, entries) in &deltas {
        session.store.apply(*shard, entries);
    }
    count(session, &drafts);
    session.shared.tick();
    Ok(())
}

/// The shards that changed; one at least, since progress must not be lost; all for a heartbeat.
fn shards_to_write(
    session: &Session,
    changed: &BTreeMap<u32, Vec<(Bytes, Bytes)>>,
    heartbeat: bool,
    repairs: &[(u32, u64)],
) -> BTreeSet<u32> {
    let shards = session.store.shards();
    if heartbeat {
        return (0..shards).collect();
    }
    let asked = repairs.iter().map(|(shard, _)| *shard);
    let mut touched: BTreeSet<u32> = changed.keys().copied().chain(asked).collect();
    if touched.is_empty() {
        touched.insert(session.origin.partition % shards);
    }
    touched
}

/// The records of one shard, in the order in which they must stand there: progress comes last.
fn shard_deltas(
    session: &Session,
    shard: u32,
    panes: Vec<(Bytes, Bytes)>,
    repair: Option<u64>,
) -> Vec<Delta> {
    let plans = session.cohorts.iter().flat_map(|cohort| cohort.fold.plans());
    let staged: Vec<StagedPlan> = plans
        .filter(|start| start.floors.get(shard as usize).is_none_or(|f| *f <= start.frontier.next))
        .map(|start| StagedPlan { progress: undigested(start) })
        .collect();
    let after = session.store.stage(shard, &session.origin, &staged, &panes);
    let mut deltas: Vec<Delta> = Vec::new();
    if let Some(serial) = repair {
        let (key, value) = run_record(&session.origin, serial);
        deltas.push((key, Some(value)));
        deltas.extend(unchanged(session, shard, &panes, &after.gone));
    }
    deltas.extend(panes.into_iter().map(|(key, value)| (key, Some(value))));
    deltas.extend(after.gone.into_iter().map(|key| (key, None)));
    let mut plans: Vec<PlanProgress> = staged
        .into_iter()
        .zip(after.digests)
        .map(|(plan, digest)| PlanProgress { digest, ..plan.progress })
        .collect();
    if plans.is_empty() {
        return deltas;
    }
    plans.sort_by_key(|plan| plan.plan);
    let progress =
        Progress { complete_to_ms: session.complete_to_ms, generation: session.generation, plans };
    deltas.push((progress_key(&session.origin), Some(progress.encode())));
    deltas
}

/// For a re-appended run: the live panes that this commit does not write or let go anyway.
fn unchanged(
    session: &Session,
    shard: u32,
    panes: &[(Bytes, Bytes)],
    gone: &[Bytes],
) -> Vec<Delta> {
    let written: BTreeSet<&Bytes> = panes.iter().map(|(key, _)| key).chain(gone).collect();
    let live = session.store.records(shard, &session.origin).into_iter();
    live.filter(|(key, _)| !written.contains(key)).map(|(key, value)| (key, Some(value))).collect()
}

fn undigested(start: &PlanStart) -> PlanProgress {
    PlanProgress {
        plan: start.plan.hash,
        frontier: start.frontier,
        watermark_ms: start.watermark_ms,
        retention: start.plan.retention(),
        digest: Digest::default(),
        gaps: start.gaps.clone(),
    }
}

/// Keyed by (origin, offset), so that a refold writes the same letter again and not another.
fn dead_letter(session: &Session, rejected: &Rejected) -> (Partition, Record) {
    let mut key = progress_key(&session.origin).to_vec();
    key.extend_from_slice(&rejected.offset.to_be_bytes());
    let most_bytes = session.shared.log.max_record_bytes().saturating_sub(ENVELOPE_BYTES);
    let (rule, event) = letter(&rejected.rule, &rejected.event, most_bytes);
    let rule = (Arc::from(RULE), rule);
    let appended = (Arc::from(APPENDED_MS), rejected.appended_ms.to_string().into());
    let record =
        Record { key: Some(key.into()), value: Some(event), headers: vec![rule, appended] };
    let topic = session.shared.identity.topics.dead_letters(&session.source.name);
    (Partition::new(topic, session.partition.index), record)
}

/// The rule that was broken, and the event, cut where the log does not take it whole: no event may
/// be so large that it stops its partition. The whole of it is in the source's topic.
fn letter(rule: &str, event: &Bytes, most_bytes: usize) -> (Bytes, Bytes) {
    if event.len() <= most_bytes {
        return (Bytes::copy_from_slice(rule.as_bytes()), event.clone());
    }
    let whole = event.len();
    let rule = format!("{rule} (here are the first {most_bytes} of its {whole} bytes)");
    (rule.into(), event.slice(..most_bytes))
}

/// Counts what the cohort that is furthest ahead did: one that catches up folds events that have
/// been counted.
fn count(session: &Session, drafts: &[Draft]) {
    let cohorts = session.cohorts.iter().zip(drafts);
    let Some((_, draft)) = cohorts.max_by_key(|(cohort, _)| cohort.fold.next()) else { return };
    let mut all = session.shared.counts.lock();
    let total = all.entry(session.source.name.clone()).or_default();
    total.add(draft.counts);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_letter_is_whole_if_the_log_takes_it() {
        let event = Bytes::from_static(b"not JSON");
        assert_eq!(letter("rule", &event, 8), (Bytes::from_static(b"rule"), event.clone()));
        let (rule, cut) = letter("rule", &event, 3);
        assert_eq!(
            (&rule[..], &cut[..]),
            (&b"rule (here are the first 3 of its 8 bytes)"[..], &b"not"[..])
        );
    }
}
