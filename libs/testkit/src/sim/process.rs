//! What a driver does to a process.

use std::sync::Arc;

use clock::Env;
use parking_lot::Mutex;

use super::core::Core;
use super::env::SimEnv;

/// A process of the simulated world. Clones mean the same one.
#[derive(Clone)]
pub struct Process {
    core: Arc<Mutex<Core>>,
    index: usize,
}

impl Process {
    pub(super) fn new(core: &Arc<Mutex<Core>>, name: &str) -> Self {
        let index = core.lock().add_process(name);
        Self { core: Arc::clone(core), index }
    }

    /// The environment of its present life. After a kill this gives that of the next life.
    #[must_use]
    pub fn env(&self) -> Arc<dyn Env> {
        let life = self.core.lock().life(self.index);
        Arc::new(SimEnv { core: Arc::clone(&self.core), life })
    }

    /// As SIGKILL: drops every task, those just polled too. The old environment is dead for good.
    pub fn kill(&self) {
        // Dropping a task may abort others, which locks the core again.
        let dropped = self.core.lock().kill(self.index);
        drop(dropped);
    }

    /// As SIGSTOP: its tasks are not polled, while time and timers go on.
    pub fn pause(&self) {
        self.core.lock().pause(self.index);
    }

    /// As SIGCONT.
    pub fn resume(&self) {
        self.core.lock().resume(self.index);
    }

    /// Whether it is paused.
    #[must_use]
    pub fn paused(&self) -> bool {
        self.core.lock().paused(self.index)
    }

    /// Moves its wall clock against the world's, ms. Timers are not affected.
    pub fn set_skew_ms(&self, skew_ms: i64) {
        self.core.lock().set_skew_ms(self.index, skew_ms);
    }
}
