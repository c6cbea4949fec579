//! The real environment: the system's clock and entropy, tokio's timers and tasks.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures::future::BoxFuture;

use crate::env::{Env, Task};

/// Where monotonic time starts: whenever it was first asked for.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// How far this process's wall clock is ahead of the system's, ms.
static AHEAD_MS: AtomicI64 = AtomicI64::new(0);

/// The operating system's time and entropy on the current tokio runtime.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemEnv;

impl SystemEnv {
    /// The environment as the rest of the code takes it.
    pub fn shared() -> Arc<dyn Env> {
        Arc::new(Self)
    }

    /// Puts this process's wall clock ahead of the system's, ms, or behind it: for drills, which ask
    /// what becomes of a region whose clock is off. The steady clock stays.
    pub fn set_ahead_ms(ahead_ms: i64) {
        AHEAD_MS.store(ahead_ms, Ordering::Relaxed);
    }
}

impl Env for SystemEnv {
    fn now_ms(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let now_ms = since.map_or(0, |d| d.as_millis() as i64);
        now_ms.saturating_add(AHEAD_MS.load(Ordering::Relaxed))
    }

    fn monotonic_us(&self) -> u64 {
        START.elapsed().as_micros() as u64
    }

    fn sleep_ms(&self, ms: u64) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(Duration::from_millis(ms)))
    }

    fn spawn(&self, _name: &'static str, future: BoxFuture<'static, ()>) -> Task {
        let handle = tokio::spawn(future).abort_handle();
        Task::new(move || handle.abort())
    }

    fn random_u64(&self) -> u64 {
        rand::random()
    }
}

/// How long something took, by the monotonic clock: for metrics, never for a decision.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// From now.
    #[must_use]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Since the start.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}
