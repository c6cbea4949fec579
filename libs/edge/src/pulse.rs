//! What is going on in one connection, kept by its parts as they go.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};

use clock::Env;

use crate::heads::Heads;

/// The start of every HTTP/2 connection; no HTTP/1 method begins like this.
const PREFACE: &[u8; 3] = b"PRI";
/// How much a request has beyond its head is not known.
const UNKNOWN: u64 = u64::MAX;

/// A connection's. Times are of the steady clock, ms; 0: never. The parts of a connection need not
/// agree to the millisecond, so nothing here is ordered.
pub(crate) struct Pulse {
    env: Arc<dyn Env>,
    opened_ms: u64,
    read: AtomicU64,
    is_http2: AtomicBool,
    requests: AtomicU32,
    waiting: AtomicU32,
    owed: AtomicU32,
    quiet_ms: AtomicU64,
    heard_ms: AtomicU64,
    taken_ms: AtomicU64,
    blocked_ms: AtomicU64,
    given_up: AtomicBool,
    /// Of HTTP/1: whether the end of a head was seen whose request has not begun,
    head_ended: AtomicBool,
    /// how many bytes have come since then,
    beyond: AtomicU64,
    /// and how many of them are the body of the request that has.
    body: AtomicU64,
}

/// A pulse at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Beat {
    /// When it was opened.
    pub(crate) opened_ms: u64,
    /// Bytes that came.
    pub(crate) read: u64,
    /// Whether they began as HTTP/2 does.
    pub(crate) is_http2: bool,
    /// Requests under way, from the end of the head to the end of the answer.
    pub(crate) requests: u32,
    /// Those of them that wait for their client's next message.
    pub(crate) waiting: u32,
    /// Answers of which the client was given a part that it has not taken.
    pub(crate) owed: u32,
    /// Since when there is nothing but such that wait.
    pub(crate) quiet_ms: u64,
    /// When the first byte came since the last request was over, or was there when it was.
    pub(crate) heard_ms: u64,
    /// When the client last took something.
    pub(crate) taken_ms: u64,
    /// Since when the socket takes nothing.
    pub(crate) blocked_ms: u64,
}

impl Pulse {
    pub(crate) fn new(env: Arc<dyn Env>) -> Self {
        let now_ms = env.monotonic_ms();
        Self {
            env,
            opened_ms: now_ms,
            read: AtomicU64::new(0),
            is_http2: AtomicBool::new(true),
            requests: AtomicU32::new(0),
            waiting: AtomicU32::new(0),
            owed: AtomicU32::new(0),
            quiet_ms: AtomicU64::new(now_ms),
            heard_ms: AtomicU64::new(0),
            taken_ms: AtomicU64::new(now_ms),
            blocked_ms: AtomicU64::new(0),
            given_up: AtomicBool::new(false),
            head_ended: AtomicBool::new(false),
            beyond: AtomicU64::new(0),
            body: AtomicU64::new(UNKNOWN),
        }
    }

    /// Never 0, which is no time: a process may be younger than a millisecond.
    fn now_ms(&self) -> u64 {
        self.env.monotonic_ms().max(1)
    }

    pub(crate) fn beat(&self) -> Beat {
        Beat {
            opened_ms: self.opened_ms,
            read: self.read.load(Relaxed),
            is_http2: self.is_http2.load(Relaxed),
            requests: self.requests.load(Relaxed),
            waiting: self.waiting.load(Relaxed),
            owed: self.owed.load(Relaxed),
            quiet_ms: self.quiet_ms.load(Relaxed),
            heard_ms: self.heard_ms.load(Relaxed),
            taken_ms: self.taken_ms.load(Relaxed),
            blocked_ms: self.blocked_ms.load(Relaxed),
        }
    }

    /// Bytes came, on a connection whose heads have come so far.
    pub(crate) fn heard(&self, bytes: &[u8], heads: &mut Heads) {
        let before = self.read.fetch_add(bytes.len() as u64, Relaxed);
        let rest = usize::try_from(before).ok().and_then(|before| PREFACE.get(before..));
        if rest.is_some_and(|rest| rest.iter().zip(bytes).any(|(wanted, is)| wanted != is)) {
            self.is_http2.store(false, Relaxed);
        }
        let between = self.requests.load(Relaxed) == 0;
        if between && self.heard_ms.load(Relaxed) == 0 {
            self.heard_ms.store(self.now_ms(), Relaxed);
        }
        match self.is_http2.load(Relaxed) {
            true => {}
            false if between => {
                if let Some(beyond) = heads.feed(bytes) {
                    self.beyond.store(beyond as u64, Relaxed);
                    self.head_ended.store(true, Relaxed);
                }
            }
            false => _ = self.beyond.fetch_add(bytes.len() as u64, Relaxed),
        }
    }

    /// The socket took bytes.
    pub(crate) fn wrote(&self) {
        if self.blocked_ms.load(Relaxed) != 0 {
            self.blocked_ms.store(0, Relaxed);
        }
    }

    /// The socket takes no more.
    pub(crate) fn blocked(&self) {
        if self.blocked_ms.load(Relaxed) == 0 {
            self.blocked_ms.store(self.now_ms(), Relaxed);
        }
    }

    /// A request's head is complete; its body has so many bytes, if that is known. It is over when
    /// the guard is dropped.
    pub(crate) fn begin(self: &Arc<Self>, body: Option<u64>) -> UnderWay {
        // Of one that came in one piece with the request before it the end was not seen.
        let seen = self.head_ended.swap(false, Relaxed);
        self.body.store(body.filter(|_| seen).unwrap_or(UNKNOWN), Relaxed);
        self.requests.fetch_add(1, Relaxed);
        self.heard_ms.store(0, Relaxed);
        UnderWay(self.clone())
    }

    /// A request waits for its client's next message, or does not any more.
    pub(crate) fn wait(&self, waits: bool) {
        if waits {
            self.waiting.fetch_add(1, Relaxed);
            self.look_quiet();
        } else {
            self.waiting.fetch_sub(1, Relaxed);
        }
    }

    /// A part of an answer is with the client.
    pub(crate) fn owe(&self) {
        if self.owed.fetch_add(1, Relaxed) == 0 {
            self.taken_ms.store(self.env.monotonic_ms(), Relaxed);
        }
    }

    /// It took the part, or nobody waits for that any more.
    pub(crate) fn take(&self) {
        self.owed.fetch_sub(1, Relaxed);
        self.taken_ms.store(self.env.monotonic_ms(), Relaxed);
    }

    /// The head of an HTTP/1 request that has begun will not be waited for.
    pub(crate) fn give_up(&self) {
        let begun = !self.is_http2.load(Relaxed) && self.heard_ms.load(Relaxed) != 0;
        self.given_up.store(begun, Relaxed);
    }

    pub(crate) fn is_given_up(&self) -> bool {
        self.given_up.load(Relaxed)
    }

    /// A request is over. What has come that was not its own is the beginning of the next one's head.
    fn end(&self) {
        let others = self.requests.fetch_sub(1, Relaxed) > 1;
        let more = self.beyond.load(Relaxed) > self.body.load(Relaxed);
        if !others && !self.is_http2.load(Relaxed) && more {
            self.heard_ms.store(self.now_ms(), Relaxed);
        }
        self.look_quiet();
    }

    fn look_quiet(&self) {
        if self.requests.load(Relaxed) == self.waiting.load(Relaxed) {
            self.quiet_ms.store(self.env.monotonic_ms(), Relaxed);
        }
    }
}

/// A request under way.
pub(crate) struct UnderWay(Arc<Pulse>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.end();
    }
}
