//! Which ids have been seen: those of the contract-valid events of the last so many offsets and
//! the last so much append time, folded or not (so a repeat renews its id). A function of the log's
//! end, so it can be rebuilt from the log.
//!
//! An id is known by 128 bits of hash: among a million ids two share one with probability 10^-27.

use std::collections::VecDeque;

use hashbrown::HashTable;
use lattice::Input;
use xxhash_rust::xxh3::xxh3_128_with_seed;

/// The hash of an event's id.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Id(u128);

impl Id {
    /// `None` for null: such an event has no id, and is no repeat of anything.
    pub(crate) fn of(value: Input<'_>) -> Option<Self> {
        let hash = match value {
            Input::Null => return None,
            Input::Bool(b) => xxh3_128_with_seed(&[b.into()], 1),
            Input::Int(n) => xxh3_128_with_seed(&n.to_be_bytes(), 2),
            // Adding 0 makes -0 a 0: they are equal.
            Input::Float(x) => xxh3_128_with_seed(&(x + 0.0).to_bits().to_be_bytes(), 3),
            Input::Text(text) => xxh3_128_with_seed(text.as_bytes(), 4),
            Input::Time(ms) => xxh3_128_with_seed(&ms.to_be_bytes(), 5),
        };
        Some(Self(hash))
    }
}

/// The ids in the window. Bounded by `events` entries of about 45 bytes.
pub(crate) struct Ids {
    events: u64,
    ms: i64,
    /// In order of offset. The number of an entry is its place plus `dropped`.
    seen: VecDeque<Seen>,
    dropped: u64,
    /// The numbers of the newest entry of each id, by its hash.
    newest: HashTable<u64>,
}

struct Seen {
    id: Id,
    offset: u64,
    appended_ms: i64,
}

impl Ids {
    pub(crate) fn new(events: u64, ms: i64) -> Self {
        Self { events, ms, seen: VecDeque::new(), dropped: 0, newest: HashTable::new() }
    }

    /// Takes in an id, and says whether it was in the window. Offsets must grow, append times must
    /// not fall.
    pub(crate) fn see(&mut self, id: Id, offset: u64, appended_ms: i64) -> bool {
        self.forget(offset, appended_ms);
        let number = self.dropped + self.seen.len() as u64;
        self.seen.push_back(Seen { id, offset, appended_ms });
        let (seen, dropped) = (&self.seen, self.dropped);
        let id_of = |number: u64| seen.get((number - dropped) as usize).map(|seen| seen.id);
        let newest = self.newest.entry(
            hash(id),
            |number| id_of(*number) == Some(id),
            |number| id_of(*number).map_or(0, hash),
        );
        match newest {
            hashbrown::hash_table::Entry::Occupied(mut entry) => {
                *entry.get_mut() = number;
                true
            }
            hashbrown::hash_table::Entry::Vacant(entry) => {
                entry.insert(number);
                false
            }
        }
    }

    /// Drops what is out of the window for an event here, and so for every later one.
    fn forget(&mut self, offset: u64, appended_ms: i64) {
        let gone = |seen: &mut Seen| {
            offset - seen.offset.min(offset) > self.events
                || appended_ms.saturating_sub(seen.appended_ms) > self.ms
        };
        while let Some(seen) = self.seen.pop_front_if(gone) {
            let number = self.dropped;
            self.dropped += 1;
            if let Ok(entry) = self.newest.find_entry(hash(seen.id), |newest| *newest == number) {
                entry.remove();
            }
        }
    }
}

/// The id is a hash already; the table gets its lower half.
fn hash(id: Id) -> u64 {
    id.0 as u64
}
