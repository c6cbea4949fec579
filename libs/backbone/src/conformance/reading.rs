//! Laws of `tail`.

use std::sync::Arc;

use clock::timeout;
use futures::FutureExt;
use futures::future::join;

use super::support::{Bench, Checked, case, check, numbered, read};
use super::{Case, Outcome};
use crate::log::{Bounds, LogError, Partition, Record};

/// Long enough to see a tail wait, ms.
const GLANCE_MS: u64 = 20;

pub(super) fn cases() -> Vec<Case> {
    vec![
        case("tail-from", "a tail begins at the offset wanted, and at the start for 0", |bench| {
            tail_from(bench).boxed()
        }),
        case("tail-waits", "a tail waits at the end, and wakes for what comes", |bench| {
            tail_waits(bench).boxed()
        }),
        case("tail-max", "a batch has at most as many records as asked for, none lost", |bench| {
            tail_max(bench).boxed()
        }),
        case("tail-turns", "a busy partition does not starve the others", |bench| {
            tail_turns(bench).boxed()
        }),
        case("tail-cancelled", "dropping a pending next loses nothing", |bench| {
            tail_cancelled(bench).boxed()
        }),
        case("tails-apart", "tails do not disturb each other", |bench| tails_apart(bench).boxed()),
        case("truncated", "what retention dropped is an error, except from 0", |bench| {
            truncated(bench).boxed()
        }),
    ]
}

async fn tail_from(bench: Bench) -> Checked {
    let partition = Partition::new(bench.topic(1).await?, 0);
    let offsets = bench.log.append(&partition, numbered("v", 20)).await?;
    for skipped in [0, 1, 7, 19] {
        let from = if skipped == 0 { 0 } else { offsets[skipped] };
        let mut tail = bench.log.tail(vec![(partition.clone(), from)]).await?;
        let of = std::slice::from_ref(&partition);
        let seen = read(&mut *tail, of, 20 - skipped, 100).await?;
        let at: Vec<u64> = seen[&partition].iter().map(|stored| stored.offset).collect();
        check!(at == offsets[skipped..], "from {from}: {at:?}");
    }
    Ok(Outcome::Passed)
}

async fn tail_waits(bench: Bench) -> Checked {
    let partition = Partition::new(bench.topic(1).await?, 0);
    let mut tail = bench.log.tail(vec![(partition.clone(), 0)]).await?;
    for n in 0..3 {
        let early = timeout(&bench.env, GLANCE_MS, tail.next(10)).await;
        // An empty batch that only moves on is no record.
        let none = early.as_ref().map_or(true, |b| b.as_ref().is_ok_and(|b| b.records.is_empty()));
        check!(none, "{early:?} at the end");
        let records = numbered(&n.to_string(), 2);
        let of = std::slice::from_ref(&partition);
        let waiting = read(&mut *tail, of, 2, 10);
        let (seen, appended) = join(waiting, bench.log.append(&partition, records.clone())).await;
        appended?;
        let seen: Vec<Record> = seen?[&partition].iter().map(|s| s.record.clone()).collect();
        check!(seen == records, "{seen:?} after waiting");
    }
    Ok(Outcome::Passed)
}

async fn tail_max(bench: Bench) -> Checked {
    let partition = Partition::new(bench.topic(1).await?, 0);
    for n in 0..5 {
        bench.log.append(&partition, numbered(&n.to_string(), 7)).await?;
    }
    for max in [1, 2, 10, 1_000] {
        let mut tail = bench.log.tail(vec![(partition.clone(), 0)]).await?;
        let seen = read(&mut *tail, std::slice::from_ref(&partition), 35, max).await?;
        let records: Vec<Record> = seen[&partition].iter().map(|s| s.record.clone()).collect();
        let all: Vec<Record> = (0..5).flat_map(|n| numbered(&n.to_string(), 7)).collect();
        check!(records == all, "at most {max} at a time: {records:?}");
    }
    Ok(Outcome::Passed)
}

