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

#[inline]
pub(crate) fn take_varint(bytes: &mut &[u8], what: &'static str) -> Result<u64, DecodeError> {
    match bytes.split_first() {
        Some((&byte, rest)) if byte < 0x80 => {
            *bytes = rest;
            Ok(byte.into())
        }
        _ => take_long_varint(bytes, what),
    }
}

fn take_long_varint(bytes: &mut &[u8], what: &'static str) -> Result<u64, DecodeError> {
    let mut n = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = take_u8(bytes, what)?;
        let bits = u64::from(byte & 0x7f);
        if bits << shift >> shift != bits || (byte == 0 && shift > 0) {
            return Err(DecodeError::NotCanonical(what));
        }
        n |= bits << shift;
        if byte & 0x80 == 0 {
            return Ok(n);
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

/// [`put_signed`] of 128 bits; the bytes are the same where both can hold the number.
pub(crate) fn put_wide(out: &mut Vec<u8>, n: i128) {
    let mut zigzag = ((n << 1) ^ (n >> 127)) as u128;
    while zigzag >= 0x80 {
        out.push(zigzag as u8 | 0x80);
        zigzag >>= 7;
    }
    out.push(zigzag as u8);
}

pub(crate) fn take_wide(bytes: &mut &[u8], what: &'static str) -> Result<i128, DecodeError> {
    let mut zigzag = 0u128;
    for shift in (0..128).step_by(7) {
        let byte = take_u8(bytes, what)?;
        let bits = u128::from(byte & 0x7f);
        if bits << shift >> shift != bits || (byte == 0 && shift > 0) {
            return Err(DecodeError::NotCanonical(what));
        }
        zigzag |= bits << shift;
        if byte & 0x80 == 0 {
            return Ok((zigzag >> 1) as i128 ^ -((zigzag & 1) as i128));
        }
    }
    Err(DecodeError::NotCanonical(what))
}

/// A count of bytes, then the leading bytes of the float without the zeros at their end, so that
/// whole numbers are short. All NaNs become one, since their bits differ between processors.
pub(crate) fn put_f64(out: &mut Vec<u8>, x: f64) {
    let bits = if x.is_nan() { f64::NAN } else { x }.to_bits();
    let kept = 8 - bits.trailing_zeros() as usize / 8;
    out.push(kept as u8);
    out.extend_from_slice(&bits.to_be_bytes()[..kept]);
}

#[inline]
pub(crate) fn take_f64(bytes: &mut &[u8], what: &'static str) -> Result<f64, DecodeError> {
    let kept = usize::from(take_u8(bytes, what)?);
    if kept > 8 {
        return Err(DecodeError::NotCanonical(what));
    }
    let mut be = [0; 8];
    let head = take(bytes, kept, what)?;
    be[..kept].copy_from_slice(head);
    let x = f64::from_bits(u64::from_be_bytes(be));
    if head.last() == Some(&0) || (x.is_nan() && x.to_bits() != f64::NAN.to_bits()) {
        return Err(DecodeError::NotCanonical(what));
    }
    Ok(x)
}

/// What `put` writes, preceded by its length.
pub(crate) fn put_sized(out: &mut Vec<u8>, put: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.push(0);
    put(out);
    let len = out.len() - start - 1;
    if len < 0x80 {
        out[start] = len as u8;
    } else {
        let mut prefix = Vec::with_capacity(5);
        put_varint(&mut prefix, len as u64);
        out.splice(start..=start, prefix);
    }
}

/// Refuses bytes left over.
pub(crate) fn end(bytes: &[u8], what: &'static str) -> Result<(), DecodeError> {
    if bytes.is_empty() { Ok(()) } else { Err(DecodeError::NotCanonical(what)) }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_have_one_form() {
        let read = |mut bytes: &[u8]| take_varint(&mut bytes, "n");
        for n in [0, 1, 0x7f, 0x80, 0x3fff, 0x4000, u64::MAX >> 1, u64::MAX] {
            let mut out = Vec::new();
            put_varint(&mut out, n);
            assert_eq!(read(&out), Ok(n));
            assert!(read(&out[..out.len() - 1]).is_err());
            if let Some(last) = out.last_mut() {
                *last |= 0x80;
            }
            out.push(0);
            assert_eq!(read(&out), Err(DecodeError::NotCanonical("n")), "{n}, a byte too long");
        }
        assert_eq!(
            read(&[[0xff; 9].as_slice(), &[2]].concat()),
            Err(DecodeError::NotCanonical("n"))
        );
    }

    #[test]
    fn wide_integers_are_signed_ones_where_both_can_be() {
        for n in [0, -1, 63, -64, 64, i64::MIN, i64::MAX] {
            let (mut wide, mut narrow) = (Vec::new(), Vec::new());
            put_wide(&mut wide, n.into());
            put_signed(&mut narrow, n);
            assert_eq!(wide, narrow);
        }
        for n in [i128::MIN, i128::MAX, 1 << 63, -(1 << 64) - 1] {
            let mut out = Vec::new();
            put_wide(&mut out, n);
            assert_eq!(take_wide(&mut &out[..], "n"), Ok(n));
            out.push(0);
            let last = out.len() - 2;
            out[last] |= 0x80;
            assert_eq!(take_wide(&mut &out[..], "n"), Err(DecodeError::NotCanonical("n")));
        }
    }

    #[test]
    fn floats_keep_their_bits_and_nan_has_one_form() {
        for x in [0.0, -0.0, 1.0, -1.5, 0.1, f64::MAX, 5e-324, f64::INFINITY] {
            let mut out = Vec::new();
            put_f64(&mut out, x);
            assert_eq!(take_f64(&mut &out[..], "x").map(f64::to_bits), Ok(x.to_bits()));
        }
        let mut out = Vec::new();
        put_f64(&mut out, f64::from_bits(0xfff8_0000_0000_0001));
        assert_eq!(out, [2, 0x7f, 0xf8]);
        assert!(take_f64(&mut &out[..], "x").is_ok_and(f64::is_nan));
        let refused: [&[u8]; 3] =
            [&[2, 0xff, 0xf8], &[3, 0x3f, 0xf0, 0], &[9, 0, 0, 0, 0, 0, 0, 0, 0, 1]];
        for mut bytes in refused {
            assert_eq!(take_f64(&mut bytes, "x"), Err(DecodeError::NotCanonical("x")));
        }
    }
}
