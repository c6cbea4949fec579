//! gRPC: the public contract, and the own node's answers for other regions' gateways.

mod malformed;
mod mesh;
mod relay;

pub(crate) use malformed::blame_caller;
pub(crate) use mesh::MeshService;
pub(crate) use relay::Relay;

use std::pin::Pin;

use clock::Stopwatch;
use tokio_stream::{Stream, StreamExt};
use tonic::{Code, Status, Streaming};

use crate::door::Door;
use crate::metrics::Ending;
use malformed::malformed;

/// A call was answered, which came about like this, or refused.
fn count<T>(
    door: &Door,
    call: &'static str,
    started: Stopwatch,
    answer: Result<T, Status>,
    route: impl FnOnce(&T) -> String,
) -> Result<T, Status> {
    let (code, route) = match &answer {
        Ok(answer) => (Code::Ok, route(answer)),
        Err(status) => (status.code(), String::new()),
    };
    door.instruments.request(call, Ending::Grpc(code), &route, started.elapsed());
    answer
}

type Replies<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// A stream's messages up to the first that is none, which is said, or to where the client breaks
/// off; what came before is answered.
fn until_broken<T>(messages: Streaming<T>) -> impl Stream<Item = Result<T, Status>> {
    futures::stream::unfold(Some(messages), async |messages| {
        let mut messages = messages?;
        match messages.next().await? {
            Ok(message) => Some((Ok(message), Some(messages))),
            Err(status) => Some((Err(malformed(status)), None)),
        }
    })
}
