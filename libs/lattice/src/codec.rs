//! The bytes that everything persisted is made of: big-endian integers (so that keys sort) and
//! LEB128 varints (so that small numbers are small). Each value has exactly one encoding.

/// Bytes that are not what they should be. Never a panic: a log may hold anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The input ended inside a value.
    #[error("bytes end inside {0}")]
    Short(&'static str),
    /// A tag, version or length that this build does not know.
    #[error("{what} {found} is unknown to this version")]
    Unknown {
        /// What was read.
        what: &'static str,
        /// What was found there.
        found: u64,
    },
    /// Not the one encoding of the value (overlong varint, unsorted sketch, bytes left over).
    #[error("{0} is not in canonical form")]
    NotCanonical(&'static str),
}

/// Takes `n` bytes off the front.
pub(crate) fn take<'a>(
    bytes: &mut &'a [u8],
    n: usize,
    what: &'static str,
) -> Result<&'a [u8], DecodeError> {
    let (head, rest) = bytes.split_at_checked(n).ok_or(DecodeError::Short(what))?;
    *bytes = rest;
    Ok(head)
}

pub(crate) fn take_array<const N: usize>(
    bytes: &mut &[u8],
    what: &'static str,
) -> Result<[u8; N], DecodeError> {
    let (head, rest) = bytes.split_first_chunk::<N>().ok_or(DecodeError::Short(what))?;
    *bytes = rest;
    Ok(*head)
}

pub(crate) fn take_u8(bytes: &mut &[u8], what: &'static str) -> Result<u8, DecodeError> {
    take_array::<1>(bytes, what).map(|[b]| b)
}

pub(crate) fn put_varint(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

pub(crate) fn take_varint(bytes: &mut &[u8], what: &'static str) -> Result<u64, DecodeError> {
    let mut n = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = take_u8(bytes, what)?;
        let bits = u64::from(byte & 0x7f);
        if bits << shift >> shift != bits {
            return Err(DecodeError::NotCanonical(what));
        }
        n |= bits << shift;
        if byte & 0x80 == 0 {
            return if byte == 0 && shift > 0 {
                Err(DecodeError::NotCanonical(what))
            } else {
                Ok(n)
            };
        }
    }
    Err(DecodeError::NotCanonical(what))
}

/// Zigzag: small magnitudes of either sign are short.
pub(crate) fn put_signed(out: &mut Vec<u8>, n: i64) {
    put_varint(out, ((n << 1) ^ (n >> 63)) as u64);
}

pub(crate) fn take_signed(bytes: &mut &[u8], what: &'static str) -> Result<i64, DecodeError> {
    let n = take_varint(bytes, what)?;
    Ok((n >> 1) as i64 ^ -((n & 1) as i64))
}

pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

pub(crate) fn take_bytes<'a>(
    bytes: &mut &'a [u8],
    what: &'static str,
) -> Result<&'a [u8], DecodeError> {
    let n = take_varint(bytes, what)?;
    take(bytes, usize::try_from(n).map_err(|_| DecodeError::Short(what))?, what)
}

pub(crate) fn take_str<'a>(
    bytes: &mut &'a [u8],
    what: &'static str,
) -> Result<&'a str, DecodeError> {
    std::str::from_utf8(take_bytes(bytes, what)?).map_err(|_| DecodeError::NotCanonical(what))
}
