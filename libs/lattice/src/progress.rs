//! What a commit says about itself, last in every shard that it touches.

use bytes::Bytes;

use crate::codec::{self, DecodeError};
use crate::digest::{self, Digest};
use crate::frontier::Frontier;
use crate::key::PlanHash;

const FORMAT: u8 = 1;

/// Before any contract-valid event: nothing is late, nothing expires.
pub const NO_WATERMARK: i64 = i64::MIN;

/// The state of one origin in one shard after a commit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Progress {
    /// The log's append time (ms) up to which the partition is folded. Never decreases.
    pub complete_to_ms: i64,
    /// The generation of the catalog that the writer folded with.
    pub generation: u64,
    /// Per live plan, ordered by plan.
    pub plans: Vec<PlanProgress>,
}

/// The state of one plan of one origin in one shard.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PlanProgress {
    /// Which plan.
    pub plan: PlanHash,
    /// Where its fold began, and the next offset to fold.
    pub frontier: Frontier,
    /// W(next - 1): the highest event time of contract-valid events in `[from, next)` minus the
    /// disorder, ms; [`NO_WATERMARK`] if there was none.
    pub watermark_ms: i64,
    /// (width in seconds, retention in ms) of the plan's windowed panes, ordered by width, so that a
    /// replica can expire panes of a plan that its catalog has not heard of.
    pub retention: Vec<(u32, i64)>,
    /// Of the panes with version > from and end + retention > watermark, in this shard.
    pub digest: Digest,
    /// Stretches of the log that were gone before they could be folded.
    pub gaps: Vec<Gap>,
}

/// Events that a served plan never saw, because the log had dropped them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Gap {
    /// First offset that is missing.
    pub from: u64,
    /// First offset that is there again.
    pub to: u64,
    /// Event time (ms) from which windows may lack events.
    pub since_ms: i64,
    /// Event time (ms) up to which windows may lack events.
    pub until_ms: i64,
}

impl Progress {
    /// The value of a progress record.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut out = vec![FORMAT, digest::ALGORITHM];
        codec::put_signed(&mut out, self.complete_to_ms);
        codec::put_varint(&mut out, self.generation);
        codec::put_varint(&mut out, self.plans.len() as u64);
        for plan in &self.plans {
            plan.put(&mut out);
        }
        out.into()
    }

    /// Reads [`Progress::encode`]'s bytes.
    pub fn decode(mut bytes: &[u8]) -> Result<Self, DecodeError> {
        let bytes = &mut bytes;
        match codec::take_u8(bytes, "a progress record")? {
            FORMAT => {}
            found => {
                return Err(DecodeError::Unknown { what: "progress format", found: found.into() });
            }
        }
        match codec::take_u8(bytes, "a progress record")? {
            digest::ALGORITHM => {}
            found => {
                return Err(DecodeError::Unknown { what: "digest algorithm", found: found.into() });
            }
        }
        let complete_to_ms = codec::take_signed(bytes, "complete_to")?;
        let generation = codec::take_varint(bytes, "a generation")?;
        let count = codec::take_varint(bytes, "a plan count")?;
        let plans = (0..count).map(|_| PlanProgress::take(bytes)).collect::<Result<_, _>>()?;
        codec::end(bytes, "a progress record")?;
        Ok(Self { complete_to_ms, generation, plans })
    }

    /// The entry of one plan.
    #[must_use]
    pub fn plan(&self, plan: PlanHash) -> Option<&PlanProgress> {
        self.plans.iter().find(|p| p.plan == plan)
    }
}

impl PlanProgress {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.plan.0);
        codec::put_varint(out, self.frontier.from);
        codec::put_varint(out, self.frontier.next);
        codec::put_signed(out, self.watermark_ms);
        codec::put_varint(out, self.retention.len() as u64);
        for (width_s, retention_ms) in &self.retention {
            codec::put_varint(out, u64::from(*width_s));
            codec::put_signed(out, *retention_ms);
        }
        out.extend_from_slice(&self.digest.0.to_be_bytes());
        codec::put_varint(out, self.gaps.len() as u64);
        for gap in &self.gaps {
            codec::put_varint(out, gap.from);
            codec::put_varint(out, gap.to);
            codec::put_signed(out, gap.since_ms);
            codec::put_signed(out, gap.until_ms);
        }
    }

    fn take(bytes: &mut &[u8]) -> Result<Self, DecodeError> {
        let plan = PlanHash(codec::take_array(bytes, "a plan")?);
        let from = codec::take_varint(bytes, "from")?;
        let next = codec::take_varint(bytes, "next")?;
        let watermark_ms = codec::take_signed(bytes, "a watermark")?;
        let count = codec::take_varint(bytes, "a retention count")?;
        let retention = (0..count)
            .map(|_| {
                let width = codec::take_varint(bytes, "a width")?;
                let width =
                    u32::try_from(width).map_err(|_| DecodeError::NotCanonical("a width"))?;
                Ok((width, codec::take_signed(bytes, "a retention")?))
            })
            .collect::<Result<_, DecodeError>>()?;
        let digest = Digest(u128::from_be_bytes(codec::take_array(bytes, "a digest")?));
        let count = codec::take_varint(bytes, "a gap count")?;
        let gaps = (0..count).map(|_| Gap::take(bytes)).collect::<Result<_, _>>()?;
        Ok(Self { plan, frontier: Frontier { from, next }, watermark_ms, retention, digest, gaps })
    }
}

impl Gap {
    fn take(bytes: &mut &[u8]) -> Result<Self, DecodeError> {
        Ok(Self {
            from: codec::take_varint(bytes, "a gap")?,
            to: codec::take_varint(bytes, "a gap")?,
            since_ms: codec::take_signed(bytes, "a gap")?,
            until_ms: codec::take_signed(bytes, "a gap")?,
        })
    }
}
