//! What became of the requests of a run: how long they took from when they were due, second by
//! second, from one mark to the next, and in all.
//!
//! A request that could not be sent in time because those before it were slow has waited for just
//! that: its time starts when it was due, not when it was sent. (Tene, "How not to measure latency":
//! coordinated omission.)

use std::collections::BTreeMap;

use hdrhistogram::{CreationError, Histogram};
use serde_json::{Map, Value as Json, json};

/// Longer times count as this, µs.
const MOST_US: u64 = 120_000_000;
const DIGITS: u8 = 3;
const QUANTILES: [(&str, f64); 5] =
    [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("p99.99", 0.9999)];

/// One request.
#[derive(Debug, Clone)]
pub(crate) struct Done {
    /// When it was due, µs after the start.
    pub(crate) due_us: u64,
    /// When it ended, µs after the start.
    pub(crate) end_us: u64,
    /// The route of the answer and who gave it, or why there is none.
    pub(crate) outcome: Result<(String, String), String>,
    /// Whether a second gateway had to be asked.
    pub(crate) rerouted: bool,
}

/// A run.
#[derive(Debug)]
pub(crate) struct Tally {
    all: Span,
    /// By the second in which requests were due.
    seconds: BTreeMap<u64, Span>,
    /// What came before the first mark, and after each of them.
    phases: Vec<Span>,
    /// µs after the start, in order.
    marks_us: Vec<u64>,
    routes: BTreeMap<String, u64>,
    regions: BTreeMap<String, u64>,
    failures: BTreeMap<String, u64>,
    rerouted: u64,
}

/// A part of a run.
#[derive(Debug)]
pub(crate) struct Span {
    answered: u64,
    failed: u64,
    times: Histogram<u64>,
}

impl Span {
    fn new(times: Histogram<u64>) -> Self {
        Self { answered: 0, failed: 0, times }
    }

    fn add(&mut self, took_us: u64, answered: bool) {
        self.times.saturating_record(took_us.clamp(1, MOST_US));
        self.answered += u64::from(answered);
        self.failed += u64::from(!answered);
    }

    /// Requests without an answer.
    pub(crate) fn failed(&self) -> u64 {
        self.failed
    }

    /// A quantile of the times, ms.
    pub(crate) fn quantile_ms(&self, quantile: f64) -> f64 {
        self.times.value_at_quantile(quantile) as f64 / 1e3
    }

    /// Requests.
    pub(crate) fn requests(&self) -> u64 {
        self.answered + self.failed
    }

    fn json(&self) -> Json {
        let mut times: Map<String, Json> = QUANTILES
            .iter()
            .map(|(name, q)| ((*name).to_owned(), self.times.value_at_quantile(*q).into()))
            .collect();
        times.insert("max".into(), self.times.max().into());
        times.insert("mean".into(), (self.times.mean().round() as u64).into());
        json!({ "answered": self.answered, "failed": self.failed, "us": times })
    }
}

impl Tally {
    /// Nothing yet. The marks, µs after the start, part the run; they are in order.
    ///
    /// # Errors
    /// The bounds of the histogram, which are fixed, are not sound.
    pub(crate) fn new(marks_us: Vec<u64>) -> Result<Self, CreationError> {
        let times = Histogram::new_with_bounds(1, MOST_US, DIGITS)?;
        let phase = |_| Span::new(Histogram::new_from(&times));
        Ok(Self {
            phases: (0..=marks_us.len()).map(phase).collect(),
            marks_us,
            all: Span::new(times),
            seconds: BTreeMap::new(),
            routes: BTreeMap::new(),
            regions: BTreeMap::new(),
            failures: BTreeMap::new(),
            rerouted: 0,
        })
    }

