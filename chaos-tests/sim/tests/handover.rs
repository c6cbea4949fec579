//! A node that ends hands its partitions over: what it had folded is committed in every shard, and
//! whoever comes next folds nothing again.

use sim::World;
use testkit::Faults;

const BEFORE_MS: u64 = 3_000;
const HANDOVER_MS: u64 = 1_000;
const AFTER_MS: u64 = 3_000;

#[test]
fn an_orderly_end_leaves_nothing_to_fold_again() {
    for seed in 0..20 {
        let mut world = World::new(seed).expect("a world");
        world.sites.iter().for_each(|site| site.log.set_faults(|faults| *faults = Faults::slow()));
        sim::run_for(&mut world, BEFORE_MS).expect("no frontier is false");
        world.sites[0].slots[0].leave();
        let until_ms = world.sim.elapsed_ms() + HANDOVER_MS;
        while holds(&world) {
            assert!(world.sim.elapsed_ms() < until_ms, "seed {seed}: it does not let go");
            sim::step(&mut world).expect("no frontier is false");
        }
        let before = folded(&world, 0);
        // The others' second nodes, too: agreement is that of all.
        (0..world.sites.len()).for_each(|site| world.start(site, 1));
        sim::run_for(&mut world, AFTER_MS).expect("no frontier is false");
        world.calm();
        sim::settle(&mut world).expect("every region equals the reference");
        let site = &world.sites[0];
        let events: usize = (0..site.partitions())
            .map(|p| site.log.history(&backbone::Partition::new("clicks", p)).len())
            .sum();
        let after = folded(&world, 1);
        assert!(before > 0 && after > 0, "seed {seed}: {before}, {after}");
        assert_eq!(before + after, events as u64, "seed {seed}: {before} and {after}");
    }
}

fn holds(world: &World) -> bool {
    let core = world.sites[0].slots[0].core.as_ref().expect("it runs");
    !core.shared().claims.lock().is_empty()
}

/// Events that a node has folded, or seen and not folded, once each.
fn folded(world: &World, slot: usize) -> u64 {
    let core = world.sites[0].slots[slot].core.as_ref().expect("it runs");
    let counts = core.shared().counts.lock();
    counts.values().map(|c| c.folded + c.skipped + c.repeated + c.rejected).sum()
}
