//! What stands in a delta topic: panes, progress and requests for repair. A record's key says
//! which, so that a compacting log keeps the newest of each.

use bytes::Bytes;

use crate::codec::{self, DecodeError};
use crate::key::{PaneKey, PaneKeyRef};
use crate::origin::{Origin, Region};
use crate::pane::Pane;
use crate::progress::Progress;

const PANE: u8 = b'p';
const PROGRESS: u8 = b'g';
const REPAIR: u8 = b'r';
const RUN: u8 = b's';
const CLAIM: u8 = b'c';

/// One decoded record of a delta topic.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Delta {
    /// A changed pane.
    Pane(PaneKey, Pane),
    /// A null: the owner let an expired pane go. Garbage collection, never merged.
    Gone(PaneKey),
    /// The state of an origin in the partition's shard after a commit.
    Progress(Origin, Progress),
    /// The owner begins to append all its live panes of this shard again; the run ends with its
    /// next progress. Gathered aside, it replaces the replica's set when its digest agrees.
    Run(Origin, u64),
    /// A replica's plea that the owner append its panes of this shard again.
    Repair(RepairRequest),
}

/// A record of a delta topic, its panes looked at in place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DeltaRef<'a> {
    /// A changed pane: its key, and the record's value, which is [`Pane::encode`]'s: the version
    /// in eight bytes, so that the order of values is that of [`Pane::supersedes`].
    Pane(PaneKeyRef<'a>, &'a [u8]),
    /// Anything else, which is rare enough to be decoded at once.
    Other(Box<Delta>),
}

/// Asks the owner of `origin` to append its live panes again in the partition's shard.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RepairRequest {
    /// Whose panes do not add up.
    pub origin: Origin,
    /// Who asks.
    pub by: Region,
    /// Counts up per requester, so that one request is answered once.
    pub serial: u64,
}

/// The key of a pane's record.
#[must_use]
pub fn pane_key(key: &PaneKey) -> Bytes {
    let mut out = Vec::with_capacity(64 + key.entity.len());
    out.push(PANE);
    key.put(&mut out);
    out.into()
}

/// Writes to `out` what [`pane_key`] returns for the same key.
pub fn put_pane_key(key: PaneKeyRef<'_>, out: &mut Vec<u8>) {
    out.clear();
    out.push(PANE);
    key.put(out);
}

/// Looks at what [`pane_key`] wrote.
pub fn read_pane_key(key: &[u8]) -> Result<PaneKeyRef<'_>, DecodeError> {
    match key.split_first() {
        Some((&PANE, rest)) => PaneKeyRef::take(rest),
        Some((&found, _)) => {
            Err(DecodeError::Unknown { what: "tag of a pane's key", found: found.into() })
        }
        None => Err(DecodeError::Short("a pane's key")),
    }
}

/// The key of an origin's progress record.
#[must_use]
pub fn progress_key(origin: &Origin) -> Bytes {
    let mut out = vec![PROGRESS];
    origin.put(&mut out);
    out.into()
}

/// The key and value of a request for repair.
#[must_use]
pub fn repair_record(request: &RepairRequest) -> (Bytes, Bytes) {
    let mut key = vec![REPAIR];
    codec::put_bytes(&mut key, request.by.as_bytes());
    request.origin.put(&mut key);
    (key.into(), request.serial.to_be_bytes().to_vec().into())
}

/// The key and value of the mark that begins a re-appended run.
#[must_use]
pub fn run_record(origin: &Origin, serial: u64) -> (Bytes, Bytes) {
    let mut key = vec![RUN];
    origin.put(&mut key);
    (key.into(), serial.to_be_bytes().to_vec().into())
}

/// The key and value of the mark that a claimant writes into every shard before it reads: whoever
/// has read the mark has read everything that older writers committed there.
#[must_use]
pub fn claim_record(origin: &Origin, serial: u64) -> (Bytes, Bytes) {
    let mut key = vec![CLAIM];
    origin.put(&mut key);
    (key.into(), serial.to_be_bytes().to_vec().into())
}

