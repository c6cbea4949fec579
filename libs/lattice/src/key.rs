//! Which pane: plan, entity, span of event time, origin.

use std::fmt;

use bytes::Bytes;

use crate::codec::{self, DecodeError};
use crate::origin::Origin;

/// The hash of everything that could change a fold. Panes of different plans never meet.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct PlanHash(pub [u8; 16]);

impl fmt::Display for PlanHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for PlanHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.8}", self.to_string())
    }
}

/// A half-open stretch of event time `[start, start + width)`, aligned to its width.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Span {
    /// Seconds; 0 stands for all of time.
    pub width_s: u32,
    /// Milliseconds since the epoch, a multiple of the width; 0 for all of time.
    pub start_ms: i64,
}

impl Span {
    /// All of time: the span of an unwindowed aggregate.
    pub const ALL: Self = Self { width_s: 0, start_ms: 0 };

    /// The span of this width that holds `at_ms`.
    #[must_use]
    pub fn holding(at_ms: i64, width_s: u32) -> Self {
        Self { width_s, start_ms: floor_ms(at_ms, width_s) }
    }

    /// Exclusive end; `i64::MAX` for all of time, which never ends.
    #[must_use]
    pub fn end_ms(&self) -> i64 {
        match self.width_s {
            0 => i64::MAX,
            width => self.start_ms.saturating_add(i64::from(width) * 1000),
        }
    }

    /// Whether a pane of this span is gone once the watermark is `watermark_ms`, when panes live
    /// for `retention_ms` past their end: `end + retention <= watermark`.
    #[must_use]
    pub fn expired(&self, retention_ms: i64, watermark_ms: i64) -> bool {
        self.width_s != 0 && self.end_ms().saturating_add(retention_ms) <= watermark_ms
    }
}

/// The greatest multiple of the width that is not above `at_ms`; 0 for a width of 0.
#[must_use]
pub fn floor_ms(at_ms: i64, width_s: u32) -> i64 {
    match i64::from(width_s) * 1000 {
        0 => 0,
        width => at_ms.div_euclid(width).saturating_mul(width),
    }
}

/// The identity of a pane, in a delta topic and in a store.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PaneKey {
    /// The plan that folded it.
    pub plan: PlanHash,
    /// The entity's canonical key, as [`crate::shard`] encodes it.
    pub entity: Bytes,
    /// The stretch of event time.
    pub span: Span,
    /// The single writer.
    pub origin: Origin,
}

impl PaneKey {
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.plan.0);
        self.origin.put(out);
        out.extend_from_slice(&self.span.width_s.to_be_bytes());
        out.extend_from_slice(&self.span.start_ms.to_be_bytes());
        out.extend_from_slice(&self.entity);
    }

    /// The entity is a slice of `bytes`, which must be the whole rest of the key.
    pub(crate) fn take(bytes: &Bytes, at: usize) -> Result<Self, DecodeError> {
        let mut rest = bytes.get(at..).ok_or(DecodeError::Short("a pane's key"))?;
        let plan = PlanHash(codec::take_array(&mut rest, "a pane's plan")?);
        let origin = Origin::take(&mut rest)?;
        let width_s = u32::from_be_bytes(codec::take_array(&mut rest, "a pane's width")?);
        let start_ms = i64::from_be_bytes(codec::take_array(&mut rest, "a pane's start")?);
        let entity = bytes.slice(bytes.len() - rest.len()..);
        Ok(Self { plan, entity, span: Span { width_s, start_ms }, origin })
    }
}

/// What the keys of all panes of one plan, origin and width begin with: their prefix, decoded.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Series {
    /// The plan that folded them.
    pub plan: PlanHash,
    /// The single writer.
    pub origin: Origin,
    /// The width of their spans, seconds; 0 is all of time.
    pub width_s: u32,
}

impl Series {
    /// The prefix, as [`PaneKeyRef::series`] lends it.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = self.plan.0.to_vec();
        self.origin.put(&mut out);
        out.extend_from_slice(&self.width_s.to_be_bytes());
        out
    }

    /// Reads [`Series::encode`]'s bytes.
    pub fn decode(mut bytes: &[u8]) -> Result<Self, DecodeError> {
        let bytes = &mut bytes;
        let plan = PlanHash(codec::take_array(bytes, "a series' plan")?);
        let origin = Origin::take(bytes)?;
        let width_s = u32::from_be_bytes(codec::take_array(bytes, "a series' width")?);
        codec::end(bytes, "a series")?;
        Ok(Self { plan, origin, width_s })
    }
}

/// The key of a pane's record, looked at in place: a store sees millions and knows most series.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PaneKeyRef<'a> {
    /// Plan, origin and width; [`Series::decode`] reads it, and finds what is wrong with it.
    pub series: &'a [u8],
    /// Where the span starts, ms.
    pub start_ms: i64,
    /// The entity's canonical key.
    pub entity: &'a [u8],
}

impl<'a> PaneKeyRef<'a> {
    /// The plan's hash, from the series.
    pub fn plan(&self) -> Result<PlanHash, DecodeError> {
        Ok(PlanHash(codec::take_array(&mut &*self.series, "a pane's plan")?))
    }

    pub(crate) fn take(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut rest = bytes;
        codec::take(&mut rest, 16, "a pane's plan")?;
        codec::take_bytes(&mut rest, "an origin's region")?;
        codec::take(&mut rest, 16 + 4 + 4, "an origin")?;
        let series = &bytes[..bytes.len() - rest.len()];
        let start_ms = i64::from_be_bytes(codec::take_array(&mut rest, "a pane's start")?);
        Ok(Self { series, start_ms, entity: rest })
    }

    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.series);
        out.extend_from_slice(&self.start_ms.to_be_bytes());
        out.extend_from_slice(self.entity);
    }
}
