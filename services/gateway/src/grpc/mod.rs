//! gRPC: the public contract, and the own node's answers for other regions' gateways.

mod mesh;
mod relay;

pub(crate) use mesh::MeshService;
pub(crate) use relay::Relay;

use std::pin::Pin;

use tokio_stream::Stream;
use tonic::Status;

type Replies<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;
