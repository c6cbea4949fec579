//! Where a mirror is: records in a compacted topic of the target, written in the same commit as
//! what they speak of.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::survey::{Found, Targets};
use super::{Ended, Mirror};
use crate::log::{LogError, Partition, Record, Retention, TopicSpec, Writer};

/// Where mirrors keep their positions, in the target, unless told otherwise; one partition, shared
/// by all mirrors.
pub const POSITIONS_TOPIC: &str = "mesh-mirror-positions";
/// Positions are never removed.
const NULL_MS: i64 = 60_000;
const FORMAT: u8 = 2;
/// What was written before positions named the copy.
const WITHOUT_COPY: u8 = 1;
const READ_RECORDS: usize = 10_000;
/// Longer than a commit of another mirror may be under way; a claim that is fenced meanwhile may never see
/// its mark.
const READ_ALL_MS: u64 = 30_000;

/// The next offset to copy of a partition, of which topic it is one, and to which it is copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) topic_id: [u8; 16],
    /// Not known of a record in the older format.
    pub(super) copy_id: Option<[u8; 16]>,
    pub(super) next: u64,
}

/// The topic of the positions as it should be.
#[must_use]
pub fn positions_spec(name: &Arc<str>) -> TopicSpec {
    let retention = Retention::Compact { null_ms: NULL_MS };
    TopicSpec { name: name.clone(), partitions: 1, retention }
}

/// `<region>.<topic>/<partition>`.
fn key(from: &str, partition: &Partition) -> Bytes {
    format!("{from}.{partition}").into()
}

impl Position {
    /// The record that says so.
    pub(super) fn record(&self, from: &str, partition: &Partition) -> Record {
        let mut value = Vec::with_capacity(41);
        value.push(self.copy_id.map_or(WITHOUT_COPY, |_| FORMAT));
        value.extend_from_slice(&self.topic_id);
        value.extend_from_slice(self.copy_id.as_ref().map_or(&[], |id| &id[..]));
        value.extend_from_slice(&self.next.to_be_bytes());
        Record::new(key(from, partition), value)
    }

    fn decode(value: &[u8]) -> Option<Self> {
        let (&format, rest) = value.split_first()?;
        let (&topic_id, rest) = rest.split_first_chunk()?;
        let (copy_id, next) = match format {
            FORMAT => rest.split_first_chunk().map(|(id, next)| (Some(*id), next))?,
            WITHOUT_COPY => (None, rest),
            _ => return None,
        };
        Some(Self { topic_id, copy_id, next: u64::from_be_bytes(next.try_into().ok()?) })
    }
}

impl Mirror {
    /// Where to go on in every partition found. The claim has decided what earlier mirrors began.
    pub(super) async fn read_positions(
        &self,
        writer: &mut dyn Writer,
        found: &Found,
        targets: &Targets,
    ) -> Result<BTreeMap<Partition, Position>, Ended> {
        let serial = self.env.random_u64().to_be_bytes().to_vec();
        let mark = Record::new(format!("{}#claim", self.from), serial);
        writer.commit(vec![(self.positions(), mark.clone())]).await?;
        let reading = clock::timeout(&self.env, READ_ALL_MS, self.kept_positions(&mark)).await;
        let late = |_| {
            let what = format!("{} is not read up to this claim yet", self.names.positions);
            Err(LogError::Transient(what))
        };
        let kept = reading.unwrap_or_else(late).map_err(|error| self.target_error(error))?;
        let mut from = BTreeMap::new();
        let mut rewritten = Vec::new();
        for (topic, info) in &found.0 {
            let start =
                Position { topic_id: info.id, copy_id: targets.get(topic).copied(), next: 0 };
            for index in 0..info.partitions {
                let partition = Partition::new(Arc::clone(topic), index);
                let mut position = start;
                if let Some(value) = kept.get(&key(&self.from, &partition)) {
                    let kept = self.decode(&partition, value)?;
                    position.next = self.resume(&partition, kept, start);
                    // At once: a topic that seldom changes would go on without the copy's name.
                    if kept.copy_id.is_none() {
                        rewritten.push((self.positions(), position.record(&self.from, &partition)));
                    }
                }
                from.insert(partition, position);
            }
        }
        if !rewritten.is_empty() {
            writer.commit(rewritten).await?;
        }
        Ok(from)
    }

    fn decode(&self, partition: &Partition, value: &[u8]) -> Result<Position, Ended> {
        let unknown = || {
            self.target_error(LogError::Fatal(format!(
                "{}: the position of {}.{partition} is in an unknown format; \
                 use the version that wrote it, or a newer one",
                self.names.positions, self.from
            )))
        };
        Position::decode(value).ok_or_else(unknown)
    }

    /// Where to go on: from the start, if the source's topic or the copy is another one now.
    fn resume(&self, partition: &Partition, kept: Position, now: Position) -> u64 {
        let same_copy = kept.copy_id.is_none() || kept.copy_id == now.copy_id;
        if kept.topic_id == now.topic_id && same_copy {
            return kept.next;
        }
        let what = if same_copy { "the source" } else { "the copy" };
        tracing::warn!(from = %self.from, %partition, "{what} was made again; mirrored from its start");
        0
    }

    /// Where positions are.
    pub(super) fn positions(&self) -> Partition {
        Partition::new(self.names.positions.clone(), 0)
    }

    /// All that is kept, read up to a mark of this claim. To read up to the end would not do: while
    /// another mirror's commit is under way, the end that readers see lies before it, and what this
    /// one's predecessor committed after that would be copied twice.
    async fn kept_positions(&self, mark: &Record) -> Result<BTreeMap<Bytes, Bytes>, LogError> {
        let mut kept = BTreeMap::new();
        let mut tail = self.target.tail(vec![(self.positions(), 0)]).await?;
        loop {
            let batch = tail.next(READ_RECORDS).await?;
            for Record { key, value, .. } in batch.records.into_iter().map(|stored| stored.record) {
                if (&key, &value) == (&mark.key, &mark.value) {
                    return Ok(kept);
                }
                kept.extend(key.zip(value));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_frozen_bytes() {
        let position = Position { topic_id: [7; 16], copy_id: Some([9; 16]), next: 258 };
        let record = position.record("eu", &Partition::new("mesh-catalog", 3));
        assert_eq!(record.key.as_deref(), Some(&b"eu.mesh-catalog/3"[..]));
        let value = record.value.unwrap();
        assert_eq!(value, [&[2][..], &[7; 16], &[9; 16], &[0, 0, 0, 0, 0, 0, 1, 2]].concat());
        assert_eq!(Position::decode(&value), Some(position));
        let older = [&[1][..], &[7; 16], &[0, 0, 0, 0, 0, 0, 1, 2]].concat();
        assert_eq!(Position::decode(&older), Some(Position { copy_id: None, ..position }));
    }

    #[test]
    fn a_position_of_another_format_is_refused() {
        let good = Position { topic_id: [7; 16], copy_id: Some([9; 16]), next: 258 };
        let good = good.record("eu", &Partition::new("t", 0)).value.unwrap();
        for end in 0..good.len() {
            assert_eq!(Position::decode(&good[..end]), None);
        }
        assert_eq!(Position::decode(&[&good[..], &[0]].concat()), None);
        assert_eq!(Position::decode(&[&[3], &good[1..]].concat()), None);
    }
}
