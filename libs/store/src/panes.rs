//! The panes of one plan in one shard, with the digest of each origin's set kept up as they change.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use hashbrown::HashMap;
use lattice::combine::PaneView;
use lattice::delta::put_pane_key;
use lattice::{DecodeError, Digest, Origin, PaneKeyRef, PlanProgress, Series, Span};

use crate::expiry::{Expiry, Place};
use crate::intern::{Entities, Slot, insert_tight, push_tight, version};
use crate::limits::Limits;
use crate::track::Track;

/// What all plans of a shard share.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    key: Vec<u8>,
    member: Vec<u8>,
    /// Keys of panes that are gone but still stand in the checkpoint.
    pub(crate) removed: BTreeSet<Bytes>,
}

/// What a merge did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Merged {
    /// The pane is new, or above the one that was there.
    pub(crate) changed: bool,
    /// There was another of the same version.
    pub(crate) forked: bool,
}

/// The panes of one origin and width.
#[derive(Debug)]
pub(crate) struct SeriesPanes {
    /// What the keys of its panes begin with.
    pub(crate) bytes: Box<[u8]>,
    pub(crate) track: u32,
    pub(crate) width_s: u32,
    pub(crate) starts: Expiry,
}

impl SeriesPanes {
    pub(crate) fn span(&self, start_ms: i64) -> Span {
        Span { width_s: self.width_s, start_ms }
    }
}

/// The panes of one plan in one shard.
#[derive(Debug, Default)]
pub(crate) struct PlanPanes {
    pub(crate) entities: Entities,
    pub(crate) series: Vec<SeriesPanes>,
    /// Per series, its place in the order by (width, origin): origins come in any order, but are
    /// read in that one.
    ranks: Vec<u32>,
    by_bytes: HashMap<Box<[u8]>, u32>,
    pub(crate) tracks: Vec<Track>,
    by_origin: BTreeMap<Origin, u32>,
    /// Entities that have dirty panes.
    dirty: Vec<u32>,
}

impl PlanPanes {
    /// Number of the origin's track, which is made if there is none.
    pub(crate) fn track_of(&mut self, origin: &Origin) -> usize {
        if let Some(track) = self.by_origin.get(origin) {
            return *track as usize;
        }
        self.by_origin.insert(origin.clone(), self.tracks.len() as u32);
        self.tracks.push(Track::new(origin.clone()));
        self.tracks.len() - 1
    }

    /// The origin's track, if there is one.
    pub(crate) fn track(&self, origin: &Origin) -> Option<&Track> {
        self.by_origin.get(origin).map(|track| &self.tracks[*track as usize])
    }

    fn series_of(&mut self, bytes: &[u8]) -> Result<u32, DecodeError> {
        if let Some(series) = self.by_bytes.get(bytes) {
            return Ok(*series);
        }
        let Series { origin, width_s, .. } = Series::decode(bytes)?;
        let (series, track) = (self.series.len() as u32, self.track_of(&origin));
        self.tracks[track].series.push(series);
        self.by_bytes.insert(bytes.into(), series);
        let starts = Expiry::default();
        self.series.push(SeriesPanes { bytes: bytes.into(), track: track as u32, width_s, starts });
        self.rank();
        Ok(series)
    }

    /// A new series leaves the order of the others, and so that of all slots, as it was.
    fn rank(&mut self) {
        let mut order: Vec<u32> = (0..self.series.len() as u32).collect();
        order.sort_by_key(|series| {
            let series = &self.series[*series as usize];
            (series.width_s, &self.tracks[series.track as usize].origin)
        });
        self.ranks.resize(order.len(), 0);
        for (rank, series) in order.into_iter().enumerate() {
            self.ranks[series as usize] = rank as u32;
        }
    }

