//! A request's body as it arrives: at a pace, and within what all bodies may hold.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, ready};

use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use bytes::Bytes;
use clock::Env;
use futures::FutureExt;
use futures::future::BoxFuture;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tonic::Status;

use crate::frames::Frames;
use crate::limits::Limits;
use crate::pulse::Pulse;

/// Nobody keeps more of one message; the rest is read so that its sender sees the answer.
const MOST_KEPT: usize = 16 << 20;

/// What all connections of a port share.
pub(crate) struct Shared {
    pub(crate) env: Arc<dyn Env>,
    pub(crate) limits: Limits,
    held: AtomicUsize,
}

impl Shared {
    pub(crate) fn new(env: Arc<dyn Env>, limits: Limits) -> Self {
        Self { env, limits, held: AtomicUsize::new(0) }
    }

    /// Bytes of bodies and answers.
    pub(crate) fn held(&self) -> usize {
        self.held.load(Relaxed)
    }
}

/// So much of what may be held; gives it back.
pub(crate) struct Share {
    shared: Arc<Shared>,
    bytes: usize,
}

impl Share {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, bytes: 0 }
    }

    /// Makes it so much. Whether all of them are within the limit.
    pub(crate) fn set(&mut self, bytes: usize) -> bool {
        if bytes < self.bytes {
            self.shared.held.fetch_sub(self.bytes - bytes, Relaxed);
        } else if bytes > self.bytes {
            self.shared.held.fetch_add(bytes - self.bytes, Relaxed);
        }
        self.bytes = bytes;
        self.shared.held() <= self.shared.limits.max_held_bytes
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.set(0);
    }
}

/// Why the rest of a body is not read. The source is what gRPC answers.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// It drips.
    #[error("{}", .0.message())]
    TooSlow(#[source] Status),
    /// Too much of others is held.
    #[error("{}", .0.message())]
    Full(#[source] Status),
    /// The client broke off, or sent what is no HTTP.
    #[error(transparent)]
    Broken(#[from] hyper::Error),
}

/// A body.
pub(crate) struct Arriving {
    body: Incoming,
    pulse: Arc<Pulse>,
    share: Share,
    /// Of gRPC each message has its time; any other body is one.
    frames: Option<Frames>,
    /// Bytes of the message that is not complete, and since when it arrives.
    partial: usize,
    since_ms: u64,
    waits: bool,
    alarm: Option<BoxFuture<'static, ()>>,
}

impl Arriving {
    pub(crate) fn new(
        body: Incoming,
        headers: &HeaderMap,
        pulse: Arc<Pulse>,
        shared: &Arc<Shared>,
    ) -> Self {
        let kind = headers.get(CONTENT_TYPE).map(|kind| kind.as_bytes());
        let is_grpc = kind.is_some_and(|kind| kind.starts_with(b"application/grpc"));
        Self {
            body,
            pulse,
            share: Share::new(shared.clone()),
            frames: is_grpc.then(Frames::default),
            partial: 0,
            since_ms: shared.env.monotonic_ms(),
            waits: false,
            alarm: None,
        }
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), BodyError> {
        let before = self.partial;
        self.partial = match &mut self.frames {
            None => before + bytes.len(),
            Some(frames) => {
                frames.feed(bytes);
                frames.partial()
            }
        };
        // A new message: its time begins.
        if self.frames.is_some() && (before == 0 || self.partial < before) {
            self.since_ms = self.share.shared.env.monotonic_ms();
        }
        self.alarm = None;
        if self.share.set(self.partial.min(MOST_KEPT)) {
            return Ok(());
        }
        self.share.set(0);
        let most = self.share.shared.limits.max_held_bytes;
        Err(BodyError::Full(Status::resource_exhausted(format!(
            "more than {most} bytes of requests and answers are held already; try again"
        ))))
    }

    fn wait(&mut self, waits: bool) {
        if self.waits != waits {
            self.waits = waits;
            self.pulse.wait(waits);
        }
    }

    /// Nothing is there: until when it is waited for.
    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<BodyError> {
        let Shared { env, limits, .. } = &*self.share.shared;
        let allowed_ms = self.partial as u64 * 1_000 / limits.min_body_bytes_per_s;
        let due_ms = self.since_ms + limits.body_ms + allowed_ms;
        loop {
            let left_ms = due_ms.saturating_sub(env.monotonic_ms());
            if left_ms == 0 {
                let rate = limits.min_body_bytes_per_s;
                return Poll::Ready(BodyError::TooSlow(Status::deadline_exceeded(format!(
                    "the request's body arrives too slowly: less than {rate} bytes a second"
                ))));
            }
            let alarm = self.alarm.get_or_insert_with(|| env.sleep_ms(left_ms));
            ready!(alarm.poll_unpin(cx));
            self.alarm = None;
        }
    }
}

impl Body for Arriving {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        match Pin::new(&mut this.body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                this.wait(false);
                let taken = frame.data_ref().map_or(Ok(()), |bytes| this.take(bytes));
                Poll::Ready(Some(taken.map(|()| frame)))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(error.into()))),
            Poll::Ready(None) => {
                this.wait(false);
                Poll::Ready(None)
            }
            Poll::Pending if this.frames.is_some() && this.partial == 0 => {
                this.wait(true);
                Poll::Pending
            }
            Poll::Pending => this.poll_late(cx).map(|late| Some(Err(late))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        self.wait(false);
    }
}
