//! The `Log` embedded in a region's process: durable, compacted, tailed by others over gRPC.
//!
//! Records are kept as *batches* in one LSM tree (`fjall`): what one group of commits wrote to a
//! partition is one value, so that the tree's cost is per batch and not per record. Every write
//! goes through one [`committer`] thread that writes all that is queued, calls fsync once, and only
//! then acknowledges and lets tails see it. Tails at the end read from memory ([`partition`]),
//! others from disk ([`tail`]). [`trim`] and [`compact`] keep the disk bounded. [`remote`] lets other
//! regions read.

mod codec;
mod committer;
mod compact;
mod dir;
mod ensure;
mod janitor;
mod log;
mod options;
mod partition;
mod queue;
mod remote;
mod shared;
mod store;
mod tail;
mod topic;
mod trim;
mod writer;

pub use dir::OpenError;
pub use log::LocalLog;
pub use options::LogOptions;
pub use queue::QueueDepth;
pub use remote::{LogService, RemoteLog};
