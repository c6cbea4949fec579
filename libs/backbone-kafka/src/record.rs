//! Records as rdkafka takes and gives them.

use backbone::{Partition, Record, Stored};
use bytes::Bytes;
use rdkafka::Message;
use rdkafka::message::{BorrowedMessage, Header, OwnedHeaders};
use rdkafka::producer::BaseRecord;
use rdkafka::util::IntoOpaque;

use crate::native::headers;

/// The record as it is sent. The log gives it its stamp.
pub(crate) fn outgoing<'a, D: IntoOpaque>(
    partition: &'a Partition,
    record: &'a Record,
    opaque: D,
) -> BaseRecord<'a, [u8], [u8], D> {
    let mut out =
        BaseRecord::with_opaque_to(&partition.topic, opaque).partition(partition.index as i32);
    out.key = record.key.as_deref();
    out.payload = record.value.as_deref();
    if !record.headers.is_empty() {
        let headers = OwnedHeaders::new_with_capacity(record.headers.len());
        out.headers = Some(record.headers.iter().fold(headers, |headers, (key, value)| {
            headers.insert(Header { key, value: Some(value.as_ref()) })
        }));
    }
    out
}

/// A record as it is read.
pub(crate) fn incoming(message: &BorrowedMessage<'_>) -> Stored {
    let bytes = |part: Option<&[u8]>| part.map(Bytes::copy_from_slice);
    Stored {
        offset: message.offset().max(0) as u64,
        appended_ms: message.timestamp().to_millis().unwrap_or(0),
        record: Record {
            key: bytes(message.key()),
            value: bytes(message.payload()),
            headers: headers(message),
        },
    }
}
