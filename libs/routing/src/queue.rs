//! Requests that wait for their turn: few, not for long, and under overload the newest first,
//! as the oldest have callers who are about to give up.
//!
//! Source: "Fail at Scale" (Maurer, ACM Queue, 2015): adaptive LIFO, with CoDel's two patiences: a
//! queue that was empty a moment ago lets a burst wait, one that never empties lets nobody.

use std::collections::VecDeque;

/// Who goes first, and who is left out last.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum Priority {
    /// Can come again later.
    Batch,
    /// What says nothing.
    #[default]
    Normal,
    /// A payment waits for it.
    Critical,
}

const PRIORITIES: usize = 3;

/// How long requests may wait.
#[derive(Clone, Copy, Debug)]
pub struct QueueSettings {
    /// Requests that wait, of all priorities.
    pub length: usize,
    /// While bursts pass, ms. A queue that was not empty for so long is overloaded.
    pub patience_ms: u64,
    /// Under overload, ms.
    pub overload_ms: u64,
    /// Overload is over when nobody has had to wait for so long, ms: that a queue is empty for a moment
    /// says little when nobody may stay in it.
    pub calm_ms: u64,
}

/// A request that waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Waiting {
    ticket: u64,
    until_ms: u64,
}

/// The queue.
#[derive(Clone, Debug)]
pub struct Queue {
    settings: QueueSettings,
    /// By priority, the oldest first.
    waiting: [VecDeque<Waiting>; PRIORITIES],
    /// When it was last seen empty.
    empty_ms: u64,
    /// When somebody last had to wait, if that was under overload.
    overloaded_ms: Option<u64>,
}

/// What became of a request that wanted to wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Queued {
    /// It waits, for as long as this, ms; another one had to make room for it, or not.
    Waits {
        /// How long it may wait, ms.
        patience_ms: u64,
        /// Who no longer waits.
        displaced: Option<u64>,
    },
    /// There is no room.
    Full,
}

impl Queue {
    /// Empty.
    #[must_use]
    pub fn new(settings: QueueSettings, now_ms: u64) -> Self {
        Self { settings, waiting: Default::default(), empty_ms: now_ms, overloaded_ms: None }
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.iter().map(VecDeque::len).sum()
    }

    /// Whether nobody waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether it has not been empty for as long as a burst may take, or was so a moment ago.
    #[must_use]
    pub fn is_overloaded(&self, now_ms: u64) -> bool {
        let QueueSettings { patience_ms, calm_ms, .. } = self.settings;
        let still = |at_ms: u64| now_ms.saturating_sub(at_ms) < calm_ms;
        self.overloaded_ms.is_some_and(still)
            || (!self.is_empty() && now_ms.saturating_sub(self.empty_ms) >= patience_ms)
    }

    /// Lets a request wait. When there is no room, one of a lower priority makes it.
    pub fn push(&mut self, ticket: u64, priority: Priority, now_ms: u64) -> Queued {
        if self.is_empty() {
            self.empty_ms = now_ms;
        }
        let mut displaced = None;
        if self.len() >= self.settings.length {
            let below = self.waiting[..priority as usize].iter_mut();
            displaced = below.filter_map(VecDeque::pop_front).next().map(|waiting| waiting.ticket);
            if displaced.is_none() {
                return Queued::Full;
            }
        }
        let overloaded = self.is_overloaded(now_ms);
        self.overloaded_ms = overloaded.then_some(now_ms);
        let patience_ms =
            if overloaded { self.settings.overload_ms } else { self.settings.patience_ms };
        let until_ms = now_ms.saturating_add(patience_ms);
        self.waiting[priority as usize].push_back(Waiting { ticket, until_ms });
        Queued::Waits { patience_ms, displaced }
    }

    /// Whose turn it is. Those who have waited for too long are passed over, and forgotten.
    pub fn pop(&mut self, now_ms: u64) -> Option<u64> {
        let newest_first = self.is_overloaded(now_ms);
        for waiting in self.waiting.iter_mut().rev() {
            while let Some(next) =
                if newest_first { waiting.pop_back() } else { waiting.pop_front() }
            {
                if next.until_ms > now_ms {
                    return Some(next.ticket);
                }
            }
        }
        None
    }

    /// A request no longer waits. Whether it did.
    pub fn remove(&mut self, ticket: u64) -> bool {
        let before = self.len();
        self.waiting.iter_mut().for_each(|waiting| waiting.retain(|w| w.ticket != ticket));
        self.len() < before
    }
}
