//! Assignments: membership in a consumer group that reads nothing. It only says who should try; a
//! claim says who may.

use std::thread;
use std::time::Duration;

use backbone::{LogError, Partition};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use tokio::sync::watch;

use crate::context::Quiet;
use crate::error::general;

/// How long the member waits for its group at a time; it leaves within this time.
const LOOK: Duration = Duration::from_millis(100);

/// Joins, on a thread of its own. Leaves when nobody listens any more.
pub(crate) fn join(
    config: &ClientConfig,
    topic: &str,
) -> Result<watch::Receiver<Vec<Partition>>, LogError> {
    let member: BaseConsumer<Quiet> =
        config.create_with_context(Quiet).map_err(|error| general(&error))?;
    member.subscribe(&[topic]).map_err(|error| general(&error))?;
    let (assigned, listener) = watch::channel(Vec::new());
    let spawned = thread::Builder::new().name("kafka-group".to_owned()).spawn(move || {
        while !assigned.is_closed() {
            // Nothing is read: what comes before the pause is left.
            drop(member.poll(LOOK));
            follow(&member, &assigned);
        }
    });
    let failed = |error| LogError::Transient(format!("no thread for a group's member: {error}"));
    spawned.map_err(failed)?;
    Ok(listener)
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
