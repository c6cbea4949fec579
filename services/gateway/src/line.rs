//! Small reads of a region on a long-lived stream: whatever is asked while a message is being
//! written, or by whoever is ready to ask just now, goes into the next one. A message costs both
//! sides far more than what is in it.
//!
//! A stream that breaks fails what was under way on it with a status, as a broken connection would
//! have failed a call; the next read opens another one. Of reads that nobody waits for any more the
//! other side is told.

use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use api::node::v1 as node;
use api::node::v1::node_client::NodeClient;
use bytes::Bytes;
use clock::{Env, Task};
use parking_lot::Mutex;
use routing::Priority;
use tokio::sync::{Notify, oneshot};
use tokio_stream::Stream;
use tonic::Status;
use tonic::transport::Channel;

use crate::{caller, hop};

/// Reads in one message.
const MOST_READS: usize = 64;
/// Reads that may wait for their answers; what the gate lets in, and hedges, is less.
const MOST_WAITING: usize = 8_192;
/// Values that a read may ask for and still share: a large one would hold up those behind it, and
/// gains nothing.
const MOST_VALUES: usize = 500;
/// Bytes that the client chose, likewise: a message of [`MOST_READS`] stays below what nodes take, or it
/// would end the stream for all.
const MOST_BYTES: usize = 64 << 10;

/// Where reads of a region wait for a place in a message, and then for their answers.
#[derive(Clone)]
pub(crate) struct Line {
    shared: Arc<Shared>,
    _conversing: Arc<Task>,
}

type Outcome = Result<node::ReadResponse, Status>;

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    asked: Notify,
}

#[derive(Default)]
struct State {
    /// Which stream is open; one that has another number ends.
    stream: u64,
    last: u64,
    queue: VecDeque<node::NumberedRead>,
    given_up: Vec<u64>,
    waiting: HashMap<u64, oneshot::Sender<Outcome>>,
    writer: Option<Waker>,
}

/// Whether a read may share.
pub(crate) fn shares(read: &node::ReadRequest) -> bool {
    let values = read.views.iter().map(|view| view.entities.len() * view.features.len());
    let keys = read.views.iter().flat_map(|view| &view.entities).map(Bytes::len);
    let bytes = keys.chain(read.exclude_regions.iter().map(String::len));
    // One that waits for its tokens is under way for as long as that takes.
    read.tokens.is_empty()
        && values.sum::<usize>() <= MOST_VALUES
        && bytes.sum::<usize>() <= MOST_BYTES
}

impl Line {
    /// Opens a stream when it is first asked. Reads are marked with so many hops.
    pub(crate) fn new(client: NodeClient<Channel>, hops: u32, env: &Arc<dyn Env>) -> Self {
        let shared = Arc::new(Shared::default());
        let conversing = converse(shared.clone(), client, hops);
        let conversing = env.spawn("reads of a region", Box::pin(conversing));
        Self { shared, _conversing: Arc::new(conversing) }
    }

    /// Reads that wait for their answers.
    pub(crate) fn waiting(&self) -> usize {
        self.shared.state.lock().waiting.len()
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
    ) -> Outcome {
        let (answer, answered) = oneshot::channel();
        let timeout_ms = u32::try_from(timeout_ms).unwrap_or(u32::MAX);
        let (read, priority) = (Some(read), caller::word(priority).to_owned());
        let read = node::NumberedRead { read, timeout_ms, priority, ..Default::default() };
        let number = self.shared.ask(read, answer)?;
        let _waiting = Waiting { shared: &self.shared, number };
        answered.await.unwrap_or_else(|_| Err(Status::unavailable("the gateway ends")))
    }
}

/// One stream after the other, each opened when somebody asks.
async fn converse(shared: Arc<Shared>, client: NodeClient<Channel>, hops: u32) {
    loop {
        shared.asked.notified().await;
        let ended = shared.stream(client.clone(), hops).await;
        shared.fail(&ended);
    }
}

impl Shared {
    fn ask(
        &self,
        read: node::NumberedRead,
        answer: oneshot::Sender<Outcome>,
    ) -> Result<u64, Status> {
        let trace_context = telemetry::carried();
        let mut state = self.state.lock();
        if state.waiting.len() >= MOST_WAITING {
            return Err(Status::resource_exhausted("too many reads wait for this region"));
        }
        state.last += 1;
        let number = state.last;
        state.queue.push_back(node::NumberedRead { number, trace_context, ..read });
        state.waiting.insert(number, answer);
        let writer = state.writer.take();
        drop(state);
        match writer {
            Some(writer) => writer.wake(),
            None => self.asked.notify_one(),
        }
        Ok(number)
    }

