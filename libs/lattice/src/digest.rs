//! A digest of a set of panes that can be kept up in O(changed): the 128-bit sum of
//! hash(key, version, bytes), a multiset hash in the manner of AdHash (Bellare and Micciancio,
//! 1997) and the `setsum` crate. It guards against lost, doubled and stale records, not against an
//! adversary, so XXH3 stands in for a cryptographic hash at a hundredth of the cost.

use std::fmt;

use xxhash_rust::xxh3::xxh3_128;

/// The algorithm's number in progress records. Another algorithm gets another number.
pub const ALGORITHM: u8 = 1;

/// The sum over a set of panes; the empty set is 0.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Digest(pub u128);

impl Digest {
    /// The summand of one delta record: `key` and `value` as they stand in the delta topic.
    /// `scratch` is overwritten; pass the same buffer again to save the allocation.
    #[must_use]
    pub fn of(key: &[u8], value: &[u8], scratch: &mut Vec<u8>) -> Self {
        scratch.clear();
        scratch.extend_from_slice(&(key.len() as u64).to_be_bytes());
        scratch.extend_from_slice(key);
        scratch.extend_from_slice(value);
        Self(xxh3_128(scratch))
    }

    /// Adds a member.
    pub fn add(&mut self, member: Self) {
        self.0 = self.0.wrapping_add(member.0);
    }

    /// Removes a member.
    pub fn remove(&mut self, member: Self) {
        self.0 = self.0.wrapping_sub(member.0);
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.8}", self.to_string())
    }
}
