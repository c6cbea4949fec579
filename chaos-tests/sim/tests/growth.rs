//! A source that gets more partitions while it is folded: the new ones are origins like the others.

use sim::{World, checks};

const BEFORE_MS: u64 = 3_000;
const AFTER_MS: u64 = 20_000;

#[test]
fn new_partitions_are_folded_and_their_dead_letters_kept() {
    for seed in 0..5 {
        let mut world = World::new(seed).expect("a world");
        run_until(&mut world, BEFORE_MS);
        world.grow(0, 4);
        world.grow(1, 3);
        // The other node of each region has never seen the topics as they were.
        (0..3).for_each(|site| world.start(site, 1));
        run_until(&mut world, AFTER_MS);
        world.calm();
        sim::settle(&mut world).expect("every region equals the reference");
        let new = world.references.iter().filter(|((origin, _), _)| origin.partition >= 2);
        let rejected: usize = new.map(|(_, reference)| reference.rejected.len()).sum();
        assert!(rejected > 0, "seed {seed}: no event of a new partition was broken");
    }
}

fn run_until(world: &mut World, ms: u64) {
    while world.sim.elapsed_ms() < ms {
        assert!(world.sim.step(), "nothing left to run");
        checks::anytime(world).expect("no frontier is false");
    }
}
