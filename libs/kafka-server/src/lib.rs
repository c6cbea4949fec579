//! Kafka's own processes on loopback: brokers and MirrorMaker 2, for `up --kafka start` and for
//! tests.
//!
//! [`Installation`] is the jars that `make kafka` fetched. [`Broker`] says how one broker is set and
//! started, quickly and with little memory;
//! [`MirrorMaker`] the same of the flows between regions. [`Process`] is one that runs, and ends with its handle.
//! Everything listens on loopback and forgets nothing when it is killed.

mod broker;
mod error;
mod installation;
mod mirror_maker;
mod process;

pub use broker::Broker;
pub use error::KafkaError;
pub use installation::Installation;
pub use mirror_maker::MirrorMaker;
pub use process::{Process, free_ports};
