//! Reads the dead-letter topic: what broke its contract, and which rule.

use std::collections::BTreeSet;

use api::node::v1::DeadLetter;
use backbone::{LogError, Partition, Stored};

use crate::partition::{APPENDED_MS, RULE};
use crate::shared::Shared;

const BATCH: usize = 500;

/// Every dead letter of a source in this region, once, in offset order by partition.
pub(crate) async fn read(shared: &Shared, source: &str) -> Result<Vec<DeadLetter>, LogError> {
    let topic = shared.identity.topics.dead_letters(source);
    let Some(info) = shared.log.topic(&topic).await? else { return Ok(Vec::new()) };
    let mut letters = Vec::new();
    for index in 0..info.partitions {
        letters.extend(read_partition(shared, Partition::new(topic.clone(), index)).await?);
    }
    Ok(letters)
}

async fn read_partition(
    shared: &Shared,
    partition: Partition,
) -> Result<Vec<DeadLetter>, LogError> {
    let bounds = shared.log.bounds(&partition).await?;
    let mut at = bounds.start;
    if at >= bounds.committed_end {
        return Ok(Vec::new());
    }
    let mut tail = shared.log.tail(vec![(partition.clone(), at)]).await?;
    // A refold writes the same letter under the same key again.
    let mut keys = BTreeSet::new();
    let mut letters = Vec::new();
    while at < bounds.committed_end {
        let batch = tail.next(BATCH).await?;
        at = batch.next;
        for stored in batch.records {
            if keys.insert(stored.record.key.clone()) {
                letters.extend(decode(shared, partition.index, stored));
            }
        }
    }
    letters.sort_by_key(|letter| letter.offset);
    Ok(letters)
}

fn decode(shared: &Shared, partition: u32, stored: Stored) -> Option<DeadLetter> {
    let header = |name: &str| {
        let mut headers = stored.record.headers.iter();
        headers.find(|(key, _)| &**key == name).map(|(_, value)| value.clone())
    };
    let offset = stored.record.key.as_ref()?.last_chunk().map(|b| u64::from_be_bytes(*b))?;
    Some(DeadLetter {
        region: shared.identity.region.to_string(),
        partition,
        offset,
        appended_ms: header(APPENDED_MS).as_deref().and_then(milliseconds).unwrap_or(0),
        rule: String::from_utf8_lossy(&header(RULE).unwrap_or_default()).into_owned(),
        event: stored.record.value.unwrap_or_default(),
    })
}

/// Text; or eight bytes, as it was written at first. No such bytes of our days are digits.
fn milliseconds(header: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(header).ok().and_then(|text| text.parse().ok());
    text.or_else(|| Some(i64::from_be_bytes(header.try_into().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_that_were_written_at_first_are_read() {
        let at_ms = 1_700_000_000_123_i64;
        assert_eq!(milliseconds(at_ms.to_string().as_bytes()), Some(at_ms));
        assert_eq!(milliseconds(&at_ms.to_be_bytes()), Some(at_ms));
        assert_eq!(milliseconds(b"12345678"), Some(12_345_678));
        assert_eq!(milliseconds(b"soon"), None);
    }
}
