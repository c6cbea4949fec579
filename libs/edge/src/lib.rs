//! A port that holds bad clients off: those that are slow on purpose, that hold connections, that ask
//! for more than they take. hyper speaks HTTP; here is what bounds a connection from outside of it.
//!
//! Each connection has a [`Pulse`](pulse::Pulse), which its socket, its requests and its answers
//! keep. Twice a second the port looks at all of them ([`verdict`]) and ends those that break a
//! limit; when it is full it ends the one that has been quiet the longest, so that whoever asks for
//! something gets in. Nothing on the way of a request waits for a lock of the port.

mod arriving;
mod crowd;
mod frames;
mod heads;
mod leaving;
mod limits;
mod loopback;
mod metrics;
mod port;
mod pulse;
mod verdict;
mod watched;

pub use arriving::BodyError;
pub use limits::Limits;
pub use loopback::only_loopback;
pub use metrics::observe;
pub use port::{Answers, BindError, Port, Speaks};
