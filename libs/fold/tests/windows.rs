//! What is remembered, what is late and what is gone: the id window, the watermark, expiry, floors.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's helpers fail by panicking")]

mod support;

use std::sync::Arc;

use catalog::{Plan, Source};
use fold::{Counts, Fold, Outcome, PlanStart};
use lattice::progress::NO_WATERMARK;
use lattice::{Frontier, Kind, Pane, PaneKey, Type};
use support::departures::{cell, plan_of, source};
use support::{DAY_MS, HOUR_MS, Memory, SHARDS, arrival, fold_of, origin, start};

/// 2013-01-01T10:00:00Z.
const TEN_MS: i64 = 1_357_034_400_000;

/// Counts per carrier and hour, kept for `retention_ms` past the hour.
fn hourly(source: Source, retention_ms: i64) -> Arc<Plan> {
    let cells = vec![cell("departures", Kind::Count, Type::String, 3)];
    Arc::new(plan_of(&Arc::new(source), "hourly", vec![3], 3600, retention_ms, cells))
}

fn event(id: &str, carrier: &str, time_ms: i64) -> String {
    format!(
        r#"{{"event_id":"{id}","departed_at":{time_ms},"carrier":"{carrier}","origin":"JFK","dest":"IAH","distance":1,"dep_delay":0}}"#
    )
}

/// Folds (id, offset, append time) one after the other; whether each was a repeat.
fn repeats(fold: &mut Fold, events: &[(&str, u64, i64)]) -> Vec<bool> {
    let fold = |(id, offset, appended_ms): &(&str, u64, i64)| {
        let event = event(id, "UA", TEN_MS);
        match fold.fold(arrival(*offset, *appended_ms, &event), &Memory::default()) {
            Outcome::Folded => false,
            Outcome::Repeated => true,
            other => panic!("{other:?}"),
        }
    };
    events.iter().map(fold).collect()
}

fn window(id_events: u64, id_ms: i64) -> Fold {
    let source = Source { id_events, id_ms, ..source() };
    fold_of(&origin("us"), &[hourly(source, DAY_MS)])
}

#[test]
fn an_id_is_remembered_for_so_many_offsets() {
    let t = TEN_MS;
    let events = [("a", 0, t), ("b", 2, t), ("a", 3, t), ("b", 6, t), ("a", 6 + 1, t)];
    // b: 6 - 2 is beyond 3. a was renewed at 3, and 7 - 3 is beyond 3.
    assert_eq!(repeats(&mut window(3, DAY_MS), &events), [false, false, true, false, false]);
    assert_eq!(repeats(&mut window(4, DAY_MS), &events), [false, false, true, true, true]);
}

#[test]
fn an_id_is_remembered_for_so_much_append_time() {
    let t = TEN_MS;
    let events = [("a", 0, t), ("a", 1, t + 1000), ("a", 2, t + 2000), ("a", 3, t + 3001)];
    assert_eq!(repeats(&mut window(100, 1000), &events), [false, true, true, false]);
}

#[test]
fn a_rebuilt_window_repeats_what_the_old_one_would() {
    let ids = ["a", "b", "c", "a", "d", "b", "e", "a", "f", "c", "b", "a", "g", "e"];
    let log: Vec<_> = (0..).zip(ids).map(|(i, id)| (id, i, TEN_MS + 10 * i as i64)).collect();
    for (id_events, id_ms) in [(3, 1000), (5, 40), (100, 1000), (1, 1)] {
        let whole = repeats(&mut window(id_events, id_ms), &log);
        for cut in 0..log.len() {
            let mut fold = window(id_events, id_ms);
            fold.skip_to(cut as u64);
            for (id, offset, appended_ms) in &log[fold.remember_from() as usize..cut] {
                let event = event(id, "UA", TEN_MS);
                fold.remember(arrival(*offset, *appended_ms, &event));
            }
            assert_eq!(repeats(&mut fold, &log[cut..]), whole[cut..], "from {cut}");
        }
    }
}

#[test]
fn broken_and_skipped_events_leave_no_id_behind() {
    let mut fold = window(100, DAY_MS);
    let good = event("a", "UA", TEN_MS);
    let broken = good.replace("JFK", "BOS");
    let skipped = good.replace(&TEN_MS.to_string(), "null");
    let mut outcomes = Vec::new();
    for (offset, event) in (0..).zip([&broken, &skipped, &good, &good]) {
        outcomes.push(fold.fold(arrival(offset, TEN_MS, event), &Memory::default()));
    }
    assert!(matches!(outcomes[0], Outcome::Rejected(_)));
    assert_eq!(outcomes[1..], [Outcome::Skipped, Outcome::Folded, Outcome::Repeated]);
    let draft = fold.draft();
    let counts = Counts { folded: 1, skipped: 1, repeated: 1, rejected: 1, late: 0 };
    assert_eq!(draft.counts, counts);
    assert_eq!((draft.rejected.len(), draft.rejected[0].offset), (1, 0));
    assert_eq!(draft.rejected[0].event, broken.as_bytes());
    assert_eq!(fold.draft().counts, Counts::default());
}

