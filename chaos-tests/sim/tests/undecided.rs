//! A producer that dies with its transaction open: nobody can read what others append behind it, and
//! nobody says that they had.

use backbone::{Partition, Record};
use lattice::TopicId;
use sim::World;
use testkit::Faults;

const BEFORE_MS: u64 = 3_000;
/// Less than the brokers wait for a transaction.
const AFTER_MS: u64 = 4_000;
/// Between two steps of a commit, at most: time to kill the producer in.
const DELAY_MS: u64 = 400;

#[test]
fn an_open_transaction_ages_its_partition() {
    for seed in 0..3 {
        let mut world = World::new(seed).expect("a world");
        world.sites.iter().for_each(|site| site.log.set_faults(|faults| *faults = Faults::slow()));
        (0..3).for_each(|site| world.start(site, 1));
        sim::run_for(&mut world, BEFORE_MS).expect("no frontier is false");
        leave_open(&mut world);
        let open_ms = world.sim.now_ms();
        sim::run_for(&mut world, AFTER_MS).expect("no frontier is false");
        let topic = TopicId(world.sites[0].log.topic("clicks").expect("a topic").id);
        for (name, store) in world.stores() {
            for state in (0..store.shards()).flat_map(|shard| store.states(shard)) {
                let at = &state.origin;
                let Some(proven) = state.proven.as_ref().filter(|_| at.topic == topic) else {
                    continue;
                };
                let late_ms = proven.complete_to_ms - open_ms;
                let held_back = at.partition == 0;
                assert_eq!(late_ms <= 0, held_back, "seed {seed}: {name}: {at:?}: {late_ms} ms");
            }
        }
        world.calm();
        sim::settle(&mut world).expect("every region equals the reference");
    }
}

/// A producer writes to a partition, and is gone before that is decided.
fn leave_open(world: &mut World) {
    let (producer, log) = (world.sim.process("foreign"), world.sites[0].log.clone());
    let (env, at) = (producer.env(), Partition::new("clicks", 0));
    log.set_faults(|faults| faults.max_delay_ms = DELAY_MS);
    let (client, to) = (log.client(env.clone()), at.clone());
    let commit = async move {
        let Ok(mut writer) = client.claim("foreign").await else { return };
        _ = writer.commit(vec![(to, Record::new("k", "v"))]).await;
    };
    let _commit = env.spawn("commit", Box::pin(commit));
    let open = || log.end(&at) != log.bounds(&at).map(|bounds| bounds.committed_end);
    while !open() {
        sim::step(world).expect("no frontier is false");
    }
    producer.kill();
    log.set_faults(|faults| *faults = Faults::slow());
}
