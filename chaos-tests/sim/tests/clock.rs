//! Nodes whose wall clocks are set back: what is due is reckoned by the steady clock, so folding,
//! heartbeats and repairs go on as if nothing had happened.

use sim::World;
use testkit::Faults;

const BEFORE_MS: u64 = 3_000;
const AFTER_MS: u64 = 3_000;
/// Longer than the regions have to agree.
const BACK_MS: i64 = 3_600_000;

#[test]
fn a_clock_that_is_set_back_delays_nothing() {
    for seed in 0..5 {
        let mut world = World::new(seed).expect("a world");
        world.sites.iter().for_each(|site| site.log.set_faults(|faults| *faults = Faults::slow()));
        (0..3).for_each(|site| world.start(site, 1));
        sim::run_for(&mut world, BEFORE_MS).expect("no frontier is false");
        // One that is fenced would claim again, and reckon anew.
        world.sites.iter().for_each(|site| site.slots[1].leave());
        sim::run_for(&mut world, AFTER_MS).expect("no frontier is false");
        let slots = world.sites.iter().flat_map(|site| &site.slots);
        slots.for_each(|slot| slot.process.set_skew_ms(-BACK_MS));
        sim::run_for(&mut world, AFTER_MS).expect("no frontier is false");
        world.calm();
        sim::settle(&mut world).expect("every region equals the reference");
    }
}
