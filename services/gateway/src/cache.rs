//! Answers that were given already, for readers who said how old one may be.
//!
//! Only who names a bound on staleness gets one; a reader with a token or an `as_of` never does. One
//! is given while every part, its age when it was given and the time since, is within the bound;
//! and, if the own region's node gave it, until that node has said that it is further than the
//! answer (see [`crate::frontier`]). So while the own node serves, a reader gets from here nothing
//! that this gateway knows to be outdated, whatever its bound; of what the node has not said yet,
//! half a second's events at most, only the bound holds. Another region's answers are kept for their
//! age alone: to ask again would cost a journey, for every event that arrives anywhere.
//!
//! Readers who ask for the same at the same time share one read. An answer that is of no use to
//! whoever asks next is replaced then; until then it counts for its bytes, which are bounded.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

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
use crate::regions::Regions;
use crate::rules::Rules;

/// The route of an answer from here.
const ROUTE: &str = "cache";
/// What an entry costs beside its bytes.
const OVERHEAD_BYTES: usize = 256;

/// Answers by question.
pub(crate) struct Answers {
    env: Arc<dyn Env>,
    instruments: Arc<Instruments>,
    regions: Arc<Regions>,
    entries: Cache<Bytes, Arc<Entry>>,
}

/// What a read came to, and when.
struct Entry {
    at_us: u64,
    outcome: Result<Answered, Refusal>,
    bytes: usize,
    /// How often the own node's frontier had moved when it was asked for, …
    asked_at: u64,
    /// … and up to which move this answer is known not to be left behind.
    current_at: AtomicU64,
}

/// An answer, and the question that it belongs to.
type Read = Result<(Answered, node::ReadRequest), Refusal>;

impl Answers {
    /// Keeps at most so many bytes.
    pub(crate) fn new(
        most_bytes: u64,
        env: Arc<dyn Env>,
        instruments: Arc<Instruments>,
        regions: Arc<Regions>,
    ) -> Self {
        let weigh = |key: &Bytes, entry: &Arc<Entry>| {
            u32::try_from(key.len() + entry.bytes + OVERHEAD_BYTES).unwrap_or(u32::MAX)
        };
        let entries = Cache::builder().weigher(weigh).max_capacity(most_bytes).build();
        Self { env, instruments, regions, entries }
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
        let asked_at = self.regions.frontier().moves();
        let (own, behind) = (AtomicBool::new(false), AtomicBool::new(false));
        let ask = async {
            own.store(true, Ordering::Relaxed);
            let outcome = read(question.clone()).await.map(|(answered, _)| answered);
            let bytes = outcome.as_ref().map_or(0, |answered| answered.response.encoded_len());
            let (at_us, current_at) = (self.env.monotonic_us(), AtomicU64::new(asked_at));
            Arc::new(Entry { at_us, outcome, bytes, asked_at, current_at })
        };
        let unfit = |entry: &Arc<Entry>| {
            let young = entry.is_young(rules, self.env.monotonic_us());
            if young && self.left_behind(entry) {
                behind.store(true, Ordering::Relaxed);
                return true;
            }
            !young
        };
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
            (true, _) if behind.into_inner() => "outdated",
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

    /// Whether the own node gave it, and has said since that it is further.
    fn left_behind(&self, entry: &Entry) -> bool {
        let frontier = self.regions.frontier();
        if entry.current_at.load(Ordering::Relaxed) == frontier.moves() {
            return false;
        }
        let own = &self.regions.own().name;
        let given = entry.outcome.as_ref().ok().filter(|answered| *answered.region == **own);
        let past =
            given.is_some_and(|given| frontier.is_past(&given.response.seen, entry.asked_at));
        if !past {
            entry.current_at.store(frontier.moves(), Ordering::Relaxed);
        }
        past
    }

    /// How many there are, and their bytes.
    pub(crate) fn fill(&self) -> (u64, u64) {
        (self.entries.entry_count(), self.entries.weighted_size())
    }
}

impl Entry {
    fn is_young(&self, rules: &Rules<'_>, now_us: u64) -> bool {
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
