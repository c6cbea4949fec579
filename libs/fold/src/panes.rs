//! The panes of one plan that are being folded: decoded, and kept over commits while there is room.

use std::sync::Arc;

use bytes::Bytes;
use catalog::Plan;
use foldhash::fast::FixedState;
use indexmap::IndexMap;
use lattice::cell::Cells;
use lattice::shard::put_key_part;
use lattice::{DecodeError, Input, Origin, Pane, PaneKey, Span, shard_of};

use crate::{Changed, Panes, PlanStart};

/// Above this many panes of a plan, those not used lately are let go after a commit.
const MAX_PANES: usize = 32_768;
/// The same in bytes, as encoded; decoded they are some times larger.
const MAX_ENCODED_BYTES: usize = 8 << 20;

/// The panes of one plan, by place.
pub(crate) struct PaneTable {
    plan: Arc<Plan>,
    from: u64,
    origin: Origin,
    /// Keys, with their shards.
    entities: IndexMap<Bytes, u32, FixedState>,
    panes: IndexMap<Place, Held, FixedState>,
    /// Indices of the panes that the next draft must carry.
    changed: Vec<usize>,
    encoded_bytes: usize,
    /// Scratch.
    key: Vec<u8>,
}

/// An entity in a table, until the next draft.
#[derive(Clone, Copy)]
pub(crate) struct Entity {
    index: usize,
    pub(crate) shard: u32,
}

/// Where a pane stands in its plan. Small, and with no reference, so that finding a pane costs no
/// more than folding into a cell.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Place {
    entity: usize,
    width: usize,
    start_ms: i64,
}

struct Held {
    version: u64,
    cells: Cells,
    encoded_bytes: usize,
    changed: bool,
}

impl PaneTable {
    pub(crate) fn new(start: &PlanStart, origin: &Origin) -> Self {
        // The topic's id is drawn at random; who chooses the keys does not know it.
        let hasher = FixedState::with_seed(u128::from_be_bytes(origin.topic.0) as u64);
        Self {
            plan: start.plan.clone(),
            from: start.frontier.from,
            origin: origin.clone(),
            entities: IndexMap::with_hasher(hasher.clone()),
            panes: IndexMap::with_hasher(hasher),
            changed: Vec::new(),
            encoded_bytes: 0,
            key: Vec::new(),
        }
    }

