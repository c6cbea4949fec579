//! Events like the departures of New York's airports, by seed: for simulations, fold tests and
//! benchmarks that must not depend on the data files.
//!
//! As dirty as the real ones: cancelled flights without a departure, planes without a number,
//! events out of order within the disorder; and on demand repeated and broken ones.

use bytes::Bytes;
use rand::rand_core::SeedableRng;
use rand::{Rng, RngExt};
use rand_chacha::ChaCha8Rng;
use serde_json::json;

/// The first scheduled departure: 2013-01-01T00:00:00Z, ms since the epoch.
pub const FIRST_MS: i64 = 1_356_998_400_000;

const ORIGINS: [&str; 3] = ["EWR", "JFK", "LGA"];
const CARRIERS: [&str; 8] = ["9E", "AA", "B6", "DL", "EV", "MQ", "UA", "WN"];
const DESTINATIONS: [&str; 12] =
    ["ATL", "BOS", "BQN", "CLT", "FLL", "IAH", "LAX", "MCO", "MIA", "ORD", "PBI", "SFO"];
const MINUTE_MS: i64 = 60_000;

/// What a stream of departures is like.
#[derive(Debug, Clone, PartialEq)]
pub struct Departures {
    /// How many planes fly.
    pub planes: u32,
    /// Mean time between two scheduled departures, ms.
    pub gap_ms: i64,
    /// Up to this much later than it was due an event comes, behind those due after it, ms. At
    /// most the source's `disorder`, lest events be late.
    pub shuffle_ms: i64,
    /// Share of flights without a departure.
    pub cancelled: f64,
    /// Share of flights whose plane is not known.
    pub no_plane: f64,
    /// Share of events that come twice, the second time a little later.
    pub repeated: f64,
    /// Share of events that break the contract, each in one of the ways of [`Break`].
    pub broken: f64,
}

impl Default for Departures {
    /// The shares of January 2013, in order, nothing repeated or broken.
    fn default() -> Self {
        Self {
            planes: 3_148,
            gap_ms: 99_000,
            shuffle_ms: 0,
            cancelled: 0.019,
            no_plane: 0.006,
            repeated: 0.0,
            broken: 0.0,
        }
    }
}

impl Departures {
    /// The injector: shuffled within two hours, 5 % repeated, 1 % broken.
    #[must_use]
    pub fn injected() -> Self {
        let shuffle_ms = 110 * MINUTE_MS;
        Self { shuffle_ms, repeated: 0.05, broken: 0.01, ..Self::default() }
    }

    /// `count` flights in the order in which they come; with repeats there are more events.
    #[must_use]
    pub fn generate(&self, seed: u64, count: usize) -> Vec<Event> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut scheduled_ms = FIRST_MS;
        let mut events: Vec<(i64, Event)> = Vec::with_capacity(count);
        for number in 0..count {
            scheduled_ms += rng.random_range(0..=2 * self.gap_ms);
            let event = self.flight(&mut rng, number, scheduled_ms);
            let due_ms = event.departed_ms.unwrap_or(scheduled_ms);
            let comes_ms = due_ms + rng.random_range(0..=self.shuffle_ms);
            if rng.random_bool(self.repeated) {
                let again_ms = comes_ms + rng.random_range(0..=30 * MINUTE_MS);
                events.push((again_ms, Event { repeats: true, ..event.clone() }));
            }
            events.push((comes_ms, event));
        }
        // A repeat that comes at the same moment comes second.
        events.sort_by_key(|(comes_ms, event)| (*comes_ms, event.repeats));
        events.into_iter().map(|(_, event)| event).collect()
    }

    fn flight(&self, rng: &mut ChaCha8Rng, number: usize, scheduled_ms: i64) -> Event {
        let scheduled_ms = scheduled_ms - scheduled_ms.rem_euclid(MINUTE_MS);
        let delay = delay_min(rng);
        let cancelled = rng.random_bool(self.cancelled);
        let plane = rng.random_range(0..self.planes.max(1));
        let tailnum = (!rng.random_bool(self.no_plane)).then(|| format!("N{plane:05}"));
        let departed_ms = (!cancelled).then_some(scheduled_ms + delay * MINUTE_MS);
        let id = format!("gen-{number}");
        let mut event = json!({
            "event_id": id,
            "scheduled_at": clock::format_timestamp(scheduled_ms),
            "departed_at": departed_ms.map(clock::format_timestamp),
            "carrier": pick(rng, &CARRIERS),
            "flight": rng.random_range(1..6_000),
            "tailnum": tailnum,
            "origin": pick(rng, &ORIGINS),
            "dest": pick(rng, &DESTINATIONS),
            "dep_delay": (!cancelled).then_some(delay),
            "distance": rng.random_range(80..5_000),
        });
        // A cancelled flight is skipped before its contract is looked at.
        let broken = (!cancelled && rng.random_bool(self.broken)).then(|| Break::any(rng));
        let json = match broken {
            Some(way) => way.apply(&mut event),
            None => event.to_string(),
        };
        Event { id, json: json.into(), departed_ms, broken, repeats: false }
    }
}

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its `event_id`, also where a break removed it from the bytes.
    pub id: String,
    /// What a producer sends.
    pub json: Bytes,
    /// Event time; `None` for a cancelled flight.
    pub departed_ms: Option<i64>,
    /// How it breaks the contract of the departures catalog.
    pub broken: Option<Break>,
    /// Whether it came before.
    pub repeats: bool,
}

