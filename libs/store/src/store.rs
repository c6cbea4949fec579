//! The shards behind their locks.

use bytes::Bytes;
use lattice::combine::PaneView;
use lattice::{DecodeError, Origin, Pane, PaneKey, PlanHash, delta};
use parking_lot::RwLock;

use crate::Record;
use crate::changes;
use crate::report::{Applied, Staged, StagedPlan, State, StateView};
use crate::shard::Shard;

/// The panes of all shards, with digests and frontiers. Shared behind an `Arc`; every method takes
/// `&self` and locks one shard at a time. A shard that it does not have is empty, and records for
/// it count as undecodable.
#[derive(Debug)]
pub struct Store {
    shards: Vec<RwLock<Shard>>,
}

impl Store {
    /// An empty store of so many shards.
    #[must_use]
    pub fn new(shards: u32) -> Self {
        Self { shards: (0..shards).map(|_| RwLock::default()).collect() }
    }

    /// How many shards.
    #[must_use]
    pub fn shards(&self) -> u32 {
        self.shards.len() as u32
    }

    fn shard(&self, shard: u32) -> Option<&RwLock<Shard>> {
        self.shards.get(shard as usize)
    }

    /// Merges records of the shard's delta partition, in the order in which they stand there.
    pub fn apply(&self, shard: u32, records: &[Record]) -> Applied {
        let Some(shard) = self.shard(shard) else {
            return Applied { undecodable: records.len() as u64, ..Applied::default() };
        };
        shard.write().apply(records)
    }

    /// What the digests will be once `panes` (changed panes of `origin`, as delta records) are
    /// applied and what `plans`' watermarks let go is gone. Changes nothing: the owner commits
    /// first, then applies.
    pub fn stage(
        &self,
        shard: u32,
        origin: &Origin,
        plans: &[StagedPlan],
        panes: &[(Bytes, Bytes)],
    ) -> Staged {
        match self.shard(shard) {
            Some(shard) => shard.read().stage(origin, plans, panes),
            None => Staged::default(),
        }
    }

    /// One pane.
    #[must_use]
    pub fn pane(&self, shard: u32, key: &PaneKey) -> Option<Pane> {
        let record = delta::pane_key(key);
        let shard = self.shard(shard)?.read();
        let slot = shard.plans.get(&key.plan)?.find(delta::read_pane_key(&record).ok()?)?;
        let cells = Bytes::copy_from_slice(slot.value.get(8..)?);
        Some(Pane { version: slot.version(), cells })
    }

    /// Lends the panes of an entity of one width, ordered by (origin, span), to `reader`. The
    /// shard takes no records meanwhile.
    pub fn read<T>(
        &self,
        shard: u32,
        plan: PlanHash,
        entity: &[u8],
        width_s: u32,
        reader: impl FnOnce(&mut dyn Iterator<Item = PaneView<'_>>) -> T,
    ) -> T {
        let Some(shard) = self.shard(shard) else { return reader(&mut std::iter::empty()) };
        let shard = shard.read();
        match shard.plans.get(&plan) {
            Some(panes) => reader(&mut panes.read(entity, width_s)),
            None => reader(&mut std::iter::empty()),
        }
    }

    /// The state of every (origin, plan) of a shard, ordered by plan.
    #[must_use]
    pub fn states(&self, shard: u32) -> Vec<State> {
        let Some(shard) = self.shard(shard) else { return Vec::new() };
        let shard = shard.read();
        let states = |(plan, panes): (&PlanHash, &crate::panes::PlanPanes)| {
            panes.tracks.iter().map(|track| track.state(*plan)).collect::<Vec<_>>()
        };
        shard.plans.iter().flat_map(states).collect()
    }

    /// Lends the states of a shard, ordered by plan, to `reader`. The shard takes no records
    /// meanwhile.
    pub fn look<T>(&self, shard: u32, reader: impl FnOnce(&[StateView<'_>]) -> T) -> T {
        let Some(shard) = self.shard(shard) else { return reader(&[]) };
        let shard = shard.read();
        let plans = shard.plans.iter();
        let views = plans.flat_map(|(plan, of)| of.tracks.iter().map(|track| track.view(*plan)));
        reader(&views.collect::<Vec<_>>())
    }

    /// The state of one (origin, plan) of a shard.
    #[must_use]
    pub fn state(&self, shard: u32, origin: &Origin, plan: PlanHash) -> Option<State> {
        let shard = self.shard(shard)?.read();
        Some(shard.plans.get(&plan)?.track(origin)?.state(plan))
    }

    /// All live panes of an origin in a shard, as delta records: for a re-append.
    #[must_use]
    pub fn records(&self, shard: u32, origin: &Origin) -> Vec<(Bytes, Bytes)> {
        let mut records = Vec::new();
        if let Some(shard) = self.shard(shard) {
            for panes in shard.read().plans.values() {
                changes::records(panes, origin, &mut records);
            }
        }
        records
    }

    /// Drops everything of plans for which `keep` is false (retired by the catalog). Records that
    /// come later bring a plan back: call it again.
    pub fn retain(&self, keep: &dyn Fn(PlanHash) -> bool) {
        for shard in &self.shards {
            changes::retire(&mut shard.write(), keep);
        }
    }

    /// Everything that changed since the last call, as entries of a checkpoint; frontiers and
    /// digests are consistent with the panes. If saving them fails, give them back with
    /// [`Store::untake`].
    pub fn take_changes(&self) -> Vec<Record> {
        let mut entries = Vec::new();
        for (number, shard) in (0..).zip(&self.shards) {
            shard.write().take_changes(number, &mut entries);
        }
        entries
    }

    /// Marks entries as changed again. Entries that are the saver's own are passed over.
    pub fn untake(&self, entries: Vec<Record>) {
        for (key, _) in entries {
            let shard = changes::shard_of_entry(&key).ok().flatten();
            if let Some(shard) = shard.and_then(|shard| self.shard(shard)) {
                shard.write().untake(&key);
            }
        }
    }

    /// Takes entries of a checkpoint into an empty store. Entries that are the saver's own are
    /// passed over. After an error the store holds a part of them: begin with another.
    pub fn load(
        &self,
        entries: impl IntoIterator<Item = (Bytes, Bytes)>,
    ) -> Result<(), DecodeError> {
        let mut tracks: Vec<Vec<_>> = self.shards.iter().map(|_| Vec::new()).collect();
        for (key, value) in entries {
            let Some(number) = changes::shard_of_entry(&key)? else { continue };
            let shard = self.shard(number).ok_or_else(|| DecodeError::Unknown {
                what: "a checkpoint's shard",
                found: number.into(),
            })?;
            tracks[number as usize].extend(shard.write().load(&key, &value)?);
        }
        for (shard, tracks) in self.shards.iter().zip(tracks) {
            shard.write().restore(tracks);
        }
        Ok(())
    }
}
