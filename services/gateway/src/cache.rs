//! Answers that were given already, for readers who said how old one may be.
//!
//! Only who names a bound on staleness gets one, and only while every part, its age when it was
//! given and the time since, is within it; a reader with a token or an `as_of` never does. Readers
//! who ask for the same at the same time share one read.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use api::node::v1 as node;
use bytes::Bytes;
use clock::{Env, timeout};
use futures::future::BoxFuture;
use moka::future::Cache;
use prost::Message;

use crate::answer::Answered;
use crate::deadline::Deadline;
use crate::metrics::Instruments;
use crate::refusal::Refusal;
use crate::rules::Rules;

/// The route of an answer from here.
const ROUTE: &str = "cache";
/// What an entry costs beside its bytes.
const OVERHEAD_BYTES: usize = 256;

/// Answers by question.
pub(crate) struct Answers {
    env: Arc<dyn Env>,
    instruments: Arc<Instruments>,
    entries: Cache<Bytes, Arc<Entry>>,
}

/// What a read came to, and when.
struct Entry {
    at_us: u64,
    outcome: Result<Answered, Refusal>,
    bytes: usize,
}

/// An answer, and the question that it belongs to.
type Read = Result<(Answered, node::ReadRequest), Refusal>;

impl Answers {
    /// Keeps at most so many bytes.
    pub(crate) fn new(most_bytes: u64, env: Arc<dyn Env>, instruments: Arc<Instruments>) -> Self {
        let weigh = |key: &Bytes, entry: &Arc<Entry>| {
            u32::try_from(key.len() + entry.bytes + OVERHEAD_BYTES).unwrap_or(u32::MAX)
        };
        let entries = Cache::builder().weigher(weigh).max_capacity(most_bytes).build();
        Self { env, instruments, entries }
    }

    /// The answer from here if it is good enough for this reader, else what `read` comes to.
    ///
    /// # Errors
    /// Those of `read`; out of time while another reader's read is under way.
    pub(crate) async fn get<'a>(
        &self,
        question: node::ReadRequest,
        rules: &Rules<'_>,
        deadline: Deadline,
        read: impl Fn(node::ReadRequest) -> BoxFuture<'a, Read> + Send + Sync,
    ) -> Read {
        let may = rules.max_staleness_ms.is_some() && !rules.waits && question.as_of_ms.is_none();
        if !may {
            return read(question).await;
        }
        let asked_us = self.env.monotonic_us();
        let own = AtomicBool::new(false);
        let ask = async {
            own.store(true, Ordering::Relaxed);
            let outcome = read(question.clone()).await.map(|(answered, _)| answered);
            let bytes = outcome.as_ref().map_or(0, |answered| answered.response.encoded_len());
            Arc::new(Entry { at_us: self.env.monotonic_us(), outcome, bytes })
        };
        let unfit = |entry: &Arc<Entry>| !entry.fits(rules, self.env.monotonic_us());
        let entry = self.entries.entry(key(&question)).or_insert_with_if(ask, unfit);
        let left_ms = deadline.left_ms(&*self.env);
        let late = |_| Refusal::TimedOut("another read of the same is under way".into());
        let entry = timeout(&self.env, left_ms, entry).await.map_err(late)?.into_value();
        // What another reader's read came to, it came to by that one's bounds.
        let own = own.into_inner();
        if !own && unfit(&entry) {
            self.instruments.lookup("miss");
            return read(question).await;
        }
        let given_before = entry.at_us < asked_us;
        self.instruments.lookup(match (own, given_before) {
            (true, _) => "miss",
            (false, true) => "hit",
            (false, false) => "shared",
        });
        let mut answered = entry.outcome.clone()?;
        if given_before {
            answered.route = ROUTE;
            age(&mut answered.response, asked_us - entry.at_us);
        }
        Ok((answered, question))
    }

    /// How many there are, and their bytes.
    pub(crate) fn fill(&self) -> (u64, u64) {
        (self.entries.entry_count(), self.entries.weighted_size())
    }
}

impl Entry {
    fn fits(&self, rules: &Rules<'_>, now_us: u64) -> bool {
        let Ok(answered) = &self.outcome else { return false };
        let since_ms = i64::try_from(now_us.saturating_sub(self.at_us) / 1_000).unwrap_or(i64::MAX);
        rules.too_old(&answered.response, since_ms).is_none()
    }
}

/// All that an answer depends on, but for the time.
fn key(question: &node::ReadRequest) -> Bytes {
    let timeless = node::ReadRequest { now_ms: 0, wait_ms: 0, ..question.clone() };
    timeless.encode_to_vec().into()
}

/// What it says of its age was said a while ago.
fn age(response: &mut node::ReadResponse, since_us: u64) {
    let since_ms = i64::try_from(since_us / 1_000).unwrap_or(i64::MAX);
    for origin in response.origins.values_mut() {
        origin.age_ms = origin.age_ms.map(|ms| ms.saturating_add(since_ms));
        if origin.state == "ok" && origin.age_ms.is_some_and(|ms| ms > api::STALE_MS) {
            origin.state = "stale".into();
        }
    }
}