    /// Takes one request in.
    pub(crate) fn add(&mut self, done: Done) {
        let took_us = done.end_us.saturating_sub(done.due_us);
        let answered = done.outcome.is_ok();
        self.all.add(took_us, answered);
        let like = &self.all.times;
        let second = self.seconds.entry(done.due_us / 1_000_000);
        second.or_insert_with(|| Span::new(Histogram::new_from(like))).add(took_us, answered);
        let phase = self.marks_us.partition_point(|mark_us| *mark_us <= done.due_us);
        self.phases[phase].add(took_us, answered);
        self.rerouted += u64::from(done.rerouted);
        let mut count = |counts: fn(&mut Self) -> &mut BTreeMap<String, u64>, name| {
            *counts(self).entry(name).or_default() += 1;
        };
        match done.outcome {
            Ok((route, region)) => {
                count(|tally| &mut tally.routes, route);
                count(|tally| &mut tally.regions, region);
            }
            Err(reason) => count(|tally| &mut tally.failures, reason),
        }
    }

    /// The whole run.
    pub(crate) fn all(&self) -> &Span {
        &self.all
    }

    /// From one mark to the next, with where each begins, µs after the start.
    pub(crate) fn phases(&self) -> impl Iterator<Item = (u64, &Span)> {
        std::iter::once(0).chain(self.marks()).zip(&self.phases)
    }

    /// By the second in which requests were due.
    pub(crate) fn seconds(&self) -> impl Iterator<Item = (u64, &Span)> {
        self.seconds.iter().map(|(second, span)| (*second, span))
    }

    /// Where phases meet, µs after the start.
    pub(crate) fn marks(&self) -> impl Iterator<Item = u64> {
        self.marks_us.iter().copied()
    }

    /// All that is known; times in µs, seconds from the start.
    pub(crate) fn json(&self) -> Json {
        let mut all = self.all.json();
        all["routes"] = json!(self.routes);
        all["regions"] = json!(self.regions);
        all["failures"] = json!(self.failures);
        all["rerouted"] = self.rerouted.into();
        let second = |(at, span): (&u64, &Span)| {
            let mut second = span.json();
            second["second"] = (*at).into();
            second
        };
        let phase = |(from_us, span): (u64, &Span)| {
            let mut phase = span.json();
            phase["from_ms"] = (from_us / 1_000).into();
            phase
        };
        all["phases"] = self.phases().map(phase).collect();
        all["seconds"] = self.seconds.iter().map(second).collect();
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(due_us: u64, end_us: u64, failed: bool) -> Done {
        let outcome =
            if failed { Err("refused".into()) } else { Ok(("local".into(), "us".into())) };
        Done { due_us, end_us, outcome, rerouted: false }
    }

    /// A server that stands still for a second at a thousand requests a second: each one that was due
    /// meanwhile has waited, and the half of it that waited longer than half a second is seen.
    #[test]
    fn a_stall_is_seen_in_full() {
        let mut tally = Tally::new(Vec::new()).unwrap();
        (0..1_000).for_each(|i| tally.add(done(i * 1_000, 1_000_000, false)));
        assert_eq!(tally.all().requests(), 1_000);
        let ms = tally.all().quantile_ms(0.5);
        assert!((495.0..505.0).contains(&ms), "{ms}");
    }

    #[test]
    fn seconds_are_those_in_which_requests_were_due() {
        let mut tally = Tally::new(Vec::new()).unwrap();
        tally.add(done(900_000, 2_500_000, true));
        tally.add(done(1_000_000, 1_000_400, false));
        let json = tally.json();
        assert_eq!(json["seconds"][0]["failed"], 1);
        assert_eq!(
            (&json["seconds"][1]["answered"], &json["seconds"][1]["us"]["max"]),
            (&json!(1), &json!(400))
        );
        assert_eq!(
            (&json["failures"]["refused"], &json["routes"]["local"]),
            (&json!(1), &json!(1))
        );
        assert_eq!(tally.all().failed(), 1);
    }

    #[test]
    fn phases_meet_at_the_marks() {
        let mut tally = Tally::new(vec![1_000, 2_000]).unwrap();
        for due_us in [0, 999, 1_000, 2_000, 5_000] {
            tally.add(done(due_us, due_us + 7, true));
        }
        let phases: Vec<_> = tally.phases().map(|(from, span)| (from, span.requests())).collect();
        assert_eq!(phases, [(0, 2), (1_000, 1), (2_000, 2)]);
        assert_eq!(tally.json()["phases"][1]["from_ms"], 1);
    }
}
