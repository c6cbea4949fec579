//! Deterministic simulation of whole meshes: the real node, mirror and store code over faulty logs
//! in memory, under virtual time, all from one printed seed.
//!
//! A [`World`] is three regions; [`nemesis`] does to them what the world does; [`checks`] look
//! after every step whether a frontier is false or went back, and at the end whether every region
//! equals a reference fold of the logs.

pub mod checks;
pub mod events;
pub mod mirror_faults;
pub mod nemesis;
pub mod reference;
pub mod world;

pub use world::World;

use nemesis::Nemesis;

/// Virtual time during which events and faults come, ms.
const STORM_MS: u64 = 12_000;
/// Virtual time within which the regions must agree once the faults are over, ms.
const CALM_MS: u64 = 400_000;

/// What a run of one seed did; so that a test can assert that faults happened.
pub struct Outcome {
    /// A hash of everything that was scheduled.
    pub trace: u64,
    /// How often each fault happened.
    pub faults: std::collections::BTreeMap<&'static str, u64>,
    /// Frontiers checked.
    pub checked: u64,
    /// Events in the logs.
    pub events: usize,
}

/// One step, and a look whether a frontier is false or went back.
///
/// # Errors
/// One is, or did; or nothing is left to run.
pub fn step(world: &mut World) -> Result<(), String> {
    if !world.sim.step() {
        return Err(format!("seed {}: nothing left to run", world.sim.seed()));
    }
    checks::anytime(world)
}

/// Steps for so much virtual time.
///
/// # Errors
/// As [`step`].
pub fn run_for(world: &mut World, ms: u64) -> Result<(), String> {
    let end_ms = world.sim.elapsed_ms() + ms;
    while world.sim.elapsed_ms() < end_ms {
        step(world)?;
    }
    Ok(())
}

/// Runs until all regions agree, and looks whether they agree on what the logs say.
///
/// # Errors
/// They do not, or not in time.
pub fn settle(world: &mut World) -> Result<(), String> {
    let deadline_ms = world.sim.elapsed_ms() + CALM_MS;
    while !checks::eventually(world) {
        if !world.sim.step() || world.sim.elapsed_ms() > deadline_ms {
            let (seed, why) = (world.sim.seed(), checks::disagreement(world));
            return Err(format!("seed {seed}: no agreement after {CALM_MS} ms of calm: {why}"));
        }
        checks::anytime(world)?;
    }
    checks::finally(world)
}

/// Runs one seed to its end. The error names the seed and the invariant.
pub fn run(seed: u64) -> Result<Outcome, String> {
    let mut world = World::new(seed)?;
    let mut nemesis = Nemesis::new(seed);
    while world.sim.elapsed_ms() < STORM_MS {
        step(&mut world)?;
        nemesis.maybe_strike(&mut world)?;
    }
    nemesis.relent(&mut world);
    settle(&mut world)?;
    let mut faults = nemesis.counts;
    faults.insert("mirror fault", world.mirror_faults());
    Ok(Outcome { trace: world.sim.trace(), faults, checked: world.checked, events: world.events() })
}
