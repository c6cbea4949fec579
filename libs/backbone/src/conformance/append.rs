//! Laws of `append` and of what a record is.

use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::try_join_all;

use super::support::{Bench, Checked, case, check, numbered, read};
use super::{Case, Outcome};
use crate::log::{Partition, Record, Retention};

pub(super) fn cases() -> Vec<Case> {
    vec![
        case("append-in-order", "an append is contiguous, in order, after all earlier ones", |b| {
            append_in_order(b).boxed()
        }),
        case("append-visible", "what was appended is visible, at the offsets returned", |bench| {
            append_visible(bench).boxed()
        }),
        case("append-at-once", "appends at the same time neither mix nor lose records", |bench| {
            append_at_once(bench).boxed()
        }),
        case("append-nothing", "an append of nothing writes nothing", |bench| {
            append_nothing(bench).boxed()
        }),
        case("stamps", "the log's stamp is there and never decreases", |bench| {
            stamps(bench).boxed()
        }),
        case("any-content", "null, empty, large and odd contents survive", |bench| {
            any_content(bench).boxed()
        }),
        case("largest-record", "a record as large as may be is taken, and given back", |bench| {
            largest_record(bench).boxed()
        }),
        case(
            "compaction",
            "compaction keeps the newest record of each key, in its place",
            |bench| compaction(bench).boxed(),
        ),
    ]
}

fn contiguous(offsets: &[u64]) -> bool {
    offsets.windows(2).all(|pair| pair[1] == pair[0] + 1)
}

async fn append_in_order(bench: Bench) -> Checked {
    let partition = Partition::new(bench.topic(1).await?, 0);
    let mut last = None;
    for count in [1, 5, 1, 30] {
        let offsets = bench.log.append(&partition, numbered("v", count)).await?;
        check!(offsets.len() == count, "{} offsets for {count} records", offsets.len());
        check!(contiguous(&offsets), "offsets {offsets:?}");
        check!(last < offsets.first().copied(), "offset {} after {last:?}", offsets[0]);
        last = offsets.last().copied();
    }
    Ok(Outcome::Passed)
}

async fn append_visible(bench: Bench) -> Checked {
    let topic = bench.topic(2).await?;
    for index in 0..2 {
        let partition = Partition::new(Arc::clone(&topic), index);
        let records = numbered(&format!("in-{index}"), 10);
        let offsets = bench.log.append(&partition, records.clone()).await?;
        bench.committed(&partition, offsets[9] + 1).await?;
        let end = bench.log.end(&partition).await?;
        check!(end == offsets[9] + 1, "the end is {end} after {offsets:?}");
        let seen = bench.visible(&partition).await?;
        let at: Vec<u64> = seen.iter().map(|stored| stored.offset).collect();
        check!(at == offsets, "records at {at:?}, acknowledged at {offsets:?}");
        let seen: Vec<Record> = seen.into_iter().map(|stored| stored.record).collect();
        check!(seen == records, "{seen:?} instead of {records:?}");
    }
    Ok(Outcome::Passed)
}

async fn append_at_once(bench: Bench) -> Checked {
    let partition = Partition::new(bench.topic(1).await?, 0);
    let appends = (0..20).map(|i| bench.log.append(&partition, numbered(&i.to_string(), 5)));
    let offsets = try_join_all(appends).await?;
    let end = offsets.iter().flatten().max().copied().unwrap_or(0) + 1;
    bench.committed(&partition, end).await?;
    let seen = bench.visible(&partition).await?;
    check!(seen.len() == 100, "{} records of 100", seen.len());
    for (i, offsets) in offsets.iter().enumerate() {
        check!(contiguous(offsets), "one append at {offsets:?}");
        let of = seen.iter().filter(|stored| offsets.contains(&stored.offset));
        let records: Vec<Record> = of.map(|stored| stored.record.clone()).collect();
        check!(records == numbered(&i.to_string(), 5), "{records:?} at append {i}'s offsets");
    }
    Ok(Outcome::Passed)
}

async fn append_nothing(bench: Bench) -> Checked {
    let partition = Partition::new(bench.topic(1).await?, 0);
    let offsets = bench.log.append(&partition, Vec::new()).await?;
    let seen = bench.visible(&partition).await?;
    check!(offsets.is_empty() && seen.is_empty(), "{offsets:?}, {seen:?}");
    Ok(Outcome::Passed)
}

