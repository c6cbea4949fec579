//! `Node.Reads` as its servers see it: reads that share a message are answered each by itself, and
//! what is ready when a message can be sent goes into it.

use std::collections::HashMap;
use std::pin::Pin;
use std::task::{Context, Poll};

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
/// A message is sent once it has so many answers.
const MOST_ANSWERS: usize = 64;

/// What one read comes to.
pub type Answer = BoxFuture<'static, Result<ReadResponse, Status>>;

/// Answers the reads of a stream. It ends with the stream of questions, and what is under way then
/// is given up.
pub struct Reads<F> {
    asked: Streaming<ReadsRequest>,
    answer: F,
    under_way: FuturesUnordered<Abortable<BoxFuture<'static, NumberedAnswer>>>,
    handles: HashMap<u64, AbortHandle>,
    ready: Vec<NumberedAnswer>,
    ended: bool,
}

impl<F: Fn(NumberedRead) -> Answer + Unpin> Reads<F> {
    /// Answers each of these by `answer`.
    pub fn new(asked: Streaming<ReadsRequest>, answer: F) -> Self {
        let (under_way, handles) = (FuturesUnordered::new(), HashMap::new());
        Self { asked, answer, under_way, handles, ready: Vec::new(), ended: false }
    }

    fn ask(&mut self, read: NumberedRead, cx: &mut Context<'_>) {
        let number = read.number;
        let mut answer = (self.answer)(read);
        // Most are answered at once.
        if let Poll::Ready(outcome) = answer.poll_unpin(cx) {
            self.ready.push(NumberedAnswer::new(number, outcome));
            return;
        }
        let (handle, registration) = AbortHandle::new_pair();
        self.handles.insert(number, handle);
        let numbered = answer.map(move |outcome| NumberedAnswer::new(number, outcome)).boxed();
        self.under_way.push(Abortable::new(numbered, registration));
    }

    /// Takes in what has been asked.
    fn receive(&mut self, cx: &mut Context<'_>) {
        while !self.ended
            && self.ready.len() < MOST_ANSWERS
            && self.under_way.len() < MOST_UNDER_WAY
        {
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
        while self.ready.len() < MOST_ANSWERS
            && let Poll::Ready(Some(done)) = self.under_way.poll_next_unpin(cx)
        {
            // One that was given up has no answer.
            if let Ok(answer) = done {
                self.handles.remove(&answer.number);
                self.ready.push(answer);
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
            if !self.ready.is_empty() {
                let answers = std::mem::take(&mut self.ready);
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