    /// One stream, from its first question until it ends; says why it did.
    async fn stream(self: &Arc<Self>, mut client: NodeClient<Channel>, hops: u32) -> Status {
        let questions = Questions::new(self.clone());
        let mut answers = match client.reads(hop::marked(questions, hops)).await {
            Ok(answers) => answers.into_inner(),
            Err(status) => return status,
        };
        loop {
            match answers.message().await {
                Ok(Some(message)) => self.answered(message),
                Ok(None) => return Status::unavailable("it ended the stream of reads"),
                Err(status) => return status,
            }
        }
    }

    fn answered(&self, message: node::ReadsResponse) {
        let mut state = self.state.lock();
        for answer in message.answers {
            // Whoever has gone away does not wait.
            if let Some(waits) = state.waiting.remove(&answer.number) {
                _ = waits.send(answer.into_outcome());
            }
        }
    }

    /// The stream has ended, and with it everything that was asked on it or waited for it.
    fn fail(&self, ended: &Status) {
        let mut state = self.state.lock();
        state.stream += 1;
        state.queue.clear();
        state.given_up.clear();
        for (_, waits) in state.waiting.drain() {
            _ = waits.send(Err(ended.clone()));
        }
        if let Some(writer) = state.writer.take() {
            writer.wake();
        }
    }
}

/// What has been asked since the last message.
struct Questions {
    shared: Arc<Shared>,
    stream: u64,
    /// Whether everybody who is ready has had a turn to ask since the last message.
    gave_way: bool,
}

impl Questions {
    fn new(shared: Arc<Shared>) -> Self {
        let stream = shared.state.lock().stream;
        Self { shared, stream, gave_way: false }
    }
}

