//! The door's keeper: who goes in at once, who waits for a moment, who is sent away; around the
//! decisions of [`routing::Admission`] and [`routing::Quotas`].

use std::collections::HashMap;
use std::sync::Arc;

use clock::{Env, timeout};
use parking_lot::Mutex;
use routing::{
    Admission, AdmissionSettings, Arrival, Busy, Finish, Priority, QueueSettings, QuotaSettings,
    Quotas,
};
use tokio::sync::oneshot;

use crate::caller::Caller;
use crate::config::Config;
use crate::deadline::Deadline;
use crate::metrics::Instruments;
use crate::parked::Parked;
use crate::refusal::Refusal;

/// The limit adapts no further down than this.
const FLOOR: u64 = 8;
/// One stall is one sign, ms.
const PAUSE_MS: u64 = 100;
/// How long a burst may wait, and how long anybody under overload, ms.
const PATIENCE_MS: u64 = 50;
const OVERLOAD_MS: u64 = 1;
/// Overload is over when nobody has had to wait for so long, ms: for longer than a machine stands still,
/// after which all come at once.
const CALM_MS: u64 = 200;
/// Clients whose quotas are kept apart.
const CLIENTS: usize = 1_024;

/// Who is in, and who waits.
pub(crate) struct Gate {
    env: Arc<dyn Env>,
    instruments: Arc<Instruments>,
    state: Mutex<State>,
}

struct State {
    admission: Admission,
    quotas: Option<Quotas>,
    places: HashMap<u64, Place>,
    parked: Parked,
    /// Requests that have ever come.
    arrived: u64,
}

/// A place in the queue; none: its request was displaced.
enum Place {
    Waits(oneshot::Sender<()>),
    Called,
}

/// Leave to work on a request; gives itself back.
pub(crate) struct Permit {
    gate: Arc<Gate>,
    finish: Finish,
}

/// How full it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fill {
    pub(crate) in_flight: u64,
    pub(crate) limit: u64,
    pub(crate) waiting: u64,
    pub(crate) parked: u64,
}

impl Gate {
    pub(crate) fn new(config: &Config, env: Arc<dyn Env>, instruments: Arc<Instruments>) -> Self {
        let now_ms = env.monotonic_ms();
        let queue = QueueSettings {
            length: config.max_waiting,
            patience_ms: PATIENCE_MS,
            overload_ms: OVERLOAD_MS,
            calm_ms: CALM_MS,
        };
        let cap = config.max_in_flight as u64;
        let settings = AdmissionSettings { cap, floor: FLOOR, pause_ms: PAUSE_MS, queue };
        let quota = config.quota.as_ref();
        let quotas = quota.map(|quota| QuotaSettings {
            per_s: quota.per_s,
            burst: quota.burst,
            clients: CLIENTS,
        });
        let state = State {
            admission: Admission::new(settings, now_ms),
            quotas: quotas.map(|settings| Quotas::new(settings, now_ms)),
            places: HashMap::new(),
            parked: Parked::default(),
            arrived: 0,
        };
        Self { env, instruments, state: Mutex::new(state) }
    }

    /// Lets a request in, after a moment if need be.
    ///
    /// # Errors
    /// Its client has had its share, or there is more to do than can be done.
    pub(crate) async fn enter(
        self: &Arc<Self>,
        caller: &Caller,
        deadline: Deadline,
    ) -> Result<Permit, Refusal> {
        if let Err(wait_ms) = self.charge(&caller.client) {
            self.instruments.shed("quota");
            return Err(Refusal::OverQuota { client: caller.client.clone(), wait_ms });
        }
        self.relayed(caller.priority, deadline).await
    }

