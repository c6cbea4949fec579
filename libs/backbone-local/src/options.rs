//! The bounds of an embedded log.

use std::sync::Arc;

/// Who the log belongs to, and how much it may use.
#[derive(Clone, Debug)]
pub struct LogOptions {
    /// The mesh that the log belongs to; a directory of another one is refused.
    pub mesh: Arc<str>,
    /// The region that the log belongs to; a directory of another one is refused.
    pub region: Arc<str>,
    /// Bytes of records that may wait for the committer before writers wait too.
    pub queue_bytes: usize,
    /// How long a writer waits for room in the queue before it is told that the log is full.
    pub full_after_ms: u64,
    /// Bytes of newest batches per partition that tails read without touching the disk.
    pub recent_bytes: usize,
    /// Bytes of blocks read from disk that are kept in memory, for the whole log.
    pub cache_bytes: u64,
    /// Time between two rounds of retention and compaction; 0 leaves them to the caller.
    pub maintain_every_ms: u64,
    /// Keys that one compaction remembers at most, about 40 bytes each. With more keys than that
    /// it goes in steps.
    pub compaction_keys: usize,
}

impl LogOptions {
    /// The defaults: about 100 MB of memory for a few dozen partitions.
    pub fn new(mesh: impl Into<Arc<str>>, region: impl Into<Arc<str>>) -> Self {
        Self {
            mesh: mesh.into(),
            region: region.into(),
            queue_bytes: 32 << 20,
            full_after_ms: 10_000,
            recent_bytes: 1 << 20,
            cache_bytes: 32 << 20,
            maintain_every_ms: 5_000,
            compaction_keys: 1 << 20,
        }
    }
}
