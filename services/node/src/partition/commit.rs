//! One commit: changed panes, nulls for what expires, progress with digests, dead letters.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use backbone::{Partition, Record};
use bytes::Bytes;
use fold::{Changed, Draft, PlanStart, Rejected};
use lattice::delta::{pane_key, progress_key, run_record};
use lattice::{Digest, PlanProgress, Progress};
use store::StagedPlan;

use super::End;
use super::session::Session;
use crate::topics;

/// The header of a dead letter that says which rule it broke.
pub(crate) const RULE: &str = "rule";

/// Of a larger event only so much goes into its dead letter: no event may be too large for the log
/// and so stop its partition. The whole of it stays where it is, in the source's topic.
const LETTER_BYTES: usize = 1 << 20;

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
    let (rule, event) = letter(&rejected.rule, &rejected.event);
    let rule = (Arc::from(RULE), rule);
    let appended = (Arc::from("appended_ms"), rejected.appended_ms.to_be_bytes().to_vec().into());
    let record =
        Record { key: Some(key.into()), value: Some(event), headers: vec![rule, appended] };
    let topic = topics::dead_letters(&session.source.name);
    (Partition::new(topic, session.partition.index), record)
}

/// The rule that was broken, and the event, cut if it is too large.
fn letter(rule: &str, event: &Bytes) -> (Bytes, Bytes) {
    if event.len() <= LETTER_BYTES {
        return (Bytes::copy_from_slice(rule.as_bytes()), event.clone());
    }
    let whole = event.len();
    let rule = format!("{rule} (here are the first {LETTER_BYTES} of its {whole} bytes)");
    (rule.into(), event.slice(..LETTER_BYTES))
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
    fn a_dead_letter_is_never_larger_than_a_log_takes() {
        let (rule, event) = letter("not JSON", &Bytes::from_static(b"{"));
        assert_eq!((&rule[..], &event[..]), (&b"not JSON"[..], &b"{"[..]));

        let (rule, event) = letter("not JSON", &Bytes::from(vec![b'x'; LETTER_BYTES + 7]));
        assert_eq!(event.len(), LETTER_BYTES);
        assert_eq!(rule, "not JSON (here are the first 1048576 of its 1048583 bytes)");
    }
}