    /// The same for what another gateway has charged to its client's quota.
    ///
    /// # Errors
    /// There is more to do than can be done.
    pub(crate) async fn relayed(
        self: &Arc<Self>,
        priority: Priority,
        deadline: Deadline,
    ) -> Result<Permit, Refusal> {
        let now_ms = self.env.monotonic_ms();
        let (called, ticket, patience_ms) = {
            let mut state = self.state.lock();
            state.arrived += 1;
            match state.admission.arrive(priority, now_ms) {
                Arrival::Goes => return Ok(self.permit()),
                Arrival::Shed => return Err(self.shed(&state)),
                Arrival::Waits { ticket, patience_ms, displaced } => {
                    // Dropping its sender tells it.
                    displaced.and_then(|displaced| state.places.remove(&displaced));
                    let (call, called) = oneshot::channel();
                    state.places.insert(ticket, Place::Waits(call));
                    (called, ticket, patience_ms)
                }
            }
        };
        let waiting = Waiting { gate: self, ticket };
        let most_ms = patience_ms.min(deadline.left_ms(&*self.env));
        let called = timeout(&self.env, most_ms, called).await;
        if called.is_ok_and(|called| called.is_ok()) && waiting.is_taken() {
            return Ok(self.permit());
        }
        Err(self.shed(&self.state.lock()))
    }

    /// Takes a request from its client's quota; or says after how many ms there is one more.
    fn charge(&self, client: &str) -> Result<(), u64> {
        let state = &mut *self.state.lock();
        let Some(quotas) = &mut state.quotas else { return Ok(()) };
        let charged = quotas.request(client, self.env.monotonic_ms());
        state.arrived += u64::from(charged.is_err());
        charged
    }

    /// How full it is now.
    pub(crate) fn fill(&self) -> Fill {
        let state = self.state.lock();
        Fill {
            in_flight: state.admission.in_flight(),
            limit: state.admission.limit(),
            waiting: state.admission.waiting() as u64,
            parked: state.parked.count(),
        }
    }

    /// What a gateway that ends waits for.
    pub(crate) fn busy(&self) -> Busy {
        let state = self.state.lock();
        let in_flight = state.admission.in_flight() + state.admission.waiting() as u64;
        Busy { in_flight: in_flight + state.parked.count(), arrived: state.arrived }
    }

    fn permit(self: &Arc<Self>) -> Permit {
        Permit { gate: self.clone(), finish: Finish::Neither }
    }

    fn shed(&self, state: &State) -> Refusal {
        self.instruments.shed("busy");
        Refusal::Busy(state.admission.limit())
    }

    fn leave(&self, finish: Finish) {
        self.state.lock().leave(finish, self.env.monotonic_ms());
    }
}

impl State {
    fn leave(&mut self, finish: Finish, now_ms: u64) {
        for ticket in self.admission.leave(finish, now_ms) {
            // Whoever has gone away in between gives its place back itself.
            if let Some(Place::Waits(call)) = self.places.insert(ticket, Place::Called) {
                _ = call.send(());
            }
        }
    }
}

impl Permit {
    /// Lets others go on while the request, which holds so many bytes, waits for something outside.
    /// `None`: enough wait already.
    pub(crate) fn park(&self, bytes: usize) -> Option<Aside<'_>> {
        let now_ms = self.gate.env.monotonic_ms();
        let mut state = self.gate.state.lock();
        state.parked.enter(bytes).then(|| {
            state.leave(Finish::Neither, now_ms);
            Aside { gate: &self.gate, bytes }
        })
    }

    /// Says how the request ended, as far as the limit should know.
    pub(crate) fn finish(mut self, finish: Finish) {
        self.finish = finish;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.gate.leave(self.finish);
    }
}

/// A request that waits for something outside; worked on again when this is dropped.
pub(crate) struct Aside<'a> {
    gate: &'a Gate,
    bytes: usize,
}

impl Drop for Aside<'_> {
    fn drop(&mut self) {
        let mut state = self.gate.state.lock();
        state.parked.leave(self.bytes);
        state.admission.rejoin();
    }
}

/// A place in the queue; gives itself back, called or not.
struct Waiting<'a> {
    gate: &'a Arc<Gate>,
    ticket: u64,
}

impl Waiting<'_> {
    /// Makes the place a permit's, which is its caller's to give back.
    fn is_taken(&self) -> bool {
        matches!(self.gate.state.lock().places.remove(&self.ticket), Some(Place::Called))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let place = {
            let mut state = self.gate.state.lock();
            state.admission.give_up(self.ticket);
            state.places.remove(&self.ticket)
        };
        if matches!(place, Some(Place::Called)) {
            self.gate.leave(Finish::Neither);
        }
    }
}
