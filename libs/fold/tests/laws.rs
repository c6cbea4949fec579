//! A pane is a function of a log prefix: wherever commits fall, wherever a fold is dropped and
//! starts again from what is stored, and whatever comes again, the bytes are those of one pass.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's helpers fail by panicking")]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;

use catalog::{Plan, Source};
use fold::{Draft, Fold, Outcome, PlanStart};
use lattice::progress::NO_WATERMARK;
use lattice::{Frontier, PlanHash};
use proptest::prelude::*;
use support::departures::{plans, source};
use support::{HOUR_MS, MINUTE_MS, Memory, SHARDS, arrival, fold_of, origin};

/// 2013-01-01T10:00:00Z.
const TEN_MS: i64 = 1_357_034_400_000;

/// A log: each record's offset and bytes. Few entities and ids, so that much falls together; event
/// times over three days with little retention, so that much is late.
fn log() -> impl Strategy<Value = Vec<(u64, String)>> {
    let event = (1u64..3, 0..40u32, -20..72 * 60i64, 0..5u8, 0..4u8, -70..200i64);
    prop::collection::vec(event, 1..60).prop_map(|events| {
        let mut offset = 0;
        let mut records = Vec::new();
        for (step, id, minute, plane, place, delay) in events {
            offset += step;
            let time_ms = TEN_MS + minute * MINUTE_MS;
            let plane = if plane == 0 { "null".to_owned() } else { format!("\"N{plane}\"") };
            let dest = ["IAH", "LAX", "BOS", "MIA"][usize::from(place)];
            let airport = ["EWR", "JFK", "LGA", "BOS"][usize::from(place)];
            records.push((offset, format!(
                r#"{{"event_id":"{id}","departed_at":{time_ms},"tailnum":{plane},"carrier":"C{place}","origin":"{airport}","dest":"{dest}","distance":{}.1,"dep_delay":{delay}}}"#,
                delay.abs()
            )));
        }
        records
    })
}

fn some_plans() -> Vec<Arc<Plan>> {
    let source = Arc::new(Source { id_events: 8, ..source() });
    let short = |plan: &Arc<Plan>| {
        let mut plan = (**plan).clone();
        plan.source = source.clone();
        plan.widths.iter_mut().for_each(|width| width.retention_ms = 6 * HOUR_MS);
        Arc::new(plan)
    };
    plans(0).iter().map(short).collect()
}

fn appended_ms(offset: u64) -> i64 {
    TEN_MS + 80 * HOUR_MS + offset as i64 * 1000
}

/// What a log's deltas say of each shard and plan: up to where it is folded, and W there.
type Progress = BTreeMap<(u32, PlanHash), (u64, i64)>;

/// A region's state: what commits have written.
struct Region {
    plans: Vec<Arc<Plan>>,
    panes: Memory,
    progress: Progress,
    rejected: BTreeMap<u64, String>,
}

impl Region {
    fn new(plans: Vec<Arc<Plan>>) -> Self {
        let (panes, progress, rejected) = Default::default();
        Self { plans, panes, progress, rejected }
    }

    /// Takes in a commit; it says its progress in the shards of its panes and in those of `also`,
    /// as far as they are not ahead.
    fn commit(&mut self, fold: &Fold, draft: &Draft, also: u32) {
        self.panes.apply(draft);
        for rejected in &draft.rejected {
            self.rejected.insert(rejected.offset, rejected.rule.clone());
        }
        let touched = |shard| draft.panes.iter().any(|c| c.shard == shard);
        for shard in (0..SHARDS).filter(|shard| also >> shard & 1 == 1 || touched(*shard)) {
            for plan in fold.plans() {
                let now = (plan.frontier.next, plan.watermark_ms);
                let said = self.progress.entry((shard, plan.plan.hash)).or_insert(now);
                *said = (*said).max(now);
            }
        }
    }

