//! Laws of `ensure`, `topic`, `bounds` and `assignments`.

use std::sync::Arc;

use futures::FutureExt;

use super::support::{Bench, Checked, case, check};
use super::{Case, Outcome};
use crate::log::{Bounds, LogError, Partition, Record, Retention, TopicSpec};

pub(super) fn cases() -> Vec<Case> {
    vec![
        case("ensure-repeats", "ensure may be repeated and keeps the topic", |bench| {
            ensure_repeats(bench).boxed()
        }),
        case(
            "ensure-grows",
            "ensure adds partitions, keeps id and records, never shrinks",
            |bench| ensure_grows(bench).boxed(),
        ),
        case("new-is-empty", "a new partition begins at 0 and ends there", |bench| {
            new_is_empty(bench).boxed()
        }),
        case("absent", "what does not exist is said to be so, by name", |bench| {
            absent(bench).boxed()
        }),
        case("odd-names", "a name is refused by ensure, or works everywhere", |bench| {
            odd_names(bench).boxed()
        }),
        case("assignments", "assignments lists every partition, and those added later", |bench| {
            assignments(bench).boxed()
        }),
    ]
}

fn spec(name: &str, partitions: u32) -> TopicSpec {
    let retention = Retention::Compact { null_ms: 60_000 };
    TopicSpec { name: name.into(), partitions, retention }
}

async fn ensure_repeats(bench: Bench) -> Checked {
    let before = bench.log.topic(&bench.unique).await?;
    check!(before.is_none(), "a topic that nobody made: {before:?}");
    let first = bench.log.ensure(&spec(&bench.unique, 3)).await?;
    let again = bench.log.ensure(&spec(&bench.unique, 3)).await?;
    let asked = bench.log.topic(&bench.unique).await?;
    check!(first.partitions == 3, "{} partitions, asked for 3", first.partitions);
    check!(again == first && asked == Some(first), "{first:?}, {again:?} and {asked:?}");
    let other = bench.log.ensure(&spec(&format!("{}-other", bench.unique), 1)).await?;
    check!(other.id != first.id, "two topics with one id");
    Ok(Outcome::Passed)
}

async fn ensure_grows(bench: Bench) -> Checked {
    let first = bench.log.ensure(&spec(&bench.unique, 2)).await?;
    let old = Partition::new(bench.unique.as_str(), 1);
    let at = bench.log.append(&old, vec![Record::new("k", "v")]).await?;
    let grown = bench.log.ensure(&spec(&bench.unique, 5)).await?;
    check!(grown.id == first.id && grown.partitions == 5, "{grown:?} after {first:?}");
    let kept = bench.log.ensure(&spec(&bench.unique, 1)).await?;
    check!(kept == grown, "{kept:?} after asking for fewer than {grown:?}");
    bench.committed(&old, at[0] + 1).await?;
    let records = bench.contents(&old).await?;
    check!(records == [Record::new("k", "v")], "{records:?} in an old partition");
    let new = Partition::new(bench.unique.as_str(), 4);
    bench.log.append(&new, vec![Record::new("k", "v")]).await?;
    Ok(Outcome::Passed)
}

async fn new_is_empty(bench: Bench) -> Checked {
    let topic = bench.topic(2).await?;
    for index in 0..2 {
        let bounds = bench.log.bounds(&Partition::new(Arc::clone(&topic), index)).await?;
        check!(bounds == Bounds { start: 0, committed_end: 0 }, "{bounds:?}");
    }
    Ok(Outcome::Passed)
}

async fn absent(bench: Bench) -> Checked {
    let topic = bench.topic(2).await?;
    let nobodys = format!("{}-nobodys", bench.unique);
    for partition in [Partition::new(topic, 2), Partition::new(nobodys.as_str(), 0)] {
        let expected = LogError::NoSuchPartition(partition.clone());
        let found = bench.log.bounds(&partition).await;
        check!(found == Err(expected.clone()), "bounds: {found:?}");
        let found = bench.log.append(&partition, vec![Record::new("k", "v")]).await;
        check!(found == Err(expected.clone()), "append: {found:?}");
        let found = match bench.log.tail(vec![(partition.clone(), 0)]).await {
            Ok(mut tail) => tail.next(1).await.map(|_| ()),
            Err(error) => Err(error),
        };
        check!(found == Err(expected.clone()), "tail: {found:?}");
        let mut writer = bench.log.claim(&bench.unique).await?;
        let found = writer.commit(vec![(partition, Record::new("k", "v"))]).await;
        check!(found == Err(crate::CommitError::Aborted(expected)), "commit: {found:?}");
    }
    let made = bench.log.topic(&nobodys).await?;
    check!(made.is_none(), "a topic made by asking for it");
    Ok(Outcome::Passed)
}

async fn odd_names(bench: Bench) -> Checked {
    let long = "x".repeat(300);
    for odd in ["eu.", "a/b", "..", "ü", " ", "\n", "%2e", "_", "\0", &long] {
        let name = format!("{odd}{}", bench.unique);
        if bench.log.ensure(&spec(&name, 2)).await.is_err() {
            let made = bench.log.topic(&name).await;
            check!(!matches!(made, Ok(Some(_))), "'{odd}' was refused and made");
            continue;
        }
        let partition = Partition::new(name.as_str(), 1);
        let offsets = bench.log.append(&partition, vec![Record::new("k", odd.to_owned())]).await?;
        bench.committed(&partition, offsets[0] + 1).await?;
        let records = bench.contents(&partition).await?;
        check!(records == [Record::new("k", odd.to_owned())], "'{odd}': {records:?}");
    }
    Ok(Outcome::Passed)
}

async fn assignments(bench: Bench) -> Checked {
    let topic = bench.topic(2).await?;
    let all = |count: u32| (0..count).map(|i| Partition::new(Arc::clone(&topic), i));
    let mut assigned = bench.log.assignments(&bench.unique, &topic).await?;
    for count in [2, 4] {
        let retention = Retention::Delete { ms: i64::MAX, bytes: u64::MAX };
        let name = Arc::clone(&topic);
        bench.log.ensure(&TopicSpec { name, partitions: count, retention }).await?;
        let mut expected = all(count).collect::<Vec<_>>();
        expected.sort();
        let complete = |mine: &Vec<Partition>| {
            let mut mine = mine.clone();
            mine.sort();
            mine == expected
        };
        let ended = assigned.wait_for(complete).await.is_err();
        check!(!ended, "the assignments ended");
    }
    Ok(Outcome::Passed)
}
