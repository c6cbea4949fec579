//! What a gateway answers, over fake nodes. One binary: to build one of each file would take longer than
//! to run them all. What measures its process, or sets it up, is a file beside this.

mod cache;
mod documented;
mod fuzz;
mod grpc;
mod protection;
mod pushing;
mod refusals;
mod routing;
mod shards;
#[path = "../support/mod.rs"]
mod support;
mod wire;