/// A way to break the contract of the departures catalog.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Break {
    /// `dep_delay` is out of its range.
    Range,
    /// `distance` is a string.
    Type,
    /// There is no `carrier`.
    Missing,
    /// `origin` is none of those listed.
    OneOf,
    /// The bytes end early.
    NotJson,
}

impl Break {
    const ALL: [Self; 5] = [Self::Range, Self::Type, Self::Missing, Self::OneOf, Self::NotJson];

    fn any(rng: &mut ChaCha8Rng) -> Self {
        Self::ALL[rng.random_range(0..Self::ALL.len())]
    }

    fn apply(self, event: &mut serde_json::Value) -> String {
        match self {
            Self::Range => event["dep_delay"] = json!(2_000),
            Self::Type => event["distance"] = json!("far"),
            Self::Missing => {
                let fields = event.as_object_mut();
                let _carrier = fields.and_then(|fields| fields.shift_remove("carrier"));
            }
            Self::OneOf => event["origin"] = json!("ORD"),
            Self::NotJson => {
                let mut text = event.to_string();
                text.truncate(text.len() - 1);
                return text;
            }
        }
        event.to_string()
    }
}

fn pick<'a>(rng: &mut ChaCha8Rng, of: &[&'a str]) -> &'a str {
    of[rng.random_range(0..of.len())]
}

/// Minutes: mostly a little early, with a long tail, within the contract's range.
fn delay_min(rng: &mut ChaCha8Rng) -> i64 {
    let tail = 1 << rng.next_u64().leading_zeros().min(8);
    rng.random_range(-12..=3) + rng.random_range(0..=5 * tail).min(1_400)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use serde_json::Value;

    use super::*;

    #[test]
    fn a_seed_gives_the_same_events_and_another_others() {
        let like = Departures::injected();
        assert_eq!(like.generate(7, 500), like.generate(7, 500));
        assert_ne!(like.generate(7, 500), like.generate(8, 500));
    }

    #[test]
    fn the_shares_are_as_asked_for_and_breaks_break() {
        let events = Departures::injected().generate(1, 20_000);
        let share = |of: fn(&Event) -> bool| {
            events.iter().filter(|event| of(event)).count() as f64 / 20_000.0
        };
        assert!((share(|event| event.repeats) - 0.05).abs() < 0.01);
        assert!((share(|event| event.broken.is_some()) - 0.01).abs() < 0.005);
        assert!((share(|event| event.departed_ms.is_none()) - 0.02).abs() < 0.01);
        let ways: BTreeSet<_> = events.iter().filter_map(|event| event.broken).collect();
        assert_eq!(ways.len(), Break::ALL.len());
        for event in &events {
            let parsed: Option<Value> = serde_json::from_slice(&event.json).ok();
            assert_eq!(parsed.is_none(), event.broken == Some(Break::NotJson), "{event:?}");
            let Some(parsed) = parsed else { continue };
            assert_eq!(parsed["event_id"], event.id.as_str());
            let in_range = parsed["dep_delay"].as_i64().is_none_or(|d| (-60..=1440).contains(&d));
            assert_eq!(in_range, event.broken != Some(Break::Range));
            assert_eq!(parsed.get("carrier").is_none(), event.broken == Some(Break::Missing));
        }
    }

    #[test]
    fn a_repeat_comes_after_its_first_and_is_the_same_bytes() {
        let mut first: BTreeMap<&str, &Bytes> = BTreeMap::new();
        let events = Departures::injected().generate(3, 5_000);
        for event in &events {
            match first.insert(&event.id, &event.json) {
                Some(json) => assert!(event.repeats && *json == event.json),
                None => assert!(!event.repeats),
            }
        }
        assert_eq!(first.len(), 5_000);
    }

    #[test]
    fn disorder_stays_within_two_hours() {
        let (mut high, mut worst) = (i64::MIN, 0);
        for event in Departures::injected().generate(5, 10_000) {
            if let (Some(at), false) = (event.departed_ms, event.repeats) {
                high = high.max(at);
                worst = worst.max(high - at);
            }
        }
        assert!(worst > 60 * MINUTE_MS && worst <= 120 * MINUTE_MS, "{} min", worst / MINUTE_MS);
    }
}
