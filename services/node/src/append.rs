//! A push: events appended to the region's own topic, each beside its twins.

use std::collections::BTreeMap;
use std::sync::Arc;

use api::node::v1::{AppendRequest, AppendResponse, Position};
use backbone::{LogError, Partition, Record, TopicInfo};
use fold::Partitioner;

use crate::shared::Shared;
use crate::status;

/// Why events were not taken. None of them is in the log, unless the log says that it may be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// Not in the catalog.
    #[error("there is no source '{0}' in the catalog; apply one that has it, or check the name")]
    NoSuchSource(String),
    /// This node has not read it in the catalog, or not made its topic yet.
    #[error("this node is not ready to take events of '{0}' yet; try again")]
    NotReady(String),
    /// The log did not take them.
    #[error(transparent)]
    Log(#[from] LogError),
}

/// To look a topic up is a round trip to Kafka; a partition that is new may wait so long for pushes.
const LOOK_UP_EVERY_US: u64 = 1_000_000;

/// Appends the events and returns when they are durable. A retry meets its twin: the partition
/// follows from the event's id, or from its bytes where it has none.
pub async fn append(
    shared: &Shared,
    request: AppendRequest,
) -> Result<AppendResponse, AppendError> {
    let sources = shared.catalog_now().sources();
    let source = sources.iter().find(|source| *source.name == *request.source);
    let source = source.ok_or_else(|| match status::not_ready(shared) {
        // A node that has just started may not have read its catalog yet.
        Some(_) => AppendError::NotReady(request.source.clone()),
        None => AppendError::NoSuchSource(request.source.clone()),
    })?;
    let info = topic(shared, &source.topic).await?;
    let info = info.ok_or_else(|| AppendError::NotReady(request.source.clone()))?;
    let accepted = request.events.len() as u64;
    let partitioner = Partitioner::new(source, info.partitions);
    let mut by_partition: BTreeMap<u32, Vec<Record>> = BTreeMap::new();
    for event in request.events {
        let index = partitioner.of(&event);
        let record = Record { key: None, value: Some(event), headers: Vec::new() };
        by_partition.entry(index).or_default().push(record);
    }
    let mut positions = Vec::with_capacity(by_partition.len());
    for (index, records) in by_partition {
        let partition = Partition::new(source.topic.clone(), index);
        let offsets = shared.log.append(&partition, records).await?;
        positions.extend(offsets.last().map(|offset| Position {
            region: shared.identity.region.to_string(),
            topic_id: info.id.to_vec().into(),
            partition: index,
            offset: *offset,
        }));
    }
    Ok(AppendResponse { accepted, positions })
}

/// A source's topic as it is, or was a second ago.
pub(crate) async fn topic(shared: &Shared, name: &Arc<str>) -> Result<Option<TopicInfo>, LogError> {
    let now_us = shared.env.monotonic_us();
    if let Some((at_us, info)) = shared.looked_up.lock().get(name)
        && now_us.saturating_sub(*at_us) < LOOK_UP_EVERY_US
    {
        return Ok(Some(*info));
    }
    look_up(shared, name).await
}

/// A source's topic as it is now.
pub(crate) async fn look_up(
    shared: &Shared,
    name: &Arc<str>,
) -> Result<Option<TopicInfo>, LogError> {
    let now_us = shared.env.monotonic_us();
    let info = shared.log.topic(name).await?;
    if let Some(info) = info {
        shared.looked_up.lock().insert(name.clone(), (now_us, info));
    }
    Ok(info)
}
