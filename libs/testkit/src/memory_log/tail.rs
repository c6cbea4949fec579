//! Reading on from an offset.

use async_trait::async_trait;
use backbone::{Batch, LogError, Partition, Tail};

use super::client::Client;
use super::partition::Found;

/// Where a tail is in one partition.
struct Cursor {
    partition: Partition,
    topic_id: [u8; 16],
    next: u64,
}

pub(super) struct MemoryTail {
    client: Client,
    cursors: Vec<Cursor>,
    /// Whose turn it is.
    turn: usize,
}

impl MemoryTail {
    pub(super) fn open(client: Client, from: Vec<(Partition, u64)>) -> Result<Self, LogError> {
        let state = client.brokers.state.lock();
        let mut cursors = Vec::with_capacity(from.len());
        for (partition, next) in from {
            let start = state.part(&partition)?.bounds().start;
            if next != 0 && next < start {
                return Err(LogError::Truncated { partition, start });
            }
            let topic_id = state.topics.get(&partition.topic).map_or([0; 16], |topic| topic.id);
            cursors.push(Cursor { partition, topic_id, next });
        }
        drop(state);
        Ok(Self { client, cursors, turn: 0 })
    }

    /// What there is now, from the first partition in turn that has something.
    fn poll(&mut self, max: usize) -> Result<Option<Batch>, LogError> {
        let state = self.client.brokers.state.lock();
        for step in 0..self.cursors.len() {
            let at = (self.turn + step) % self.cursors.len();
            let cursor = &mut self.cursors[at];
            let partition = &cursor.partition;
            let topic_id = state.topics.get(&partition.topic).map(|topic| topic.id);
            if topic_id != Some(cursor.topic_id) {
                return Err(LogError::NoSuchPartition(partition.clone()));
            }
            match state.part(partition)?.read(cursor.next, max.max(1)) {
                Found::Nothing => {}
                Found::Truncated(start) => {
                    return Err(LogError::Truncated { partition: partition.clone(), start });
                }
                Found::Records(records, next) => {
                    cursor.next = next;
                    self.turn = at + 1;
                    return Ok(Some(Batch { partition: partition.clone(), records, next }));
                }
            }
        }
        Ok(None)
    }
}

#[async_trait]
impl Tail for MemoryTail {
    async fn next(&mut self, max: usize) -> Result<Batch, LogError> {
        let mut changes = self.client.brokers.changes.subscribe();
        // Only waiting precedes the read, so that a dropped `next` loses nothing.
        self.client.ask(|faults| faults.read_error).await?;
        loop {
            changes.mark_unchanged();
            if let Some(batch) = self.poll(max)? {
                return Ok(batch);
            }
            if changes.changed().await.is_err() {
                return Err(LogError::Transient("the log is gone".to_owned()));
            }
            self.client.ask(|_| 0.0).await?;
        }
    }
}
