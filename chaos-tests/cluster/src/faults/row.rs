//! One line of the table of faults.

use std::fmt;

use super::samples::{Sample, Samples, quantile_ms};
use super::{Counted, HOME};

/// The table's head.
pub const HEAD: &str = "\
| fault | failed | before | during | after | noticed | rerouted | first good read | p99 calm | home again | hedged | moves |
|---|---|---|---|---|---|---|---|---|---|---|---|";

/// Reads whose p99 is above twice what it was and this are disturbed, ms.
const SLACK_MS: f64 = 10.0;
/// The p99 is that of so long a stretch, ms, taken at every quarter of it.
const STRETCH_MS: f64 = 1_000.0;
/// So many answers in a row from elsewhere are no hedges that came first by chance.
const IN_A_ROW: usize = 10;
/// The first reads make connections, ms.
const START_MS: f64 = 2_000.0;

/// When a fault began to begin, when it had begun, when it ended; ms since the epoch.
#[derive(Clone, Copy, Debug)]
pub struct Instants {
    /// Before the first thing was done.
    pub begins_ms: i64,
    /// After the last.
    pub begun_ms: i64,
    /// Before anything was undone.
    pub ends_ms: i64,
}

/// p50, p99 and p99.9, ms.
type Quantiles = [f64; 3];

/// What reads noticed of a fault. Times are ms from its beginning.
#[derive(Clone, Debug)]
pub struct Row {
    /// The fault.
    pub name: String,
    /// Reads without an answer, of all.
    pub failed: (usize, usize),
    /// Before it, with it, after it.
    pub quantiles: [Quantiles; 3],
    /// Until the gateway said that something was wrong.
    pub noticed_ms: Option<i64>,
    /// Until the first of some answers in a row from elsewhere.
    pub rerouted_ms: Option<f64>,
    /// Until the first answer to a read that was due once the fault was there.
    pub first_good_ms: Option<f64>,
    /// From when on the p99 of each second was what it had been.
    pub steady_ms: Option<f64>,
    /// From its end until reads went home again, for good.
    pub home_ms: Option<f64>,
    /// What the gateways counted.
    pub counted: Counted,
    /// Why reads failed, and how many.
    pub failures: Vec<(String, usize)>,
}

impl Row {
    /// From the reads of a run.
    #[must_use]
    pub fn new(
        name: &str,
        samples: &Samples,
        at: Instants,
        noticed_ms: Option<i64>,
        counted: Counted,
    ) -> Self {
        let [begins, begun, ends] = [at.begins_ms, at.begun_ms, at.ends_ms].map(|ms| ms as f64);
        let first = samples.0.first().map_or(0.0, |sample| sample.due_ms) + START_MS;
        let before = samples.due(first, begins);
        let (during, after) = (samples.due(begins, ends), samples.due(ends, f64::INFINITY));
        let quantiles = [before, during, after]
            .map(|part| [0.5, 0.99, 0.999].map(|quantile| quantile_ms(part, quantile)));
        let good = during.iter().filter(|s| s.due_ms >= begun && !s.failed()).map(Sample::end_ms);
        let most_ms = quantiles[0][1] * 2.0 + SLACK_MS;
        let away =
            |s: &&Sample| s.failed() || s.rerouted || !["local", "hedged"].contains(&&*s.route);
        let last_away = after.iter().rev().find(away).map_or(0.0, |s| s.due_ms - ends);
        let end = samples.0.last().map_or(ends, |s| s.due_ms);
        Self {
            name: name.to_owned(),
            failed: (samples.0.iter().filter(|s| s.failed()).count(), samples.0.len()),
            quantiles,
            noticed_ms,
            rerouted_ms: rerouted(during).map(|at| at - begins),
            first_good_ms: good.min_by(f64::total_cmp).map(|at| at - begins),
            steady_ms: steady(samples, begins, ends, most_ms).map(|at| at - begins),
            home_ms: (end - ends - last_away > STRETCH_MS).then_some(last_away),
            counted,
            failures: failures(samples),
        }
    }
}

/// When the first of [`IN_A_ROW`] came from elsewhere.
fn rerouted(during: &[Sample]) -> Option<f64> {
    let elsewhere = |sample: &Sample| !sample.failed() && sample.region != HOME;
    let row = during.windows(IN_A_ROW).find(|row| row.iter().all(elsewhere))?;
    Some(row[0].end_ms())
}

/// The start of the first stretch from which on none, up to the end of the fault, has a p99 above
/// `most_ms`.
fn steady(samples: &Samples, begins: f64, ends: f64, most_ms: f64) -> Option<f64> {
    let steps = ((ends - begins - STRETCH_MS) / STRETCH_MS * 4.0) as u32;
    let starts = (0..steps).map(|step| begins + f64::from(step) * STRETCH_MS / 4.0);
    let disturbed = |from: &f64| quantile_ms(samples.due(*from, from + STRETCH_MS), 0.99) > most_ms;
    match starts.clone().rev().find(disturbed) {
        None => Some(begins),
        Some(last) if Some(last) == starts.clone().next_back() => None,
        Some(last) => Some(last + STRETCH_MS / 4.0),
    }
}

fn failures(samples: &Samples) -> Vec<(String, usize)> {
    let mut counts = std::collections::BTreeMap::<String, usize>::new();
    for sample in samples.0.iter().filter(|sample| sample.failed()) {
        *counts.entry(sample.failure.clone()).or_default() += 1;
    }
    counts.into_iter().collect()
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (failed, all) = self.failed;
        write!(f, "| {} | {failed} of {all} |", self.name)?;
        for part in self.quantiles {
            let part = part.map(|ms| if ms.is_finite() { format!("{ms:.1}") } else { "–".into() });
            write!(f, " {} |", part.join(" / "))?;
        }
        let ms = |ms: Option<f64>| ms.map_or("–".to_owned(), |ms| format!("{ms:.0} ms"));
        let noticed = ms(self.noticed_ms.map(|ms| ms as f64));
        let rerouted = ms(self.rerouted_ms);
        write!(
            f,
            " {noticed} | {rerouted} | {} | {} |",
            ms(self.first_good_ms),
            ms(self.steady_ms)
        )?;
        let home = self.home_ms.map_or("–".into(), |ms| format!("{:.1} s", ms / 1e3));
        let share = self.counted.hedges as f64 * 100.0 / all.max(1) as f64;
        write!(f, " {home} | {share:.1} % | {} |", self.counted.moves)
    }
}
