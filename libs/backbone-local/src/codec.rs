//! A batch as bytes: what one partition got from one group of commits, or what compaction left of
//! several of those.
//!
//! Format 1: a header of fixed size (format `u8`; base and next offset `u64`; records `u32`; first
//! and last stamp `i64`; all little endian), then the records, each as: offset since the last
//! record's successor, ms since the last record (LEB128); key, value (LEB128 of length + 1, or 0
//! for none, and the bytes); headers (count, then name and value with their lengths). Offsets may
//! have gaps. fjall's own checksums guard the bytes.

use std::sync::Arc;

use backbone::{Record, Stored};
use bytes::{Buf, BufMut, Bytes, BytesMut};

/// The format that is written; others are refused.
pub(crate) const FORMAT: u8 = 1;
const HEADER_BYTES: usize = 1 + 8 + 8 + 4 + 8 + 8;

/// These bytes are not a batch that this version can read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a readable batch: {0}")]
pub(crate) struct Corrupt(&'static str);

/// What a batch says of itself before its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) base: u64,
    /// The offset after the batch.
    pub(crate) next: u64,
    pub(crate) records: u32,
    pub(crate) first_ms: i64,
    pub(crate) last_ms: i64,
}

impl Header {
    pub(crate) fn read(mut bytes: &[u8]) -> Result<Self, Corrupt> {
        if bytes.len() < HEADER_BYTES {
            return Err(Corrupt("shorter than its header"));
        }
        if bytes.get_u8() != FORMAT {
            return Err(Corrupt("of a format that this version does not know"));
        }
        let header = Self {
            base: bytes.get_u64_le(),
            next: bytes.get_u64_le(),
            records: bytes.get_u32_le(),
            first_ms: bytes.get_i64_le(),
            last_ms: bytes.get_i64_le(),
        };
        if header.next < header.base || header.last_ms < header.first_ms {
            return Err(Corrupt("ends before it begins"));
        }
        Ok(header)
    }
}

/// Builds one batch.
pub(crate) struct Encoder {
    header: Header,
    bytes: BytesMut,
}

impl Encoder {
    /// A batch whose range of offsets begins at `base`.
    pub(crate) fn new(base: u64) -> Self {
        let mut bytes = BytesMut::with_capacity(1024);
        bytes.put_bytes(0, HEADER_BYTES);
        Self { header: Header { base, next: base, records: 0, first_ms: 0, last_ms: 0 }, bytes }
    }

    /// Adds a record. `offset` and `ms` must not be below those of the record before.
    pub(crate) fn push(&mut self, offset: u64, ms: i64, record: &Record) {
        if self.header.records == 0 {
            self.header.first_ms = ms;
            self.header.last_ms = ms;
        }
        put_varint(&mut self.bytes, offset.saturating_sub(self.header.next));
        put_varint(&mut self.bytes, ms.saturating_sub(self.header.last_ms).max(0) as u64);
        self.header.next = offset + 1;
        self.header.last_ms = self.header.last_ms.max(ms);
        self.header.records += 1;
        put_optional(&mut self.bytes, record.key.as_ref());
        put_optional(&mut self.bytes, record.value.as_ref());
        put_varint(&mut self.bytes, record.headers.len() as u64);
        for (name, value) in &record.headers {
            put_slice(&mut self.bytes, name.as_bytes());
            put_slice(&mut self.bytes, value);
        }
    }

    pub(crate) fn header(&self) -> Header {
        self.header
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.header.records == 0
    }

    /// Bytes so far.
    pub(crate) fn size(&self) -> usize {
        self.bytes.len()
    }

    /// The batch, with its range of offsets ending before `next`.
    pub(crate) fn finish(mut self, next: u64) -> Bytes {
        let mut head = &mut self.bytes[..HEADER_BYTES];
        head.put_u8(FORMAT);
        head.put_u64_le(self.header.base);
        head.put_u64_le(next.max(self.header.next));
        head.put_u32_le(self.header.records);
        head.put_i64_le(self.header.first_ms);
        head.put_i64_le(self.header.last_ms);
        self.bytes.freeze()
    }
}

/// Reads a batch record by record; keys and values are slices of the batch.
#[derive(Debug)]
pub(crate) struct Decoder {
    header: Header,
    left: u32,
    next: u64,
    ms: i64,
    bytes: Bytes,
}

impl Decoder {
    pub(crate) fn new(mut bytes: Bytes) -> Result<Self, Corrupt> {
        let header = Header::read(&bytes)?;
        bytes.advance(HEADER_BYTES);
        Ok(Self { header, left: header.records, next: header.base, ms: header.first_ms, bytes })
    }

    pub(crate) fn header(&self) -> Header {
        self.header
    }

    fn record(&mut self) -> Result<Stored, Corrupt> {
        let overflow = Corrupt("an offset or a stamp out of range");
        let offset = self.next.checked_add(self.varint()?).ok_or(overflow)?;
        let ms = self.ms.checked_add_unsigned(self.varint()?).ok_or(overflow)?;
        if offset >= self.header.next || ms > self.header.last_ms {
            return Err(overflow);
        }
        (self.next, self.ms) = (offset + 1, ms);
        let key = self.optional()?;
        let value = self.optional()?;
        let count = self.varint()?;
        let mut headers = Vec::with_capacity(count.min(16) as usize);
        for _ in 0..count {
            let name = self.slice()?;
            let name =
                std::str::from_utf8(&name).map_err(|_| Corrupt("a header's name is not UTF-8"))?;
            headers.push((Arc::from(name), self.slice()?));
        }
        Ok(Stored { offset, appended_ms: ms, record: Record { key, value, headers } })
    }

