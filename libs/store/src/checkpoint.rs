//! Where checkpoints are kept: on disk, or in memory for simulations. A checkpoint only saves time:
//! without one, the state is rebuilt from the log.

mod disk;
mod memory;

use async_trait::async_trait;
use bytes::Bytes;

use crate::Record;

pub use disk::DiskCheckpoints;
pub use memory::MemoryCheckpoints;

/// Where checkpoints are kept. An entry whose value is `None` is removed.
#[async_trait]
pub trait Checkpoints: Send + Sync + 'static {
    /// Everything saved.
    async fn load(&self) -> Result<Vec<(Bytes, Bytes)>, CheckpointError>;
    /// All or nothing, durable when it returns.
    async fn save(&self, entries: Vec<Record>) -> Result<(), CheckpointError>;
}

/// A checkpoint could not be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the checkpoint in {place} {message}")]
pub struct CheckpointError {
    /// Directory or description.
    pub place: String,
    /// What happened, and the way out.
    pub message: String,
}