/// end + retention <= W, where W is the event time less two hours of disorder.
#[test]
fn an_event_is_late_from_the_very_watermark_on() {
    let mut fold = fold_of(&origin("us"), &[hourly(source(), HOUR_MS)]);
    assert_eq!(fold.plans()[0].watermark_ms, NO_WATERMARK);
    let appended_ms = TEN_MS + DAY_MS;
    let old = TEN_MS - 1;
    // The pane of `old` ends at ten, and is gone once W is an hour later.
    let events = [
        event("1", "UA", TEN_MS + 3 * HOUR_MS - 1),
        event("2", "UA", old),
        event("3", "UA", TEN_MS + 3 * HOUR_MS),
        event("4", "UA", old),
        event("5", "AA", TEN_MS),
    ];
    for (offset, event) in (0..).zip(&events) {
        fold.fold(arrival(offset, appended_ms, event), &Memory::default());
    }
    let draft = fold.draft();
    assert_eq!((draft.counts.folded, draft.counts.late), (5, 1));
    assert_eq!(fold.plans()[0].watermark_ms, TEN_MS + HOUR_MS);
    // The pane that event 2 went into has expired since, so it is not written.
    assert!(draft.panes.iter().all(|changed| changed.key.span.start_ms >= TEN_MS));
}