    /// A fold that starts from the lowest progress, with the ids of what is below.
    fn handover(&self, log: &[(u64, String)]) -> Fold {
        let start = |plan: &Arc<Plan>| {
            let progress = |shard| self.progress.get(&(shard, plan.hash)).copied();
            let all: Vec<_> =
                (0..SHARDS).map(|shard| progress(shard).unwrap_or((0, NO_WATERMARK))).collect();
            let (next, watermark_ms) = all.iter().copied().min().unwrap();
            PlanStart {
                plan: plan.clone(),
                frontier: Frontier { from: 0, next },
                watermark_ms,
                floors: all.iter().map(|(next, _)| *next).collect(),
                gaps: Vec::new(),
            }
        };
        let starts = self.plans.iter().map(start).collect();
        let source = self.plans[0].source.clone();
        let mut fold = Fold::new(origin("us"), SHARDS, source, starts);
        let window = fold.remember_from()..fold.next();
        for (offset, event) in log.iter().filter(|(offset, _)| window.contains(offset)) {
            fold.remember(arrival(*offset, appended_ms(*offset), event));
        }
        fold
    }

    /// Panes that live under the watermark of a whole pass.
    fn live(&self, whole: &Fold) -> Memory {
        let mut panes = self.panes.clone();
        panes.0.retain(|key, _| {
            let plan = whole.plans().iter().find(|start| start.plan.hash == key.plan).unwrap();
            let width = plan.plan.widths.iter().find(|w| w.width_s == key.span.width_s).unwrap();
            !key.span.expired(width.retention_ms, plan.watermark_ms)
        });
        panes
    }
}

fn one_pass(log: &[(u64, String)]) -> (Fold, Region) {
    let mut region = Region::new(some_plans());
    let mut fold = fold_of(&origin("us"), &region.plans);
    for (offset, event) in log {
        fold.fold(arrival(*offset, appended_ms(*offset), event), &region.panes);
    }
    let draft = fold.draft();
    region.commit(&fold, &draft, u32::MAX);
    (fold, region)
}

/// What happens after an event.
#[derive(Clone, Debug)]
enum Step {
    Nothing,
    /// The event comes again.
    Again,
    /// A commit, which says its progress in these shards too.
    Commit(u32),
    /// The writer is lost with what it has not committed, and another takes over.
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Nothing),
        1 => Just(Step::Again),
        3 => any::<u32>().prop_map(Step::Commit),
        1 => Just(Step::Commit(u32::MAX)),
        1 => Just(Step::Crash),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn commits_crashes_and_repeats_leave_no_trace(
        log in log(),
        steps in prop::collection::vec(step(), 200),
    ) {
        let (whole, reference) = one_pass(&log);
        let mut region = Region::new(some_plans());
        let mut fold = region.handover(&log);
        let mut at = 0;
        let mut steps = steps.into_iter();
        while let Some((offset, event)) = log.get(at) {
            let event = arrival(*offset, appended_ms(*offset), event);
            fold.fold(event, &region.panes);
            at += 1;
            match steps.next().unwrap_or(Step::Nothing) {
                Step::Nothing => {}
                Step::Again => prop_assert_eq!(fold.fold(event, &region.panes), Outcome::Repeated),
                Step::Commit(also) => {
                    let draft = fold.draft();
                    region.commit(&fold, &draft, also);
                }
                Step::Crash => {
                    fold = region.handover(&log);
                    at = log.partition_point(|(offset, _)| *offset < fold.next());
                }
            }
        }
        let draft = fold.draft();
        region.commit(&fold, &draft, u32::MAX);
        prop_assert_eq!(region.live(&whole), reference.live(&whole));
        prop_assert_eq!(region.rejected, reference.rejected);
        for (ours, theirs) in fold.plans().iter().zip(whole.plans()) {
            prop_assert_eq!(ours.watermark_ms, theirs.watermark_ms);
            prop_assert_eq!(ours.frontier, theirs.frontier);
        }
    }

    /// A draft is in order, and each pane's version is one above the offset of an event in it.
    #[test]
    fn drafts_are_ordered_and_versions_are_offsets(log in log()) {
        let plans = some_plans();
        let mut fold = fold_of(&origin("us"), &plans);
        for (offset, event) in &log {
            fold.fold(arrival(*offset, appended_ms(*offset), event), &Memory::default());
        }
        let draft = fold.draft();
        prop_assert!(draft.panes.is_sorted_by(|a, b| (a.shard, &a.key) < (b.shard, &b.key)));
        for changed in &draft.panes {
            prop_assert_eq!(changed.shard, lattice::shard_of(&changed.key.entity, SHARDS));
            prop_assert!(log.iter().any(|(offset, _)| offset + 1 == changed.pane.version));
        }
    }
}
