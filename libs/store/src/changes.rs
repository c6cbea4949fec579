//! A store as entries of a checkpoint, and back.
//!
//! Keys: 1, shard, record key -> a pane's record value; 2, shard, series of width 0 -> the state of
//! an (origin, plan). What begins with 0 is not the store's: the saver keeps log positions there, in
//! the same atomic save. Integers are big-endian.

use bytes::Bytes;
use lattice::delta::{put_pane_key, read_pane_key};
use lattice::{DecodeError, DeltaRef, Digest, Origin, PlanHash, PlanProgress, Progress, Series};

use crate::limits::Limits;
use crate::panes::PlanPanes;
use crate::report::Proven;
use crate::shard::Shard;
use crate::track::Track;
use crate::{Entry, Record};

/// The first byte of the keys of entries that are the saver's own.
pub const FOREIGN: u8 = 0;
const PANE: u8 = 1;
const TRACK: u8 = 2;
const FORMAT: u8 = 1;

/// What a track's entry says. It takes effect when all panes are there.
#[derive(Debug)]
pub(crate) struct Saved {
    plan: PlanHash,
    origin: Origin,
    digest: Digest,
    limits: Limits,
    proven: Option<Proven>,
    pending: Option<Proven>,
}

fn key(tag: u8, shard: u32, rest: &[u8]) -> Bytes {
    [&[tag][..], &shard.to_be_bytes(), rest].concat().into()
}

/// The shard of an entry's key; `None` if the entry is the saver's own.
pub(crate) fn shard_of_entry(key: &[u8]) -> Result<Option<u32>, DecodeError> {
    match key.split_first() {
        Some((&FOREIGN, _)) => Ok(None),
        Some((&(PANE | TRACK), rest)) => match rest.first_chunk::<4>() {
            Some(shard) => Ok(Some(u32::from_be_bytes(*shard))),
            None => Err(DecodeError::Short("a checkpoint entry's shard")),
        },
        Some((&tag, _)) => {
            Err(DecodeError::Unknown { what: "checkpoint entry", found: tag.into() })
        }
        None => Err(DecodeError::Short("a checkpoint entry's key")),
    }
}

impl Shard {
    /// What changed since the last call.
    pub(crate) fn take_changes(&mut self, shard: u32, out: &mut Vec<Record>) {
        for record in std::mem::take(&mut self.scratch.removed) {
            if !self.has(&record) {
                out.push((key(PANE, shard, &record), None));
            }
        }
        for (plan, origin) in std::mem::take(&mut self.removed_tracks) {
            if self.plans.get(&plan).is_none_or(|panes| panes.track(&origin).is_none()) {
                out.push((track_key(shard, plan, &origin), None));
            }
        }
        let mut record = Vec::new();
        for (plan, panes) in &mut self.plans {
            panes.take_dirty(|at, value| {
                put_pane_key(at, &mut record);
                out.push((key(PANE, shard, &record), Some(Bytes::copy_from_slice(value))));
            });
            for track in panes.tracks.iter_mut().filter(|track| track.dirty) {
                track.dirty = false;
                out.push((track_key(shard, *plan, &track.origin), Some(encode(*plan, track))));
            }
        }
    }

    fn has(&self, record: &[u8]) -> bool {
        let Ok(at) = read_pane_key(record) else { return false };
        let panes = at.plan().ok().and_then(|plan| self.plans.get(&plan));
        panes.is_some_and(|panes| panes.find(at).is_some())
    }

    /// Takes an entry that could not be saved as changed again.
    pub(crate) fn untake(&mut self, entry: &Bytes) {
        let record = entry.slice(5..);
        if entry[0] == PANE {
            if !self.mark_dirty(&record) {
                self.scratch.removed.insert(record);
            }
        } else if let Ok(Series { plan, origin, .. }) = Series::decode(&record) {
            match self.plans.get_mut(&plan) {
                Some(panes) if panes.track(&origin).is_some() => {
                    let track = panes.track_of(&origin);
                    panes.tracks[track].dirty = true;
                }
                _ => _ = self.removed_tracks.insert((plan, origin)),
            }
        }
    }

    fn mark_dirty(&mut self, record: &[u8]) -> bool {
        let Ok(at) = read_pane_key(record) else { return false };
        let panes = at.plan().ok().and_then(|plan| self.plans.get_mut(&plan));
        panes.is_some_and(|panes| panes.mark_dirty(at))
    }

    /// Takes an entry of this shard. A track's entry is returned: see [`Shard::restore`].
    pub(crate) fn load(
        &mut self,
        key: &Bytes,
        value: &Bytes,
    ) -> Result<Option<Saved>, DecodeError> {
        let record = key.slice(5..);
        if key[0] == TRACK {
            return decode(&record, value).map(Some);
        }
        let DeltaRef::Pane(at, bytes) = DeltaRef::read(&record, Some(value))? else {
            return Err(DecodeError::NotCanonical("a checkpoint's pane"));
        };
        let panes = self.plans.entry(at.plan()?).or_default();
        panes.merge(at, &record, bytes, &mut self.scratch)?;
        Ok(None)
    }

