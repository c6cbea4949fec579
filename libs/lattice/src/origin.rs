//! Who wrote: a partition of a region's source topic.

use std::fmt;
use std::sync::Arc;

use crate::codec::{self, DecodeError};

/// One independent deployment. A name without dots, since a mirrored topic is `<region>.<topic>`.
pub type Region = Arc<str>;

/// The log's identity of a topic; a topic that is deleted and made again has another.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TopicId(pub [u8; 16]);

impl fmt::Debug for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

/// The single writer of a set of panes. Ordered by (region, partition, topic id): the order in
/// which floats of several origins are added, so that every region gets the same bits.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    /// Where the events happened.
    pub region: Region,
    /// The source's topic there.
    pub topic: TopicId,
    /// The topic's partition.
    pub partition: u32,
}

impl Origin {
    fn rank(&self) -> (&str, u32, &TopicId) {
        (&self.region, self.partition, &self.topic)
    }

    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        codec::put_bytes(out, self.region.as_bytes());
        out.extend_from_slice(&self.topic.0);
        out.extend_from_slice(&self.partition.to_be_bytes());
    }

    pub(crate) fn take(bytes: &mut &[u8]) -> Result<Self, DecodeError> {
        Ok(Self {
            region: codec::take_str(bytes, "an origin's region")?.into(),
            topic: TopicId(codec::take_array(bytes, "an origin's topic")?),
            partition: u32::from_be_bytes(codec::take_array(bytes, "an origin's partition")?),
        })
    }
}

impl Ord for Origin {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.rank().cmp(&other.rank())
    }
}

impl PartialOrd for Origin {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{:.8}", self.region, self.partition, format!("{:?}", self.topic))
    }
}
