//! Checkpoints that outlive a simulated crash.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;

use super::{CheckpointError, Checkpoints};
use crate::Record;

/// Checkpoints in memory; clones share them, as restarts of a process share a disk.
#[derive(Clone, Debug, Default)]
pub struct MemoryCheckpoints {
    entries: Arc<Mutex<BTreeMap<Bytes, Bytes>>>,
    failing: Arc<AtomicBool>,
}

impl MemoryCheckpoints {
    /// Makes saves fail, with nothing saved, or succeed again.
    pub fn fail_saves(&self, failing: bool) {
        self.failing.store(failing, Ordering::SeqCst);
    }

    /// Everything saved.
    #[must_use]
    pub fn entries(&self) -> Vec<(Bytes, Bytes)> {
        self.entries.lock().clone().into_iter().collect()
    }
}

#[async_trait]
impl Checkpoints for MemoryCheckpoints {
    async fn load(&self) -> Result<Vec<(Bytes, Bytes)>, CheckpointError> {
        Ok(self.entries())
    }

    async fn save(&self, entries: Vec<Record>) -> Result<(), CheckpointError> {
        if self.failing.load(Ordering::SeqCst) {
            let message = "was told to fail; call fail_saves(false)".to_owned();
            return Err(CheckpointError { place: "memory".to_owned(), message });
        }
        let mut saved = self.entries.lock();
        for (key, value) in entries {
            match value {
                Some(value) => saved.insert(key, value),
                None => saved.remove(&key),
            };
        }
        Ok(())
    }
}
