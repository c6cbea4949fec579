//! What the cases are written with.

use std::collections::BTreeMap;
use std::sync::Arc;

use clock::Env;

use super::{Broken, Case, Check, Harness, Outcome};
use crate::log::{Log, Partition, Record, Retention, Stored, Tail, TopicSpec};

/// How often a condition that nothing announces is looked at again, ms.
const POLL_MS: u64 = 5;

/// What a case runs on.
pub(super) struct Bench {
    pub(super) harness: Arc<dyn Harness>,
    pub(super) env: Arc<dyn Env>,
    pub(super) log: Arc<dyn Log>,
    /// A name that no other run has.
    pub(super) unique: String,
}

pub(super) type Checked = Result<Outcome, Broken>;

pub(super) fn case(name: &'static str, law: &'static str, check: Check) -> Case {
    Case { name, law, check }
}

/// Fails the case unless the condition holds.
macro_rules! check {
    ($holds:expr, $($found:tt)+) => {
        if !$holds {
            return Err($crate::conformance::Broken { found: format!($($found)+) });
        }
    };
}
pub(super) use check;

impl Bench {
    /// Makes a topic of this case's own that keeps everything.
    pub(super) async fn topic(&self, partitions: u32) -> Result<Arc<str>, Broken> {
        self.topic_with(partitions, Retention::Delete { ms: i64::MAX, bytes: u64::MAX }).await
    }

    pub(super) async fn topic_with(
        &self,
        partitions: u32,
        retention: Retention,
    ) -> Result<Arc<str>, Broken> {
        let name: Arc<str> = self.unique.as_str().into();
        self.log.ensure(&TopicSpec { name: Arc::clone(&name), partitions, retention }).await?;
        Ok(name)
    }

    /// Waits until the partition's committed end is at least `end`.
    pub(super) async fn committed(&self, partition: &Partition, end: u64) -> Result<(), Broken> {
        while self.log.bounds(partition).await?.committed_end < end {
            self.env.sleep_ms(POLL_MS).await;
        }
        Ok(())
    }

    /// All that a new tail of the partition sees below the present committed end.
    pub(super) async fn visible(&self, partition: &Partition) -> Result<Vec<Stored>, Broken> {
        let bounds = self.log.bounds(partition).await?;
        let mut seen = Vec::new();
        if bounds.start >= bounds.committed_end {
            return Ok(seen);
        }
        let mut tail = self.log.tail(vec![(partition.clone(), 0)]).await?;
        let mut next = 0;
        while next < bounds.committed_end {
            let batch = tail.next(1_000).await?;
            next = batch.next;
            seen.extend(batch.records);
        }
        seen.retain(|stored| stored.offset < bounds.committed_end);
        Ok(seen)
    }

    /// The contents of [`visible`](Self::visible).
    pub(super) async fn contents(&self, partition: &Partition) -> Result<Vec<Record>, Broken> {
        Ok(self.visible(partition).await?.into_iter().map(|stored| stored.record).collect())
    }
}

/// Reads on until each partition has given `count` records.
pub(super) async fn read(
    tail: &mut dyn Tail,
    partitions: &[Partition],
    count: usize,
    max: usize,
) -> Result<BTreeMap<Partition, Vec<Stored>>, Broken> {
    let mut seen: BTreeMap<Partition, Vec<Stored>> =
        partitions.iter().map(|partition| (partition.clone(), Vec::new())).collect();
    while seen.values().any(|records| records.len() < count) {
        let batch = tail.next(max).await?;
        check!(batch.records.len() <= max, "{} records, asked for {max}", batch.records.len());
        let beyond = batch.records.iter().find(|stored| stored.offset >= batch.next);
        check!(beyond.is_none(), "{beyond:?} in a batch whose next is {}", batch.next);
        let of = seen.get_mut(&batch.partition);
        let Some(of) = of else {
            return Err(Broken { found: format!("records of {}", batch.partition) });
        };
        of.extend(batch.records);
    }
    Ok(seen)
}

/// Records that differ from each other: `<what>-0`, `<what>-1` …
pub(super) fn numbered(what: &str, count: usize) -> Vec<Record> {
    (0..count).map(|n| Record::new(format!("key-{n}"), format!("{what}-{n}"))).collect()
}
