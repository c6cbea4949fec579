//! One thing at a time, as a newcomer would try it.

mod support;

use std::slice::from_ref;

use bytes::Bytes;
use lattice::delta::{RepairRequest, pane_key, repair_record, run_record};
use lattice::progress::NO_WATERMARK;
use lattice::{Digest, Pane};
use store::{Record, StagedPlan, Store, gaps_in};
use support::{PLAN, key, origin, pane, progress, record};

#[test]
fn a_progress_proves_what_adds_up_and_only_that() {
    let store = Store::new(1);
    let origin = origin("jfk", 0);
    let panes = [pane(&origin, "a", 60, 0, 1, "x"), pane(&origin, "b", 60, 0, 2, "y")];
    let digest = support::digest(&panes);
    let claim = progress(&origin, 0, 2, NO_WATERMARK, digest);
    let applied = store.apply(0, &[record(&panes[0]), claim.clone()]);
    assert_eq!((applied.merged, applied.moved), (1, false));
    assert_eq!(applied.unproven, from_ref(&origin));
    let state = store.state(0, &origin, PLAN).unwrap();
    assert_eq!((state.proven, state.panes), (None, 1));
    assert_eq!(state.pending.unwrap().frontier.next, 2);
    // What lacked comes after the progress: no further progress is needed.
    let applied = store.apply(0, &[record(&panes[1])]);
    assert!(applied.moved && applied.unproven.is_empty());
    let state = store.state(0, &origin, PLAN).unwrap();
    assert_eq!(state.proven.unwrap().progress.frontier.next, 2);
    assert_eq!(state.pending, None);
}

#[test]
fn panes_are_lent_in_the_order_of_region_partition_and_span_whatever_came_first() {
    let store = Store::new(1);
    let origins = [origin("jfk", 1), origin("ewr", 9), origin("jfk", 0)];
    for (at, origin) in origins.iter().enumerate() {
        for start_ms in [60_000, -60_000, 0] {
            let value = format!("{at}");
            let records = [
                record(&pane(origin, "e", 60, start_ms, 1, &value)),
                record(&pane(origin, "e", 1, start_ms, 1, "another width")),
                record(&pane(origin, "other", 60, start_ms, 1, "another entity")),
            ];
            store.apply(0, &records);
        }
    }
    let read = store.read(0, PLAN, b"e", 60, |panes| {
        panes.map(|view| (view.cells[0], view.span.start_ms)).collect::<Vec<_>>()
    });
    let starts = [-60_000, 0, 60_000];
    let expected: Vec<_> = b"120".iter().flat_map(|o| starts.map(|start| (*o, start))).collect();
    assert_eq!(read, expected);
    assert_eq!(store.read(0, PLAN, b"nobody", 60, |panes| panes.count()), 0);
}

#[test]
fn a_fork_is_counted_and_the_greater_bytes_win_in_any_order() {
    let origin = origin("jfk", 0);
    let forks = [pane(&origin, "e", 0, 0, 7, "aa"), pane(&origin, "e", 0, 0, 7, "ab")];
    for order in [[0, 1], [1, 0]] {
        let store = Store::new(1);
        let applied = store.apply(0, &order.map(|at| record(&forks[at])));
        assert_eq!(applied.forked, 1);
        let pane = store.pane(0, &key(&origin, "e", 0, 0)).unwrap();
        assert_eq!(pane, Pane { version: 7, cells: "ab".into() });
        let state = store.state(0, &origin, PLAN).unwrap();
        assert_eq!(state.digest, support::digest(&forks[1..]));
    }
}

#[test]
fn a_run_replaces_what_should_not_be_there() {
    let store = Store::new(1);
    let origin = origin("jfk", 0);
    let good = [pane(&origin, "a", 60, 0, 1, "x"), pane(&origin, "b", 60, 0, 2, "y")];
    let bogus = pane(&origin, "c", 60, 0, 3, "z");
    let claim = progress(&origin, 0, 5, NO_WATERMARK, support::digest(&good));
    let batch = [record(&good[0]), record(&bogus), record(&good[1]), claim.clone()];
    assert_eq!(store.apply(0, &batch).unproven, from_ref(&origin));
    let (run, serial) = run_record(&origin, 1);
    // An incomplete run changes nothing; a complete one proves.
    let run = (run, Some(serial));
    let part = [run.clone(), record(&good[0]), claim.clone()];
    assert_eq!(store.apply(0, &part).unproven, from_ref(&origin));
    assert_eq!(store.state(0, &origin, PLAN).unwrap().panes, 3);
    let full = [run, record(&good[0]), record(&good[1]), claim];
    let applied = store.apply(0, &full);
    assert!(applied.moved && applied.unproven.is_empty());
    assert_eq!(store.pane(0, &key(&origin, "c", 60, 0)), None);
    assert_eq!(store.records(0, &origin).len(), 2);
}

#[test]
fn a_run_is_gathered_without_what_has_expired_or_is_of_other_origins() {
    let store = Store::new(1);
    let [origin, other] = [origin("jfk", 0), origin("ewr", 0)];
    let good = pane(&origin, "a", 60, 9_000_000, 5, "x");
    let bogus = pane(&origin, "c", 60, 9_000_000, 6, "z");
    let expired = pane(&origin, "b", 60, 0, 1, "y");
    let foreign = pane(&other, "a", 60, 9_000_000, 5, "x");
    let claim = progress(&origin, 0, 5, 9_000_000, support::digest(from_ref(&good)));
    let (run, serial) = run_record(&origin, 1);
    let run = (run, Some(serial));
    let batch = [record(&bogus), run, record(&expired), record(&foreign), record(&good), claim];
    let applied = store.apply(0, &batch);
    assert!(applied.unproven.is_empty());
    assert_eq!(store.records(0, &origin), [good]);
    assert_eq!(store.records(0, &other), [foreign]);
}

