//! Records as messages and back, and batches packed into messages of a bounded size.

use std::sync::Arc;

use api::log::v1 as proto;
use backbone::{Record, Stored};

/// A message takes no more records once it has this much.
pub(crate) const MESSAGE_BYTES: usize = 2 << 20;
/// What a record costs beside its bytes, roughly.
const RECORD_BYTES: usize = 32;

/// Records of the partition at a position, and the offset after them.
pub(crate) type At = (u32, Vec<Stored>, u64);

/// What records take in a message, roughly.
pub(crate) fn size(records: &[Stored]) -> usize {
    records.iter().map(|stored| stored.record.size() + RECORD_BYTES).sum()
}

/// Batches as messages; one that does not fit goes on in the next.
pub(crate) fn messages(batches: impl IntoIterator<Item = At>) -> Vec<proto::TailResponse> {
    let mut messages = Vec::new();
    let (mut open, mut bytes) = (proto::TailResponse::default(), 0);
    for (position, stored, next) in batches {
        let mut records = Vec::new();
        for stored in stored {
            let size = size(std::slice::from_ref(&stored));
            if bytes > 0 && bytes + size > MESSAGE_BYTES {
                if !records.is_empty() {
                    let records = std::mem::take(&mut records);
                    open.batches.push(proto::Batch { position, records, next: stored.offset });
                }
                messages.push(std::mem::take(&mut open));
                bytes = 0;
            }
            bytes += size;
            records.push(to_proto(stored));
        }
        open.batches.push(proto::Batch { position, records, next });
    }
    messages.push(open);
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
    use prost::Message;

    use super::*;

    fn stored(offset: u64, value: Vec<u8>) -> Stored {
        let headers = vec![("h".into(), "x".into())];
        let record = Record { headers, ..Record::new("k", value) };
        Stored { offset, appended_ms: -1, record }
    }

    #[test]
    fn messages_are_bounded_and_complete() {
        let records: Vec<_> = (0..100).map(|at| stored(at * 2, vec![0; 90_000])).collect();
        let small = stored(5, vec![1]);
        let messages = messages([(3, records.clone(), 300), (4, vec![small.clone()], 6)]);
        assert!(messages.len() > 4);
        assert!(messages.iter().all(|message| message.encoded_len() < MESSAGE_BYTES + 1_000));
        let batches: Vec<_> = messages.into_iter().flat_map(|message| message.batches).collect();
        let (last, busy) = batches.split_last().unwrap();
        assert_eq!((last.position, last.next, busy[busy.len() - 1].next), (4, 6, 300));
        assert_eq!(from_proto(last.records[0].clone()), small);
        for pair in busy.windows(2) {
            assert_eq!(pair[0].next, pair[1].records[0].offset);
        }
        let back: Vec<_> = busy.iter().flat_map(|b| b.records.clone()).map(from_proto).collect();
        assert_eq!(back, records);
    }
}