    fn varint(&mut self) -> Result<u64, Corrupt> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.bytes.try_get_u8().map_err(|_| Corrupt("it ends within a record"))?;
            let part = u64::from(byte & 0x7f);
            if shift == 63 && part > 1 {
                break;
            }
            value |= part << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Corrupt("a number is too long"))
    }

    fn take(&mut self, length: u64) -> Result<Bytes, Corrupt> {
        if length > self.bytes.len() as u64 {
            return Err(Corrupt("it ends within a record"));
        }
        Ok(self.bytes.split_to(length as usize))
    }

    fn slice(&mut self) -> Result<Bytes, Corrupt> {
        let length = self.varint()?;
        self.take(length)
    }

    fn optional(&mut self) -> Result<Option<Bytes>, Corrupt> {
        match self.varint()? {
            0 => Ok(None),
            length => self.take(length - 1).map(Some),
        }
    }
}

impl Iterator for Decoder {
    type Item = Result<Stored, Corrupt>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let record = self.record();
        if record.is_err() {
            self.left = 0;
        }
        Some(record)
    }
}

fn put_varint(bytes: &mut BytesMut, mut value: u64) {
    while value >= 0x80 {
        bytes.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.put_u8(value as u8);
}

fn put_slice(bytes: &mut BytesMut, slice: &[u8]) {
    put_varint(bytes, slice.len() as u64);
    bytes.put_slice(slice);
}

fn put_optional(bytes: &mut BytesMut, slice: Option<&Bytes>) {
    match slice {
        None => put_varint(bytes, 0),
        Some(slice) => {
            put_varint(bytes, slice.len() as u64 + 1);
            bytes.put_slice(slice);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes() -> impl Strategy<Value = Bytes> {
        proptest::collection::vec(any::<u8>(), 0..40).prop_map(Bytes::from)
    }

    fn record() -> impl Strategy<Value = Record> {
        let headers = proptest::collection::vec(("[a-zé]{0,5}", bytes()), 0..3);
        let option = || proptest::option::of(bytes());
        (option(), option(), headers).prop_map(|(key, value, headers)| Record {
            key,
            value,
            headers: headers.into_iter().map(|(k, v)| (Arc::from(k), v)).collect(),
        })
    }

    fn batch() -> impl Strategy<Value = (u64, Vec<Stored>, u64)> {
        let step = (0u64..3, 0i64..3, record());
        let steps = proptest::collection::vec(step, 0..20);
        (0u64..1 << 60, -5i64..1 << 50, steps, 0u64..3).prop_map(|(base, ms, steps, gap)| {
            let (mut next, mut ms) = (base, ms);
            let mut records = Vec::new();
            for (offset, later, record) in steps {
                (next, ms) = (next + offset + 1, ms + later);
                records.push(Stored { offset: next - 1, appended_ms: ms, record });
            }
            (base, records, next + gap)
        })
    }

    fn encode(base: u64, records: &[Stored], next: u64) -> Bytes {
        let mut encoder = Encoder::new(base);
        for stored in records {
            encoder.push(stored.offset, stored.appended_ms, &stored.record);
        }
        encoder.finish(next)
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded((base, records, next) in batch()) {
            let decoder = Decoder::new(encode(base, &records, next)).unwrap();
            prop_assert_eq!(decoder.header().base, base);
            prop_assert_eq!(decoder.header().next, next);
            let decoded: Result<Vec<_>, _> = decoder.collect();
            prop_assert_eq!(decoded.unwrap(), records);
        }

        #[test]
        fn a_cut_or_changed_batch_never_panics(
            (base, records, next) in batch(), at in any::<prop::sample::Index>(), to: u8
        ) {
            let whole = encode(base, &records, next).to_vec();
            let mut changed = whole.clone();
            changed[at.index(whole.len())] = to;
            let cut = whole[..at.index(whole.len())].to_vec();
            for bytes in [changed, cut] {
                if let Ok(decoder) = Decoder::new(bytes.into()) {
                    prop_assert!(decoder.count() <= u32::MAX as usize);
                }
            }
        }
    }

    /// Data directories outlive versions: format 1 must be read as long as it is supported.
    #[test]
    fn format_1_is_frozen() {
        let record =
            Record { headers: vec![(Arc::from("h"), Bytes::from("x"))], ..Record::new("k", "va") };
        let null = Record { key: Some("k".into()), ..Record::default() };
        let records = [
            Stored { offset: 7, appended_ms: 1000, record },
            Stored { offset: 9, appended_ms: 1200, record: null },
        ];
        let frozen: &[u8] = &[
            1, 7, 0, 0, 0, 0, 0, 0, 0, 11, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0,
            0, // format, range, count
            0xe8, 3, 0, 0, 0, 0, 0, 0, 0xb0, 4, 0, 0, 0, 0, 0, 0, // stamps
            0, 0, 2, b'k', 3, b'v', b'a', 1, 1, b'h', 1, b'x', // 7
            1, 200, 1, 2, b'k', 0, 0, // 9
        ];
        assert_eq!(&encode(7, &records, 11)[..], frozen);
    }
}
