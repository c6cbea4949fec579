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
//! What is kept is the whole answer, so that giving it again costs no more than finding it. Readers
//! who ask for the same at the same time share one read. An answer that is of no use to whoever asks
//! next is replaced then; until then it counts for its bytes, which are bounded.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use api::node::v1::Position;
use clock::{Env, timeout};
use foldhash::fast::RandomState;
use futures::future::BoxFuture;
use moka::future::Cache;

use crate::deadline::Deadline;
use crate::given::Given;
use crate::metrics::Instruments;
use crate::refusal::Refusal;
use crate::regions::Regions;
use crate::request::FeatureRequest;
use crate::resolutions::Names;
use crate::rules::Rules;
use crate::token;

/// No move of the frontier: the node that answered need not be the one that moved it.
const NEVER: u64 = u64::MAX;
/// What an entry costs beside its bytes.
const OVERHEAD_BYTES: usize = 256;

/// Answers by what was asked.
pub(crate) struct Answers {
    env: Arc<dyn Env>,
    instruments: Arc<Instruments>,
    regions: Arc<Regions>,
    entries: Cache<Vec<u8>, Arc<Entry>, RandomState>,
}

/// What a request came to, and when.
struct Entry {
    at_us: u64,
    /// What names meant then.
    names: Names,
    outcome: Answer,
    bytes: usize,
    /// What the own region's node had seen; `None`: it has not given it.
    seen: Option<Vec<Position>>,
    /// How often the own node's frontier had moved when it was asked for, …
    asked_at: u64,
    /// … and up to which move this answer is known not to be left behind.
    current_at: AtomicU64,
}

type Answer = Result<Given, Refusal>;

/// Whether an answer is of use to a reader.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fit {
    Fits,
    /// Too old, or of what names meant before.
    Old,
    /// Young enough, but the own node is further.
    Outdated,
}

impl Answers {
    /// Keeps at most so many bytes.
    pub(crate) fn new(
        most_bytes: u64,
        env: Arc<dyn Env>,
        instruments: Arc<Instruments>,
        regions: Arc<Regions>,
    ) -> Self {
        let weigh = |key: &Vec<u8>, entry: &Arc<Entry>| {
            u32::try_from(key.len() + entry.bytes + OVERHEAD_BYTES).unwrap_or(u32::MAX)
        };
        let entries = Cache::builder().weigher(weigh).max_capacity(most_bytes);
        let entries = entries.build_with_hasher(RandomState::default());
        Self { env, instruments, regions, entries }
    }

    /// The answer from here if it is good enough for this reader, else what `read` comes to.
    ///
    /// # Errors
    /// Those of `read`; out of time while another reader's read is under way.
    pub(crate) async fn get<'a>(
        &self,
        request: &FeatureRequest,
        names: Names,
        rules: &Rules<'_>,
        deadline: Deadline,
        read: impl Fn() -> BoxFuture<'a, Answer> + Send + Sync,
    ) -> Answer {
        let may =
            rules.max_staleness_ms.is_some() && !rules.waits && request.options.as_of_ms.is_none();
        if !may {
            return read().await;
        }
        let asked_us = self.env.monotonic_us();
        let key = key(request);
        // Most are found, and nothing needs to be said to those who ask for the same.
        if let Some(entry) = self.entries.get(&key).await
            && self.fit(&entry, &names, rules) == Fit::Fits
        {
            return self.give(&entry, asked_us);
        }
        let (own, outdated) = (AtomicBool::new(false), AtomicBool::new(false));
        let ask = async {
            own.store(true, Ordering::Relaxed);
            let asked_at = self.regions.frontier().moves();
            Arc::new(self.entry(read().await, names.clone(), asked_at))
        };
        let unfit = |entry: &Arc<Entry>| {
            let fit = self.fit(entry, &names, rules);
            outdated.fetch_or(fit == Fit::Outdated, Ordering::Relaxed);
            fit != Fit::Fits
        };
        let entry = self.entries.entry(key).or_insert_with_if(ask, unfit);
        let left_ms = deadline.left_ms(&*self.env);
        let late = |_| Refusal::TimedOut("another read of the same is under way".into());
        let entry = timeout(&self.env, left_ms, entry).await.map_err(late)?.into_value();
        if own.into_inner() {
            self.instruments.lookup(if outdated.into_inner() { "outdated" } else { "miss" });
            return entry.outcome.clone();
        }
        // What another reader's read came to, it came to by that one's bounds.
        if self.fit(&entry, &names, rules) != Fit::Fits {
            self.instruments.lookup("miss");
            return read().await;
        }
        self.give(&entry, asked_us)
    }

    /// What is to be kept of an answer that was asked for at this move of the frontier.
    fn entry(&self, outcome: Answer, names: Names, asked_at: u64) -> Entry {
        let outcome = outcome.map(Given::kept);
        let bytes = outcome.as_ref().map_or(0, Given::bytes);
        let mesh = outcome.as_ref().ok().map(Given::mesh);
        let own = &*self.regions.own().name;
        // Of a read that was split, whatever the node may have given counts.
        let given = mesh.filter(|mesh| mesh.served_by.split(',').any(|region| region == own));
        let seen = given.map(|mesh| token::positions(&mesh.token).unwrap_or_default());
        let (at_us, current_at) = (self.env.monotonic_us(), AtomicU64::new(NEVER));
        Entry { at_us, names, outcome, bytes, seen, asked_at, current_at }
    }

    fn fit(&self, entry: &Entry, names: &Names, rules: &Rules<'_>) -> Fit {
        match entry.is_young(names, rules, self.env.monotonic_us()) {
            false => Fit::Old,
            true if self.left_behind(entry) => Fit::Outdated,
            true => Fit::Fits,
        }
    }

    /// Whether the own node gave it, and has said since that it is further.
    fn left_behind(&self, entry: &Entry) -> bool {
        let frontier = self.regions.frontier();
        if entry.current_at.load(Ordering::Relaxed) == frontier.moves() {
            return false;
        }
        let past = entry.seen.as_ref().is_some_and(|seen| frontier.is_past(seen, entry.asked_at));
        if !past {
            entry.current_at.store(frontier.moves(), Ordering::Relaxed);
        }
        past
    }

    /// One that somebody else asked for, to whom asked then.
    fn give(&self, entry: &Entry, asked_us: u64) -> Answer {
        let given_before = entry.at_us < asked_us;
        self.instruments.lookup(if given_before { "hit" } else { "shared" });
        match &entry.outcome {
            Ok(given) if given_before => Ok(given.again(asked_us - entry.at_us)),
            other => other.clone(),
        }
    }

    /// How many there are, and their bytes.
    pub(crate) fn fill(&self) -> (u64, u64) {
        (self.entries.entry_count(), self.entries.weighted_size())
    }
}

