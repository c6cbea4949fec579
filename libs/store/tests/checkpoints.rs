//! Checkpoints on disk, and what does not load is said, or not claimed.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::fs;
use std::sync::Arc;

use bytes::Bytes;
use lattice::progress::NO_WATERMARK;
use store::{Checkpoints, DiskCheckpoints, FOREIGN, MemoryCheckpoints, Store, split};
use support::{PLAN, origin, pane, progress, record};

/// A store with two panes, proven, and its checkpoint.
fn proven() -> (Store, Vec<store::Record>) {
    let store = Store::new(2);
    let origin = origin("jfk", 0);
    let panes = [pane(&origin, "a", 60, 0, 1, "x"), pane(&origin, "b", 60, 0, 2, "y")];
    let claim = progress(&origin, 0, 2, NO_WATERMARK, support::digest(&panes));
    assert!(store.apply(1, &[record(&panes[0]), record(&panes[1]), claim]).moved);
    let changes = store.take_changes();
    (store, changes)
}

fn loaded(entries: impl IntoIterator<Item = (Bytes, Bytes)>) -> Store {
    let store = Store::new(2);
    store.load(entries).unwrap();
    store
}

#[tokio::test]
async fn a_directory_keeps_what_was_saved_and_no_second_process_opens_it() {
    let dir = tempfile::tempdir().unwrap();
    let (store, mut changes) = proven();
    let position = (Bytes::from_static(&[FOREIGN, 1]), Bytes::from_static(b"position"));
    changes.push((position.0.clone(), Some(position.1.clone())));
    let checkpoints = DiskCheckpoints::open(dir.path()).unwrap();
    checkpoints.save(changes).await.unwrap();
    let error = DiskCheckpoints::open(dir.path()).unwrap_err().to_string();
    assert!(error.contains("open in another process"), "{error}");
    drop(checkpoints);

    let checkpoints = DiskCheckpoints::open(dir.path()).unwrap();
    let (entries, foreign) = split(checkpoints.load().await.unwrap());
    assert_eq!(foreign, [position]);
    let again = loaded(entries);
    assert_eq!(again.states(1), store.states(1));
    assert_eq!(again.records(1, &origin("jfk", 0)), store.records(1, &origin("jfk", 0)));
    again.retain(&|_| false);
    checkpoints.save(again.take_changes()).await.unwrap();
    assert_eq!(checkpoints.load().await.unwrap().len(), 1, "the position");
}

#[test]
fn a_directory_that_is_newer_damaged_or_not_ours_is_refused_with_the_way_out() {
    let marked = |name: &str, text: &[u8]| {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(name), text).unwrap();
        DiskCheckpoints::open(dir.path()).unwrap_err().to_string()
    };
    let newer = marked("checkpoint.format", b"2\n");
    assert!(newer.contains("format 2") && newer.contains("delete the directory"), "{newer}");
    for damaged in [&b"\xff\xfe"[..], b"", b"one"] {
        let error = marked("checkpoint.format", damaged);
        assert!(error.contains("rebuilt from the log"), "{error}");
    }
    let other = marked("precious.txt", b"not a checkpoint");
    assert!(other.contains("an empty or a new one"), "{other}");
    let dir = tempfile::tempdir().unwrap();
    drop(DiskCheckpoints::open(dir.path()).unwrap());
    for file in fs::read_dir(dir.path().join("data")).unwrap() {
        let file = file.unwrap().path();
        if file.is_file() {
            fs::write(file, b"garbage").unwrap();
        }
    }
    let error = DiskCheckpoints::open(dir.path()).unwrap_err().to_string();
    assert!(error.lines().count() == 1 && error.contains("rebuilt from the log"), "{error}");
}

