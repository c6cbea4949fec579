//! Making topics, and adding partitions to them.

use std::sync::Arc;

use backbone::{LogError, TopicInfo, TopicSpec};

use crate::shared::{Shared, blocking, load, log_error};
use crate::topic::{Topic, TopicRecord};

/// What a topic may have; each partition costs memory and a look at every tail's turn.
const MAX_PARTITIONS: u32 = 4096;
/// As in Kafka.
const MAX_NAME_BYTES: usize = 249;

pub(crate) async fn ensure(shared: &Arc<Shared>, spec: &TopicSpec) -> Result<TopicInfo, LogError> {
    check(spec)?;
    let _one_at_a_time = shared.ensuring.lock().await;
    let known = shared.topic(&spec.name);
    let old = known.as_ref().map(|topic| topic.record());
    let record = match &old {
        Some(old) => TopicRecord {
            partitions: old.partitions.max(spec.partitions),
            retention: spec.retention.into(),
            ..old.clone()
        },
        None => new_record(shared, spec),
    };
    let first = old.as_ref().map_or(0, |old| old.partitions);
    let unchanged = old.as_ref().is_some_and(|old| {
        old.partitions == record.partitions && old.retention == record.retention
    });
    if let (true, Some(known)) = (unchanged, &known) {
        return Ok(known.info());
    }
    let info = TopicInfo { id: record.id, partitions: record.partitions };
    let (worker, written) = (shared.clone(), record.clone());
    let added = blocking(move || {
        let mut write = worker.store.write();
        write.put_topic(&written)?;
        write.commit()?;
        load(&worker.store, &written, first, &worker.options)
    });
    let added = added.await?.map_err(log_error)?;
    match known {
        Some(topic) => topic.change(record, added),
        None => {
            let topic = Arc::new(Topic::new(record, added));
            shared.topics.write().insert(spec.name.clone(), topic);
        }
    }
    Ok(info)
}

fn check(spec: &TopicSpec) -> Result<(), LogError> {
    let refuse = |what: String| Err(LogError::Fatal(format!("topic '{}': {what}", spec.name)));
    if spec.name.is_empty() || spec.name.len() > MAX_NAME_BYTES {
        return refuse(format!("a name has 1 to {MAX_NAME_BYTES} bytes"));
    }
    if spec.partitions == 0 || spec.partitions > MAX_PARTITIONS {
        return refuse(format!(
            "{} partitions asked for, 1 to {MAX_PARTITIONS} are possible",
            spec.partitions
        ));
    }
    Ok(())
}

fn new_record(shared: &Shared, spec: &TopicSpec) -> TopicRecord {
    let numbers = shared.topics.read().values().map(|topic| topic.record().number).max();
    let id = u128::from(shared.env.random_u64()) << 64 | u128::from(shared.env.random_u64());
    TopicRecord {
        name: spec.name.clone(),
        number: numbers.map_or(0, |highest| highest + 1),
        id: id.to_be_bytes(),
        partitions: spec.partitions,
        retention: spec.retention.into(),
    }
}
