//! A link: listens at one address, and carries every connection to another.

use std::net::SocketAddr;
use std::sync::Arc;

use clock::{Env, Task};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::connection;
use crate::fault::Fault;

/// What a link is like now.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) fault: Fault,
    /// Since when, µs of the steady clock.
    pub(crate) since_us: u64,
}

/// Where a link goes, and how far.
#[derive(Clone)]
pub(crate) struct Way {
    pub(crate) env: Arc<dyn Env>,
    pub(crate) to: SocketAddr,
    /// One way, µs.
    pub(crate) delay_us: u64,
    pub(crate) shape: watch::Receiver<Shape>,
}

/// Carries connections for as long as it lives.
pub struct Link {
    env: Arc<dyn Env>,
    shape: watch::Sender<Shape>,
    at: SocketAddr,
    _serving: Task,
}

impl Link {
    /// Listens at `at` (port 0 picks a free one). A round trip to `to` and back takes
    /// `round_trip_ms` longer than it would, half of it each way.
    ///
    /// # Errors
    /// Nobody can listen there.
    pub async fn open(
        at: SocketAddr,
        to: SocketAddr,
        round_trip_ms: u64,
        env: Arc<dyn Env>,
    ) -> std::io::Result<Self> {
        let listener = TcpListener::bind(at).await?;
        let at = listener.local_addr()?;
        let shape = Shape { fault: Fault::None, since_us: env.monotonic_us() };
        let (shape, seen) = watch::channel(shape);
        let way = Way { env: env.clone(), to, delay_us: round_trip_ms * 500, shape: seen };
        let serving = env.spawn("link", Box::pin(serve(listener, way)));
        Ok(Self { env, shape, at, _serving: serving })
    }

    /// Where it listens.
    #[must_use]
    pub fn at(&self) -> SocketAddr {
        self.at
    }

    /// From now on this is wrong with it, and nothing else.
    pub fn set(&self, fault: Fault) {
        let since_us = self.env.monotonic_us();
        self.shape.send_replace(Shape { fault, since_us });
    }
}

async fn serve(listener: TcpListener, way: Way) {
    // Dropped with this task, and with them the connections.
    let mut carried = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            biased;
            Some(_) = carried.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((client, _)) => {
                    carried.spawn(connection::carry(client, way.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "a link cannot take a connection");
                    way.env.sleep_ms(100).await;
                }
            }
        }
    }
}
