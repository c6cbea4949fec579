//! `Node.Reads` as its servers see it: reads that share a message are answered each by itself, and
//! what is ready when a message can be sent goes into it.

use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::future::{AbortHandle, Abortable, BoxFuture};
use futures::stream::FuturesUnordered;
use futures::{FutureExt, Stream, StreamExt};
use tonic::{Code, Status, Streaming};

use crate::node::v1::numbered_answer::Outcome;
use crate::node::v1::{
    Failure, NumberedAnswer, NumberedRead, ReadResponse, ReadsRequest, ReadsResponse,
};

/// Reads of one stream that are worked on; more are left in the network.
const MOST_UNDER_WAY: usize = 1_024;
/// A message has no more answers than this, and none more once it has so many bytes.
const MOST_ANSWERS: usize = 64;
const MOST_BYTES: usize = 1 << 20;
/// A larger answer is refused: its message would be, and end the stream for all others. With
/// [`MOST_BYTES`] it is below what any side takes (16 MiB).
const LARGEST_BYTES: usize = 8 << 20;

/// What one read comes to.
pub type Answer = BoxFuture<'static, Result<ReadResponse, Status>>;

/// Answers the reads of a stream. It ends with the stream of questions, and what is under way then
/// is given up.
pub struct Reads<F> {
    asked: Streaming<ReadsRequest>,
    answer: F,
    under_way: FuturesUnordered<Abortable<BoxFuture<'static, NumberedAnswer>>>,
    handles: HashMap<u64, AbortHandle>,
    ready: Ready,
    ended: bool,
}

/// Answers that wait for a message.
#[derive(Default)]
struct Ready {
    /// Each with the bytes of its columns, which are nearly all of it.
    answers: VecDeque<(usize, NumberedAnswer)>,
    bytes: usize,
}

impl Ready {
    fn put(&mut self, answer: NumberedAnswer) {
        let (bytes, answer) = match answer.column_bytes() {
            bytes if bytes > LARGEST_BYTES => (0, answer.refused(bytes)),
            bytes => (bytes, answer),
        };
        self.bytes += bytes;
        self.answers.push_back((bytes, answer));
    }

    /// Whether there is enough for a message.
    fn is_full(&self) -> bool {
        self.answers.len() >= MOST_ANSWERS || self.bytes >= MOST_BYTES
    }

    /// A message's worth, the first to come first.
    fn take(&mut self) -> Vec<NumberedAnswer> {
        let (mut taken, mut bytes) = (Vec::new(), 0);
        while taken.len() < MOST_ANSWERS
            && bytes < MOST_BYTES
            && let Some((weighs, answer)) = self.answers.pop_front()
        {
            bytes += weighs;
            taken.push(answer);
        }
        self.bytes -= bytes;
        taken
    }
}

impl<F: Fn(NumberedRead) -> Answer + Unpin> Reads<F> {
    /// Answers each of these by `answer`.
    pub fn new(asked: Streaming<ReadsRequest>, answer: F) -> Self {
        let (under_way, handles) = (FuturesUnordered::new(), HashMap::new());
        Self { asked, answer, under_way, handles, ready: Ready::default(), ended: false }
    }

    fn ask(&mut self, read: NumberedRead, cx: &mut Context<'_>) {
        let number = read.number;
        let mut answer = (self.answer)(read);
        // Most are answered at once.
        if let Poll::Ready(outcome) = answer.poll_unpin(cx) {
            self.ready.put(NumberedAnswer::new(number, outcome));
            return;
        }
        let (handle, registration) = AbortHandle::new_pair();
        self.handles.insert(number, handle);
        let numbered = answer.map(move |outcome| NumberedAnswer::new(number, outcome)).boxed();
        self.under_way.push(Abortable::new(numbered, registration));
    }

    /// Takes in what has been asked.
    fn receive(&mut self, cx: &mut Context<'_>) {
        while !self.ended && !self.ready.is_full() && self.under_way.len() < MOST_UNDER_WAY {
            match self.asked.poll_next_unpin(cx) {
                Poll::Ready(Some(Ok(message))) => {
                    message.reads.into_iter().for_each(|read| self.ask(read, cx));
                    for number in message.given_up {
                        self.handles.remove(&number).inspect(AbortHandle::abort);
                    }
                }
                Poll::Ready(_) => self.ended = true,
                Poll::Pending => return,
            }
        }
    }

