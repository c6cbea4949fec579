//! A log whose commits take longer than the pause between heartbeats: folding goes on all the same.

use sim::{World, checks};
use testkit::Faults;

/// At every step of an operation, at most. A commit of several takes longer than a heartbeat's pause
/// of 200 ms, practically always.
const MAX_DELAY_MS: u64 = 400;
const EVENTS_MS: u64 = 20_000;

#[test]
fn heartbeats_do_not_keep_events_from_being_folded() {
    for seed in 0..3 {
        let mut world = World::new(seed).expect("a world");
        for site in &world.sites {
            let slow = Faults { max_delay_ms: MAX_DELAY_MS, ..Faults::none() };
            site.log.set_faults(|faults| *faults = slow);
        }
        (0..3).for_each(|site| world.start(site, 1));
        while world.sim.elapsed_ms() < EVENTS_MS {
            assert!(world.sim.step(), "nothing left to run");
            checks::anytime(&mut world).expect("no frontier is false");
        }
        world.calm();
        sim::settle(&mut world).expect("every region equals the reference");
        assert!(world.events() > 0, "seed {seed}: no event was appended");
    }
}
