//! The log on a real Kafka. The brokers are started here, from the jars that `make kafka` fetches.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod cluster;
mod harness;
mod secure;
mod tools;

pub use cluster::{Cluster, installation};
pub use harness::OnKafka;
pub use secure::SecureCluster;
pub use tools::{Lag, Seen, Tools};
