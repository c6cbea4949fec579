//! When a process that ends may go: once nobody asks it any more, or when its time is over.
//!
//! Whoever asks it has been told that it ends. That they have heard shows in that they stop: nothing
//! is under way, and nothing has come for a while.

/// How long it stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrainSettings {
    /// Nothing must have come for so long, ms; it stays at least so long, for others to notice.
    pub quiet_ms: u64,
    /// It stays no longer than this, ms.
    pub most_ms: u64,
}

/// What a process has to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Busy {
    /// Requests under way, and those that wait.
    pub in_flight: u64,
    /// Requests that have ever come.
    pub arrived: u64,
}

/// Whether it may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Departure {
    /// Not yet.
    Stays,
    /// Nobody asks any more.
    Quiet,
    /// Somebody still asks, but it has stayed for as long as it may.
    TimeUp,
}

/// A process that ends.
#[derive(Clone, Debug)]
pub struct Drain {
    settings: DrainSettings,
    since_ms: u64,
    quiet_since_ms: u64,
    arrived: u64,
}

impl Drain {
    /// It has been told to end, and tells others.
    #[must_use]
    pub fn new(settings: DrainSettings, busy: Busy, now_ms: u64) -> Self {
        let (since_ms, quiet_since_ms, arrived) = (now_ms, now_ms, busy.arrived);
        Self { settings, since_ms, quiet_since_ms, arrived }
    }

    /// Whether it may go now.
    pub fn look(&mut self, busy: Busy, now_ms: u64) -> Departure {
        if busy.in_flight > 0 || busy.arrived != self.arrived {
            (self.quiet_since_ms, self.arrived) = (now_ms, busy.arrived);
        }
        let past = |since_ms: u64, ms: u64| now_ms.saturating_sub(since_ms) >= ms;
        if busy.in_flight == 0 && past(self.quiet_since_ms, self.settings.quiet_ms) {
            Departure::Quiet
        } else if past(self.since_ms, self.settings.most_ms) {
            Departure::TimeUp
        } else {
            Departure::Stays
        }
    }
}
