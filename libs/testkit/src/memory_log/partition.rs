//! One partition: records, some of whose fate is not decided yet.

use std::collections::{BTreeMap, HashMap};

use backbone::{Bounds, Record, Stored};
use bytes::Bytes;

/// What became of a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fate {
    /// Written by this transaction, which is not visible here yet.
    Pending(u64),
    Committed,
}

/// What a tail finds at a position.
pub(super) enum Found {
    Records(Vec<Stored>, u64),
    Truncated(u64),
    Nothing,
}

#[derive(Default)]
pub(super) struct Part {
    start: u64,
    end: u64,
    last_ms: i64,
    /// Ascending by offset; aborted and compacted records are gone.
    entries: Vec<Stored>,
    /// The transactions of those that are not decided, or not visible here yet, by offset.
    pending: BTreeMap<u64, u64>,
    /// Every record that became visible, in order, whatever was dropped since.
    history: Vec<Stored>,
}

impl Part {
    pub(super) fn write(&mut self, records: Vec<Record>, now_ms: i64, fate: Fate) -> Vec<u64> {
        // The log's own stamp never decreases, whatever the clock does.
        self.last_ms = self.last_ms.max(now_ms);
        let mut offsets = Vec::with_capacity(records.len());
        for record in records {
            let stored = Stored { offset: self.end, appended_ms: self.last_ms, record };
            match fate {
                Fate::Committed => self.remember(stored.clone()),
                Fate::Pending(transaction) => {
                    self.pending.insert(self.end, transaction);
                }
            }
            offsets.push(self.end);
            self.entries.push(stored);
            self.end += 1;
        }
        offsets
    }

    /// Makes a transaction's records visible, or removes them. Like Kafka's mark of it, this takes
    /// an offset, so that readers meet gaps.
    pub(super) fn settle(&mut self, transaction: u64, commit: bool) {
        self.end += 1;
        let theirs: Vec<u64> =
            self.pending.extract_if(.., |_, of| *of == transaction).map(|p| p.0).collect();
        for offset in theirs {
            let Ok(at) = self.entries.binary_search_by_key(&offset, |stored| stored.offset) else {
                continue;
            };
            if commit {
                self.remember(self.entries[at].clone());
            } else {
                self.entries.remove(at);
            }
        }
    }

    fn remember(&mut self, stored: Stored) {
        let at = self.history.partition_point(|earlier| earlier.offset < stored.offset);
        self.history.insert(at, stored);
    }

    pub(super) fn bounds(&self) -> Bounds {
        let committed_end = self.pending.first_key_value().map_or(self.end, |(offset, _)| *offset);
        Bounds { start: self.start, committed_end: committed_end.max(self.start) }
    }

    /// The end, with what is not decided.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// Records from `from` on, at most `max`, and the offset after them.
    pub(super) fn read(&self, from: u64, max: usize) -> Found {
        let Bounds { start, committed_end } = self.bounds();
        if from < start && from != 0 {
            return Found::Truncated(start);
        }
        if from.max(start) >= committed_end && from >= start {
            return Found::Nothing;
        }
        let first = self.entries.partition_point(|stored| stored.offset < from);
        let decided = |stored: &&Stored| stored.offset < committed_end;
        let mut rest = self.entries[first..].iter().take_while(decided);
        let records: Vec<_> = rest.by_ref().take(max).cloned().collect();
        let more = rest.next().is_some();
        let last = records.last().map(|stored| stored.offset + 1);
        let next = if more { last.unwrap_or(from) } else { committed_end };
        Found::Records(records, next)
    }

    /// Keeps the newest visible record of each key, and no null that is older than `null_ms`.
    pub(super) fn compact(&mut self, now_ms: i64, null_ms: i64) {
        let committed_end = self.bounds().committed_end;
        let mut newest: HashMap<Bytes, u64> = HashMap::new();
        let decided = self.entries.iter().filter(|stored| stored.offset < committed_end);
        for Stored { offset, record, .. } in decided {
            if let Some(key) = &record.key {
                newest.insert(key.clone(), *offset);
            }
        }
        self.entries.retain(|stored| {
            let Some(key) = &stored.record.key else { return true };
            let newest = newest.get(key).is_none_or(|newest| *newest <= stored.offset);
            let expired = stored.record.value.is_none() && stored.appended_ms + null_ms < now_ms;
            stored.offset >= committed_end || (newest && !expired)
        });
    }

    /// Drops what is before `start`, which is at most the committed end.
    pub(super) fn truncate(&mut self, start: u64) {
        self.start = self.start.max(start.min(self.bounds().committed_end));
        let start = self.start;
        self.entries.retain(|stored| stored.offset >= start);
    }

    pub(super) fn visible(&self) -> Vec<Stored> {
        let committed_end = self.bounds().committed_end;
        self.entries.iter().filter(|stored| stored.offset < committed_end).cloned().collect()
    }

    pub(super) fn history(&self) -> Vec<Stored> {
        let committed_end = self.bounds().committed_end;
        self.history.iter().filter(|stored| stored.offset < committed_end).cloned().collect()
    }
}
