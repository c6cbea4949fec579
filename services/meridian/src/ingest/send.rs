//! Batches to a gateway over one stream, some in flight, each kept until it is acknowledged.
//!
//! When the stream breaks (a node or gateway restarts), what was not acknowledged is sent again
//! over a new one, in order, for a bounded time.

use std::collections::VecDeque;
use std::sync::Arc;

use api::v1::{PushRequest, PushResponse};
use bytes::Bytes;
use clock::Env;
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};

use crate::client;
use crate::error::{CliError, Result};
use crate::mesh::Mesh;

/// Batches in flight.
const WINDOW: usize = 8;
/// How long nothing may be acknowledged before giving up, ms.
const GIVE_UP_MS: u64 = 60_000;
/// How long an acknowledgement may take before the stream counts as broken, ms.
const ANSWER_MS: u64 = 15_000;
/// Waits between streams, ms: doubled from the first to the last.
const BACKOFF_MS: (u64, u64) = (100, 2_000);

/// What became of the events.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Delivered {
    /// Acknowledged: durable in their region.
    pub(crate) events: u64,
    /// Sent again because their fate was unknown; folded once if they have ids.
    pub(crate) repeated: u64,
}

/// Sends to one source through one gateway.
pub(crate) struct Sender {
    mesh: Mesh,
    region: String,
    source: String,
    env: Arc<dyn Env>,
    unacknowledged: VecDeque<Vec<Bytes>>,
    delivered: Delivered,
    /// When something was last acknowledged, ms.
    progress_ms: u64,
    streams: u64,
}

/// Why a stream ended before its time.
enum Broken {
    /// It may be better with the next one.
    Retry(CliError),
    /// It will not.
    Refused(CliError),
}

impl Sender {
    /// Sends nothing yet.
    pub(crate) fn new(mesh: Mesh, region: &str, source: &str, env: Arc<dyn Env>) -> Self {
        Self {
            mesh,
            region: region.to_owned(),
            source: source.to_owned(),
            env,
            unacknowledged: VecDeque::new(),
            delivered: Delivered::default(),
            progress_ms: 0,
            streams: 0,
        }
    }

    /// What is acknowledged so far.
    pub(crate) fn delivered(&self) -> Delivered {
        self.delivered.clone()
    }

    /// Sends until there are no more batches and all are acknowledged.
    ///
    /// # Errors
    /// The gateway refuses, or takes nothing for [`GIVE_UP_MS`].
    pub(crate) async fn run(
        &mut self,
        mut batches: mpsc::Receiver<Vec<Bytes>>,
        acknowledged: impl Fn(u64),
    ) -> Result<()> {
        let Some(first) = batches.recv().await else { return Ok(()) };
        self.unacknowledged.push_back(first);
        self.progress_ms = self.env.monotonic_ms();
        let mut backoff_ms = BACKOFF_MS.0;
        loop {
            let before_ms = self.progress_ms;
            let error = match self.stream(&mut batches, &acknowledged).await {
                Ok(()) => return Ok(()),
                Err(Broken::Refused(error)) => return Err(error),
                Err(Broken::Retry(error)) => error,
            };
            if self.env.monotonic_ms() - self.progress_ms > GIVE_UP_MS {
                return Err(error);
            }
            let moved = self.progress_ms > before_ms;
            backoff_ms = if moved { BACKOFF_MS.0 } else { (backoff_ms * 2).min(BACKOFF_MS.1) };
            self.env.sleep_ms(backoff_ms).await;
        }
    }

    /// One stream, from what is unacknowledged on.
    async fn stream(
        &mut self,
        batches: &mut mpsc::Receiver<Vec<Bytes>>,
        acknowledged: &impl Fn(u64),
    ) -> Result<(), Broken> {
        let mut gateway = client::gateway(&self.mesh, &self.region).await.map_err(Broken::Retry)?;
        let failed = gateway.failed();
        let broken = |status: Status| match status.code() {
            Code::InvalidArgument | Code::NotFound | Code::Unimplemented | Code::OutOfRange => {
                Broken::Refused(failed(status))
            }
            _ => Broken::Retry(failed(status)),
        };
        let slow = || broken(Status::unavailable("no acknowledgement in time"));
        let (requests, outgoing) = mpsc::channel(WINDOW);
        for batch in &self.unacknowledged {
            if self.streams > 0 {
                self.delivered.repeated += batch.len() as u64;
            }
            // The window has room for all of them.
            let _sent = requests.try_send(self.request(batch));
        }
        let opened = gateway.client.push(ReceiverStream::new(outgoing));
        let opened = clock::timeout(&self.env, ANSWER_MS, opened).await.map_err(|_| slow())?;
        let mut answers = opened.map_err(&broken)?.into_inner();
        self.streams += 1;
        let mut more = true;
        while more || !self.unacknowledged.is_empty() {
            let waiting = !self.unacknowledged.is_empty();
            let room = self.unacknowledged.len() < WINDOW;
            tokio::select! {
                answer = answers.next(), if waiting => {
                    let ended = || Err(Status::unavailable("the stream ended"));
                    let answer: PushResponse = answer.unwrap_or_else(ended).map_err(&broken)?;
                    self.unacknowledged.pop_front();
                    self.delivered.events += answer.accepted;
                    self.progress_ms = self.env.monotonic_ms();
                    acknowledged(answer.accepted);
                }
                batch = batches.recv(), if more && room => match batch {
                    Some(batch) => {
                        let _broken_is_heard_above = requests.send(self.request(&batch)).await;
                        self.unacknowledged.push_back(batch);
                    }
                    None => more = false,
                },
                () = self.env.sleep_ms(ANSWER_MS), if waiting => return Err(slow()),
            }
        }
        Ok(())
    }

    fn request(&self, batch: &[Bytes]) -> PushRequest {
        let (source, events) = (self.source.clone(), batch.to_vec());
        PushRequest { source, events, ..PushRequest::default() }
    }
}
