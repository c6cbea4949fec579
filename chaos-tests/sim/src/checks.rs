//! What must hold: at any time, eventually, and in the end. The same words as in the other tests of
//! distribution.

use std::collections::{BTreeMap, BTreeSet};

use backbone::Partition;
use lattice::Origin;
use lattice::delta::progress_key;
use node::Names;
use store::{State, Store};

use crate::reference::Reference;
use crate::world::{Frontiers, World, frontiers};

/// After every step: no frontier is false, none went back.
pub fn anytime(world: &mut World) -> Result<(), String> {
    for site in 0..world.sites.len() {
        for slot in 0..world.sites[site].slots.len() {
            if moved(world, site, slot) {
                anytime_slot(world, site, slot)?;
            }
        }
    }
    Ok(())
}

fn moved(world: &mut World, site: usize, slot: usize) -> bool {
    let it = &mut world.sites[site].slots[slot];
    let Some(core) = &it.core else { return false };
    let tick = *core.shared().moved.borrow();
    std::mem::replace(&mut it.tick, tick) != tick
}

fn anytime_slot(world: &mut World, site: usize, slot: usize) -> Result<(), String> {
    let it = &world.sites[site].slots[slot];
    let Some(store) = it.core.as_ref().and_then(|core| core.shared().store()).cloned() else {
        return Ok(());
    };
    let now = frontiers(&store);
    let name = format!("seed {}: {}-{slot}", world.sim.seed(), world.sites[site].region);
    let before = std::mem::take(&mut world.sites[site].slots[slot].frontiers);
    for (place, frontier) in &before {
        if now.get(place).is_none_or(|now| now < frontier) {
            return Err(format!(
                "{name}: {place:?} went back from {frontier:?} to {:?}",
                now.get(place)
            ));
        }
    }
    let news: Frontiers = now
        .iter()
        .filter(|(p, f)| before.get(p) != Some(f))
        .map(|(p, f)| (p.clone(), *f))
        .collect();
    if !news.is_empty() {
        world.advance_references();
    }
    for ((shard, origin, plan), frontier) in news {
        let reference = world.references.get(&(origin.clone(), plan));
        let reference = reference.ok_or_else(|| format!("{name}: {origin:?} is nobody's"))?;
        let held: BTreeMap<_, _> = store.records(shard, &origin).into_iter().collect();
        // A newer progress, proven or not, may have let panes expire already.
        let watermark_ms = store
            .state(shard, &origin, plan)
            .map(|s| {
                s.pending.or(s.proven.map(|p| p.progress)).map_or(i64::MIN, |p| p.watermark_ms)
            })
            .unwrap_or(i64::MIN);
        for (key, pane) in reference.panes_alive(shard, frontier.next, watermark_ms) {
            let held = held.get(&key).and_then(|value| lattice::Pane::decode(value).ok());
            if held.as_ref().is_none_or(|held| {
                held.version < pane.version
                    || (held.version == pane.version && held.cells != pane.cells)
            }) {
                return Err(format!(
                    "{name}: {frontier:?} of {origin:?} in shard {shard} is false: {key:?} should be at least {pane:?} and is {held:?}"
                ));
            }
        }
        world.checked += 1;
    }
    world.sites[site].slots[slot].frontiers = now;
    Ok(())
}

/// Whether every node agrees with the logs and with every other node.
pub fn eventually(world: &mut World) -> bool {
    // Looking costs more than stepping, so only now and then.
    if !world.sim.random_u64().is_multiple_of(512) {
        return false;
    }
    disagreement(world).is_empty()
}

/// The first few places where a store is not yet what the logs say.
pub fn disagreement(world: &mut World) -> String {
    let mut places = Vec::new();
    world.advance_references();
    for (name, store) in world.stores() {
        let mut known = BTreeSet::new();
        for shard in 0..store.shards() {
            for state in store.states(shard) {
                known.insert((state.origin.clone(), state.plan, shard));
                let end = world.references.get(&(state.origin.clone(), state.plan));
                if let Some(why) = behind(&state, end.map_or(0, Reference::next)) {
                    places.push(format!(
                        "{name} shard {shard} {:?} {:?}: {why}",
                        state.origin, state.plan
                    ));
                }
            }
        }
        for (origin, plan) in world.references.keys() {
            if !(0..store.shards()).all(|shard| known.contains(&(origin.clone(), *plan, shard))) {
                places.push(format!("{name} does not know {origin:?} {plan:?}"));
            }
        }
    }
    if world.stores().count() < 6 {
        places.push("some nodes have no store yet".into());
    }
    places.truncate(4);
    places.join("; ")
}

fn behind(state: &State, end: u64) -> Option<String> {
    let Some(proven) = &state.proven else { return Some("nothing is proven".into()) };
    if state.pending.is_some() {
        return Some(format!("unproven {:?}", state.pending.as_ref().map(|p| p.frontier)));
    }
    let next = proven.progress.frontier.next;
    (next != end).then(|| format!("{next} of {end}"))
}

/// In the end: every region equals the reference, digests agree, each broken event is one dead
/// letter.
pub fn finally(world: &mut World) -> Result<(), String> {
    world.advance_references();
    let seed = world.sim.seed();
    for (name, store) in world.stores() {
        equals_reference(world, store).map_err(|why| format!("seed {seed}: {name}: {why}"))?;
    }
    for site in &world.sites {
        for partition in 0..site.partitions() {
            let to = Partition::new(Names::default().dead_letters("clicks"), partition);
            let letters: BTreeSet<Vec<u8>> = site
                .log
                .history(&to)
                .iter()
                .filter_map(|stored| Some(stored.record.key.as_ref()?.to_vec()))
                .collect();
            let of_partition = world.references.iter().filter(|((origin, _), _)| {
                origin.region == site.region && origin.partition == partition
            });
            let broken: BTreeSet<Vec<u8>> = of_partition
                .flat_map(|((origin, _), r)| r.rejected.iter().map(move |at| letter(origin, *at)))
                .collect();
            if broken != letters {
                return Err(format!(
                    "seed {seed}: {}: dead letters {letters:?}, not {broken:?}",
                    site.region
                ));
            }
        }
    }
    Ok(())
}

/// The key of a dead letter.
fn letter(origin: &Origin, offset: u64) -> Vec<u8> {
    [&progress_key(origin)[..], &offset.to_be_bytes()].concat()
}

fn equals_reference(world: &World, store: &Store) -> Result<(), String> {
    for ((origin, plan), reference) in &world.references {
        for shard in 0..store.shards() {
            let state = store.state(shard, origin, *plan);
            let state = state.ok_or_else(|| format!("{origin:?} {plan:?} is not known"))?;
            let next = state.proven.as_ref().map_or(0, |p| p.progress.frontier.next);
            let (expected, panes) = reference.digest(shard, next);
            if state.digest != expected || state.panes != panes {
                return Err(format!(
                    "{origin:?} {plan:?} in shard {shard} at {next}: {} panes, digest {:?}; the reference has {}, {expected:?}",
                    state.panes, state.digest, panes
                ));
            }
        }
    }
    Ok(())
}
