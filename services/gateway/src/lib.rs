//! The front door of a region: gRPC and Feast's HTTP protocol, answered by the same code.
//!
//! A request is resolved against the catalog ([`catalog::resolve`]), its entities are put into
//! their shards ([`keys`]), one `Read` goes to a node ([`door`], by way of [`regions`]), and the
//! rows that come back are turned into columns ([`answer`]). The gateway keeps nothing that it
//! could not lose but the catalog, which it can get from any region.

mod answer;
mod catalog_cache;
mod config;
mod door;
mod events;
mod grpc;
mod http;
mod keys;
mod metrics;
mod on_demand;
mod refusal;
mod regions;
mod request;
mod serve;
mod token;

pub use config::Config;
pub use serve::{Addresses, Gateway, GatewayError, run};