impl Entry {
    fn is_young(&self, names: &Names, rules: &Rules<'_>, now_us: u64) -> bool {
        let Ok(given) = &self.outcome else { return false };
        let since_ms = i64::try_from(now_us.saturating_sub(self.at_us) / 1_000).unwrap_or(i64::MAX);
        self.names == *names && rules.too_old(&given.mesh().origins, since_ms).is_none()
    }
}

/// All that an answer depends on, but for names and the time: each part comes with its length.
fn key(request: &FeatureRequest) -> Vec<u8> {
    let FeatureRequest { service, features, columns, full_names, options } = request;
    let mut key = Vec::with_capacity(256);
    key.push(u8::from(*full_names));
    put_all(&mut key, service.iter());
    put_all(&mut key, features.iter());
    put_all(&mut key, options.exclude_regions.iter());
    // Maps on the wire have no order.
    let mut columns: Vec<_> = columns.iter().collect();
    columns.sort_unstable_by_key(|(name, _)| *name);
    for (name, values) in columns {
        put(&mut key, name.as_bytes());
        key.extend_from_slice(&values.len().to_le_bytes());
        for value in values {
            // JSON ends by itself.
            _ = serde_json::to_writer(&mut key, value);
            key.push(b',');
        }
    }
    key
}

fn put_all<'a>(key: &mut Vec<u8>, texts: impl ExactSizeIterator<Item = &'a String>) {
    key.extend_from_slice(&texts.len().to_le_bytes());
    texts.for_each(|text| put(key, text.as_bytes()));
}

fn put(key: &mut Vec<u8>, bytes: &[u8]) {
    key.extend_from_slice(&bytes.len().to_le_bytes());
    key.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use api::v1;
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_asked_for_tells_answers_apart_and_how_it_is_sent_does_not() {
        let columns = |columns: &[(&str, serde_json::Value)]| {
            let column = |(name, values): &(&str, serde_json::Value)| {
                ((*name).to_owned(), values.as_array().expect("values").clone())
            };
            columns.iter().map(column).collect()
        };
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let plain = FeatureRequest {
            features: names(&["a:b", "c:d"]),
            columns: columns(&[("x", json!([1, 2])), ("y", json!(["1", null]))]),
            ..Default::default()
        };
        let excluding =
            |regions| v1::ReadOptions { exclude_regions: names(regions), ..Default::default() };
        let different = [
            plain.clone(),
            FeatureRequest { full_names: true, ..plain.clone() },
            FeatureRequest { features: names(&["a:b"]), ..plain.clone() },
            FeatureRequest { service: Some("a:b".into()), ..plain.clone() },
            FeatureRequest { options: excluding(&["us"]), ..plain.clone() },
            FeatureRequest { options: excluding(&["u", "s"]), ..plain.clone() },
            FeatureRequest { columns: columns(&[("x", json!([12]))]), ..plain.clone() },
            FeatureRequest { columns: columns(&[("x", json!(["1", 2]))]), ..plain.clone() },
            FeatureRequest { columns: columns(&[("x", json!([1, 2]))]), ..plain.clone() },
        ];
        let keys: HashSet<Vec<u8>> = different.iter().map(key).collect();
        assert_eq!(keys.len(), different.len());
        let turned = columns(&[("y", json!(["1", null])), ("x", json!([1, 2]))]);
        let tolerant = v1::ReadOptions { max_staleness_ms: Some(9), ..Default::default() };
        let alike = FeatureRequest { columns: turned, options: tolerant, ..plain.clone() };
        assert_eq!(key(&alike), key(&plain));
    }
}
