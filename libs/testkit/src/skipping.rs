//! The real environment, of whose time a test can skip a part: what waits for minutes is tested in
//! moments, over real sockets.

use std::sync::Arc;

use clock::{Env, SystemEnv, Task};
use futures::future::{BoxFuture, select};
use tokio::sync::watch;

/// The system's time, and what was skipped.
pub struct Skipping {
    skipped_ms: watch::Sender<u64>,
}

impl Skipping {
    /// Nothing is skipped yet.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self { skipped_ms: watch::Sender::new(0) })
    }

    /// So much time is over at once.
    pub fn skip_ms(&self, ms: u64) {
        self.skipped_ms.send_modify(|skipped_ms| *skipped_ms += ms);
    }
}

impl Env for Skipping {
    fn now_ms(&self) -> i64 {
        SystemEnv.now_ms().saturating_add_unsigned(*self.skipped_ms.borrow())
    }

    fn monotonic_us(&self) -> u64 {
        SystemEnv.monotonic_us() + *self.skipped_ms.borrow() * 1_000
    }

    fn sleep_ms(&self, ms: u64) -> BoxFuture<'static, ()> {
        let due_us = self.monotonic_us().saturating_add(ms.saturating_mul(1_000));
        // Kept, so that there is always somebody who may skip.
        let sender = self.skipped_ms.clone();
        let mut skipped_ms = sender.subscribe();
        Box::pin(async move {
            loop {
                let now_us = SystemEnv.monotonic_us() + *skipped_ms.borrow_and_update() * 1_000;
                if now_us >= due_us {
                    return;
                }
                let real = SystemEnv.sleep_ms((due_us - now_us).div_ceil(1_000));
                select(real, Box::pin(skipped_ms.changed())).await;
            }
        })
    }

    fn spawn(&self, name: &'static str, future: BoxFuture<'static, ()>) -> Task {
        SystemEnv.spawn(name, future)
    }

    fn random_u64(&self) -> u64 {
        SystemEnv.random_u64()
    }
}