    /// The entity of these join keys; `None` if one of them is null.
    pub(crate) fn entity<'e>(
        &mut self,
        mut join_keys: impl Iterator<Item = Input<'e>>,
        shards: u32,
    ) -> Option<Entity> {
        self.key.clear();
        if !join_keys.all(|value| put_key_part(&mut self.key, value)) {
            return None;
        }
        let key = self.key.as_slice();
        if let Some((index, _, shard)) = self.entities.get_full(key) {
            return Some(Entity { index, shard: *shard });
        }
        let shard = shard_of(key, shards);
        let (index, _) = self.entities.insert_full(Bytes::copy_from_slice(key), shard);
        Some(Entity { index, shard })
    }

    /// The cells of a pane, from here, from `panes`, or new, to fold the event at `offset` into;
    /// `None` if it is in them already.
    pub(crate) fn change(
        &mut self,
        entity: Entity,
        (width, span): (usize, Span),
        offset: u64,
        panes: &dyn Panes,
    ) -> Result<Option<&mut Cells>, DecodeError> {
        let place = Place { entity: entity.index, width, start_ms: span.start_ms };
        let index = match self.panes.get_index_of(&place) {
            Some(index) => index,
            None => self.load(place, span, entity.shard, panes)?,
        };
        let Some((_, held)) = self.panes.get_index_mut(index) else { return Ok(None) };
        if held.version > offset {
            return Ok(None);
        }
        if !held.changed {
            self.changed.push(index);
        }
        held.version = offset.saturating_add(1);
        held.changed = true;
        Ok(Some(&mut held.cells))
    }

    fn load(
        &mut self,
        place: Place,
        span: Span,
        shard: u32,
        panes: &dyn Panes,
    ) -> Result<usize, DecodeError> {
        let specs = self.plan.widths.get(place.width).map_or(&[][..], |width| &width.specs);
        let entity = self.entities.get_index(place.entity).map(|(key, _)| key.clone());
        let old = entity.and_then(|entity| panes.pane(shard, &self.key(entity, span)));
        // One from before the plan began again is not of this fold.
        let held = match old.filter(|pane| pane.version > self.from) {
            Some(Pane { version, cells }) => Held {
                version,
                encoded_bytes: cells.len(),
                cells: Cells::decode(specs, &cells)?,
                changed: false,
            },
            None => {
                Held { version: 0, encoded_bytes: 0, cells: Cells::empty(specs), changed: false }
            }
        };
        self.encoded_bytes += held.encoded_bytes;
        Ok(self.panes.insert_full(place, held).0)
    }

    /// Appends the panes that have changed since the last time and have not expired, ordered by
    /// (shard, key); then makes room.
    pub(crate) fn draft(&mut self, watermark_ms: i64, out: &mut Vec<Changed>) {
        let mut scratch = Vec::new();
        for (shard, entity, span, index) in self.take_changed(watermark_ms) {
            let Some((_, held)) = self.panes.get_index_mut(index) else { continue };
            scratch.clear();
            held.cells.encode(&mut scratch);
            self.encoded_bytes = self.encoded_bytes + scratch.len() - held.encoded_bytes;
            held.encoded_bytes = scratch.len();
            let pane = Pane { version: held.version, cells: Bytes::copy_from_slice(&scratch) };
            out.push(Changed { shard, key: self.key(entity, span), pane });
        }
        if self.full() {
            self.let_go();
        }
    }

    fn take_changed(&mut self, watermark_ms: i64) -> Vec<(u32, Bytes, Span, usize)> {
        let mut live = Vec::with_capacity(self.changed.len());
        for index in self.changed.drain(..) {
            let Some((place, held)) = self.panes.get_index_mut(index) else { continue };
            held.changed = false;
            let Some(width) = self.plan.widths.get(place.width) else { continue };
            let Some((entity, shard)) = self.entities.get_index(place.entity) else { continue };
            let span = Span { width_s: width.width_s, start_ms: place.start_ms };
            if !span.expired(width.retention_ms, watermark_ms) {
                live.push((*shard, entity.clone(), span, index));
            }
        }
        live.sort_unstable();
        live
    }

    fn key(&self, entity: Bytes, span: Span) -> PaneKey {
        PaneKey { plan: self.plan.hash, entity, span, origin: self.origin.clone() }
    }

    fn full(&self) -> bool {
        self.panes.len() > MAX_PANES || self.encoded_bytes > MAX_ENCODED_BYTES
    }

    /// Keeps the half that was folded into last, or none if even that is too much. Only right after
    /// a draft, when all are as drafted.
    fn let_go(&mut self) {
        let mut versions: Vec<u64> = self.panes.values().map(|held| held.version).collect();
        let half = versions.len() / 2;
        let (_, middle, _) = versions.select_nth_unstable(half);
        let panes: Vec<_> = self.panes.drain(..).collect();
        let entities: Vec<_> = self.entities.drain(..).collect();
        self.encoded_bytes = 0;
        for (place, held) in panes.into_iter().filter(|(_, held)| held.version > *middle) {
            let Some((key, shard)) = entities.get(place.entity) else { continue };
            let (entity, _) = self.entities.insert_full(key.clone(), *shard);
            self.encoded_bytes += held.encoded_bytes;
            self.panes.insert(Place { entity, ..place }, held);
        }
        if self.full() {
            self.entities.clear();
            self.panes.clear();
            self.encoded_bytes = 0;
        }
    }
}
