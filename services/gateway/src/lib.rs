//! The front door of a region: gRPC and Feast's HTTP protocol, answered by the same code.
//!
//! A read goes down one stack, which [`door`] spells out: who may come in ([`gate`]), what is asked
//! ([`question`], [`keys`]), which region answers ([`reading`], over [`regions`] and
//! [`routing::Router`]), and how rows become columns ([`answer`]). The gateway keeps nothing that it
//! could not lose but the catalog, which it can get from any region.

mod answer;
mod cache;
mod caller;
mod catalog_cache;
mod config;
mod deadline;
mod door;
mod events;
mod frontier;
mod gate;
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
mod reading;
mod refusal;
mod regions;
mod request;
mod resolutions;
mod rules;
mod serve;
mod split;
mod token;
mod watcher;

pub use config::{Config, Quota};
pub use serve::{Addresses, Gateway, GatewayError, run};
