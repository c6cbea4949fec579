//! What the memory log does beyond what every `Log` must: its faults, on demand and by seed.

use std::sync::Arc;

use backbone::{CommitError, LogError, Partition, Record, Retention, TopicSpec};
use parking_lot::Mutex;

use super::{Faults, MemoryLog, TRANSACTION_TIMEOUT_MS};
use crate::sim::Sim;

const COMPACTED: Retention = Retention::Compact { null_ms: 100 };

fn world(seed: u64, faults: Faults) -> (Sim, MemoryLog) {
    let sim = Sim::new(seed);
    let log = MemoryLog::new(sim.process("brokers").env(), seed, faults);
    log.make(&TopicSpec { name: "t".into(), partitions: 4, retention: COMPACTED });
    (sim, log)
}

fn at(index: u32) -> Partition {
    Partition::new("t", index)
}

fn values(log: &MemoryLog, index: u32) -> Vec<String> {
    let text = |value: Option<&bytes::Bytes>| {
        value.map_or("null".to_owned(), |v| String::from_utf8_lossy(v).into_owned())
    };
    log.visible(&at(index)).iter().map(|stored| text(stored.record.value.as_ref())).collect()
}

fn everywhere(value: &str) -> Vec<(Partition, Record)> {
    (0..4).map(|i| (at(i), Record::new("k", value.to_owned()))).collect()
}

#[test]
fn a_commit_becomes_visible_in_one_partition_before_another() {
    let seen = (0..50).filter(|&seed| {
        let (sim, log) =
            world(seed, Faults { max_visibility_ms: 50, max_yields: 3, ..Faults::none() });
        let client = log.client(sim.env());
        sim.block_on(async {
            let mut writer = client.claim("w").await.unwrap();
            writer.commit(everywhere("a")).await.unwrap();
        })
        .unwrap();
        let mut apart = false;
        sim.run_until(1_000, || {
            let visible = (0..4).filter(|&i| !values(&log, i).is_empty()).count();
            apart |= visible > 0 && visible < 4;
            visible == 4
        })
        .unwrap();
        apart
    });
    assert!(seen.count() > 40);
}

#[test]
fn a_claim_waits_until_earlier_commits_are_visible_everywhere() {
    for seed in 0..50 {
        let (sim, log) = world(seed, Faults { commit_unknown: 0.5, ..Faults::slow() });
        let client = log.client(sim.env());
        sim.block_on(async {
            let mut writer = client.claim("w").await.unwrap();
            let outcome = writer.commit(everywhere("a")).await;
            let _next = client.claim("w").await.unwrap();
            let counts: Vec<usize> = (0..4).map(|i| values(&log, i).len()).collect();
            assert!(counts == [1; 4] || counts == [0; 4], "seed {seed}: {counts:?}");
            assert!(outcome.is_err() || counts == [1; 4], "seed {seed}: {outcome:?}");
        })
        .unwrap();
    }
}

#[test]
fn unknown_commits_end_both_ways_and_need_a_new_claim() {
    let ends: std::collections::BTreeSet<usize> = (0..40)
        .map(|seed| {
            let (sim, log) = world(seed, Faults { commit_unknown: 1.0, ..Faults::none() });
            let client = log.client(sim.env());
            sim.block_on(async {
                let mut writer = client.claim("w").await.unwrap();
                assert_eq!(writer.commit(everywhere("a")).await, Err(CommitError::Unknown));
                assert_eq!(writer.commit(everywhere("b")).await, Err(CommitError::Unknown));
                drop(client.claim("w").await.unwrap());
            })
            .unwrap();
            values(&log, 0).len()
        })
        .collect();
    assert_eq!(ends.into_iter().collect::<Vec<_>>(), [0, 1]);
}

#[test]
fn aborted_commits_leave_gaps_and_nothing_else() {
    let (sim, log) = world(1, Faults { commit_aborted: 1.0, ..Faults::none() });
    let client = log.client(sim.env());
    sim.block_on(async {
        let mut writer = client.claim("w").await.unwrap();
        let outcome = writer.commit(everywhere("a")).await;
        assert!(matches!(outcome, Err(CommitError::Aborted(LogError::Transient(_)))));
        log.set_faults(|faults| *faults = Faults::none());
        writer.commit(everywhere("b")).await.unwrap();
        let mut tail = client.tail(vec![(at(0), 0)]).await.unwrap();
        let mut seen = Vec::new();
        while seen.is_empty() {
            seen = tail.next(10).await.unwrap().records;
        }
        assert_eq!((seen.len(), &seen[0].record), (1, &Record::new("k", "b")));
        assert!(seen[0].offset > 0);
    })
    .unwrap();
}

/// A zombie is paused in the middle of its commits, another claims, the zombie wakes.
fn zombie(seed: u64, fencing: bool) -> bool {
    let (sim, log) = world(seed, Faults { fencing, ..Faults::slow() });
    let process = sim.process("zombie");
    let client = log.client(process.env());
    let outcome = Arc::new(Mutex::new(Ok(())));
    let set = Arc::clone(&outcome);
    let _task = process.env().spawn(
        "zombie",
        Box::pin(async move {
            let Ok(mut writer) = client.claim("w").await else { return };
            while set.lock().is_ok() {
                let ended = writer.commit(everywhere("old")).await;
                *set.lock() = ended;
            }
        }),
    );
    sim.run_for(100 + sim.random_u64() % 20).unwrap();
    process.pause();
    let client = log.client(sim.env());
    let claimed: Vec<_> = sim
        .block_on(async {
            let _writer = client.claim("w").await.unwrap();
            (0..4).map(|i| values(&log, i).len()).collect()
        })
        .unwrap();
    process.resume();
    sim.run_for(200).unwrap();
    let after: Vec<_> = (0..4).map(|i| values(&log, i).len()).collect();
    claimed == after && *outcome.lock() == Err(CommitError::Fenced)
}