    /// Joins a pane with the one that is there. `record` is the key that `key` looks at.
    pub(crate) fn merge(
        &mut self,
        key: PaneKeyRef<'_>,
        record: &[u8],
        value: &[u8],
        scratch: &mut Scratch,
    ) -> Result<Merged, DecodeError> {
        let refused = |forked| Ok(Merged { changed: false, forked });
        let series = self.series_of(key.series)?;
        let Self { entities, series: all, ranks, tracks, dirty, .. } = self;
        let list = &mut all[series as usize];
        let track = &mut tracks[list.track as usize];
        if track.limits.refuse(list.span(key.start_ms), version(value)) {
            return refused(false);
        }
        let id = entities.intern(key.entity);
        let entity = entities.get_mut(id);
        let mut forked = false;
        match entity.place(ranks, series, key.start_ms) {
            Ok(at) => {
                let slot = &mut entity.slots[at];
                if *slot.value == *value {
                    return refused(false);
                }
                forked = slot.version() == version(value);
                if *slot.value > *value {
                    return refused(forked);
                }
                track.digest.remove(Digest::of(record, &slot.value, &mut scratch.member));
                replace(&mut slot.value, value);
                slot.dirty = true;
            }
            Err(at) => {
                let (start_ms, value) = (key.start_ms, value.into());
                let slot = Slot { start_ms, value, series, dirty: true, saved: false };
                insert_tight(&mut entity.slots, at, slot);
                list.starts.add(start_ms, id);
                track.panes += 1;
            }
        }
        track.digest.add(Digest::of(record, value, &mut scratch.member));
        track.dirty = true;
        if !entity.listed {
            entity.listed = true;
            dirty.push(id);
        }
        Ok(Merged { changed: true, forked })
    }

    /// The pane of a key, as its record's value.
    pub(crate) fn find(&self, key: PaneKeyRef<'_>) -> Option<&Slot> {
        let series = *self.by_bytes.get(key.series)?;
        let entity = self.entities.get(self.entities.find(key.entity)?);
        let at = entity.place(&self.ranks, series, key.start_ms).ok()?;
        entity.slots.get(at)
    }

