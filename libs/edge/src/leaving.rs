//! An answer as it leaves: in small parts, so that what a client does not take stays here, where it
//! is counted, and not in HTTP's buffers.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::arriving::{Share, Shared};
use crate::pulse::{Pulse, UnderWay};

/// A frame of HTTP/2, as large as everybody takes it.
const PART: usize = 16 << 10;

/// A body of an answer.
pub(crate) struct Leaving<B> {
    body: B,
    rest: Bytes,
    share: Share,
    pulse: Arc<Pulse>,
    owes: bool,
    _under_way: UnderWay,
}

impl<B> Leaving<B> {
    pub(crate) fn new(
        body: B,
        under_way: UnderWay,
        pulse: Arc<Pulse>,
        shared: &Arc<Shared>,
    ) -> Self {
        let share = Share::new(shared.clone());
        Self { body, rest: Bytes::new(), share, pulse, owes: false, _under_way: under_way }
    }

    fn part(&mut self) -> Bytes {
        let part = self.rest.split_to(self.rest.len().min(PART));
        self.share.set(self.rest.len());
        self.owes = true;
        self.pulse.owe();
        part
    }

    fn taken(&mut self) {
        if std::mem::take(&mut self.owes) {
            self.pulse.take();
        }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Leaving<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.get_mut();
        // Whoever asks for more has passed the last part on.
        this.taken();
        if this.rest.is_empty() {
            let Some(frame) = ready!(Pin::new(&mut this.body).poll_frame(cx)?) else {
                return Poll::Ready(None);
            };
            match frame.into_data() {
                Ok(data) => this.rest = data,
                Err(other) => return Poll::Ready(Some(Ok(other))),
            }
        }
        Poll::Ready(Some(Ok(Frame::data(this.part()))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.rest.len() as u64;
        let of_body = self.body.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(of_body.lower() + rest);
        if let Some(upper) = of_body.upper() {
            hint.set_upper(upper + rest);
        }
        hint
    }
}

impl<B> Drop for Leaving<B> {
    fn drop(&mut self) {
        self.taken();
    }
}
