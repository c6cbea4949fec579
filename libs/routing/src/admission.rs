//! Which requests are worked on, which wait and which are shed, so that what is worked on is
//! finished.
//!
//! A limit that adapts ([`Limit`]) over a queue that is bounded in length and in time ([`Queue`]).

use crate::limit::Limit;
use crate::queue::{Priority, Queue, QueueSettings, Queued};

/// Bounds on what is worked on and what waits.
#[derive(Clone, Copy, Debug)]
pub struct AdmissionSettings {
    /// Requests that are worked on at once, at most.
    pub cap: u64,
    /// The limit adapts no further down than this.
    pub floor: u64,
    /// A limit is cut at most once in this time, ms.
    pub pause_ms: u64,
    /// Those that wait.
    pub queue: QueueSettings,
}

/// What becomes of a request that arrives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Arrival {
    /// It is worked on.
    Goes,
    /// It waits, and is shed when nobody calls its ticket in time.
    Waits {
        /// What it is called by.
        ticket: u64,
        /// How long, ms.
        patience_ms: u64,
        /// This one is shed instead.
        displaced: Option<u64>,
    },
    /// It is shed.
    Shed,
}

/// How a request ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Finish {
    /// In time.
    InTime,
    /// Given up for want of time.
    TooLate,
    /// Neither: refused, or its caller is gone.
    Neither,
}

/// The door.
#[derive(Clone, Debug)]
pub struct Admission {
    limit: Limit,
    queue: Queue,
    in_flight: u64,
    tickets: u64,
}

impl Admission {
    /// Nothing under way.
    #[must_use]
    pub fn new(settings: AdmissionSettings, now_ms: u64) -> Self {
        Self {
            limit: Limit::new(settings.floor, settings.cap, settings.pause_ms),
            queue: Queue::new(settings.queue, now_ms),
            in_flight: 0,
            tickets: 0,
        }
    }

    /// Requests that are worked on.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        self.in_flight
    }

    /// Requests that wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// The limit now.
    #[must_use]
    pub fn limit(&self) -> u64 {
        self.limit.now()
    }

    /// A request arrives.
    pub fn arrive(&mut self, priority: Priority, now_ms: u64) -> Arrival {
        // Whoever is still in the queue then has waited for too long.
        if self.in_flight < self.limit.now() {
            self.in_flight += 1;
            return Arrival::Goes;
        }
        self.tickets += 1;
        match self.queue.push(self.tickets, priority, now_ms) {
            Queued::Full => Arrival::Shed,
            Queued::Waits { patience_ms, displaced } => {
                Arrival::Waits { ticket: self.tickets, patience_ms, displaced }
            }
        }
    }

    /// A request that was worked on ended; the tickets returned are worked on now.
    pub fn leave(&mut self, finish: Finish, now_ms: u64) -> Vec<u64> {
        match finish {
            Finish::InTime => self.limit.in_time(self.in_flight),
            Finish::TooLate => self.limit.too_late(now_ms),
            Finish::Neither => {}
        }
        self.in_flight = self.in_flight.saturating_sub(1);
        self.call(now_ms)
    }

    /// A request that left without an end is worked on again, whatever the limit is now: it has been
    /// let in before.
    pub fn rejoin(&mut self) {
        self.in_flight += 1;
    }

    /// A request no longer waits; false if it has been called already, so that it must leave.
    pub fn give_up(&mut self, ticket: u64) -> bool {
        self.queue.remove(ticket)
    }

    fn call(&mut self, now_ms: u64) -> Vec<u64> {
        let mut called = Vec::new();
        while self.in_flight < self.limit.now() {
            let Some(ticket) = self.queue.pop(now_ms) else { break };
            self.in_flight += 1;
            called.push(ticket);
        }
        called
    }
}