    /// The panes of an entity of one width, ordered by (origin, span).
    pub(crate) fn read(&self, entity: &[u8], width_s: u32) -> impl Iterator<Item = PaneView<'_>> {
        let entity = self.entities.find(entity).map(|id| self.entities.get(id));
        let slots = entity.map_or(&[][..], |entity| &entity.slots);
        let width = |slot: &Slot| self.series[slot.series as usize].width_s;
        let first = slots.partition_point(|slot| width(slot) < width_s);
        slots[first..].iter().take_while(move |slot| width(slot) == width_s).map(|slot| {
            let series = &self.series[slot.series as usize];
            PaneView {
                origin: &self.tracks[series.track as usize].origin,
                span: series.span(slot.start_ms),
                version: slot.version(),
                cells: slot.value.get(8..).unwrap_or_default(),
            }
        })
    }

    /// The panes of a track that `limits`, if they were its own, would let go; ordered by series,
    /// then start.
    pub(crate) fn lost(&self, track: &Track, limits: &Limits) -> Vec<Place> {
        let restarted = limits.frontier.from > track.limits.frontier.from;
        let mut lost = Vec::new();
        for &series in &track.series {
            let list = &self.series[series as usize];
            for (start_ms, entities) in list.starts.iter() {
                let expired = limits.expired(list.span(start_ms));
                if !expired && !restarted {
                    break;
                }
                let places = entities.iter().map(|&entity| Place { series, start_ms, entity });
                lost.extend(places.filter(|place| {
                    let version = || self.at(*place).map_or(0, |(_, slot)| slot.version());
                    expired || version() <= limits.frontier.from
                }));
            }
        }
        lost
    }

    /// All panes of a track.
    pub(crate) fn places<'a>(&'a self, track: &'a Track) -> impl Iterator<Item = Place> + 'a {
        track.series.iter().flat_map(|&series| {
            self.series[series as usize].starts.iter().flat_map(move |(start_ms, entities)| {
                entities.iter().map(move |&entity| Place { series, start_ms, entity })
            })
        })
    }

    /// Key and pane of a place.
    pub(crate) fn at(&self, place: Place) -> Option<(PaneKeyRef<'_>, &Slot)> {
        let entity = self.entities.get(place.entity);
        let at = entity.place(&self.ranks, place.series, place.start_ms).ok()?;
        let series = &self.series[place.series as usize].bytes;
        let key = PaneKeyRef { series, start_ms: place.start_ms, entity: &entity.key };
        Some((key, entity.slots.get(at)?))
    }

    /// Takes the limits of a track from a progress, and lets go what they do not hold.
    pub(crate) fn limit(&mut self, track: usize, newest: &PlanProgress, scratch: &mut Scratch) {
        let limits = self.tracks[track].limits.join(newest);
        let lost = self.lost(&self.tracks[track], &limits);
        self.remove(&lost, scratch);
        self.tracks[track].limits = limits;
    }

    /// Removes panes, given in the order of [`PlanPanes::lost`].
    pub(crate) fn remove(&mut self, places: &[Place], scratch: &mut Scratch) {
        // What goes from one entity goes at once: a busy one has a hundred thousand panes.
        let mut by_entity = places.to_vec();
        by_entity.sort_by_key(|place| (place.series, place.entity));
        for same in by_entity.chunk_by(|a, b| (a.series, a.entity) == (b.series, b.entity)) {
            self.remove_slots(same, scratch);
        }
        for same in places.chunk_by(|a, b| (a.series, a.start_ms) == (b.series, b.start_ms)) {
            let Place { series, start_ms, .. } = same[0];
            self.series[series as usize].starts.strike(start_ms, same);
        }
    }

    /// Removes panes of one entity and series, ordered by start.
    fn remove_slots(&mut self, mut places: &[Place], scratch: &mut Scratch) {
        let Some(&Place { series, entity: id, .. }) = places.first() else { return };
        let list = &self.series[series as usize];
        let track = &mut self.tracks[list.track as usize];
        let entity = self.entities.get_mut(id);
        while let [first, rest @ ..] = places {
            let Ok(at) = entity.place(&self.ranks, series, first.start_ms) else {
                places = rest;
                continue;
            };
            let is_at = |slot: &Slot, place: &Place| {
                slot.series == series && slot.start_ms == place.start_ms
            };
            let slots = entity.slots[at..].iter();
            let run = slots.zip(places).take_while(|(slot, place)| is_at(slot, place)).count();
            for slot in entity.slots.drain(at..at + run) {
                let start_ms = slot.start_ms;
                let key = PaneKeyRef { series: &list.bytes, start_ms, entity: &entity.key };
                put_pane_key(key, &mut scratch.key);
                track.digest.remove(Digest::of(&scratch.key, &slot.value, &mut scratch.member));
                track.panes -= 1;
                track.dirty = true;
                if slot.saved {
                    scratch.removed.insert(Bytes::copy_from_slice(&scratch.key));
                }
            }
            places = &places[run..];
        }
        if entity.slots.is_empty() {
            self.entities.release(id);
        } else if entity.slots.len() < entity.slots.capacity() / 2 {
            entity.slots.shrink_to_fit();
        }
    }

    /// Calls `save` with each pane that differs from the checkpoint, and takes it as saved.
    pub(crate) fn take_dirty(&mut self, mut save: impl FnMut(PaneKeyRef<'_>, &[u8])) {
        for id in std::mem::take(&mut self.dirty) {
            let entity = self.entities.get_mut(id);
            entity.listed = false;
            for slot in entity.slots.iter_mut().filter(|slot| slot.dirty) {
                let series = &*self.series[slot.series as usize].bytes;
                let start_ms = slot.start_ms;
                save(PaneKeyRef { series, start_ms, entity: &entity.key }, &slot.value);
                (slot.dirty, slot.saved) = (false, true);
            }
        }
    }

    /// Takes a pane as not saved again. False if there is none.
    pub(crate) fn mark_dirty(&mut self, key: PaneKeyRef<'_>) -> bool {
        let place = || {
            let series = *self.by_bytes.get(key.series)?;
            let id = self.entities.find(key.entity)?;
            Some((id, self.entities.get(id).place(&self.ranks, series, key.start_ms).ok()?))
        };
        let Some((id, at)) = place() else { return false };
        let entity = self.entities.get_mut(id);
        entity.slots[at].dirty = true;
        if !entity.listed {
            entity.listed = true;
            push_tight(&mut self.dirty, id);
        }
        true
    }
}

/// In place where it fits: most updates change a pane's bytes, not how many they are.
fn replace(old: &mut Box<[u8]>, new: &[u8]) {
    if old.len() == new.len() {
        old.copy_from_slice(new);
    } else {
        *old = new.into();
    }
}
