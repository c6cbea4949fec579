//! The LSM tree behind the log: which keys there are, and every read and write of them.
//!
//! One keyspace for everything, so that no part that is seldom written keeps old journals alive:
//! `b` topic partition base -> batch; `t` name -> topic; `p` topic partition -> [`Floor`].
//! Numbers are big endian, so that keys sort as they should.

use std::path::Path;

use bytes::Bytes;
use fjall::config::CompressionPolicy;
use fjall::{
    CompressionType, Database, Keyspace, KeyspaceCreateOptions, KvSeparationOptions, PersistMode,
    Readable,
};
use serde::{Deserialize, Serialize};

use crate::options::LogOptions;
use crate::topic::TopicRecord;

/// Flushed to a table when it has grown to this; one more may be in flight.
const MEMTABLE_BYTES: u64 = 16 << 20;
/// The least that fjall allows.
const JOURNAL_BYTES: u64 = 64 << 20;
/// Flushing and compacting; neither is urgent, and the cores are the fold's.
const WORKERS: usize = 2;
/// Values above this are kept beside the tree, so that its own compactions do not copy them and
/// walking over keys does not read them.
const BLOB_FROM_BYTES: u32 = 512;
const BLOB_FILE_BYTES: u64 = 16 << 20;
/// A file of values is rewritten when this share of it is dead.
const BLOB_STALE_SHARE: f32 = 0.25;

/// A partition's place in the tree.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct PartitionId {
    pub(crate) topic: u32,
    pub(crate) index: u32,
}

impl PartitionId {
    fn key(self, tag: u8) -> [u8; 9] {
        let mut key = [tag; 9];
        key[1..5].copy_from_slice(&self.topic.to_be_bytes());
        key[5..9].copy_from_slice(&self.index.to_be_bytes());
        key
    }

    fn batch_key(self, base: u64) -> [u8; 17] {
        let mut key = [0; 17];
        key[..9].copy_from_slice(&self.key(b'b'));
        key[9..].copy_from_slice(&base.to_be_bytes());
        key
    }
}

/// What of a partition cannot be told from the batches that are left.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Floor {
    /// Where the partition begins.
    pub(crate) start: u64,
    /// It ends here or later, even if no batch is left.
    pub(crate) end: u64,
    /// No later stamp may be lower.
    pub(crate) last_ms: i64,
    /// Compaction has been up to here.
    pub(crate) clean_to: u64,
    /// Records that it left below `clean_to`.
    pub(crate) clean_records: u64,
    /// How many of those are nulls, and the stamp of the oldest.
    pub(crate) nulls: u64,
    pub(crate) oldest_null_ms: i64,
}

impl Default for Floor {
    fn default() -> Self {
        Self {
            start: 0,
            end: 0,
            last_ms: i64::MIN,
            clean_to: 0,
            clean_records: 0,
            nulls: 0,
            oldest_null_ms: i64::MAX,
        }
    }
}

/// A batch and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Placed {
    pub(crate) base: u64,
    pub(crate) bytes: Bytes,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    #[error("the store failed: {0}")]
    Tree(#[from] fjall::Error),
    #[error("the store is damaged: {0}")]
    Damaged(String),
}

/// The tree. Cheap to clone; every method blocks.
#[derive(Clone)]
pub(crate) struct Store {
    db: Database,
    tree: Keyspace,
}

impl Store {
    pub(crate) fn open(path: &Path, options: &LogOptions) -> Result<Self, StoreError> {
        let db = Database::builder(path)
            .cache_size(options.cache_bytes)
            .max_journaling_size(JOURNAL_BYTES)
            .worker_threads(WORKERS)
            .open()?;
        let blobs = KvSeparationOptions::default()
            .compression(CompressionType::Lz4)
            .separation_threshold(BLOB_FROM_BYTES)
            .file_target_size(BLOB_FILE_BYTES)
            .staleness_threshold(BLOB_STALE_SHARE)
            .age_cutoff(1.0);
        let tree = db.keyspace("log", || {
            KeyspaceCreateOptions::default()
                .max_memtable_size(MEMTABLE_BYTES)
                .data_block_compression_policy(CompressionPolicy::disabled())
                .expect_point_read_hits(true)
                .with_kv_separation(Some(blobs))
        })?;
        Ok(Self { db, tree })
    }

