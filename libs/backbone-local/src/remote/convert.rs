//! Records as messages and back, and batches cut to messages of a bounded size.

use std::sync::Arc;

use api::log::v1 as proto;
use backbone::{Batch, Record, Stored};

/// A message takes no more records once it has this much.
const MESSAGE_BYTES: usize = 2 << 20;
/// What a record costs beside its bytes, roughly.
const RECORD_BYTES: usize = 32;

/// A batch as messages: all but the last end where the next begins.
pub(crate) fn messages(position: u32, batch: Batch) -> Vec<proto::TailResponse> {
    let mut messages = Vec::new();
    let (mut records, mut bytes) = (Vec::new(), 0);
    for stored in batch.records {
        let size = stored.record.size() + RECORD_BYTES;
        if bytes + size > MESSAGE_BYTES && !records.is_empty() {
            let records = std::mem::take(&mut records);
            messages.push(proto::TailResponse { position, records, next: stored.offset });
            bytes = 0;
        }
        bytes += size;
        records.push(to_proto(stored));
    }
    messages.push(proto::TailResponse { position, records, next: batch.next });
    messages
}

fn to_proto(stored: Stored) -> proto::Record {
    let Record { key, value, headers } = stored.record;
    let header = |(name, value): (Arc<str>, _)| proto::Header { name: name.to_string(), value };
    proto::Record {
        offset: stored.offset,
        appended_ms: stored.appended_ms,
        key,
        value,
        headers: headers.into_iter().map(header).collect(),
    }
}

pub(crate) fn from_proto(record: proto::Record) -> Stored {
    let header = |header: proto::Header| (Arc::from(header.name), header.value);
    let headers = record.headers.into_iter().map(header).collect();
    let content = Record { key: record.key, value: record.value, headers };
    Stored { offset: record.offset, appended_ms: record.appended_ms, record: content }
}

#[cfg(test)]
mod tests {
    use backbone::Partition;
    use prost::Message;

    use super::*;

    #[test]
    fn messages_are_bounded_and_complete() {
        let records: Vec<_> = (0..100u64)
            .map(|at| Stored {
                offset: at * 2,
                appended_ms: -1,
                record: Record {
                    headers: vec![("h".into(), "x".into())],
                    ..Record::new("k", vec![0; 90_000])
                },
            })
            .collect();
        let batch =
            Batch { partition: Partition::new("t", 0), records: records.clone(), next: 300 };
        let messages = messages(3, batch);
        assert!(messages.len() > 4);
        assert!(messages.iter().all(|message| message.encoded_len() < MESSAGE_BYTES + 1_000));
        assert_eq!(messages.last().map(|message| message.next), Some(300));
        for pair in messages.windows(2) {
            assert_eq!(pair[0].next, pair[1].records[0].offset);
        }
        let back: Vec<_> = messages.into_iter().flat_map(|m| m.records).map(from_proto).collect();
        assert_eq!(back, records);
    }
}
