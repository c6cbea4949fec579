//! Real processes: a mesh as `meridian up` starts it, in a directory of its own, on loopback.
//!
//! Waiting is always for a condition with a deadline. Processes end by the ids that they were
//! started with, or with the supervisor.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test fails by panicking, and prints its seed"
)]

pub mod faults;
pub mod feed;
pub mod fresh;
pub mod kafka;
pub mod load;
pub mod mesh;
pub mod mirror;
pub mod reading;
pub mod rollout;
pub mod steady;
pub mod story;

pub use mesh::{Mesh, OnKafka};
