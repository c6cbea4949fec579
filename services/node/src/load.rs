//! How many reads are under way: gateways are told.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// A count that goes down by itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Load(Arc<AtomicU32>);

/// Counts for as long as it lives.
#[must_use]
pub(crate) struct UnderWay(Arc<AtomicU32>);

impl Load {
    pub(crate) fn enter(&self) -> UnderWay {
        self.0.fetch_add(1, Ordering::Relaxed);
        UnderWay(self.0.clone())
    }

    pub(crate) fn now(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