/// The origin and serial of a claimant's mark, if the record is one. A mark is no state: whoever
/// applies deltas takes it out first.
#[must_use]
pub fn claim_of(key: &[u8], value: Option<&Bytes>) -> Option<(Origin, u64)> {
    let mut rest = key.strip_prefix(&[CLAIM])?;
    let serial = value?.first_chunk().map(|serial| u64::from_be_bytes(*serial))?;
    Some((Origin::take(&mut rest).ok()?, serial))
}

impl Delta {
    /// Decodes a record of a delta topic.
    pub fn decode(key: &Bytes, value: Option<&Bytes>) -> Result<Self, DecodeError> {
        let tag = key.first().copied().ok_or(DecodeError::Short("a delta's key"))?;
        match (tag, value) {
            (PANE, Some(value)) => Ok(Self::Pane(PaneKey::take(key, 1)?, Pane::decode(value)?)),
            (PANE, None) => Ok(Self::Gone(PaneKey::take(key, 1)?)),
            (PROGRESS, Some(value)) => {
                Ok(Self::Progress(whole_origin(&key[1..])?, Progress::decode(value)?))
            }
            (REPAIR, Some(value)) => Self::decode_repair(&key[1..], value),
            (RUN, Some(value)) => Ok(Self::Run(whole_origin(&key[1..])?, serial(value)?)),
            (PROGRESS | REPAIR | RUN, None) => Err(DecodeError::Short("a delta's value")),
            (found, _) => Err(DecodeError::Unknown { what: "delta tag", found: found.into() }),
        }
    }

    fn decode_repair(mut key: &[u8], value: &[u8]) -> Result<Self, DecodeError> {
        let by = codec::take_str(&mut key, "a repair's requester")?.into();
        Ok(Self::Repair(RepairRequest { origin: whole_origin(key)?, by, serial: serial(value)? }))
    }
}

/// An origin and nothing after it: two keys of one record would survive compaction side by side.
fn whole_origin(mut key: &[u8]) -> Result<Origin, DecodeError> {
    let origin = Origin::take(&mut key)?;
    codec::end(key, "a delta's key")?;
    Ok(origin)
}

fn serial(mut value: &[u8]) -> Result<u64, DecodeError> {
    let serial = codec::take_array(&mut value, "a serial")?;
    codec::end(value, "a serial")?;
    Ok(u64::from_be_bytes(serial))
}

impl<'a> DeltaRef<'a> {
    /// Looks at a record of a delta topic. What it takes, [`Delta::decode`] takes too, but for a
    /// pane's series, which is left to [`crate::key::Series::decode`].
    pub fn read(key: &'a Bytes, value: Option<&'a Bytes>) -> Result<Self, DecodeError> {
        match (key.split_first(), value) {
            (Some((&PANE, rest)), Some(value)) => {
                if value.len() < 8 {
                    return Err(DecodeError::Short("a pane's version"));
                }
                Ok(Self::Pane(PaneKeyRef::take(rest)?, value))
            }
            _ => Ok(Self::Other(Box::new(Delta::decode(key, value)?))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{PlanHash, Series, Span};
    use crate::origin::TopicId;

    #[test]
    fn a_pane_looked_at_in_place_is_the_pane_decoded() {
        let origin = Origin { region: "jfk".into(), topic: TopicId([7; 16]), partition: 3 };
        let span = Span { width_s: 60, start_ms: -120_000 };
        let key = PaneKey { plan: PlanHash([9; 16]), entity: "N1".into(), span, origin };
        let pane = Pane { version: 5, cells: "cells".into() };
        let (record, value) = (pane_key(&key), pane.encode());
        let Ok(DeltaRef::Pane(seen, bytes)) = DeltaRef::read(&record, Some(&value)) else {
            panic!("no pane")
        };
        let series = Series::decode(seen.series).unwrap();
        assert_eq!(series.encode(), seen.series);
        let Series { plan, origin, width_s } = series;
        let span = Span { width_s, start_ms: seen.start_ms };
        let entity = Bytes::copy_from_slice(seen.entity);
        assert_eq!(PaneKey { plan, entity, span, origin }, key);
        assert_eq!(bytes, &value);
        let mut again = Vec::new();
        put_pane_key(seen, &mut again);
        assert_eq!(again, record);
        for end in 0..record.len() - 2 {
            assert!(DeltaRef::read(&record.slice(..end), Some(&value)).is_err(), "{end}");
        }
    }
}
