//! A source that gets more partitions while it is folded: the new ones are origins like the others.
//! A delta topic that has too few at first: it is read when it has all.

use backbone::TopicSpec;
use node::Names;
use sim::{World, checks};
use testkit::Faults;

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

#[test]
fn a_delta_topic_that_is_there_before_all_its_partitions_is_read_whole() {
    let mut world = World::new(0).expect("a world");
    let source = world.catalog.sources().remove(0);
    let [_, deltas, _] = Names::default().source_specs(&source, 4);
    let copy = TopicSpec {
        name: Names::default().mirrored(&world.sites[1].region, &deltas.name),
        partitions: 1,
        ..deltas
    };
    world.sites[0].log.make(&copy);
    // A reader that fails begins again, and would then see all.
    world.sites.iter().for_each(|site| site.log.set_faults(|faults| *faults = Faults::slow()));
    // Nobody can mirror it, and so nobody adds partitions.
    world.sites[1].log.set_faults(|faults| faults.down = true);
    (0..3).for_each(|site| world.start(site, 1));
    run_until(&mut world, BEFORE_MS);
    let copied = world.sites[0].log.topic(&copy.name).expect("it was made");
    assert_eq!(copied.partitions, 1, "the readers have seen it as it was");
    world.sites[1].log.set_faults(|faults| faults.down = false);
    run_until(&mut world, AFTER_MS);
    world.calm();
    sim::settle(&mut world).expect("every region equals the reference");
}

fn run_until(world: &mut World, ms: u64) {
    while world.sim.elapsed_ms() < ms {
        assert!(world.sim.step(), "nothing left to run");
        checks::anytime(world).expect("no frontier is false");
    }
}
