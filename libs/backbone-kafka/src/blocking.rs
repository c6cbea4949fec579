//! librdkafka's calls block; tokio's threads must not.

use std::thread;

use backbone::LogError;

/// Runs a call that blocks where it may. It goes on when the caller does not wait any more.
pub(crate) async fn blocking<T: Send + 'static>(
    call: impl FnOnce() -> T + Send + 'static,
) -> Result<T, LogError> {
    tokio::task::spawn_blocking(call)
        .await
        .map_err(|error| LogError::Transient(format!("a blocking task ended early: {error}")))
}

/// Drops a client on a thread of its own: its destructor waits for its threads.
pub(crate) fn dispose<T: Send + 'static>(client: T) {
    let spawned = thread::Builder::new().name("kafka-close".to_owned()).spawn(|| drop(client));
    if let Err(error) = spawned {
        tracing::warn!(%error, "a client of kafka was closed in place");
    }
}