/// The watermark counts the event at hand, and repeats, but neither skipped nor broken events.
#[test]
fn valid_events_move_the_watermark() {
    let mut fold = fold_of(&origin("us"), &[hourly(source(), HOUR_MS)]);
    let w = |fold: &Fold| fold.plans()[0].watermark_ms + 2 * HOUR_MS - TEN_MS;
    let appended_ms = TEN_MS + DAY_MS;
    let mut fold_one = |offset, event: &str| {
        let outcome = fold.fold(arrival(offset, appended_ms, event), &Memory::default());
        (outcome, w(&fold))
    };
    assert_eq!(fold_one(0, &event("a", "UA", TEN_MS)), (Outcome::Folded, 0));
    assert_eq!(fold_one(1, &event("a", "UA", TEN_MS + 5)), (Outcome::Repeated, 5));
    assert_eq!(fold_one(2, &event("b", "UA", TEN_MS + 1)), (Outcome::Folded, 5));
    let broken = event("c", "UA", TEN_MS + 9).replace("JFK", "BOS");
    assert_eq!(fold_one(3, &broken).1, 5);
    assert_eq!(fold_one(4, r#"{"event_id":"d"}"#), (Outcome::Skipped, 5));
}

#[test]
fn a_plan_skips_what_it_has() {
    let plan = hourly(source(), DAY_MS);
    let ahead = PlanStart { frontier: Frontier { from: 0, next: 2 }, ..start(&plan) };
    let other = Arc::new(Plan { hash: lattice::PlanHash([1; 16]), ..(*plan).clone() });
    let starts = vec![ahead, start(&other)];
    let mut fold = Fold::new(origin("us"), SHARDS, plan.source.clone(), starts);
    assert_eq!(fold.next(), 0);
    for (offset, id) in (0..).zip(["a", "b", "c"]) {
        fold.fold(arrival(offset, TEN_MS, &event(id, "UA", TEN_MS)), &Memory::default());
    }
    let events = |pane: &Pane| {
        let specs = &plan.widths[0].specs;
        lattice::cell::Cells::decode(specs, &pane.cells).unwrap().header().events
    };
    let draft = fold.draft();
    let seen: Vec<_> = draft.panes.iter().map(|c| (c.key.plan.0[0], events(&c.pane))).collect();
    assert_eq!(seen, [(1, 3), (0xaa, 1)]);
    assert!(fold.plans().iter().all(|plan| plan.frontier.next == 3));
}

/// A shard that is ahead keeps what it has: nothing below its floor is folded or published there.
#[test]
fn nothing_is_published_below_a_floor() {
    let plan = hourly(source(), DAY_MS);
    let mut starts = start(&plan);
    starts.floors = vec![2; SHARDS as usize];
    let mut fold = Fold::new(origin("us"), SHARDS, plan.source.clone(), vec![starts]);
    for (offset, carrier) in (0..).zip(["UA", "AA"]) {
        fold.fold(arrival(offset, TEN_MS, &event(carrier, carrier, TEN_MS)), &Memory::default());
        assert_eq!(fold.draft().panes, []);
    }
    fold.fold(arrival(2, TEN_MS, &event("c", "AA", TEN_MS)), &Memory::default());
    assert_eq!(fold.draft().panes.len(), 1);
}

/// A stored pane with a higher version has the event; one from before `from` is another fold's.
#[test]
fn a_stored_pane_counts_by_its_version() {
    let plan = hourly(source(), DAY_MS);
    let mut memory = Memory::default();
    let mut first = fold_of(&origin("us"), std::slice::from_ref(&plan));
    for (offset, id) in (0..).zip(["a", "b", "c"]) {
        first.fold(arrival(offset, TEN_MS, &event(id, "UA", TEN_MS)), &memory);
    }
    memory.apply(&first.draft());
    let stored: (PaneKey, Pane) = memory.0.clone().pop_first().unwrap();
    let mut again = fold_of(&origin("us"), std::slice::from_ref(&plan));
    for (offset, id) in (0..).zip(["a", "b", "c"]) {
        again.fold(arrival(offset, TEN_MS, &event(id, "UA", TEN_MS)), &memory);
    }
    assert_eq!(again.draft().panes, []);
    again.fold(arrival(3, TEN_MS, &event("d", "UA", TEN_MS)), &memory);
    assert_eq!(again.draft().panes[0].pane.version, 4);

    let restarted = PlanStart { frontier: Frontier { from: 3, next: 3 }, ..start(&plan) };
    let mut restarted = Fold::new(origin("us"), SHARDS, plan.source.clone(), vec![restarted]);
    restarted.fold(arrival(3, TEN_MS, &event("d", "UA", TEN_MS)), &memory);
    let mut alone = fold_of(&origin("us"), &[plan]);
    alone.fold(arrival(3, TEN_MS, &event("d", "UA", TEN_MS)), &Memory::default());
    assert_eq!(restarted.draft().panes, alone.draft().panes);
    assert_eq!(stored.1.version, 3);
}

/// What cannot be folded is dead-lettered; it neither stops the fold nor is overwritten.
#[test]
fn an_unreadable_pane_rejects_its_events() {
    let plan = hourly(source(), DAY_MS);
    let mut memory = Memory::default();
    let mut fold = fold_of(&origin("us"), std::slice::from_ref(&plan));
    fold.fold(arrival(0, TEN_MS, &event("a", "UA", TEN_MS)), &memory);
    memory.apply(&fold.draft());
    for pane in memory.0.values_mut() {
        pane.cells = bytes::Bytes::from_static(&[99]);
    }
    let mut fold = fold_of(&origin("us"), &[plan]);
    fold.skip_to(1);
    let outcome = fold.fold(arrival(1, TEN_MS, &event("b", "UA", TEN_MS)), &memory);
    assert!(matches!(&outcome, Outcome::Rejected(rule) if rule.starts_with("hourly@v1: ")));
    assert_eq!(fold.fold(arrival(2, TEN_MS, &event("c", "AA", TEN_MS)), &memory), Outcome::Folded);
    let draft = fold.draft();
    assert_eq!((draft.panes.len(), draft.rejected.len()), (1, 1));
}

#[test]
fn joined_folds_go_on_as_one_and_retired_plans_are_forgotten() {
    let plans = support::departures::plans(0);
    let mut together = fold_of(&origin("us"), &plans);
    let mut joined = fold_of(&origin("us"), &plans[..1]);
    let mut other = fold_of(&origin("us"), &plans[1..]);
    let events: Vec<_> = (0..6).map(|i| event(&i.to_string(), "UA", TEN_MS)).collect();
    let step = |fold: &mut Fold, offset: usize| {
        fold.fold(arrival(offset as u64, TEN_MS, &events[offset]), &Memory::default());
    };
    for offset in 0..3 {
        [&mut together, &mut joined, &mut other].into_iter().for_each(|fold| step(fold, offset));
    }
    joined.join(other);
    for offset in 3..6 {
        [&mut together, &mut joined].into_iter().for_each(|fold| step(fold, offset));
    }
    assert_eq!(joined.draft().panes, together.draft().panes);
    joined.retain(&|plan| &*plan.view == "airport_delays");
    assert_eq!(joined.plans().len(), 1);
    let repeat = joined.fold(arrival(6, TEN_MS, &events[0]), &Memory::default());
    assert_eq!(repeat, Outcome::Repeated);
    joined.fold(arrival(7, TEN_MS, &event("7", "UA", TEN_MS)), &Memory::default());
    assert!(joined.draft().panes.iter().all(|c| c.key.plan == plans[2].hash));
}
