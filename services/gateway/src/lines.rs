//! Several streams to one region: a stream is worked on by one core of the other side at a time.
//!
//! The first one takes what it can, so that reads share messages; the next takes part when it has
//! enough to do.

use std::sync::Arc;

use api::node::v1 as node;
use api::node::v1::node_client::NodeClient;
use clock::Env;
use routing::Priority;
use tonic::Status;
use tonic::transport::Channel;

use crate::line::Line;

/// Streams to a region, opened when they are needed.
const LINES: usize = 8;
/// A stream on which so many wait has enough to do.
const ENOUGH: usize = 32;

/// Where small reads of a region go.
#[derive(Clone)]
pub(crate) struct Lines(Arc<[Line]>);

impl Lines {
    /// Reads are marked with so many hops.
    pub(crate) fn new(client: &NodeClient<Channel>, hops: u32, env: &Arc<dyn Env>) -> Self {
        Self((0..LINES).map(|_| Line::new(client.clone(), hops, env)).collect())
    }

    /// Asks; the caller sees to it that this does not last longer than `timeout_ms`.
    ///
    /// # Errors
    /// The read's own, or that of the stream.
    pub(crate) async fn read(
        &self,
        read: node::ReadRequest,
        timeout_ms: u64,
        priority: Priority,
    ) -> Result<node::ReadResponse, Status> {
        let line = &self.0[choose(self.0.iter().map(Line::waiting))];
        line.read(read, timeout_ms, priority).await
    }
}

/// The first on which fewer wait than are enough, else the one on which the fewest do.
fn choose(waiting: impl Iterator<Item = usize> + Clone) -> usize {
    let free = waiting.clone().position(|waiting| waiting < ENOUGH);
    let least = || waiting.enumerate().min_by_key(|(_, waiting)| *waiting);
    free.or_else(|| Some(least()?.0)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_fill_one_after_the_other_and_then_alike() {
        let mut waiting = [0; 3];
        for asked in 0..3 * ENOUGH {
            let at = choose(waiting.iter().copied());
            assert_eq!(at, asked / ENOUGH);
            waiting[at] += 1;
        }
        for _ in 0..30 {
            waiting[choose(waiting.iter().copied())] += 1;
        }
        assert_eq!(waiting, [ENOUGH + 10; 3]);
        waiting[1] = ENOUGH - 1;
        assert_eq!(choose(waiting.iter().copied()), 1);
    }
}
