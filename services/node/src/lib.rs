//! A region's worker: ingest, fold, replicate, serve.
//!
//! [`core::Core`] is the node without edges, which the simulation runs too; [`run`] puts a log under
//! it and gRPC over it. [`mirror`] is the process that mirrors for nodes on Kafka.

pub mod append;
mod applier;
mod catalog_watch;
pub mod checkpointer;
pub mod claims;
mod columns;
pub mod config;
pub mod core;
mod dead_letters;
mod deadline;
mod explain;
pub mod kafka;
mod load;
pub mod mirror;
pub mod mirrors;
pub mod origins;
mod partition;
pub mod positions;
pub mod reader;
mod reading;
mod repairer;
mod serve;
mod service;
pub mod shared;
pub mod status;
mod tokens;
pub mod topics;

pub use config::{Config, DRAIN_MS, DRAIN_QUIET_MS};
pub use kafka::{Kafka, NeededTopic, needed_topics};
pub use serve::{NodeError, run};
pub use topics::Names;
