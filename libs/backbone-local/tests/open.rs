//! Opening, closing and opening again: what is kept, and whose directory it is.
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

mod support;

use backbone::{CommitError, Log, LogError, Partition, Tailer};
use backbone_local::{LocalLog, LogOptions, OpenError};
use clock::SystemEnv;
use support::*;

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (Partition::new("t", 0), Partition::new("t", 1));
    let env = TestEnv::at(1_000);
    let log = open(dir.path(), env.clone());
    let info = log.ensure(&spec("t", 2, forever())).await.unwrap();
    assert_eq!(log.append(&a, vec![record("k", "1"), record("k", "2")]).await.unwrap(), [0, 1]);
    env.advance(-500);
    let mut writer = log.claim("w").await.unwrap();
    writer
        .commit(vec![(a.clone(), record("k", "3")), (b.clone(), record("k", "4"))])
        .await
        .unwrap();
    let before = (read(&*log, &a, 0).await, read(&*log, &b, 0).await);
    drop((log, writer));

    let log = open(dir.path(), env);
    assert_eq!(log.topic("t").await.unwrap(), Some(info));
    assert_eq!((read(&*log, &a, 0).await, read(&*log, &b, 0).await), before);
    assert_eq!(before.0.iter().map(|r| r.offset).collect::<Vec<_>>(), [0, 1, 2]);
    // A clock that goes back is not followed.
    assert_eq!(before.0.iter().map(|r| r.appended_ms).collect::<Vec<_>>(), [1_000; 3]);
    assert_eq!(log.append(&a, vec![record("k", "5")]).await.unwrap(), [3]);
    assert_eq!(read(&*log, &a, 3).await[0].appended_ms, 1_000);
}

#[tokio::test]
async fn partitions_are_added_and_handed_out() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), SystemEnv::shared());
    let first = log.ensure(&spec("t", 2, forever())).await.unwrap();
    let mut assigned = log.assignments("g", "t").await.unwrap();
    assert_eq!(assigned.borrow_and_update().len(), 2);
    let second = log.ensure(&spec("t", 3, forever())).await.unwrap();
    assert_eq!((second.id, second.partitions), (first.id, 3));
    assert_eq!(
        *assigned.borrow_and_update(),
        (0..3).map(|i| Partition::new("t", i)).collect::<Vec<_>>()
    );
    assert_eq!(log.ensure(&spec("t", 1, forever())).await.unwrap(), second);
    drop(log);
    let log = open(dir.path(), SystemEnv::shared());
    assert_eq!(log.topic("t").await.unwrap(), Some(second));
    let missing = Partition::new("t", 3);
    assert_eq!(log.bounds(&missing).await, Err(LogError::NoSuchPartition(missing.clone())));
    assert!(matches!(log.append(&missing, vec![]).await, Err(LogError::NoSuchPartition(_))));
    assert!(log.ensure(&spec("t", 0, forever())).await.is_err());
}

#[tokio::test]
async fn a_later_claim_fences_and_a_refused_commit_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), SystemEnv::shared());
    log.ensure(&spec("t", 1, forever())).await.unwrap();
    let t = Partition::new("t", 0);
    let mut old = log.claim("w").await.unwrap();
    let mut new = log.claim("w").await.unwrap();
    assert_eq!(old.commit(vec![(t.clone(), record("k", "old"))]).await, Err(CommitError::Fenced));
    assert_eq!(old.commit(vec![]).await, Err(CommitError::Fenced));
    let missing = Partition::new("u", 0);
    let both = vec![(t.clone(), record("k", "x")), (missing.clone(), record("k", "x"))];
    let refused = CommitError::Aborted(LogError::NoSuchPartition(missing));
    assert_eq!(new.commit(both).await, Err(refused));
    new.commit(vec![(t.clone(), record("k", "new"))]).await.unwrap();
    let values: Vec<_> = read(&*log, &t, 0).await.into_iter().map(|r| r.record).collect();
    assert_eq!(values, [record("k", "new")]);
}

#[tokio::test]
async fn a_commit_larger_than_the_queue_is_refused_and_others_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let small = LogOptions { queue_bytes: 1_000, ..options() };
    let log = LocalLog::open(dir.path(), SystemEnv::shared(), small).unwrap();
    log.ensure(&spec("t", 1, forever())).await.unwrap();
    let t = Partition::new("t", 0);
    let large = record("k", &"x".repeat(2_000));
    assert!(matches!(log.append(&t, vec![large]).await, Err(LogError::Full(_))));
    assert_eq!(log.append(&t, vec![record("k", "v")]).await.unwrap(), [0]);
    assert_eq!(log.queue().used_bytes, 0);
}

#[tokio::test]
async fn a_directory_is_opened_only_by_its_owner() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let try_open = |options| LocalLog::open(&path, SystemEnv::shared(), options).map(drop);
    let log = open(&path, SystemEnv::shared());
    let locked = try_open(options()).unwrap_err();
    assert!(matches!(locked, OpenError::Locked { .. }), "{locked}");
    drop(log);
    try_open(options()).unwrap();
    let foreign = try_open(LogOptions::new("nyc", "jfk")).unwrap_err();
    assert!(matches!(foreign, OpenError::Foreign { .. }), "{foreign}");
    std::fs::write(path.join("log.json"), r#"{"format": 2, "owner": "?"}"#).unwrap();
    let newer = try_open(options()).unwrap_err();
    assert!(matches!(newer, OpenError::Newer { found: 2, known: 1, .. }), "{newer}");
    for error in [locked, foreign, newer] {
        let text = error.to_string();
        assert!(text.contains(path.to_str().unwrap()) && !text.contains('\n'), "{text}");
    }
    std::fs::remove_file(path.join("log.json")).unwrap();
    assert!(matches!(try_open(options()), Err(OpenError::NotALog { .. })));
}
