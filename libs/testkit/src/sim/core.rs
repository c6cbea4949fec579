//! The executor's state. Nothing here runs or drops foreign code, so that its lock never nests.

use std::collections::BTreeMap;
use std::hash::Hasher;
use std::task::Waker;

use futures::future::BoxFuture;
use rand::rand_core::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

pub(super) type TaskId = u64;

/// Which life of which process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Life {
    pub(super) process: usize,
    pub(super) incarnation: u64,
}

pub(super) struct Running {
    pub(super) id: TaskId,
    pub(super) future: BoxFuture<'static, ()>,
}

/// What a step does.
pub(super) enum Next {
    Poll(Running),
    Fire(Vec<Waker>),
    Idle,
}

struct TaskState {
    name: &'static str,
    process: usize,
    /// Taken while the task is polled.
    future: Option<BoxFuture<'static, ()>>,
}

struct ProcessState {
    incarnation: u64,
    paused: bool,
    skew_ms: i64,
}

pub(super) struct Core {
    rng: ChaCha8Rng,
    start_ms: i64,
    elapsed_ms: u64,
    processes: Vec<ProcessState>,
    tasks: BTreeMap<TaskId, TaskState>,
    next_task: TaskId,
    /// Sorted, so that the order of wake-ups within a step (which tokio's `watch` does not fix)
    /// does not matter.
    runnable: Vec<TaskId>,
    /// As `runnable`, of paused processes.
    parked: Vec<TaskId>,
    timers: BTreeMap<(u64, u64), Waker>,
    next_timer: u64,
    trace: Trace,
}

impl Core {
    pub(super) fn new(seed: u64, start_ms: i64) -> Self {
        Self {
            rng: ChaCha8Rng::seed_from_u64(seed),
            start_ms,
            elapsed_ms: 0,
            processes: Vec::new(),
            tasks: BTreeMap::new(),
            next_task: 0,
            runnable: Vec::new(),
            parked: Vec::new(),
            timers: BTreeMap::new(),
            next_timer: 0,
            trace: Trace(0xcbf2_9ce4_8422_2325),
        }
    }

    pub(super) fn elapsed_ms(&self) -> u64 {
        self.elapsed_ms
    }

    pub(super) fn now_ms(&self, skew_ms: i64) -> i64 {
        self.start_ms + self.elapsed_ms as i64 + skew_ms
    }

    pub(super) fn random_u64(&mut self) -> u64 {
        self.rng.next_u64()
    }

    pub(super) fn trace(&self) -> u64 {
        self.trace.0
    }

    pub(super) fn note(&mut self, bytes: &[u8]) {
        self.trace.write(bytes);
    }

    // Tasks.

    pub(super) fn next(&mut self) -> Next {
        if self.runnable.is_empty() {
            return self.fire();
        }
        // A modulus is a little uneven, which does not matter here.
        let pick = (self.rng.next_u64() % self.runnable.len() as u64) as usize;
        let id = self.runnable.remove(pick);
        let taken = self.tasks.get_mut(&id).and_then(|task| {
            self.trace.write_u64(id);
            self.trace.write(task.name.as_bytes());
            task.future.take()
        });
        // A woken task always exists and is not being polled; were it not so, time would tell.
        taken.map_or(Next::Fire(Vec::new()), |future| Next::Poll(Running { id, future }))
    }

    fn fire(&mut self) -> Next {
        let Some((&(at_ms, _), _)) = self.timers.first_key_value() else { return Next::Idle };
        let later = self.timers.split_off(&(at_ms + 1, 0));
        let due = std::mem::replace(&mut self.timers, later);
        self.elapsed_ms = self.elapsed_ms.max(at_ms);
        self.trace.write_u64(at_ms);
        Next::Fire(due.into_values().collect())
    }

    /// Takes a task back after a poll. What is returned must be dropped without the lock.
    pub(super) fn polled(&mut self, task: Running, done: bool) -> Option<Running> {
        if done {
            self.forget(task.id);
            return Some(task);
        }
        // Gone when it was killed or aborted while it ran.
        let Some(state) = self.tasks.get_mut(&task.id) else { return Some(task) };
        state.future = Some(task.future);
        None
    }