async fn stamps(bench: Bench) -> Checked {
    let partition = Partition::new(bench.topic(1).await?, 0);
    let mut end = 0;
    for _ in 0..10 {
        end = bench.log.append(&partition, numbered("v", 3)).await?[2] + 1;
    }
    bench.committed(&partition, end).await?;
    let seen = bench.visible(&partition).await?;
    let stamps: Vec<i64> = seen.iter().map(|stored| stored.appended_ms).collect();
    check!(stamps.len() == 30 && stamps.is_sorted() && stamps[0] > 0, "{stamps:?}");
    Ok(Outcome::Passed)
}

async fn any_content(bench: Bench) -> Checked {
    let partition = Partition::new(bench.topic(1).await?, 0);
    let header = |name: &str, value: &'static [u8]| (Arc::from(name), Bytes::from_static(value));
    let large: Vec<u8> =
        (0..1_000_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let base = Record::new("k", "v");
    let records = vec![
        Record { key: None, ..base.clone() },
        Record { value: None, ..base.clone() },
        Record::default(),
        Record::new("", ""),
        Record::new(vec![0, 255, 128, b'\n'], vec![0xc3, 0x28, 0]),
        Record {
            headers: vec![header("a", b"1"), header("a", b""), header("ü", b"\xff")], ..base
        },
        Record::new("large", large),
        Record::new("last", "v"),
    ];
    let offsets = bench.log.append(&partition, records.clone()).await?;
    bench.committed(&partition, offsets[7] + 1).await?;
    let seen = bench.contents(&partition).await?;
    check!(seen.len() == records.len(), "{} records of {}", seen.len(), records.len());
    for (i, (seen, record)) in seen.iter().zip(&records).enumerate() {
        check!(seen == record, "record {i} changed (its size was {} bytes)", record.size());
    }
    Ok(Outcome::Passed)
}

async fn largest_record(bench: Bench) -> Checked {
    let partition = Partition::new(bench.topic(1).await?, 0);
    let value = |byte: u8| Bytes::from(vec![byte; bench.log.max_record_bytes() - 1]);
    let (appended, committed) = (Record::new("a", value(1)), Record::new("c", value(2)));
    bench.log.append(&partition, vec![appended.clone()]).await?;
    let mut writer = bench.log.claim(&bench.unique).await?;
    writer.commit(vec![(partition.clone(), committed.clone())]).await?;
    let mut tail = bench.log.tail(vec![(partition.clone(), 0)]).await?;
    let seen = read(&mut *tail, std::slice::from_ref(&partition), 2, 1).await?;
    let seen: Vec<&Record> = seen[&partition].iter().map(|stored| &stored.record).collect();
    check!(seen == [&appended, &committed], "{} records, but other ones", seen.len());
    Ok(Outcome::Passed)
}

async fn compaction(bench: Bench) -> Checked {
    let topic = bench.topic_with(1, Retention::Compact { null_ms: 3_600_000 }).await?;
    let partition = Partition::new(topic, 0);
    let keyed = |n: usize| Record::new(format!("k{}", n % 7), format!("v{n}"));
    let mut records: Vec<Record> = (0..50).map(keyed).collect();
    records.push(Record { value: None, ..Record::new("k3", "") });
    let offsets = bench.log.append(&partition, records.clone()).await?;
    let written: Vec<(u64, Record)> = offsets.into_iter().zip(records).collect();
    bench.committed(&partition, written[50].0 + 1).await?;
    let before = bench.log.bounds(&partition).await?;
    if !bench.harness.compact(&partition).await {
        return Ok(Outcome::NotPossible);
    }
    let seen = bench.visible(&partition).await?;
    let seen: Vec<_> = seen.into_iter().map(|stored| (stored.offset, stored.record)).collect();
    // The last seven records hold every key; of k3 the null is the newest.
    let newest = written[44..].iter().chain([&written[43]]).filter(|(_, r)| *r != keyed(45));
    for record in newest {
        check!(seen.contains(record), "{seen:?} without {record:?}");
    }
    let in_place = seen.is_sorted_by_key(|(offset, _)| *offset);
    check!(in_place && seen.iter().all(|r| written.contains(r)), "{seen:?} of {written:?}");
    let after = bench.log.bounds(&partition).await?;
    check!(after.committed_end == before.committed_end, "{after:?} after {before:?}");
    // A log may spare what was written last; then this run has shown nothing.
    let compacted = seen.len() < written.len();
    Ok(if compacted { Outcome::Passed } else { Outcome::NotPossible })
}
