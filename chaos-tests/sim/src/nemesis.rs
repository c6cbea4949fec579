//! What the world does to a mesh, drawn from the seed: kills and zombies between any two steps,
//! logs that are away, compaction between any two records, a new catalog.

use std::collections::BTreeMap;

use backbone::Partition;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use testkit::Faults;

use crate::events;
use crate::world::World;

/// A strike comes once in so many steps.
const ONE_IN: u32 = 400;

/// The dice, and what they did.
pub struct Nemesis {
    rng: ChaCha8Rng,
    /// How often each fault happened.
    pub counts: BTreeMap<&'static str, u64>,
    applied: bool,
}

impl Nemesis {
    /// Decided by `seed`, apart from the executor's own dice.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let rng = ChaCha8Rng::seed_from_u64(seed ^ 0x6e65_6d65_7369_7321);
        Self { rng, counts: BTreeMap::new(), applied: false }
    }

    /// Perhaps strikes; brings back what is due.
    pub fn maybe_strike(&mut self, world: &mut World) -> Result<(), String> {
        bring_back(world);
        if !self.rng.random_ratio(1, ONE_IN) {
            return Ok(());
        }
        let site = self.rng.random_range(0..world.sites.len());
        let slot = self.rng.random_range(0..world.sites[site].slots.len());
        let now_ms = world.sim.elapsed_ms();
        let away_ms = self.rng.random_range(0..2_500u64);
        let what = match self.rng.random_range(0..21u32) {
            0..4 => {
                kill(world, site, slot);
                world.sites[site].slots[slot].due_ms = Some(now_ms + away_ms);
                "kill"
            }
            4..8 if world.sites[site].slots[slot].core.is_some() => {
                let slot = &mut world.sites[site].slots[slot];
                slot.process.pause();
                slot.due_ms = Some(now_ms + away_ms * 4);
                "zombie"
            }
            8..10 if world.sites[site].slots[slot].core.is_none() => {
                world.start(site, slot);
                "second owner"
            }
            10..17 => {
                self.compact(world, site);
                "compaction"
            }
            17 => {
                let down = self.rng.random_bool(0.3);
                world.sites[site].log.set_faults(|faults| faults.down = down);
                "log down or up"
            }
            20 if world.sites[site].slots[slot].core.is_some() => {
                // It has a moment to hand over what it holds; then it is gone in any case.
                let slot = &mut world.sites[site].slots[slot];
                slot.leave();
                slot.due_ms = Some(now_ms + away_ms / 4);
                "orderly end"
            }
            18 => {
                let fail = self.rng.random_bool(0.5);
                world.sites[site].slots[slot].checkpoints.fail_saves(fail);
                "checkpoint fault"
            }
            _ if !self.applied && now_ms > 3_000 => {
                self.applied = true;
                world.apply(site, events::NEXT_CATALOG)?;
                "new plan"
            }
            _ => return Ok(()),
        };
        *self.counts.entry(what).or_default() += 1;
        Ok(())
    }

    fn compact(&mut self, world: &World, site: usize) {
        let log = &world.sites[site].log;
        let topics = log.topics();
        let topic = &topics[self.rng.random_range(0..topics.len())];
        let partitions = log.topic(topic).map_or(1, |info| info.partitions);
        log.compact(&Partition::new(topic.clone(), self.rng.random_range(0..partitions)));
    }

    /// Ends all faults; every region gets both its nodes, and the last catalog.
    pub fn relent(&mut self, world: &mut World) {
        world.calm();
        if !self.applied {
            _ = world.apply(0, events::NEXT_CATALOG);
        }
        for site in 0..world.sites.len() {
            world.sites[site].log.set_faults(|faults| *faults = Faults::slow());
            for slot in 0..world.sites[site].slots.len() {
                let it = &mut world.sites[site].slots[slot];
                it.checkpoints.fail_saves(false);
                it.process.resume();
                it.due_ms = None;
                if it.is_leaving() {
                    kill(world, site, slot);
                }
                if world.sites[site].slots[slot].core.is_none() {
                    world.start(site, slot);
                }
            }
        }
    }
}

fn kill(world: &mut World, site: usize, slot: usize) {
    let slot = &mut world.sites[site].slots[slot];
    slot.process.kill();
    slot.process.resume();
    slot.core = None;
}

fn bring_back(world: &mut World) {
    let now_ms = world.sim.elapsed_ms();
    for site in 0..world.sites.len() {
        for slot in 0..world.sites[site].slots.len() {
            let it = &mut world.sites[site].slots[slot];
            if it.due_ms.is_some_and(|due_ms| due_ms <= now_ms) {
                it.due_ms = None;
                it.process.resume();
                if it.is_leaving() {
                    kill(world, site, slot);
                }
                if world.sites[site].slots[slot].core.is_none() {
                    world.start(site, slot);
                }
            }
        }
    }
}