    /// Starts a write that is all or nothing.
    pub(crate) fn write(&self) -> Write<'_> {
        Write { store: self, batch: self.db.batch() }
    }

    pub(crate) fn topics(&self) -> Result<Vec<TopicRecord>, StoreError> {
        let values = self.tree.prefix(b"t").map(|guard| decode(&guard.value()?));
        values.collect()
    }

    pub(crate) fn floor(&self, id: PartitionId) -> Result<Floor, StoreError> {
        let value = self.tree.get(id.key(b'p'))?;
        value.map_or(Ok(Floor::default()), |value| decode(&value))
    }

    /// The last batch, if any.
    pub(crate) fn last(&self, id: PartitionId) -> Result<Option<Placed>, StoreError> {
        self.tree.prefix(id.key(b'b')).next_back().map(placed).transpose()
    }

    /// Bytes of all batches.
    pub(crate) fn bytes(&self, id: PartitionId) -> Result<u64, StoreError> {
        self.tree.prefix(id.key(b'b')).try_fold(0, |sum, guard| Ok(sum + u64::from(guard.size()?)))
    }

    /// The batches that have offsets from `from` on and begin before `to`, as they are now:
    /// what is written or compacted later does not show.
    pub(crate) fn batches(
        &self,
        id: PartitionId,
        from: u64,
        to: u64,
    ) -> impl Iterator<Item = Result<Placed, StoreError>> + use<> {
        let snapshot = self.db.snapshot();
        // The one that `from` falls into may begin before it.
        let before = snapshot.range(&self.tree, id.batch_key(0)..=id.batch_key(from)).next_back();
        let after = match from.checked_add(1) {
            Some(after) if after < to => {
                Some(snapshot.range(&self.tree, id.batch_key(after)..id.batch_key(to)))
            }
            _ => None,
        };
        before.into_iter().chain(after.into_iter().flatten()).map(placed)
    }
}

/// A write in the making.
pub(crate) struct Write<'a> {
    store: &'a Store,
    batch: fjall::OwnedWriteBatch,
}

impl Write<'_> {
    pub(crate) fn put(&mut self, id: PartitionId, batch: &Placed) {
        self.batch.insert(&self.store.tree, id.batch_key(batch.base), batch.bytes.clone());
    }

    pub(crate) fn remove(&mut self, id: PartitionId, base: u64) {
        self.batch.remove(&self.store.tree, id.batch_key(base));
    }

    pub(crate) fn put_floor(&mut self, id: PartitionId, floor: &Floor) -> Result<(), StoreError> {
        self.batch.insert(&self.store.tree, id.key(b'p'), encode(floor)?);
        Ok(())
    }

    pub(crate) fn put_topic(&mut self, topic: &TopicRecord) -> Result<(), StoreError> {
        let key = [b"t", topic.name.as_bytes()].concat();
        self.batch.insert(&self.store.tree, key, encode(topic)?);
        Ok(())
    }

    /// Returns when it is on the disk; nothing of it can be read before. After an error it is
    /// unknown whether it was written, and the store takes no more.
    pub(crate) fn commit(self) -> Result<(), StoreError> {
        Ok(self.batch.durability(Some(PersistMode::SyncData)).commit()?)
    }
}

fn placed(guard: fjall::Guard) -> Result<Placed, StoreError> {
    let (key, value) = guard.into_inner()?;
    let base = key.get(9..17).and_then(|base| base.try_into().ok()).map(u64::from_be_bytes);
    let base = base.ok_or_else(|| StoreError::Damaged(format!("the key {key:?} is no batch's")))?;
    Ok(Placed { base, bytes: value.into() })
}

fn encode(value: &impl Serialize) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(value).map_err(|error| StoreError::Damaged(error.to_string()))
}

fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, StoreError> {
    serde_json::from_slice(bytes).map_err(|error| StoreError::Damaged(error.to_string()))
}
