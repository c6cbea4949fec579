//! Who is connected, and who has to go.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::limits::Limits;
use crate::pulse::Pulse;
use crate::verdict::{Reason, quiet, verdict};

/// How long a connection that was asked to end may take, ms.
const GRACE_MS: u64 = 5_000;

/// What a connection is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Go on.
    Stay,
    /// Finish what is under way, and begin nothing.
    Finish,
    /// End.
    End,
}

struct Connection {
    pulse: Arc<Pulse>,
    order: watch::Sender<Order>,
}

/// All connections of a port.
#[derive(Default)]
pub(crate) struct Crowd {
    inside: Mutex<HashMap<u64, Connection>>,
    endings: Mutex<BTreeMap<Reason, u64>>,
}

impl Crowd {
    pub(crate) fn len(&self) -> usize {
        self.inside.lock().len()
    }

    /// Takes one in; it hears what it is told.
    pub(crate) fn enter(&self, id: u64, pulse: Arc<Pulse>) -> watch::Receiver<Order> {
        let (order, orders) = watch::channel(Order::Stay);
        self.inside.lock().insert(id, Connection { pulse, order });
        orders
    }

    pub(crate) fn leave(&self, id: u64) {
        self.inside.lock().remove(&id);
    }

    /// Ends the one that has been quiet the longest; false if none is.
    pub(crate) fn make_room(&self, now_ms: u64) -> bool {
        let mut inside = self.inside.lock();
        let beats = inside.iter().map(|(id, connection)| (*id, connection.pulse.beat()));
        let quiet = beats.filter_map(|(id, beat)| Some((quiet(&beat, now_ms)?, id)));
        let Some((_, id)) = quiet.min() else { return false };
        if let Some(gone) = inside.remove(&id) {
            gone.order.send_replace(Order::End);
        }
        true
    }

    /// Ends those that break a limit, and says why, for each.
    pub(crate) fn sweep(&self, limits: &Limits, pressed: bool, now_ms: u64) -> Vec<Reason> {
        let mut ended = Vec::new();
        self.inside.lock().retain(|_, connection| {
            let beat = connection.pulse.beat();
            let Some(reason) = verdict(&beat, limits, pressed, now_ms) else { return true };
            let overdue = now_ms.saturating_sub(beat.quiet_ms) > limits.idle_ms + GRACE_MS;
            if reason == Reason::Idle && !overdue {
                if connection.order.send_replace(Order::Finish) == Order::Stay {
                    ended.push(reason);
                }
                return true;
            }
            if reason == Reason::SlowHead {
                connection.pulse.give_up();
            }
            if connection.order.send_replace(Order::End) == Order::Stay {
                ended.push(reason);
            }
            false
        });
        ended
    }

    /// Counts one that was ended.
    pub(crate) fn ended(&self, reason: Reason) {
        *self.endings.lock().entry(reason).or_default() += 1;
    }

    /// How many were ended, by reason.
    pub(crate) fn endings(&self) -> BTreeMap<Reason, u64> {
        self.endings.lock().clone()
    }

    /// Tells all of them to finish.
    pub(crate) fn finish(&self) {
        for connection in self.inside.lock().values() {
            connection.order.send_replace(Order::Finish);
        }
    }
}
