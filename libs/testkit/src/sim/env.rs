//! What a process sees of the simulated world.

use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Wake, Waker};

use clock::{Env, Task};
use futures::future::BoxFuture;
use parking_lot::Mutex;

use super::core::{Core, Life, TaskId};

/// A sleep this long (about 34 years) never ends within a simulation.
const FOREVER_MS: u64 = 1 << 40;

/// One life of a process. After a kill nothing spawned or awaited through it ever runs again.
pub(super) struct SimEnv {
    pub(super) core: Arc<Mutex<Core>>,
    pub(super) life: Life,
}

impl Env for SimEnv {
    fn now_ms(&self) -> i64 {
        let core = self.core.lock();
        core.now_ms(core.skew_ms(self.life.process))
    }

    fn monotonic_us(&self) -> u64 {
        self.core.lock().elapsed_ms() * 1_000
    }

    fn sleep_ms(&self, ms: u64) -> BoxFuture<'static, ()> {
        let at_ms = self.core.lock().elapsed_ms() + ms.min(FOREVER_MS);
        Box::pin(Sleep { core: Arc::clone(&self.core), life: self.life, at_ms, timer: None })
    }

    fn spawn(&self, name: &'static str, future: BoxFuture<'static, ()>) -> Task {
        let spawned = self.core.lock().spawn(self.life, name, future);
        match spawned {
            Ok(id) => {
                let core = Arc::downgrade(&self.core);
                Task::new(move || {
                    let aborted = core.upgrade().and_then(|core| core.lock().forget(id));
                    drop(aborted);
                })
            }
            Err(stillborn) => {
                drop(stillborn);
                Task::new(|| ())
            }
        }
    }

    fn random_u64(&self) -> u64 {
        self.core.lock().random_u64()
    }
}

struct Sleep {
    core: Arc<Mutex<Core>>,
    life: Life,
    at_ms: u64,
    timer: Option<(u64, u64)>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let old = self.timer.take();
        let mut core = self.core.lock();
        // Wakers are dropped after the lock: dropping one may end a task.
        let stale = old.and_then(|timer| core.clear_timer(timer));
        if !core.alive(self.life) {
            drop(core);
            drop(stale);
            return Poll::Pending;
        }
        if core.elapsed_ms() >= self.at_ms {
            drop(core);
            drop(stale);
            return Poll::Ready(());
        }
        let timer = core.set_timer(self.at_ms, context.waker().clone());
        drop(core);
        drop(stale);
        self.timer = Some(timer);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        let stale = self.timer.take().and_then(|timer| self.core.lock().clear_timer(timer));
        drop(stale);
    }
}

pub(super) fn task_waker(core: &Arc<Mutex<Core>>, id: TaskId) -> Waker {
    Waker::from(Arc::new(TaskWaker { core: Arc::downgrade(core), id }))
}

struct TaskWaker {
    core: Weak<Mutex<Core>>,
    id: TaskId,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        if let Some(core) = self.core.upgrade() {
            core.lock().wake(self.id);
        }
    }
}
