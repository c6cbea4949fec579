//! Whom to ask, how often, and when not: the decisions of a gateway, without its sockets.
//!
//! Every part is a state machine that is given the time (`now_ms`, on a clock that never steps) and
//! random numbers, and returns what to do. [`Router`] puts together what concerns the targets,
//! [`Admission`] what concerns the door; [`Budget`] bounds what is asked in addition, [`Quotas`]
//! what a client may ask, [`Percentile`] says from when on a read is slow, and [`Drain`] when a
//! process that ends may go.

mod admission;
mod breaker;
mod bucket;
mod budget;
mod drain;
mod freshness;
mod home;
mod latency;
mod limit;
mod patience;
mod percentile;
mod queue;
mod quota;
mod ramp;
mod router;
mod standing;
mod table;
mod target;
mod window;

pub use admission::{Admission, AdmissionSettings, Arrival, Finish};
pub use breaker::{Breaker, BreakerSettings, Outcome, State};
pub use bucket::TokenBucket;
pub use budget::Budget;
pub use drain::{Busy, Departure, Drain, DrainSettings};
pub use freshness::{Health, Need, Part, behind_token, lags_ms, too_old};
pub use home::{Candidate, Home, HomeSettings, Margin, Move};
pub use latency::PeakEwma;
pub use limit::Limit;
pub use percentile::Percentile;
pub use queue::{Priority, Queue, QueueSettings, Queued};
pub use quota::{QuotaSettings, Quotas};
pub use ramp::share_percent;
pub use router::{Lagging, Pick, Router, Settings, Transition, Try};
pub use standing::Standing;
pub use table::Row;