impl Stream for Questions {
    type Item = node::ReadsRequest;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Self { shared, stream, gave_way } = self.get_mut();
        let state = &mut *shared.state.lock();
        if state.stream != *stream {
            return Poll::Ready(None);
        }
        if state.queue.is_empty() && state.given_up.is_empty() {
            state.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        // The executor runs a task that was woken before those that wait for their turn: of many
        // requests that arrive at once, each would get a message of its own. One that is alone does
        // not wait.
        if state.waiting.len() > 1 && state.queue.len() < MOST_READS && !*gave_way {
            *gave_way = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        *gave_way = false;
        let first = state.queue.len().min(MOST_READS);
        let reads = state.queue.drain(..first).collect();
        let given_up = std::mem::take(&mut state.given_up);
        Poll::Ready(Some(node::ReadsRequest { reads, given_up }))
    }
}

/// A read whose answer somebody waits for.
struct Waiting<'a> {
    shared: &'a Shared,
    number: u64,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock();
        if state.waiting.remove(&self.number).is_none() {
            return;
        }
        // Numbers ascend. What has not been sent yet is not sent at all, so that neither list grows
        // while the other side takes nothing.
        if let Ok(at) = state.queue.binary_search_by_key(&self.number, |read| read.number) {
            state.queue.remove(at);
        } else {
            state.given_up.push(self.number);
            if let Some(writer) = state.writer.take() {
                writer.wake();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt, StreamExt};
    use tonic::Code;

    use super::*;

    /// What a caller would do, without its wait.
    fn ask(shared: &Shared) -> (u64, oneshot::Receiver<Outcome>) {
        let (answer, answered) = oneshot::channel();
        (shared.ask(node::NumberedRead::default(), answer).unwrap(), answered)
    }

    fn open(shared: &Arc<Shared>) -> Questions {
        Questions::new(shared.clone())
    }

    /// Numbers of reads, and of those that were given up; `None`: nothing to say.
    fn message(questions: &mut Questions) -> Option<(Vec<u64>, Vec<u64>)> {
        // The first may only give way to others.
        let next = questions.next().now_or_never().or_else(|| questions.next().now_or_never());
        let message = next?.expect("the stream is open");
        Some((message.reads.iter().map(|read| read.number).collect(), message.given_up))
    }

    #[test]
    fn what_is_asked_in_the_meantime_shares_a_message_up_to_its_bound() {
        let shared = Arc::new(Shared::default());
        let mut questions = open(&shared);
        assert_eq!(message(&mut questions), None);
        let _waits: Vec<_> = (0..MOST_READS + 2).map(|_| ask(&shared)).collect();
        assert_eq!(message(&mut questions).unwrap().0.len(), MOST_READS);
        assert_eq!(message(&mut questions).unwrap().0.len(), 2);
        assert_eq!(message(&mut questions), None);
    }

    /// Else the first of many that arrive at once would be sent by itself.
    #[test]
    fn who_is_ready_asks_before_the_message_goes_unless_one_is_alone() {
        let shared = Arc::new(Shared::default());
        let mut questions = open(&shared);
        let (alone, _waits) = ask(&shared);
        let next = questions.next().now_or_never().expect("it does not wait").unwrap();
        assert_eq!(next.reads[0].number, alone);
        let (second, _waits) = ask(&shared);
        assert!(questions.next().now_or_never().is_none(), "another one is under way");
        let (third, _waits) = ask(&shared);
        let next = questions.next().now_or_never().expect("it waits once").unwrap();
        assert_eq!(next.reads.iter().map(|read| read.number).collect::<Vec<_>>(), [second, third]);
    }

    #[test]
    fn an_answer_goes_to_who_asked_and_late_ones_to_nobody() {
        let shared = Arc::new(Shared::default());
        let ((one, mut first), (two, second)) = (ask(&shared), ask(&shared));
        drop((second, Waiting { shared: &shared, number: two }));
        let outcome = |generation| Ok(node::ReadResponse { generation, ..Default::default() });
        let answers = [(two, 2), (one, 1), (99, 9)];
        let answers =
            answers.map(|(number, says)| node::NumberedAnswer::new(number, outcome(says)));
        shared.answered(node::ReadsResponse { answers: answers.into() });
        assert_eq!(first.try_recv().unwrap().unwrap().generation, 1);
        assert!(shared.state.lock().waiting.is_empty());
    }

    /// Before it was sent it is not sent at all; afterwards the other side is told.
    #[test]
    fn a_read_that_is_given_up_is_said_to_be() {
        let shared = Arc::new(Shared::default());
        let mut questions = open(&shared);
        let ((unsent, _), (sent, _)) = (ask(&shared), ask(&shared));
        drop(Waiting { shared: &shared, number: unsent });
        assert_eq!(message(&mut questions), Some((vec![sent], vec![])));
        drop(Waiting { shared: &shared, number: sent });
        assert_eq!(message(&mut questions), Some((vec![], vec![sent])));
        assert_eq!(message(&mut questions), None);
    }

    #[test]
    fn a_stream_that_ends_fails_what_was_on_it_and_nothing_else() {
        let shared = Arc::new(Shared::default());
        let mut old = open(&shared);
        let ((_, mut sent), _) = (ask(&shared), message(&mut old));
        let (_, mut queued) = ask(&shared);
        shared.fail(&Status::unavailable("gone"));
        for lost in [&mut sent, &mut queued] {
            assert_eq!(lost.try_recv().unwrap().unwrap_err().code(), Code::Unavailable);
        }
        let (number, mut later) = ask(&shared);
        assert!(old.next().now_or_never().unwrap().is_none(), "the old stream is over");
        assert_eq!(message(&mut open(&shared)).unwrap().0, [number]);
        assert!(later.try_recv().is_err(), "it waits");
    }

    #[test]
    fn no_more_wait_than_may() {
        let shared = Arc::new(Shared::default());
        let _waits: Vec<_> = (0..MOST_WAITING).map(|_| ask(&shared)).collect();
        let refused = shared.ask(node::NumberedRead::default(), oneshot::channel().0);
        assert_eq!(refused.unwrap_err().code(), Code::ResourceExhausted);
    }

    #[test]
    fn large_reads_and_those_that_wait_go_alone() {
        let read = |rows: usize, tokens: usize| node::ReadRequest {
            views: vec![node::ViewRead {
                entities: vec![Default::default(); rows],
                features: vec![0; 5],
                ..Default::default()
            }],
            tokens: vec![Default::default(); tokens],
            ..Default::default()
        };
        assert!(shares(&read(1, 0)) && shares(&read(100, 0)));
        assert!(!shares(&read(101, 0)) && !shares(&read(1, 1)));
        let mut long = read(1, 0);
        long.views[0].entities = vec![vec![0; MOST_BYTES].into()];
        assert!(shares(&long));
        long.exclude_regions = vec!["x".into()];
        assert!(!shares(&long));
    }
}
