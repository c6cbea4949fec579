//! A link between two processes that has a distance and, when told so, a fault: a TCP proxy on
//! loopback, for drills, measurements and tests. Nothing in production has one.
//!
//! [`Fault`] says what a link does to what it carries, [`Wire`] when it arrives, [`Answers`] which of
//! it arrives broken: all three are pure. [`Link`] does it to real connections.
//!
//! What it cannot do, as it sits above TCP: a connection to it always comes up at once, also through a
//! black hole (where nothing follows), and a process that is down resets what it should refuse.
//! Nothing is lost on the way: what a black hole holds arrives when it ends, as TCP would send it
//! again.

mod answers;
mod connection;
mod fault;
mod frames;
mod link;
mod wire;

pub use answers::Answers;
pub use fault::{Fault, FaultError, Passage};
pub use link::Link;
pub use wire::Wire;
