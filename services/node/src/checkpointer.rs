//! Saves what changed in the store, with the positions in the log that it covers, and loads it
//! again: a restarted node serves at once, and reads on where it was.

use std::sync::Arc;

use bytes::Bytes;
use store::{CheckpointError, Store};

use crate::catalog_watch;
use crate::shared::Shared;

const EVERY_MS: u64 = 5_000;
const CATALOG: &[u8] = b"\0catalog/";
const SHARDS: &[u8] = b"\0shards";

/// Loads the checkpoint, if there is one: catalog, positions, and the store with its panes.
pub async fn load(shared: &Shared) -> Result<(), CheckpointError> {
    let (foreign, panes): (Vec<_>, Vec<_>) =
        shared.checkpoints.load().await?.into_iter().partition(|(key, _)| key.first() == Some(&0));
    let shards = foreign.iter().find(|(key, _)| key == SHARDS);
    let Some(shards) = shards.and_then(|(_, value)| value.first_chunk()) else { return Ok(()) };
    let store = shared.store_of(u32::from_be_bytes(*shards));
    store.load(panes).map_err(|error| CheckpointError {
        place: "this node's data directory".into(),
        message: format!(
            "cannot be read ({error}); delete it, and the state is rebuilt from the log"
        ),
    })?;
    let mut positions = shared.positions.lock();
    let rest: Vec<_> = foreign.iter().filter(|(key, value)| !positions.load(key, value)).collect();
    drop(positions);
    let entries =
        rest.iter().filter_map(|(key, value)| Some((key.strip_prefix(CATALOG)?, &value[..])));
    catalog_watch::take(shared, entries);
    Ok(())
}

/// Saves every so often, forever.
pub async fn run(shared: Arc<Shared>, store: Arc<Store>) {
    let mut saved_generation = None;
    loop {
        shared.env.sleep_ms(EVERY_MS).await;
        let generation = shared.catalog_now().generation();
        let with_catalog = saved_generation != Some(generation);
        match save(&shared, &store, with_catalog).await {
            Ok(()) => saved_generation = Some(generation),
            Err(error) => tracing::warn!(%error, "the next checkpoint will hold it"),
        }
    }
}

/// Saves what changed since the last time. Positions are taken before the panes: what was applied
/// in between is applied once more after a restart, which changes nothing. One after the other: the
/// positions of one may cover what another has taken and not saved yet.
pub async fn save(
    shared: &Shared,
    store: &Store,
    with_catalog: bool,
) -> Result<(), CheckpointError> {
    let _one_at_a_time = shared.saving.lock().await;
    let begun_ms = shared.env.monotonic_ms();
    let mut entries = shared.positions.lock().entries();
    entries.push((Bytes::from_static(SHARDS), Some(store.shards().to_be_bytes().to_vec().into())));
    if with_catalog {
        entries.extend(catalog_entries(shared));
    }
    let changes = store.take_changes();
    entries.extend(changes.iter().cloned());
    let saved = shared.checkpoints.save(entries).await;
    match saved {
        Ok(()) => *shared.saved_ms.lock() = Some(begun_ms),
        Err(_) => store.untake(changes),
    }
    saved
}

fn catalog_entries(shared: &Shared) -> Vec<(Bytes, Option<Bytes>)> {
    let catalog = shared.catalog_now();
    let entry =
        |(key, value): (&[u8], &Bytes)| ([CATALOG, key].concat().into(), Some(value.clone()));
    catalog.entries().map(entry).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use backbone_local::{LocalLog, LogOptions};
    use clock::SystemEnv;
    use store::{Checkpoints, MemoryCheckpoints};
    use tokio::sync::Notify;

    use super::*;
    use crate::shared::Identity;
    use crate::topics::Names;

    /// Keeps the first save waiting until it is let go; counts those that were begun.
    #[derive(Default)]
    struct Gated {
        begun: AtomicU32,
        open: Notify,
    }

    #[async_trait::async_trait]
    impl Checkpoints for Gated {
        async fn load(&self) -> Result<Vec<(Bytes, Bytes)>, CheckpointError> {
            Ok(Vec::new())
        }

        async fn save(&self, _: Vec<store::Record>) -> Result<(), CheckpointError> {
            if self.begun.fetch_add(1, Ordering::SeqCst) == 0 {
                self.open.notified().await;
            }
            Ok(())
        }
    }

    /// A node that ends saves while its periodic checkpoint may be under way.
    #[tokio::test]
    async fn a_checkpoint_does_not_overtake_another() {
        let gated = Arc::new(Gated::default());
        let (_data, shared) = shared(gated.clone());
        let store = shared.store_of(16);
        let (periodic, last) = (save(&shared, store, true), save(&shared, store, true));
        let mut both = std::pin::pin!(futures::future::join(periodic, last));
        // As far as they get.
        assert!(futures::poll!(&mut both).is_pending());
        assert_eq!(gated.begun.load(Ordering::SeqCst), 1, "the other one waits");
        gated.open.notify_one();
        let (periodic, last) = both.await;
        assert_eq!((periodic, last), (Ok(()), Ok(())));
        assert_eq!(gated.begun.load(Ordering::SeqCst), 2);
    }

    fn shared(checkpoints: Arc<dyn Checkpoints>) -> (tempfile::TempDir, Shared) {
        let (env, data) = (SystemEnv::shared(), tempfile::tempdir().unwrap());
        let log = LocalLog::open(data.path(), env.clone(), LogOptions::new("nyc", "ewr")).unwrap();
        let identity = Identity {
            mesh: "nyc".into(),
            region: "ewr".into(),
            regions: vec!["ewr".into()],
            topics: Names::default(),
        };
        (data, Shared::new(identity, env, log, checkpoints))
    }

    /// A test, or an operator, who waits for what is saved must not be told of what is not.
    #[tokio::test]
    async fn the_last_checkpoint_is_one_that_was_saved() {
        let checkpoints = MemoryCheckpoints::default();
        let (_data, shared) = shared(Arc::new(checkpoints.clone()));
        let env = shared.env.clone();
        let store = shared.store_of(16);
        checkpoints.fail_saves(true);
        save(&shared, store, true).await.unwrap_err();
        assert_eq!(*shared.saved_ms.lock(), None, "nothing was saved");
        checkpoints.fail_saves(false);
        let before_ms = env.monotonic_ms();
        save(&shared, store, true).await.unwrap();
        let saved_ms = shared.saved_ms.lock().expect("it was saved");
        assert!((before_ms..=env.monotonic_ms()).contains(&saved_ms), "{saved_ms}");
        checkpoints.fail_saves(true);
        save(&shared, store, true).await.unwrap_err();
        assert_eq!(*shared.saved_ms.lock(), Some(saved_ms), "the last one that was");
    }
}
