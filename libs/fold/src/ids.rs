//! Which ids have been seen: those of the contract-valid events of the last so many offsets and
//! the last so much append time, folded or not (so a repeat renews its id). A function of the log's
//! end, so it can be rebuilt from the log: also where stamps fall, as in a topic whose stamps are
//! its producers'. There an id is forgotten once any later event is so much younger.
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
    /// The entries with a higher stamp than all after them, by number: one, unless stamps fall.
    highest: VecDeque<(u64, i64)>,
}

struct Seen {
    id: Id,
    offset: u64,
    appended_ms: i64,
}

impl Ids {
    pub(crate) fn new(events: u64, ms: i64) -> Self {
        let (seen, highest) = (VecDeque::new(), VecDeque::new());
        Self { events, ms, seen, dropped: 0, newest: HashTable::new(), highest }
    }

    /// Takes in an id, and says whether it was in the window. Offsets must grow.
    pub(crate) fn see(&mut self, id: Id, offset: u64, appended_ms: i64) -> bool {
        self.forget(offset, appended_ms);
        let number = self.dropped + self.seen.len() as u64;
        self.seen.push_back(Seen { id, offset, appended_ms });
        while self.highest.pop_back_if(|(_, high_ms)| *high_ms <= appended_ms).is_some() {}
        self.highest.push_back((number, appended_ms));
        let (seen, dropped) = (&self.seen, self.dropped);
        let id_of = |number: u64| seen.get((number - dropped) as usize).map(|seen| seen.id);
        let newest = self.newest.entry(
            hash(id),
            |number| id_of(*number) == Some(id),
            |number| id_of(*number).map_or(0, hash),
        );
        match newest {
            hashbrown::hash_table::Entry::Occupied(mut entry) => {
                let before = std::mem::replace(entry.get_mut(), number);
                let later = self.highest.partition_point(|(high, _)| *high <= before);
                let high_ms = self.highest.get(later).map_or(appended_ms, |(_, ms)| *ms);
                let seen = seen.get((before - dropped) as usize);
                seen.is_some_and(|seen| high_ms.saturating_sub(seen.appended_ms) <= self.ms)
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
            _ = self.highest.pop_front_if(|(high, _)| *high == number);
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever the stamps: who rebuilds the window from the events that it can hold says of the
        /// next ones what the other says who saw them all.
        #[test]
        fn a_window_is_rebuilt_from_the_end_of_the_log(
            events in prop::collection::vec((0..12_i64, 0..40_i64), 1..120),
            kept in 1..30_u64,
            start in 0..120_usize,
        ) {
            let ids = || Ids::new(kept, 15);
            let see = |ids: &mut Ids, offset: usize| {
                let (id, appended_ms) = events[offset];
                ids.see(Id::of(Input::Int(id)).unwrap(), offset as u64, appended_ms)
            };
            let start = start.min(events.len());
            let (mut all, mut rebuilt) = (ids(), ids());
            (0..start).for_each(|offset| _ = see(&mut all, offset));
            (start.saturating_sub(kept as usize)..start)
                .for_each(|offset| _ = see(&mut rebuilt, offset));
            for offset in start..events.len() {
                let expected = (offset.saturating_sub(kept as usize)..offset).rev().find(|before| {
                    events[*before].0 == events[offset].0
                }).is_some_and(|before| {
                    let later = events[before + 1..=offset].iter();
                    later.map(|(_, ms)| ms - events[before].1).max() <= Some(15)
                });
                prop_assert_eq!(see(&mut all, offset), expected);
                prop_assert_eq!(see(&mut rebuilt, offset), expected);
            }
        }
    }
}
