//! The front door of a region: gRPC and Feast's HTTP protocol, answered by the same code.
//!
//! A read goes down one stack, which [`door`] spells out, a layer in [`stack`] for each step: who may
//! come in ([`gate`]), what was answered before ([`cache`]), what is asked ([`question`], [`keys`]) and
//! how rows become columns ([`answer`]), which region answers ([`regions`] and [`routing::Router`]).
//! The gateway keeps nothing that it could not lose but the catalog, which it can get from any region.

mod answer;
mod cache;
mod caller;
mod catalog_cache;
mod config;
mod deadline;
mod door;
mod events;
mod extra;
mod frontier;
mod gate;
mod given;
mod grpc;
mod hop;
mod http;
mod keys;
mod line;
mod lines;
mod metrics;
mod on_demand;
mod parked;
mod pushing;
mod question;
mod refusal;
mod regions;
mod request;
mod resolutions;
mod rules;
mod serve;
mod split;
mod stack;
mod token;
mod watcher;

pub use config::{Config, Quota};
pub use serve::{Addresses, Gateway, GatewayError, run};
