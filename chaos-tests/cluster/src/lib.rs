//! Real processes: a mesh as `meridian up` starts it, in a directory of its own, on loopback.
//!
//! Waiting is always for a condition with a deadline. Processes end by the ids that they were
//! started with, or with the supervisor.

pub mod mesh;
pub mod reading;

pub use mesh::Mesh;
