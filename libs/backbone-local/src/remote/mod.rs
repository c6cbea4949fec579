//! A log read from another region over gRPC (`meridian.log.v1`): the serving and the asking half.

mod client;
mod convert;
mod failure;
mod server;

pub use client::RemoteLog;
pub use server::LogService;
