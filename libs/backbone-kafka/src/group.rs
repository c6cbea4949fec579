//! Assignments: membership in a consumer group that reads nothing. It only says who should try; a
//! claim says who may. How far this member is, is committed to the group for people's lag tools, and
//! never read.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use backbone::{LogError, Partition};
use parking_lot::Mutex;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use tokio::sync::watch;

use crate::context::{Door, Quiet};
use crate::error::general;

/// How long the member waits for its group at a time; it leaves within this time.
const LOOK: Duration = Duration::from_millis(100);
/// Progress is committed after so many looks: once a second.
const COMMIT_LOOKS: u32 = 10;

/// The next offsets, by partition, that have not been committed yet.
#[derive(Clone, Default)]
pub(crate) struct Progress(Arc<Mutex<BTreeMap<i32, i64>>>);

impl Progress {
    pub(crate) fn note(&self, partition: u32, next: u64) {
        let (partition, next) = (i32::try_from(partition), i64::try_from(next));
        if let (Ok(partition), Ok(next)) = (partition, next) {
            self.0.lock().insert(partition, next);
        }
    }
}

/// Joins, on a thread of its own. Leaves when nobody listens any more; has left when the thread ends.
pub(crate) fn join(
    config: &ClientConfig,
    door: Door,
    topic: &str,
    progress: Progress,
) -> Result<(watch::Receiver<Vec<Partition>>, JoinHandle<()>), LogError> {
    let member: BaseConsumer<Quiet> =
        config.create_with_context(Quiet(door)).map_err(|error| general(&error))?;
    member.subscribe(&[topic]).map_err(|error| general(&error))?;
    let (assigned, listener) = watch::channel(Vec::new());
    let topic = topic.to_owned();
    let spawned = thread::Builder::new().name("kafka-group".to_owned()).spawn(move || {
        let mut looks = 0;
        while !assigned.is_closed() {
            // Nothing is read: what comes before the pause is left.
            drop(member.poll(LOOK));
            follow(&member, &assigned);
            looks += 1;
            if looks % COMMIT_LOOKS == 0 {
                commit(&member, &topic, &assigned.borrow(), &progress);
            }
        }
    });
    let failed = |error| LogError::Transient(format!("no thread for a group's member: {error}"));
    Ok((listener, spawned.map_err(failed)?))
}

fn follow(member: &BaseConsumer<Quiet>, assigned: &watch::Sender<Vec<Partition>>) {
    let Ok(list) = member.assignment() else { return };
    let partition = |topic: &str, index: i32| Partition::new(topic, index.max(0) as u32);
    let mut mine: Vec<Partition> =
        list.elements().iter().map(|of| partition(of.topic(), of.partition())).collect();
    mine.sort();
    let news = assigned.send_if_modified(|known| {
        let news = *known != mine;
        *known = mine;
        news
    });
    if news && let Err(error) = member.pause(&list) {
        tracing::warn!(%error, "a group's member reads what nobody wants");
    }
}

/// Of what is assigned: others commit the rest.
fn commit(member: &BaseConsumer<Quiet>, topic: &str, mine: &[Partition], progress: &Progress) {
    let mut offsets = TopicPartitionList::new();
    for (partition, next) in std::mem::take(&mut *progress.0.lock()) {
        if mine.iter().any(|of| i64::from(of.index) == i64::from(partition)) {
            // Fails only for an offset that is none.
            _ = offsets.add_partition_offset(topic, partition, Offset::Offset(next));
        }
    }
    if offsets.count() > 0
        && let Err(error) = member.commit(&offsets, CommitMode::Async)
    {
        tracing::debug!(%error, "lag tools see an older position");
    }
}