    /// Takes out what is done.
    fn finish(&mut self, cx: &mut Context<'_>) {
        while !self.ready.is_full()
            && let Poll::Ready(Some(done)) = self.under_way.poll_next_unpin(cx)
        {
            // One that was given up has no answer.
            if let Ok(answer) = done {
                self.handles.remove(&answer.number);
                self.ready.put(answer);
            }
        }
    }
}

impl<F: Fn(NumberedRead) -> Answer + Unpin> Stream for Reads<F> {
    type Item = Result<ReadsResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            self.receive(cx);
            let full = self.under_way.len() >= MOST_UNDER_WAY;
            self.finish(cx);
            let answers = self.ready.take();
            if !answers.is_empty() {
                return Poll::Ready(Some(Ok(ReadsResponse { answers })));
            }
            if self.ended {
                return Poll::Ready(None);
            }
            // What was given up may have made room: nobody wakes us for what is asked unless we look.
            if !full || self.under_way.len() >= MOST_UNDER_WAY {
                return Poll::Pending;
            }
        }
    }
}

impl NumberedAnswer {
    /// What the read of this number came to.
    #[must_use]
    pub fn new(number: u64, outcome: Result<ReadResponse, Status>) -> Self {
        let outcome = match outcome {
            Ok(response) => Outcome::Response(response),
            Err(status) => Outcome::Failure(Failure {
                code: status.code().into(),
                message: status.message().to_owned(),
            }),
        };
        Self { number, outcome: Some(outcome) }
    }

    /// What its columns weigh.
    fn column_bytes(&self) -> usize {
        let Some(Outcome::Response(response)) = &self.outcome else { return 0 };
        response.views.iter().flat_map(|view| &view.columns).map(Bytes::len).sum()
    }

    /// In its place, that it is too large for a message.
    fn refused(self, bytes: usize) -> Self {
        let why = format!("an answer of {bytes} bytes; the most are {LARGEST_BYTES}");
        Self::new(self.number, Err(Status::out_of_range(why)))
    }

    /// What it came to.
    ///
    /// # Errors
    /// The read's, or that of an answer that says nothing.
    pub fn into_outcome(self) -> Result<ReadResponse, Status> {
        match self.outcome {
            Some(Outcome::Response(response)) => Ok(response),
            Some(Outcome::Failure(failure)) => {
                Err(Status::new(Code::from_i32(failure.code), failure.message))
            }
            None => Err(Status::internal("an answer that says nothing")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::v1::ViewValues;

    fn answer(number: u64, bytes: usize) -> NumberedAnswer {
        let columns = vec![Bytes::from(vec![0; bytes])];
        let views = vec![ViewValues { columns, ..ViewValues::default() }];
        NumberedAnswer::new(number, Ok(ReadResponse { views, ..ReadResponse::default() }))
    }

    /// Numbers, message by message.
    fn messages(answers: impl IntoIterator<Item = NumberedAnswer>) -> Vec<Vec<u64>> {
        let mut ready = Ready::default();
        answers.into_iter().for_each(|answer| ready.put(answer));
        let mut messages = Vec::new();
        while !ready.answers.is_empty() {
            messages.push(ready.take().iter().map(|answer| answer.number).collect());
        }
        assert_eq!((ready.bytes, ready.is_full()), (0, false));
        messages
    }

    #[test]
    fn a_message_ends_with_its_bytes_or_its_answers() {
        let half = MOST_BYTES / 2;
        let large = [half, half, LARGEST_BYTES, 1].into_iter().enumerate();
        let large = large.map(|(number, bytes)| answer(number as u64, bytes));
        assert_eq!(messages(large), [vec![0, 1], vec![2], vec![3]]);
        let many = messages((0..MOST_ANSWERS as u64 + 1).map(|number| answer(number, 1)));
        assert_eq!(many.iter().map(Vec::len).collect::<Vec<_>>(), [MOST_ANSWERS, 1]);
    }

    #[test]
    fn an_answer_that_no_message_takes_is_refused_by_itself() {
        let mut ready = Ready::default();
        for answer in [answer(7, LARGEST_BYTES + 1), answer(8, LARGEST_BYTES)] {
            ready.put(answer);
        }
        let [refused, sent] = ready.take().try_into().expect("both in one message");
        assert_eq!((refused.number, sent.into_outcome().is_ok()), (7, true));
        let status = refused.into_outcome().unwrap_err();
        assert_eq!(status.code(), Code::OutOfRange);
        assert!(status.message().contains("8388609 bytes"), "{status}");
    }
}
