//! A source's topic that is deleted and made again: the new one is another origin, and the old one
//! is still part of every answer, proven and fresh.

use lattice::TopicId;
use sim::World;

const BEFORE_MS: u64 = 3_000;
const AFTER_MS: u64 = 10_000;
const FEW_MS: u64 = 400;
/// Within which a node that starts claims its partitions.
const CLAIM_MS: u64 = 100;
const SEEDS: u64 = 40;

#[test]
fn what_a_deleted_topic_gave_is_kept_and_stays_fresh() {
    for seed in 0..5 {
        let mut world = World::new(seed).expect("a world");
        (0..3).for_each(|site| world.start(site, 1));
        sim::run_for(&mut world, BEFORE_MS).expect("no frontier is false");
        world.calm();
        sim::settle(&mut world).expect("every region equals the reference");
        let old = topic(&world);
        world.remake(0);
        let remade_ms = world.sim.env().now_ms();
        assert_ne!(topic(&world), old);
        sim::run_for(&mut world, AFTER_MS).expect("no frontier is false");
        world.calm();
        sim::settle(&mut world).expect("every region equals the reference, of old and new");
        for (name, store) in world.stores() {
            let states = (0..store.shards()).flat_map(|shard| store.states(shard));
            let frozen: Vec<_> = states.filter(|state| state.origin.topic == old).collect();
            assert!(!frozen.is_empty(), "seed {seed}: {name} has lost the old topic's panes");
            for state in frozen {
                let proven = state.proven.expect("proven");
                let ms = proven.complete_to_ms - remade_ms;
                assert!(ms > 0, "seed {seed}: {name}: {:?} is {ms} ms old", state.origin);
            }
        }
        let new = topic(&world);
        let events = world.references.iter().filter(|((origin, _), _)| origin.topic == new);
        assert!(events.map(|(_, reference)| reference.next()).sum::<u64>() > 0, "seed {seed}");
    }
}

fn topic(world: &World) -> TopicId {
    TopicId(world.sites[0].log.topic("clicks").expect("a topic").id)
}

/// A claim looks the topic up and then opens it; what is read must be of the topic that was looked up.
#[test]
fn a_topic_made_again_under_a_claim_is_not_taken_for_the_old_one() {
    for seed in 0..SEEDS {
        let mut world = World::new(seed).expect("a world");
        (0..3).for_each(|site| world.start(site, 1));
        // Few events: the new topic soon reaches the offsets at which the old one ended.
        sim::run_for(&mut world, FEW_MS).expect("no frontier is false");
        world.calm();
        sim::settle(&mut world).expect("every region equals the reference");
        world.sites[0].slots[1].process.kill();
        world.start(0, 1);
        let until_ms = world.sim.random_u64() % CLAIM_MS;
        sim::run_for(&mut world, until_ms).expect("no frontier is false");
        world.remake(0);
        sim::run_for(&mut world, BEFORE_MS).expect("no frontier is false");
        world.calm();
        sim::settle(&mut world).expect("every region equals the reference, of old and new");
    }
}
