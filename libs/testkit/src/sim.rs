//! A deterministic, single-threaded executor under virtual time.
//!
//! One seed decides everything: which of the runnable tasks goes next (that is what explores
//! interleavings), every random number, every name. When no task is runnable, time jumps to the
//! next timer. Tasks belong to processes, which can be killed, paused and resumed between any two
//! steps. The same seed gives the same trace, and [`Sim::trace`] is a hash of it.

mod core;
mod env;
mod process;
#[cfg(test)]
mod tests;

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use clock::Env;
use parking_lot::Mutex;

use self::core::{Core, Next};
pub use self::process::Process;

/// More polls than this at one instant are a livelock.
const MAX_STEPS_AT_ONE_INSTANT: u64 = 2_000_000;

/// When a simulation begins unless told otherwise: 2013-02-01T00:00:00Z, ms since the epoch.
pub const START_MS: i64 = 1_359_676_800_000;

/// Why a simulation did not get where it was meant to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Stuck {
    /// No task can run and no timer is set.
    #[error("seed {seed}: nothing left to run at {at_ms} ms")]
    Idle {
        /// To replay it.
        seed: u64,
        /// Virtual time since the start.
        at_ms: u64,
    },
    /// The allowed virtual time has passed.
    #[error("seed {seed}: not done by {at_ms} ms")]
    Late {
        /// To replay it.
        seed: u64,
        /// Virtual time since the start.
        at_ms: u64,
    },
    /// Tasks wake each other and time stands still.
    #[error("seed {seed}: tasks spin at {at_ms} ms")]
    Livelock {
        /// To replay it.
        seed: u64,
        /// Virtual time since the start.
        at_ms: u64,
    },
}

/// A simulated world. Clones share it.
#[derive(Clone)]
pub struct Sim {
    seed: u64,
    core: Arc<Mutex<Core>>,
    driver: Process,
    _world: Arc<World>,
}

/// Ends all tasks with the last [`Sim`]; they own the core that owns them.
struct World(Arc<Mutex<Core>>);

impl Drop for World {
    fn drop(&mut self) {
        let dropped = self.0.lock().end();
        drop(dropped);
    }
}

impl Sim {
    /// A world at [`START_MS`], decided by `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::starting_at(seed, START_MS)
    }

    /// A world at `start_ms` since the epoch, decided by `seed`.
    #[must_use]
    pub fn starting_at(seed: u64, start_ms: i64) -> Self {
        let core = Arc::new(Mutex::new(Core::new(seed, start_ms)));
        let driver = Process::new(&core, "driver");
        let world = World(Arc::clone(&core));
        Self { seed, core, driver, _world: Arc::new(world) }
    }

    /// What decided it.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Adds a process.
    #[must_use]
    pub fn process(&self, name: &str) -> Process {
        Process::new(&self.core, name)
    }

    /// The driver's own environment, which nothing kills.
    #[must_use]
    pub fn env(&self) -> Arc<dyn Env> {
        self.driver.env()
    }

    /// Virtual time since the start, ms.
    #[must_use]
    pub fn elapsed_ms(&self) -> u64 {
        self.core.lock().elapsed_ms()
    }

    /// The world's true time, ms since the epoch: what a process without skew sees.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        self.core.lock().now_ms(0)
    }

    /// A random number for the driver, from the same seed.
    #[must_use]
    pub fn random_u64(&self) -> u64 {
        self.core.lock().random_u64()
    }

    /// Whether an event of this probability happens now, for the driver.
    #[must_use]
    pub fn chance(&self, probability: f64) -> bool {
        ((self.random_u64() >> 11) as f64) < probability * (1u64 << 53) as f64
    }

    /// A hash of everything that was scheduled so far.
    #[must_use]
    pub fn trace(&self) -> u64 {
        self.core.lock().trace()
    }

    /// Mixes something that the driver observed into the trace.
    pub fn note(&self, bytes: &[u8]) {
        self.core.lock().note(bytes);
    }

    /// Polls one task, or moves time to the next timer when none is runnable. False when there is
    /// neither.
    pub fn step(&self) -> bool {
        let next = self.core.lock().next();
        match next {
            Next::Idle => return false,
            Next::Fire(timers) => timers.into_iter().for_each(Waker::wake),
            Next::Poll(mut task) => {
                let waker = env::task_waker(&self.core, task.id);
                let done = task.future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready();
                // What is dropped here may lock the core again, so the lock is not held.
                let dropped = self.core.lock().polled(task, done);
                drop(dropped);
            }
        }
        true
    }

    /// Steps until `done` holds, for at most `max_ms` of virtual time.
    pub fn run_until(&self, max_ms: u64, mut done: impl FnMut() -> bool) -> Result<(), Stuck> {
        let mut watch = Watch::new(self, max_ms);
        while !done() {
            watch.step()?;
        }
        Ok(())
    }

    /// Steps for `ms` of virtual time.
    pub fn run_for(&self, ms: u64) -> Result<(), Stuck> {
        self.block_on_for(ms, self.driver.env().sleep_ms(ms))
    }

    /// Runs the world until `future` is done, for at most an hour of virtual time. The future
    /// belongs to the driver: nothing can kill it, and it is polled as soon as it can go on.
    pub fn block_on<T>(&self, future: impl Future<Output = T>) -> Result<T, Stuck> {
        self.block_on_for(3_600_000, future)
    }

    /// As [`Sim::block_on`], for at most `max_ms` of virtual time.
    pub fn block_on_for<T>(
        &self,
        max_ms: u64,
        future: impl Future<Output = T>,
    ) -> Result<T, Stuck> {
        let flag = Arc::new(Flag(AtomicBool::new(true)));
        let waker = Waker::from(Arc::clone(&flag));
        let mut future = pin!(future);
        let mut watch = Watch::new(self, max_ms);
        loop {
            if flag.0.swap(false, Ordering::Relaxed) {
                if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                    return Ok(value);
                }
            } else {
                watch.step()?;
            }
        }
    }
}

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Notices when stepping leads nowhere.
struct Watch<'a> {
    sim: &'a Sim,
    until_ms: u64,
    at_ms: u64,
    steps: u64,
}

impl<'a> Watch<'a> {
    fn new(sim: &'a Sim, max_ms: u64) -> Self {
        let at_ms = sim.elapsed_ms();
        Self { sim, until_ms: at_ms.saturating_add(max_ms), at_ms, steps: 0 }
    }

    fn step(&mut self) -> Result<(), Stuck> {
        let (seed, at_ms) = (self.sim.seed, self.sim.elapsed_ms());
        if at_ms > self.until_ms {
            return Err(Stuck::Late { seed, at_ms });
        }
        if at_ms != self.at_ms {
            (self.at_ms, self.steps) = (at_ms, 0);
        }
        self.steps += 1;
        if self.steps > MAX_STEPS_AT_ONE_INSTANT {
            return Err(Stuck::Livelock { seed, at_ms });
        }
        if self.sim.step() { Ok(()) } else { Err(Stuck::Idle { seed, at_ms }) }
    }
}
