//! Event time, wall time and randomness: the only caller of system time and entropy.
//!
//! Everything that waits, spawns or draws a random number does so through an [`Env`], so that a
//! simulation can run the real node code under virtual time from one seed. Pure crates use only
//! the [`time`] functions; the `tokio` feature adds [`SystemEnv`], the real runtime.

mod env;
#[cfg(feature = "tokio")]
mod system;
mod time;

pub use env::{Env, Expired, Task, timeout};
#[cfg(feature = "tokio")]
pub use system::{Stopwatch, SystemEnv};
pub use time::{
    Rfc3339, TimeError, format_duration, format_timestamp, parse_duration_ms, parse_timestamp_ms,
};
