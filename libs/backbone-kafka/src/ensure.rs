//! Changing topics: made, grown, and cut off.

use std::collections::BTreeMap;
use std::time::Duration;

use backbone::{LogError, Partition, Retention, TopicInfo, TopicSpec};
use rdkafka::admin::{
    AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication, TopicResult,
};
use rdkafka::error::{KafkaResult, RDKafkaErrorCode as Code};
use rdkafka::{Offset, TopicPartitionList};

use crate::blocking::{blocking, dispose};
use crate::cluster::Cluster;
use crate::context::Quiet;
use crate::error::{general, of, of_code};

/// What was made is known to the controller first; others learn it within this time, ms.
const LEARN_MS: u64 = 20;

/// The settings with which Meridian makes a topic.
///
/// Stamps are the log's own, since ages and retention must not rest on producers' clocks. A
/// compacted topic is compacted early and in small segments: heartbeats make most of it garbage
/// soon, and a node that starts from nothing reads all of it.
#[must_use]
pub fn topic_settings(retention: Retention) -> BTreeMap<String, String> {
    let limit =
        |value: u64| if value >= i64::MAX as u64 { "-1".to_owned() } else { value.to_string() };
    let mut settings = vec![
        ("message.timestamp.type", "LogAppendTime".to_owned()),
        // A dead letter is larger than the event in it.
        ("max.message.bytes", "2097152".to_owned()),
    ];
    match retention {
        Retention::Delete { ms, bytes } => settings.extend([
            ("cleanup.policy", "delete".to_owned()),
            ("retention.ms", limit(ms.max(0) as u64)),
            ("retention.bytes", limit(bytes)),
        ]),
        Retention::Compact { null_ms } => settings.extend([
            ("cleanup.policy", "compact".to_owned()),
            ("delete.retention.ms", null_ms.max(0).to_string()),
            ("min.cleanable.dirty.ratio", "0.3".to_owned()),
            ("segment.bytes", (16 << 20).to_string()),
            ("segment.ms", "600000".to_owned()),
        ]),
    }
    settings.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

pub(crate) async fn ensure(cluster: &Cluster, spec: &TopicSpec) -> Result<TopicInfo, LogError> {
    for _ in 0..=cluster.options.request_ms / LEARN_MS {
        match cluster.describe(&spec.name).await? {
            Some(found) if found.partitions >= spec.partitions => return Ok(found),
            Some(_) => change(cluster, spec, Change::Grow).await?,
            None => change(cluster, spec, Change::Make).await?,
        }
        cluster.env.sleep_ms(LEARN_MS).await;
    }
    Err(LogError::Transient(format!("topic '{}' was made, and is not seen", spec.name)))
}

#[derive(Clone, Copy)]
enum Change {
    Make,
    Grow,
}

async fn change(cluster: &Cluster, spec: &TopicSpec, change: Change) -> Result<(), LogError> {
    let partitions = i32::try_from(spec.partitions).unwrap_or(i32::MAX);
    let (admin, options) = admin(cluster).await?;
    let results = match change {
        Change::Make => {
            let mut settings = topic_settings(spec.retention);
            settings.extend(cluster.options.topic_settings.clone());
            let replication = TopicReplication::Fixed(cluster.options.replication);
            let mut topic = NewTopic::new(&spec.name, partitions, replication);
            for (name, value) in &settings {
                topic = topic.set(name, value);
            }
            admin.create_topics([&topic], &options).await
        }
        Change::Grow => {
            let grown = NewPartitions::new(&spec.name, partitions as usize);
            admin.create_partitions([&grown], &options).await
        }
    };
    dispose(admin);
    outcome(results)
}

/// Drops what stands before `start`, whatever the topic's retention.
pub(crate) async fn drop_before(
    cluster: &Cluster,
    partition: &Partition,
    start: u64,
) -> Result<(), LogError> {
    cluster.check([partition]).await?;
    let mut before = TopicPartitionList::new();
    let offset = Offset::Offset(i64::try_from(start).unwrap_or(i64::MAX));
    before
        .add_partition_offset(&partition.topic, partition.index as i32, offset)
        .map_err(|error| general(&error))?;
    let (admin, options) = admin(cluster).await?;
    let dropped = admin.delete_records(&before, &options).await;
    dispose(admin);
    let dropped = dropped.map_err(|error| of(partition, &error))?;
    for dropped in dropped.elements() {
        dropped.error().map_err(|error| of(partition, &error))?;
    }
    Ok(())
}

/// A client for one change: one that is kept would have to be served all the time.
async fn admin(cluster: &Cluster) -> Result<(AdminClient<Quiet>, AdminOptions), LogError> {
    let (config, context) = (cluster.options.admin(), Quiet(cluster.door.clone()));
    let admin = blocking(move || config.create_with_context(context)).await?;
    let timeout = Some(Duration::from_millis(cluster.options.request_ms));
    let options = AdminOptions::new().request_timeout(timeout).operation_timeout(timeout);
    Ok((admin.map_err(|error| general(&error))?, options))
}

fn outcome(results: KafkaResult<Vec<TopicResult>>) -> Result<(), LogError> {
    for result in results.map_err(|error| general(&error))? {
        match result {
            // Somebody else was faster: what is there now will be looked at.
            Ok(_) | Err((_, Code::TopicAlreadyExists)) => {}
            Err((name, code)) => {
                return Err(of_code(code, format!("topic '{name}' was not made: {code}")));
            }
        }
    }
    Ok(())
}