    /// Adds a task, or gives the future back if its process has died.
    pub(super) fn spawn(
        &mut self,
        life: Life,
        name: &'static str,
        future: BoxFuture<'static, ()>,
    ) -> Result<TaskId, BoxFuture<'static, ()>> {
        if !self.alive(life) {
            return Err(future);
        }
        let id = self.next_task;
        self.next_task += 1;
        self.tasks.insert(id, TaskState { name, process: life.process, future: Some(future) });
        self.wake(id);
        Ok(id)
    }

    pub(super) fn wake(&mut self, id: TaskId) {
        let Some(task) = self.tasks.get(&id) else { return };
        let paused = self.processes[task.process].paused;
        let queue = if paused { &mut self.parked } else { &mut self.runnable };
        if let Err(at) = queue.binary_search(&id) {
            queue.insert(at, id);
        }
    }

    /// Ends a task. What is returned must be dropped without the lock.
    pub(super) fn forget(&mut self, id: TaskId) -> Option<BoxFuture<'static, ()>> {
        self.runnable.retain(|other| *other != id);
        self.parked.retain(|other| *other != id);
        self.tasks.remove(&id).and_then(|task| task.future)
    }

    // Timers.

    pub(super) fn set_timer(&mut self, at_ms: u64, waker: Waker) -> (u64, u64) {
        let key = (at_ms, self.next_timer);
        self.next_timer += 1;
        self.timers.insert(key, waker);
        key
    }

    pub(super) fn clear_timer(&mut self, key: (u64, u64)) -> Option<Waker> {
        self.timers.remove(&key)
    }

    // Processes.

    pub(super) fn add_process(&mut self, name: &str) -> usize {
        self.trace.write(name.as_bytes());
        self.processes.push(ProcessState { incarnation: 0, paused: false, skew_ms: 0 });
        self.processes.len() - 1
    }

    pub(super) fn life(&self, process: usize) -> Life {
        Life { process, incarnation: self.processes[process].incarnation }
    }

    pub(super) fn alive(&self, life: Life) -> bool {
        self.processes[life.process].incarnation == life.incarnation
    }

    pub(super) fn skew_ms(&self, process: usize) -> i64 {
        self.processes[process].skew_ms
    }

    pub(super) fn set_skew_ms(&mut self, process: usize, skew_ms: i64) {
        self.processes[process].skew_ms = skew_ms;
    }

    pub(super) fn paused(&self, process: usize) -> bool {
        self.processes[process].paused
    }

    pub(super) fn pause(&mut self, process: usize) {
        self.processes[process].paused = true;
        let tasks = &self.tasks;
        let theirs = |id: &TaskId| tasks.get(id).is_some_and(|task| task.process == process);
        let (parked, runnable) = self.runnable.iter().partition(|id| theirs(id));
        self.runnable = runnable;
        self.parked = [std::mem::take(&mut self.parked), parked].concat();
        self.parked.sort_unstable();
        self.trace.write(b"pause");
    }

    pub(super) fn resume(&mut self, process: usize) {
        self.processes[process].paused = false;
        self.trace.write(b"resume");
        for id in std::mem::take(&mut self.parked) {
            self.wake(id);
        }
    }

    /// Ends a process's life. What is returned must be dropped without the lock.
    pub(super) fn kill(&mut self, process: usize) -> Vec<BoxFuture<'static, ()>> {
        self.trace.write(b"kill");
        self.processes[process].incarnation += 1;
        self.processes[process].paused = false;
        let theirs = |(id, task): (&TaskId, &TaskState)| (task.process == process).then_some(*id);
        let ids: Vec<TaskId> = self.tasks.iter().filter_map(theirs).collect();
        ids.into_iter().filter_map(|id| self.forget(id)).collect()
    }

    /// Ends every process's life. What is returned must be dropped without the lock.
    pub(super) fn end(&mut self) -> Vec<BoxFuture<'static, ()>> {
        (0..self.processes.len()).flat_map(|process| self.kill(process)).collect()
    }
}

/// FNV-1a, 64 bits: enough to tell two traces apart.
struct Trace(u64);

impl Hasher for Trace {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn write_u64(&mut self, value: u64) {
        self.write(&value.to_le_bytes());
    }
}
