//! Feeding files to a source: reads events, paces them, sends them in batches until acknowledged.
//!
//! A batch whose fate is unknown is sent again. That is harmless for a source with an `id`: a
//! repeated event lands in the partition of its twin and is folded once.

mod csv;
pub(crate) mod input;
mod pace;
mod send;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use bytes::Bytes;
use catalog::Source;
use clock::Env;
use tokio::sync::mpsc;

use self::input::{Format, Input, is_csv};
use self::pace::Pace;
pub(crate) use self::send::Delivered;
use self::send::Sender;
use crate::error::{CliError, Result};
use crate::mesh::Mesh;

/// Events that are read ahead of what is being sent.
const READ_AHEAD: usize = 4_096;
/// Batches that wait to be sent.
const BATCHES: usize = 2;
/// Most events in a batch.
const BATCH_EVENTS: usize = 500;
/// A batch that has this many bytes is full.
const BATCH_BYTES: usize = 128 << 10;

/// What to feed, and to whom.
pub(crate) struct Job {
    pub(crate) mesh: Mesh,
    pub(crate) region: String,
    pub(crate) source: Arc<Source>,
    pub(crate) files: Vec<PathBuf>,
    /// Replay by event time, this many times as fast.
    pub(crate) speed: Option<f64>,
    /// Bytes of the files that were read so far.
    pub(crate) read_bytes: Arc<AtomicU64>,
}

/// Sends all events of all files. `acknowledged` hears how many more are durable.
///
/// Gives back what was delivered, also when it ends with an error.
pub(crate) async fn feed(
    job: Job,
    env: &Arc<dyn Env>,
    acknowledged: impl Fn(u64) + Send,
) -> (Delivered, Result<()>) {
    let (events_in, events) = mpsc::channel(READ_AHEAD);
    let (batches_in, batches) = mpsc::channel(BATCHES);
    let pace = job.speed.map(|factor| {
        let field = &job.source.fields[job.source.event_time];
        Pace::new(&field.name, factor)
    });
    let mut sender = Sender::new(job.mesh, &job.region, &job.source.name, env.clone());
    let (files, source, read_bytes) = (job.files, job.source, job.read_bytes);
    let reading =
        tokio::task::spawn_blocking(move || read(&files, &source, &read_bytes, &events_in));
    let batching = batch(events, batches_in, pace, env.clone());
    let (sent, ()) = tokio::join!(sender.run(batches, acknowledged), batching);
    let outcome = match sent {
        // The reader may wait for standard input: do not wait for it.
        Err(error) => Err(error),
        Ok(()) => reading.await.unwrap_or_else(|_| {
            Err(CliError::Usage("reading was interrupted: run the command again".into()))
        }),
    };
    (sender.delivered(), outcome)
}

fn read(
    files: &[PathBuf],
    source: &Arc<Source>,
    read_bytes: &Arc<AtomicU64>,
    events: &mpsc::Sender<Bytes>,
) -> Result<()> {
    for path in files {
        let format = if is_csv(path) { Format::Csv(source.clone()) } else { Format::Lines };
        let mut input = Input::open(path, &format, read_bytes.clone())?;
        while let Some(event) = input.next_event()? {
            if events.blocking_send(event).is_err() {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Puts what is there into batches, without waiting for more; holds back what is not due yet.
async fn batch(
    mut events: mpsc::Receiver<Bytes>,
    batches: mpsc::Sender<Vec<Bytes>>,
    mut pace: Option<Pace>,
    env: Arc<dyn Env>,
) {
    let mut buffer = Vec::with_capacity(BATCH_EVENTS);
    while events.recv_many(&mut buffer, BATCH_EVENTS).await > 0 {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        for event in buffer.drain(..) {
            let now_ms = env.now_ms();
            let due_ms = pace.as_mut().and_then(|pace| pace.due_ms(&event, now_ms));
            let wait_ms = due_ms.map_or(0, |due_ms| u64::try_from(due_ms - now_ms).unwrap_or(0));
            if !batch.is_empty() && (wait_ms > 0 || bytes + event.len() > BATCH_BYTES) {
                bytes = 0;
                if batches.send(std::mem::take(&mut batch)).await.is_err() {
                    return;
                }
            }
            if wait_ms > 0 {
                env.sleep_ms(wait_ms).await;
            }
            bytes += event.len();
            batch.push(event);
        }
        if batches.send(batch).await.is_err() {
            return;
        }
    }
}

/// The sizes of all files together, bytes; none if one has no end that is known.
///
/// # Errors
/// A file is not there.
pub(crate) fn size_bytes(files: &[PathBuf]) -> Result<Option<u64>> {
    files
        .iter()
        .try_fold(Some(0), |sum, path| Ok(sum.zip(input::size_bytes(path)?).map(|(a, b)| a + b)))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn batched(events: Vec<Bytes>) -> Vec<Vec<Bytes>> {
        let (send, receive) = mpsc::channel(READ_AHEAD);
        let (out, mut batches) = mpsc::channel(1_000);
        for event in events {
            send.send(event).await.unwrap();
        }
        drop(send);
        batch(receive, out, None, clock::SystemEnv::shared()).await;
        let mut all = Vec::new();
        while let Some(batch) = batches.recv().await {
            all.push(batch);
        }
        all
    }

    #[tokio::test]
    async fn batches_are_bounded_and_keep_the_order() {
        let events: Vec<Bytes> = (0..1_201).map(|n: i32| n.to_string().into()).collect();
        let batches = batched(events.clone()).await;
        assert!(batches.iter().all(|b| !b.is_empty() && b.len() <= BATCH_EVENTS));
        assert_eq!(batches.concat(), events);
    }

    #[tokio::test]
    async fn large_events_make_small_batches() {
        let events: Vec<Bytes> = (0..8).map(|_| vec![b'x'; 100 << 10].into()).collect();
        assert!(batched(events).await.iter().all(|batch| batch.len() == 1));
    }
}