#[test]
fn panes_that_do_not_add_up_prove_nothing() {
    let (_, changes) = proven();
    let whole: Vec<_> = changes.into_iter().map(|(key, value)| (key, value.unwrap())).collect();
    let proven = |store: &Store| store.state(1, &origin("jfk", 0), PLAN).unwrap().proven;
    assert!(proven(&loaded(whole.clone())).is_some());
    // Tracks may come before panes.
    assert!(proven(&loaded(whole.iter().rev().cloned())).is_some());
    let panes = whole.iter().filter(|(key, _)| key[0] == 1).count();
    assert_eq!(panes, 2);
    for lost in 0..panes {
        let mut part = whole.clone();
        part.remove(lost);
        let store = loaded(part);
        assert_eq!(proven(&store), None);
        assert_eq!(store.take_changes().len(), 1, "that it is not proven is to be saved");
    }
}

#[test]
fn entries_of_another_version_or_mesh_are_errors_and_never_panics() {
    let (_, changes) = proven();
    for (key, value) in changes {
        let value = value.unwrap();
        let load = |key: Bytes, value: Bytes| Store::new(2).load([(key, value)]);
        assert!(load(key.clone(), value.clone()).is_ok());
        let mut other = key.to_vec();
        other[4] = 9;
        let error = load(other.clone().into(), value.clone()).unwrap_err().to_string();
        assert!(error.contains("shard 9"), "{error}");
        other[0] = 9;
        assert!(load(other.into(), value.clone()).is_err());
        for end in 0..5 {
            assert!(load(key.slice(..end), value.clone()).is_err());
        }
        for end in 5..key.len() {
            let _ = load(key.slice(..end), value.clone());
        }
        for end in 0..value.len() {
            let _ = load(key.clone(), value.slice(..end));
        }
        if key[0] == 2 {
            let mut newer = value.to_vec();
            newer[0] = 9;
            let error = load(key.clone(), newer.into()).unwrap_err().to_string();
            assert!(error.contains("format 9"), "{error}");
        }
    }
}

#[tokio::test]
async fn a_save_that_fails_saves_nothing_and_its_changes_are_not_lost() {
    let (store, changes) = proven();
    let checkpoints = MemoryCheckpoints::default();
    checkpoints.fail_saves(true);
    checkpoints.save(changes.clone()).await.unwrap_err();
    assert!(checkpoints.load().await.unwrap().is_empty());
    store.untake(changes.clone());
    let sorted = |mut entries: Vec<store::Record>| {
        entries.sort();
        entries
    };
    let again = store.take_changes();
    assert_eq!(sorted(again.clone()), sorted(changes));
    checkpoints.fail_saves(false);
    checkpoints.save(again).await.unwrap();
    assert_eq!(loaded(checkpoints.clone().load().await.unwrap()).states(1), store.states(1));
}

#[test]
fn threads_on_different_shards_do_not_disturb_each_other() {
    const SHARDS: u32 = 4;
    let store = Arc::new(Store::new(SHARDS));
    let write = |store: &Store, shard: u32| {
        let origin = origin("jfk", 0);
        let mut panes = Vec::new();
        for next in 1..500_u64 {
            let entity = format!("{shard}/{}", next % 7);
            let pane = pane(&origin, &entity, 60, (next as i64) * 60_000, next, "cells");
            panes.push(pane.clone());
            let claim = progress(&origin, 0, next, NO_WATERMARK, support::digest(&panes));
            assert!(store.apply(shard, &[record(&pane), claim]).moved);
        }
        panes.len()
    };
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..SHARDS)
            .map(|shard| {
                scope.spawn({
                    let store = store.clone();
                    move || write(&store, shard)
                })
            })
            .collect();
        while writers.iter().any(|writer| !writer.is_finished()) {
            for shard in 0..SHARDS {
                let state = store.state(shard, &origin("jfk", 0), PLAN);
                let seen =
                    store.read(shard, PLAN, format!("{shard}/1").as_bytes(), 60, |p| p.count());
                assert!(state.is_some() || seen <= 500);
            }
        }
        for writer in writers {
            assert_eq!(writer.join().unwrap(), 499);
        }
    });
    for shard in 0..SHARDS {
        let state = store.state(shard, &origin("jfk", 0), PLAN).unwrap();
        assert_eq!(state.proven.unwrap().progress.frontier.next, 499);
        assert_eq!(state.panes, 499);
    }
}
