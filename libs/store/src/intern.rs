//! Entities by number, with their panes. A pane's key costs a pane four bytes, not sixty.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

/// One pane.
#[derive(Debug)]
pub(crate) struct Slot {
    /// Where its span starts, ms.
    pub(crate) start_ms: i64,
    /// The value of its delta record: eight bytes of version, then the cells.
    pub(crate) value: Box<[u8]>,
    /// Number of its series: origin and width.
    pub(crate) series: u32,
    /// Differs from the checkpoint.
    pub(crate) dirty: bool,
    /// The checkpoint has an entry of this key.
    pub(crate) saved: bool,
}

impl Slot {
    pub(crate) fn version(&self) -> u64 {
        version(&self.value)
    }
}

/// The version of a pane's record.
pub(crate) fn version(value: &[u8]) -> u64 {
    value.first_chunk::<8>().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

/// What one entity has.
#[derive(Debug, Default)]
pub(crate) struct Entity {
    /// Its canonical key.
    pub(crate) key: Box<[u8]>,
    /// Ordered by (rank of the series, start), which is (width, origin, start).
    pub(crate) slots: Vec<Slot>,
    /// Stands in the list of entities with dirty panes; survives that the number is used again.
    pub(crate) listed: bool,
}

impl Entity {
    /// Where the pane is, or belongs.
    pub(crate) fn place(&self, ranks: &[u32], series: u32, start_ms: i64) -> Result<usize, usize> {
        let wanted = (ranks[series as usize], start_ms);
        self.slots
            .binary_search_by(|slot| (ranks[slot.series as usize], slot.start_ms).cmp(&wanted))
    }
}

/// The entities of a plan in a shard. Numbers of entities without panes are used again.
#[derive(Debug, Default)]
pub(crate) struct Entities {
    all: Vec<Entity>,
    free: Vec<u32>,
    /// Never iterated: its order is random.
    by_key: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

impl Entities {
    pub(crate) fn find(&self, key: &[u8]) -> Option<u32> {
        let hash = self.hasher.hash_one(key);
        self.by_key.find(hash, |id| *self.all[*id as usize].key == *key).copied()
    }

    /// The number of the entity, which it gets if it has none.
    pub(crate) fn intern(&mut self, key: &[u8]) -> u32 {
        let Self { all, free, by_key, hasher } = self;
        let hash = hasher.hash_one(key);
        if let Some(id) = by_key.find(hash, |id| *all[*id as usize].key == *key) {
            return *id;
        }
        let id = free.pop().unwrap_or_else(|| {
            push_tight(all, Entity::default());
            (all.len() - 1) as u32
        });
        all[id as usize].key = key.into();
        by_key.insert_unique(hash, id, |id| hasher.hash_one(&*all[*id as usize].key));
        id
    }

    pub(crate) fn get(&self, id: u32) -> &Entity {
        &self.all[id as usize]
    }

    pub(crate) fn get_mut(&mut self, id: u32) -> &mut Entity {
        &mut self.all[id as usize]
    }

    /// Forgets an entity that has no panes left.
    pub(crate) fn release(&mut self, id: u32) {
        let Self { all, free, by_key, hasher } = self;
        let entity = &mut all[id as usize];
        let hash = hasher.hash_one(&*entity.key);
        if let Ok(entry) = by_key.find_entry(hash, |found| *found == id) {
            entry.remove();
            entity.key = Box::default();
            entity.slots = Vec::new();
            free.push(id);
        }
    }
}

/// Inserts with room for a sixteenth more instead of as much again: there are millions of these.
pub(crate) fn insert_tight<T>(list: &mut Vec<T>, at: usize, item: T) {
    if list.len() == list.capacity() {
        list.reserve_exact(1 + list.len() / 16);
    }
    list.insert(at, item);
}

/// As [`insert_tight`], at the end.
pub(crate) fn push_tight<T>(list: &mut Vec<T>, item: T) {
    insert_tight(list, list.len(), item);
}
