//! Where an entity lives: its canonical key, and the shard that follows from it.

use bytes::Bytes;

use crate::codec::{self, DecodeError};
use crate::value::{Input, Value};

/// The canonical bytes of an entity key: per join key a tag and the value. Floats and nulls are no
/// keys: `None`.
#[must_use]
pub fn entity_key(values: &[Value]) -> Option<Bytes> {
    let mut out = Vec::with_capacity(values.len() * 12);
    values.iter().all(|value| put_key_part(&mut out, value.as_input())).then(|| out.into())
}

/// Appends one join key's part of [`entity_key`]; false, with nothing appended, if it is no key.
#[must_use]
pub fn put_key_part(out: &mut Vec<u8>, value: Input<'_>) -> bool {
    match value {
        Input::Text(text) => {
            out.push(b's');
            codec::put_bytes(out, text.as_bytes());
        }
        Input::Int(n) => {
            out.push(b'i');
            codec::put_signed(out, n);
        }
        Input::Bool(b) => out.extend_from_slice(&[b'b', u8::from(b)]),
        Input::Time(ms) => {
            out.push(b't');
            codec::put_signed(out, ms);
        }
        Input::Null | Input::Float(_) => return false,
    }
    true
}

/// Reads [`entity_key`]'s bytes: for people, in `explain` and `status`.
pub fn decode_entity_key(mut bytes: &[u8]) -> Result<Vec<Value>, DecodeError> {
    let bytes = &mut bytes;
    let mut values = Vec::new();
    while !bytes.is_empty() {
        values.push(match codec::take_u8(bytes, "an entity key")? {
            b's' => Value::Text(codec::take_str(bytes, "an entity key")?.into()),
            b'i' => Value::Int(codec::take_signed(bytes, "an entity key")?),
            b'b' => match codec::take_u8(bytes, "an entity key")? {
                0 => Value::Bool(false),
                1 => Value::Bool(true),
                _ => return Err(DecodeError::NotCanonical("an entity key")),
            },
            b't' => Value::Time(codec::take_signed(bytes, "an entity key")?),
            found => {
                return Err(DecodeError::Unknown { what: "entity key tag", found: found.into() });
            }
        });
    }
    Ok(values)
}

/// The shard of an entity key: `murmur2(key) mod shards`, with the hash made positive as Kafka's
/// default partitioner does, so that other programs can compute it. `shards` must not be 0.
#[must_use]
pub fn shard_of(entity: &[u8], shards: u32) -> u32 {
    (murmur2(entity) & 0x7fff_ffff) % shards.max(1)
}

/// MurmurHash2, 32 bits (Austin Appleby), with the seed of Kafka's `Utils.murmur2`.
fn murmur2(bytes: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mut h = 0x9747_b28c ^ bytes.len() as u32;
    let (words, tail) = bytes.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k ^= k >> 24;
        h = h.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    if !tail.is_empty() {
        for (i, byte) in tail.iter().enumerate() {
            h ^= u32::from(*byte) << (8 * i);
        }
        h = h.wrapping_mul(M);
    }
    h ^= h >> 13;
    h = h.wrapping_mul(M);
    h ^ (h >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Vectors of Kafka's own `UtilsTest.testMurmur2`.
    #[test]
    fn murmur2_agrees_with_kafka() {
        let cases: [(&str, i32); 5] = [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
        ];
        for (text, hash) in cases {
            assert_eq!(murmur2(text.as_bytes()) as i32, hash, "{text}");
        }
    }

    #[test]
    fn entity_keys_round_trip_and_do_not_collide() {
        let keys = [
            vec![Value::Text("a".into()), Value::Text("bc".into())],
            vec![Value::Text("ab".into()), Value::Text("c".into())],
            vec![Value::Int(-7), Value::Bool(true), Value::Time(5)],
        ];
        let encoded: Vec<_> = keys.iter().map(|k| entity_key(k).unwrap()).collect();
        assert_ne!(encoded[0], encoded[1]);
        for (key, bytes) in keys.iter().zip(&encoded) {
            assert_eq!(&decode_entity_key(bytes).unwrap(), key);
        }
        assert_eq!(entity_key(&[Value::Null]), None);
    }
}
