//! The unit of state: one entity's events of one origin in one span, a cell per feature.

use bytes::Bytes;
use crdts::CvRDT;

use crate::codec::DecodeError;

/// A pane's content. `version` is 1 + the offset of the last event folded into it, so the versions
/// of one pane form a chain, each a fold of a longer prefix.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pane {
    /// 1 + the offset of the last event folded in.
    pub version: u64,
    /// The cells, as [`crate::cell`] encodes them. Canonical: equal state, equal bytes.
    pub cells: Bytes,
}

/// Two panes of one key and one version whose bytes differ: the fold was not deterministic, or
/// there were two writers. The greater bytes win, only so that there is an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("two contents of one pane at version {version}")]
pub struct Forked {
    /// The version that both claim.
    pub version: u64,
}

impl Pane {
    /// Whether `self` is above `other` in the pane's chain.
    #[must_use]
    pub fn supersedes(&self, other: &Self) -> bool {
        (self.version, &self.cells) > (other.version, &other.cells)
    }

    /// The value of a delta record.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut out = Vec::with_capacity(8 + self.cells.len());
        out.extend_from_slice(&self.version.to_be_bytes());
        out.extend_from_slice(&self.cells);
        out.into()
    }

    /// Reads [`Pane::encode`]'s bytes without copying the cells, which are not looked into: a store
    /// keeps panes of plans that it does not know.
    pub fn decode(bytes: &Bytes) -> Result<Self, DecodeError> {
        let version = bytes.first_chunk::<8>().ok_or(DecodeError::Short("a pane's version"))?;
        Ok(Self { version: u64::from_be_bytes(*version), cells: bytes.slice(8..) })
    }
}

impl CvRDT for Pane {
    type Validation = Forked;

    fn validate_merge(&self, other: &Self) -> Result<(), Forked> {
        if self.version == other.version && self.cells != other.cells {
            return Err(Forked { version: self.version });
        }
        Ok(())
    }

    fn merge(&mut self, other: Self) {
        if other.supersedes(self) {
            *self = other;
        }
    }
}
