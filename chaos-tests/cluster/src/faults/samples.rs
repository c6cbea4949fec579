//! The requests of a load, one by one, as `meridian load --samples` writes them.

use std::path::Path;

/// One request.
#[derive(Clone, Debug)]
pub struct Sample {
    /// When it was due, ms since the epoch.
    pub due_ms: f64,
    /// How long it took from then, ms.
    pub took_ms: f64,
    /// The answer's route; empty if there is none.
    pub route: String,
    /// Who answered.
    pub region: String,
    /// Whether another gateway than the nearest was asked.
    pub rerouted: bool,
    /// Why there is no answer; empty if there is one.
    pub failure: String,
}

impl Sample {
    /// Whether there is no answer.
    #[must_use]
    pub fn failed(&self) -> bool {
        !self.failure.is_empty()
    }

    /// When it ended, ms since the epoch.
    #[must_use]
    pub fn end_ms(&self) -> f64 {
        self.due_ms + self.took_ms
    }
}

/// All of them, in the order in which they were due.
#[derive(Clone, Debug)]
pub struct Samples(pub Vec<Sample>);

impl Samples {
    /// Reads a file.
    ///
    /// # Panics
    /// If it is not one of those.
    #[must_use]
    pub fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).expect("samples");
        let mut lines = text.lines();
        let head = lines.next().expect("a head");
        let started = head.split(',').next().and_then(|due| due.rsplit('_').next());
        let started_ms: f64 = started.and_then(|ms| ms.parse().ok()).expect("when it started");
        let sample = |line: &str| {
            // Failures are the last field, and may have commas of their own.
            let fields: Vec<&str> = line.splitn(6, ',').collect();
            let us = |at: usize| fields[at].parse::<f64>().expect("a number");
            Sample {
                due_ms: started_ms + us(0) / 1e3,
                took_ms: us(1) / 1e3,
                route: fields[2].to_owned(),
                region: fields[3].to_owned(),
                rerouted: fields[4] == "1",
                failure: fields[5].trim_matches('"').to_owned(),
            }
        };
        let mut all: Vec<Sample> = lines.map(sample).collect();
        all.sort_by(|a, b| a.due_ms.total_cmp(&b.due_ms));
        Self(all)
    }

    /// Those that were due in a stretch of time, ms since the epoch.
    #[must_use]
    pub fn due(&self, from_ms: f64, to_ms: f64) -> &[Sample] {
        let at = |ms: f64| self.0.partition_point(|sample| sample.due_ms < ms);
        &self.0[at(from_ms)..at(to_ms.max(from_ms))]
    }
}

/// A quantile of how long these took, ms; one without an answer took for ever.
#[must_use]
pub(super) fn quantile_ms(samples: &[Sample], quantile: f64) -> f64 {
    let time = |sample: &Sample| if sample.failed() { f64::INFINITY } else { sample.took_ms };
    let mut times: Vec<f64> = samples.iter().map(time).collect();
    times.sort_by(f64::total_cmp);
    let rank = (times.len() as f64 * quantile).ceil() as usize;
    times.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN)
}
