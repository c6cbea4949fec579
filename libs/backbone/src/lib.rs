//! The `Log` trait, its conformance suite and the mirror written once over it.
//!
//! Everything above this crate is written once against [`Log`]: embedded (a laptop), Kafka
//! (production) or faulty in memory (simulation). [`conformance`] says what a `Log` is.

pub mod conformance;
pub mod log;
pub mod mirror;

pub use log::{
    Batch, Bounds, CommitError, Log, LogError, Partition, Record, Retention, Stored, Tail, Tailer,
    TopicInfo, TopicSpec, Writer,
};
