//! A mirror's source that lies: it repeats, skips, rewinds, and resurrects records that compaction
//! has long dropped. What it says of `next` stays true, so that mirroring goes on. The catalog, which
//! has no digests, is told truly.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use async_trait::async_trait;
use backbone::{Batch, Bounds, LogError, Partition, Stored, Tail, Tailer, TopicInfo};
use clock::Env;
use parking_lot::Mutex;

/// How many records of a partition can come back from the dead.
const MEMORY: usize = 200;

/// A tailer whose tails lie as long as `lying` holds.
pub struct LyingTailer {
    inner: Arc<dyn Tailer>,
    shared: Arc<Lies>,
}

/// What all tails of one mirrored region share.
pub struct Lies {
    env: Arc<dyn Env>,
    lying: Arc<AtomicBool>,
    told: Arc<AtomicU64>,
    seen: Mutex<BTreeMap<Partition, Vec<Stored>>>,
}

impl LyingTailer {
    /// Lies about what `inner` says while `lying`, and counts how often in `told`.
    pub fn new(
        inner: Arc<dyn Tailer>,
        env: Arc<dyn Env>,
        lying: Arc<AtomicBool>,
        told: Arc<AtomicU64>,
    ) -> Self {
        Self { inner, shared: Arc::new(Lies { env, lying, told, seen: Mutex::default() }) }
    }
}

#[async_trait]
impl Tailer for LyingTailer {
    async fn topic(&self, name: &str) -> Result<Option<TopicInfo>, LogError> {
        self.inner.topic(name).await
    }

    async fn bounds(&self, partition: &Partition) -> Result<Bounds, LogError> {
        self.inner.bounds(partition).await
    }

    async fn tail(&self, from: Vec<(Partition, u64)>) -> Result<Box<dyn Tail>, LogError> {
        let inner = self.inner.tail(from).await?;
        Ok(Box::new(LyingTail { inner, shared: self.shared.clone() }))
    }
}

struct LyingTail {
    inner: Box<dyn Tail>,
    shared: Arc<Lies>,
}

#[async_trait]
impl Tail for LyingTail {
    async fn next(&mut self, max: usize) -> Result<Batch, LogError> {
        let mut batch = self.inner.next(max).await?;
        let truth = batch.records.clone();
        let catalog = *batch.partition.topic == *node::Names::default().catalog();
        if !catalog && self.shared.lying.load(Ordering::Relaxed) {
            self.shared.lie(&mut batch);
        }
        let mut seen = self.shared.seen.lock();
        let seen = seen.entry(batch.partition.clone()).or_default();
        seen.extend(truth);
        let old = seen.len().saturating_sub(MEMORY);
        seen.drain(..old);
        Ok(batch)
    }
}

impl Lies {
    fn lie(&self, batch: &mut Batch) {
        let seen = self.seen.lock();
        let past = seen.get(&batch.partition).map(Vec::as_slice).unwrap_or_default();
        let at = self.env.random_u64() as usize;
        match self.env.random_u64() % 40 {
            // Repeat what was just said.
            0 => batch.records.extend(batch.records.clone()),
            // Skip one, or all.
            1 if !batch.records.is_empty() => _ = batch.records.remove(at % batch.records.len()),
            2 => batch.records.clear(),
            // Rewind: say again all from some point on, then go on.
            3 if !past.is_empty() => {
                let again = past[at % past.len()..].to_vec();
                batch.records.splice(0..0, again);
            }
            // Resurrect one old record, after the newer ones.
            4 if !past.is_empty() => batch.records.push(past[at % past.len()].clone()),
            _ => return,
        }
        self.told.fetch_add(1, Ordering::Relaxed);
    }
}
