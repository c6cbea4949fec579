//! What tests are made of: a deterministic executor, a faulty `Log` in memory, generators of events.
//!
//! [`sim`] runs real code under virtual time from one seed; [`memory_log`] is the world's disk and
//! brokers, which survive the processes that [`sim`] kills. Production code never depends on this
//! crate.

mod as_is;
mod collector;
pub mod departures;
pub mod memory_log;
pub mod sim;
mod skipping;
mod within;

pub use as_is::AsIs;
pub use collector::{Collector, Span};
pub use memory_log::{Faults, MemoryLog};
pub use sim::{Process, Sim, Stuck};
pub use skipping::Skipping;
pub use within::within;
