//! The asking half: another region's log as a [`Tailer`].

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use api::log::v1::log_client::LogClient;
use api::log::v1::{self as proto};
use async_trait::async_trait;
use backbone::{Batch, Bounds, LogError, Partition, Stored, Tail, Tailer, TopicInfo};
use tonic::Streaming;
use tonic::transport::{Channel, Endpoint};

use super::convert::from_proto;
use super::failure::{log_error, to_proto};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Until an answer begins; a tail's stream then has no end.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// A peer that is gone without a word is noticed after these two, also on an idle stream.
const PING_INTERVAL: Duration = Duration::from_secs(2);
const PING_TIMEOUT: Duration = Duration::from_secs(3);
/// Above any message: a single record may be larger than the 2 MB that messages are cut to.
const MAX_MESSAGE_BYTES: usize = 16 << 20;
/// Ahead of the reader, per stream and connection.
const WINDOW_BYTES: u32 = 4 << 20;

/// Another region's log, read over gRPC. Connects when first used, and again after a loss.
#[derive(Clone, Debug)]
pub struct RemoteLog {
    peer: Arc<str>,
    client: LogClient<Channel>,
}

impl RemoteLog {
    /// A log at `endpoint`, as in `http://127.0.0.1:7001`. Nothing is sent yet; call it within a
    /// tokio runtime.
    ///
    /// # Errors
    /// [`LogError::Fatal`] if `endpoint` is not a URI.
    pub fn connect(endpoint: &str) -> Result<Self, LogError> {
        let channel = Endpoint::from_shared(endpoint.to_owned())
            .map_err(|error| LogError::Fatal(format!("'{endpoint}' is no endpoint: {error}")))?
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(ANSWER_TIMEOUT)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT)
            .keep_alive_while_idle(true)
            .initial_stream_window_size(WINDOW_BYTES)
            .initial_connection_window_size(WINDOW_BYTES)
            .connect_lazy();
        let client = LogClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES);
        Ok(Self { peer: endpoint.into(), client })
    }

    fn broken(&self, what: &str) -> LogError {
        broken(&self.peer, what)
    }
}

fn broken(peer: &str, what: &str) -> LogError {
    LogError::Fatal(format!("{peer} breaks the contract meridian.log.v1: {what}"))
}

#[async_trait]
impl Tailer for RemoteLog {
    async fn topic(&self, name: &str) -> Result<Option<TopicInfo>, LogError> {
        let request = proto::TopicRequest { name: name.to_owned() };
        let answer = self.client.clone().topic(request).await;
        let answer = answer.map_err(|status| log_error(&self.peer, &status))?;
        let Some(topic) = answer.into_inner().topic else { return Ok(None) };
        let id = topic.id.as_ref().try_into();
        let id = id.map_err(|_| self.broken("a topic's id has not 16 bytes"))?;
        Ok(Some(TopicInfo { id, partitions: topic.partitions }))
    }

    async fn bounds(&self, partition: &Partition) -> Result<Bounds, LogError> {
        let request = proto::BoundsRequest { partition: Some(to_proto(partition)) };
        let answer = self.client.clone().bounds(request).await;
        let bounds = answer.map_err(|status| log_error(&self.peer, &status))?.into_inner();
        Ok(Bounds { start: bounds.start, committed_end: bounds.committed_end })
    }

    async fn tail(&self, from: Vec<(Partition, u64)>) -> Result<Box<dyn Tail>, LogError> {
        let position = |(partition, offset): &(Partition, u64)| proto::Position {
            partition: Some(to_proto(partition)),
            offset: *offset,
        };
        let request = proto::TailRequest { from: from.iter().map(position).collect() };
        let answer = self.client.clone().tail(request).await;
        let stream = answer.map_err(|status| log_error(&self.peer, &status))?.into_inner();
        let partitions = from.into_iter().map(|(partition, _)| partition).collect();
        Ok(Box::new(RemoteTail {
            peer: self.peer.clone(),
            partitions,
            stream,
            ready: VecDeque::new(),
        }))
    }
}

struct RemoteTail {
    peer: Arc<str>,
    partitions: Vec<Partition>,
    stream: Streaming<proto::TailResponse>,
    /// What the reader did not want yet of the last message, in the order of turns. One batch at
    /// most for each partition.
    ready: VecDeque<Ready>,
}

struct Ready {
    partition: Partition,
    records: VecDeque<Stored>,
    next: u64,
}

impl RemoteTail {
    async fn message(&mut self) -> Result<(), LogError> {
        let message = self.stream.message().await;
        let message = message.map_err(|status| log_error(&self.peer, &status))?;
        let message = message.ok_or_else(|| {
            LogError::Transient(format!("{} ended the tail without a word", self.peer))
        })?;
        for batch in message.batches {
            let partition = self.partitions.get(batch.position as usize);
            let partition = partition.ok_or_else(|| broken(&self.peer, "an unknown position"))?;
            let records = batch.records.into_iter().map(from_proto);
            match self.ready.iter_mut().find(|ready| ready.partition == *partition) {
                Some(ready) => {
                    ready.records.extend(records);
                    ready.next = batch.next;
                }
                None => self.ready.push_back(Ready {
                    partition: partition.clone(),
                    records: records.collect(),
                    next: batch.next,
                }),
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Tail for RemoteTail {
    async fn next(&mut self, max: usize) -> Result<Batch, LogError> {
        let mut ready = loop {
            match self.ready.pop_front() {
                Some(ready) => break ready,
                None => self.message().await?,
            }
        };
        let partition = ready.partition.clone();
        let count = max.max(1).min(ready.records.len());
        let records = ready.records.drain(..count).collect();
        let mut next = ready.next;
        if let Some(first) = ready.records.front() {
            next = first.offset;
            self.ready.push_back(ready);
        }
        Ok(Batch { partition, records, next })
    }
}