async fn tail_turns(bench: Bench) -> Checked {
    let topic = bench.topic(3).await?;
    let partitions: Vec<_> = (0..3).map(|i| Partition::new(Arc::clone(&topic), i)).collect();
    for (partition, count) in partitions.iter().zip([200, 3, 3]) {
        let offsets = bench.log.append(partition, numbered("v", count)).await?;
        bench.committed(partition, offsets[count - 1] + 1).await?;
    }
    let from = partitions.iter().map(|partition| (partition.clone(), 0)).collect();
    let mut tail = bench.log.tail(from).await?;
    let seen = read(&mut *tail, &partitions, 3, 1).await?;
    let busy = seen[&partitions[0]].len();
    check!(busy <= 20, "{busy} records of a busy partition before 3 of the others");
    Ok(Outcome::Passed)
}

async fn tail_cancelled(bench: Bench) -> Checked {
    let topic = bench.topic(2).await?;
    let partitions: Vec<_> = (0..2).map(|i| Partition::new(Arc::clone(&topic), i)).collect();
    let from = partitions.iter().map(|partition| (partition.clone(), 0)).collect();
    let mut tail = bench.log.tail(from).await?;
    let mut seen = [Vec::new(), Vec::new()];
    for n in 0..30 {
        let to = &partitions[n % 2];
        bench.log.append(to, vec![Record::new("k", n.to_string())]).await?;
        for _ in 0..n % 3 {
            // Dropped after one poll, at whatever point that has come to.
            let Some(batch) = tail.next(1).now_or_never() else { continue };
            let batch = batch?;
            seen[batch.partition.index as usize].extend(batch.records);
        }
        let Ok(batch) = timeout(&bench.env, 1, tail.next(1)).await else { continue };
        let batch = batch?;
        seen[batch.partition.index as usize].extend(batch.records);
    }
    while seen.iter().any(|records| records.len() < 15) {
        let batch = tail.next(10).await?;
        seen[batch.partition.index as usize].extend(batch.records);
    }
    for (index, partition) in partitions.iter().enumerate() {
        let all = bench.visible(partition).await?;
        check!(seen[index] == all, "{:?} of {all:?}", seen[index]);
    }
    Ok(Outcome::Passed)
}

async fn tails_apart(bench: Bench) -> Checked {
    let partition = Partition::new(bench.topic(1).await?, 0);
    let of = std::slice::from_ref(&partition);
    let mut first = bench.log.tail(vec![(partition.clone(), 0)]).await?;
    let mut second = bench.log.tail(vec![(partition.clone(), 0)]).await?;
    bench.log.append(&partition, numbered("v", 10)).await?;
    let one = read(&mut *first, of, 10, 3).await?;
    drop(first);
    let two = read(&mut *second, of, 10, 4).await?;
    check!(one == two, "{one:?} and {two:?}");
    Ok(Outcome::Passed)
}

async fn truncated(bench: Bench) -> Checked {
    let partition = Partition::new(bench.topic(1).await?, 0);
    let offsets = bench.log.append(&partition, numbered("v", 20)).await?;
    bench.committed(&partition, offsets[19] + 1).await?;
    let before = bench.log.bounds(&partition).await?;
    if !bench.harness.truncate(&partition, offsets[10]).await {
        return Ok(Outcome::NotPossible);
    }
    let start = offsets[10];
    let bounds = bench.log.bounds(&partition).await?;
    check!(bounds == Bounds { start, ..before }, "{bounds:?} after truncation at {start}");
    let expected = LogError::Truncated { partition: partition.clone(), start };
    let found = match bench.log.tail(vec![(partition.clone(), offsets[5])]).await {
        Ok(mut tail) => tail.next(10).await.map(|_| ()),
        Err(error) => Err(error),
    };
    check!(found == Err(expected), "{found:?} from offset {}", offsets[5]);
    for from in [0, start] {
        let mut tail = bench.log.tail(vec![(partition.clone(), from)]).await?;
        let seen = read(&mut *tail, std::slice::from_ref(&partition), 10, 100).await?;
        let at = seen[&partition].first().map(|stored| stored.offset);
        check!(at == Some(start), "{at:?} from {from}");
    }
    Ok(Outcome::Passed)
}
