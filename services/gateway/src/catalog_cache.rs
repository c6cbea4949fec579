//! The catalog as this gateway last heard of it, from whichever region. It only grows, so that
//! whatever a region says can be taken in, in any order, and nothing is lost when a node is.

use std::sync::Arc;

use api::node::v1::CatalogEntry;
use arc_swap::ArcSwap;
use catalog::Catalog;
use parking_lot::Mutex;
use tokio::sync::watch;

/// The newest catalog; readers never wait.
#[derive(Debug, Default)]
pub(crate) struct CatalogCache {
    current: ArcSwap<Catalog>,
    writing: Mutex<()>,
    heard: watch::Sender<bool>,
}

impl CatalogCache {
    /// As it is now.
    pub(crate) fn now(&self) -> Arc<Catalog> {
        self.current.load_full()
    }

    /// Takes in what a node has; says what it could not take.
    pub(crate) fn take(&self, entries: &[CatalogEntry]) {
        let _writing = self.writing.lock();
        let mut next = Catalog::clone(&self.now());
        let mut grew = false;
        for entry in entries {
            match next.insert(&entry.key, &entry.value) {
                Ok(new) => grew |= new,
                Err(error) => tracing::warn!(%error, "a catalog entry is left out"),
            }
        }
        if grew {
            // Indexed here, so that no request waits for it.
            tracing::info!(generation = next.generation(), views = next.views().len(), "catalog");
            self.current.store(Arc::new(next));
            self.heard.send_replace(true);
        }
    }

    /// Until somebody has said what the catalog is.
    pub(crate) async fn heard(&self) {
        // The sender is ours, so there is no error to speak of.
        let _ = self.heard.subscribe().wait_for(|heard| *heard).await;
    }
}