#[test]
fn a_zombie_is_fenced_and_without_fencing_that_shows() {
    assert!((0..100).all(|seed| zombie(seed, true)));
    assert!((0..100).all(|seed| !zombie(seed, false)));
}

#[test]
fn a_writer_killed_between_writing_and_deciding_holds_readers_up_to_the_timeout() {
    let held = (0..100).filter(|&seed| {
        let (sim, log) = world(seed, Faults { max_yields: 3, ..Faults::none() });
        let process = sim.process("w");
        let client = log.client(process.env());
        let _task = process.env().spawn(
            "w",
            Box::pin(async move {
                let Ok(mut writer) = client.claim("w").await else { return };
                let _outcome = writer.commit(everywhere("a")).await;
            }),
        );
        for _ in 0..sim.random_u64() % 12 {
            sim.step();
        }
        process.kill();
        let client = log.client(sim.env());
        sim.block_on(client.append(&at(0), vec![Record::new("x", "b")])).unwrap().unwrap();
        let stuck = values(&log, 0).is_empty();
        sim.run_for(TRANSACTION_TIMEOUT_MS + 1).unwrap();
        assert_eq!(values(&log, 0).last().unwrap(), "b", "seed {seed}");
        assert!(values(&log, 1).len() <= 1);
        stuck
    });
    assert!(held.count() > 5);
}

#[test]
fn compaction_keeps_the_newest_and_drops_nulls_after_their_time() {
    let (sim, log) = world(1, Faults::none());
    let client = log.client(sim.env());
    let null = Record { value: None, ..Record::new("a", "") };
    let records = vec![Record::new("a", "1"), Record::new("b", "2"), Record::new("b", "3"), null];
    sim.block_on(client.append(&at(0), records)).unwrap().unwrap();
    log.compact(&at(0));
    assert_eq!(values(&log, 0), ["3", "null"]);
    sim.run_for(101).unwrap();
    log.compact(&at(0));
    assert_eq!(values(&log, 0), ["3"]);
    assert_eq!(log.history(&at(0)).len(), 4);
    let end = log.bounds(&at(0)).unwrap().committed_end;
    let batch =
        sim.block_on(async { client.tail(vec![(at(0), 3)]).await.unwrap().next(9).await.unwrap() });
    let batch = batch.unwrap();
    assert_eq!((batch.records.len(), batch.next), (0, end), "a tail passes what is gone");
}

#[test]
fn a_remade_topic_is_empty_has_another_id_and_ends_tails() {
    let (sim, log) = world(1, Faults::none());
    let client = log.client(sim.env());
    sim.block_on(async {
        client.append(&at(0), vec![Record::new("a", "1")]).await.unwrap();
        let before = log.topic("t").unwrap();
        let mut tail = client.tail(vec![(at(0), 1)]).await.unwrap();
        log.remake("t");
        assert_eq!(tail.next(1).await, Err(LogError::NoSuchPartition(at(0))));
        let after = log.topic("t").unwrap();
        assert_eq!((after.partitions, after.id == before.id), (4, false));
        assert!(log.visible(&at(0)).is_empty());
    })
    .unwrap();
}

#[test]
fn a_log_that_is_down_fails_everything_and_comes_back() {
    let (sim, log) = world(1, Faults::none());
    let client = log.client(sim.env());
    sim.block_on(async {
        let mut writer = client.claim("w").await.unwrap();
        let mut tail = client.tail(vec![(at(0), 0)]).await.unwrap();
        log.set_faults(|faults| faults.down = true);
        assert!(matches!(tail.next(1).await, Err(LogError::Transient(_))));
        assert!(client.append(&at(0), vec![Record::new("a", "1")]).await.is_err());
        assert!(writer.commit(everywhere("a")).await.is_err());
        assert!(client.claim("w").await.is_err());
        log.set_faults(|faults| faults.down = false);
        client.append(&at(0), vec![Record::new("a", "2")]).await.unwrap();
    })
    .unwrap();
    assert_eq!(values(&log, 0), ["2"]);
}

#[test]
fn the_same_seed_gives_the_same_faults() {
    let run = |seed| {
        let (sim, log) = world(seed, Faults::rough());
        let mut tasks = Vec::new();
        for n in 0..3 {
            let process = sim.process("p");
            let (client, env) = (log.client(process.env()), process.env());
            let name = format!("w{}", n % 2);
            tasks.push(process.env().spawn(
                "writer",
                Box::pin(async move {
                    loop {
                        if let Ok(mut writer) = client.claim(&name).await {
                            while writer.commit(everywhere(&name)).await.is_ok() {}
                        }
                        env.sleep_ms(env.random_u64() % 20).await;
                    }
                }),
            ));
        }
        sim.run_for(2_000).unwrap();
        (sim.trace(), (0..4).map(|i| log.history(&at(i))).collect::<Vec<_>>())
    };
    for seed in 0..10 {
        assert_eq!(run(seed), run(seed), "seed {seed}");
    }
    assert_ne!(run(1).0, run(2).0);
}