#[test]
fn a_fold_that_began_anew_has_a_watermark_of_its_own() {
    let origin = origin("jfk", 0);
    let old = pane(&origin, "a", 60, 600_000, 3, "x");
    let new = pane(&origin, "a", 60, 0, 12, "y");
    let late = progress(&origin, 0, 5, 10_000_000, Digest::default());
    let again = progress(&origin, 10, 12, 50_000, support::digest(from_ref(&new)));
    let store = Store::new(1);
    store.apply(0, &[record(&old), late]);
    assert_eq!(store.pane(0, &key(&origin, "a", 60, 600_000)), None, "it has expired");
    // Its watermark is not known yet, and under the first one the new pane would be refused.
    assert_eq!(store.apply(0, &[record(&new)]).merged, 1);
    let applied = store.apply(0, &[again]);
    assert!(applied.moved && applied.unproven.is_empty());
    let proven = store.state(0, &origin, PLAN).unwrap().proven.unwrap();
    assert_eq!((proven.progress.frontier.from, proven.progress.frontier.next), (10, 12));
    assert_eq!(store.apply(0, &[record(&old)]).refused, 1, "its version is not above from");
}

#[test]
fn a_heartbeat_moves_complete_to_and_an_old_one_does_not_move_it_back() {
    let store = Store::new(1);
    let origin = origin("jfk", 0);
    let beat = |next, complete_to_ms| {
        support::progress_at(&origin, 0, next, NO_WATERMARK, Digest::default(), complete_to_ms)
    };
    let complete = || store.state(0, &origin, PLAN).unwrap().proven.unwrap().complete_to_ms;
    assert!(store.apply(0, &[beat(1, 100)]).moved);
    assert!(store.apply(0, &[beat(1, 300)]).moved);
    assert_eq!(complete(), 300);
    assert!(!store.apply(0, &[beat(1, 200)]).moved);
    assert!(!store.apply(0, &[beat(0, 900)]).moved, "a progress below the proven one is ignored");
    assert_eq!(complete(), 300);
}

#[test]
fn what_cannot_be_read_is_counted_and_passed_over() {
    let store = Store::new(1);
    let origin = origin("jfk", 0);
    let good = pane(&origin, "a", 60, 0, 1, "x");
    let bytes = |bytes: &'static [u8]| Bytes::from_static(bytes);
    let mut not_utf8 = pane_key(&key(&origin, "a", 60, 0)).to_vec();
    not_utf8[18] = 0xff;
    let batch: [Record; 7] = [
        (bytes(b""), None),
        (bytes(b"?"), Some(bytes(b"?"))),
        (bytes(b"p"), Some(bytes(b"12345678"))),
        (good.0.clone(), Some(bytes(b"short"))),
        (not_utf8.into(), Some(bytes(b"12345678"))),
        (bytes(b"g\x03jfk"), Some(bytes(b"\x01"))),
        record(&good),
    ];
    let applied = store.apply(0, &batch);
    assert_eq!((applied.undecodable, applied.merged), (6, 1));
    assert_eq!(store.apply(9, &batch).undecodable, 7, "there is no such shard");
    assert_eq!(store.read(9, PLAN, b"a", 60, |panes| panes.count()), 0);
}

#[test]
fn repairs_are_handed_on_and_nulls_do_nothing() {
    let store = Store::new(1);
    let origin = origin("jfk", 0);
    let request = RepairRequest { origin: origin.clone(), by: "ewr".into(), serial: 4 };
    let (ask, serial) = repair_record(&request);
    let live = pane(&origin, "a", 60, 0, 1, "x");
    let batch = [record(&live), (live.0.clone(), None), (ask, Some(serial))];
    let applied = store.apply(0, &batch);
    assert_eq!(applied.repairs, [request]);
    assert_eq!(applied.undecodable, 0);
    assert_eq!(store.records(0, &origin), [live]);
}

#[test]
fn staging_changes_nothing_and_names_what_expires() {
    let store = Store::new(1);
    let origin = origin("jfk", 0);
    let old = pane(&origin, "a", 60, 0, 1, "x");
    store.apply(0, &[record(&old), progress(&origin, 0, 1, 0, support::digest(from_ref(&old)))]);
    let before = store.states(0);
    let new = pane(&origin, "a", 60, 9_000_000, 2, "y");
    let plan = support::plan_progress(0, 2, 9_000_000, Digest::default());
    let staged = store.stage(0, &origin, &[StagedPlan { progress: plan }], from_ref(&new));
    assert_eq!(staged.gone, [old.0]);
    assert_eq!(staged.digests, [support::digest(&[new])]);
    assert_eq!(store.states(0), before);
}

#[test]
fn a_retired_plan_is_forgotten() {
    let store = Store::new(1);
    let origin = origin("jfk", 0);
    store.apply(0, &[record(&pane(&origin, "a", 60, 0, 1, "x"))]);
    store.take_changes();
    store.retain(&|plan| plan != PLAN);
    assert!(store.states(0).is_empty());
    assert_eq!(store.read(0, PLAN, b"a", 60, |panes| panes.count()), 0);
    let changes = store.take_changes();
    assert_eq!(changes.len(), 2, "its pane and its state");
    assert!(changes.iter().all(|(_, value)| value.is_none()));
}

#[test]
fn a_window_lacks_events_if_a_gap_reaches_into_it() {
    let gap = lattice::Gap { from: 3, to: 5, since_ms: 10, until_ms: 20 };
    assert!(gaps_in(&[gap], 19));
    assert!(!gaps_in(&[gap], 20));
}
