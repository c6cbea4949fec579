//! What the tests of folding and of whole meshes share: the SQL oracle, the injector, January's
//! departures. It knows nothing of Meridian's code, only of what a user was promised.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test fails by panicking, and prints its seed"
)]

pub mod flights;
pub mod injector;
pub mod oracle;

pub use injector::{Broken, Injected, inject};
pub use oracle::{Expected, Key, Oracle};