    /// After all panes have been loaded: the tracks. What their panes do not prove is not proven.
    pub(crate) fn restore(&mut self, tracks: Vec<Saved>) {
        for panes in self.plans.values_mut() {
            panes.take_dirty(|_, _| {});
            panes.tracks.iter_mut().for_each(|track| track.dirty = false);
        }
        for Saved { plan, origin, digest, limits, proven, pending } in tracks {
            let panes = self.plans.entry(plan).or_default();
            let track = panes.track_of(&origin);
            let track = &mut panes.tracks[track];
            let agrees = track.digest == digest;
            if !agrees {
                tracing::warn!(?origin, ?plan, "a checkpoint's panes are not those it was made of");
            }
            track.limits = limits;
            track.proven = proven.filter(|_| agrees);
            track.pending = pending;
            track.dirty = !agrees;
        }
    }
}

fn track_key(shard: u32, plan: PlanHash, origin: &Origin) -> Bytes {
    key(TRACK, shard, &Series { plan, origin: origin.clone(), width_s: 0 }.encode())
}

/// Format, digest, and three sized progress records of one plan: limits, proven, pending.
fn encode(plan: PlanHash, track: &Track) -> Bytes {
    let mut out = vec![FORMAT];
    out.extend_from_slice(&track.digest.0.to_be_bytes());
    let Limits { frontier, watermark_ms, retention } = track.limits.clone();
    let (digest, gaps) = (Digest::default(), Vec::new());
    let limits = PlanProgress { plan, frontier, watermark_ms, retention, digest, gaps };
    let limits = Proven { progress: limits, complete_to_ms: 0, generation: 0 };
    for claim in [Some(&limits), track.proven.as_ref(), track.pending.as_ref()] {
        let bytes = claim.map_or_else(Bytes::new, |claim| {
            let Proven { progress, complete_to_ms, generation } = claim.clone();
            Progress { complete_to_ms, generation, plans: vec![progress] }.encode()
        });
        out.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
        out.extend_from_slice(&bytes);
    }
    out.into()
}

fn decode(series: &[u8], mut value: &[u8]) -> Result<Saved, DecodeError> {
    let Series { plan, origin, .. } = Series::decode(series)?;
    let value = &mut value;
    match take(value, 1)? {
        [FORMAT] => {}
        found => {
            let found = found.first().copied().unwrap_or_default().into();
            return Err(DecodeError::Unknown { what: "checkpoint entry format", found });
        }
    }
    let digest = take(value, 16)?.iter().fold(0, |sum, byte| sum << 8 | u128::from(*byte));
    let limits = take_claim(value)?.ok_or(DecodeError::Short("a checkpoint entry's limits"))?;
    let PlanProgress { frontier, watermark_ms, retention, .. } = limits.progress;
    let limits = Limits { frontier, watermark_ms, retention };
    let (proven, pending) = (take_claim(value)?, take_claim(value)?);
    Ok(Saved { plan, origin, digest: Digest(digest), limits, proven, pending })
}

fn take_claim(bytes: &mut &[u8]) -> Result<Option<Proven>, DecodeError> {
    let len = take(bytes, 4)?.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
    if len == 0 {
        return Ok(None);
    }
    let Progress { complete_to_ms, generation, mut plans } = Progress::decode(take(bytes, len)?)?;
    let progress = plans.pop().ok_or(DecodeError::Short("a checkpoint entry's claim"))?;
    Ok(Some(Proven { progress, complete_to_ms, generation }))
}

fn take<'a>(bytes: &mut &'a [u8], n: usize) -> Result<&'a [u8], DecodeError> {
    let short = DecodeError::Short("a checkpoint entry");
    let (head, rest) = bytes.split_at_checked(n).ok_or(short)?;
    *bytes = rest;
    Ok(head)
}

/// Parts entries of a checkpoint into the store's and the saver's own.
#[must_use]
pub fn split(entries: Vec<Entry>) -> (Vec<Entry>, Vec<Entry>) {
    entries.into_iter().partition(|(key, _)| key.first() != Some(&FOREIGN))
}

/// Everything of plans that are retired.
pub(crate) fn retire(shard: &mut Shard, keep: &dyn Fn(PlanHash) -> bool) {
    let Shard { plans, scratch, removed_tracks, .. } = shard;
    plans.retain(|plan, panes| {
        if keep(*plan) {
            return true;
        }
        for track in &panes.tracks {
            let places: Vec<_> = panes.places(track).collect();
            let held = places.into_iter().filter_map(|place| panes.at(place));
            for (at, _) in held.filter(|(_, slot)| slot.saved) {
                let mut record = Vec::new();
                put_pane_key(at, &mut record);
                scratch.removed.insert(record.into());
            }
            removed_tracks.insert((*plan, track.origin.clone()));
        }
        false
    });
}

/// All panes of an origin, as delta records.
pub(crate) fn records(panes: &PlanPanes, origin: &Origin, out: &mut Vec<(Bytes, Bytes)>) {
    let Some(track) = panes.track(origin) else { return };
    for (at, slot) in panes.places(track).filter_map(|place| panes.at(place)) {
        let mut record = Vec::new();
        put_pane_key(at, &mut record);
        out.push((record.into(), Bytes::copy_from_slice(&slot.value)));
    }
}
