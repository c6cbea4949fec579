//! Three times as many reads as a gateway can answer.
//!
//! What it can answer is set: so many at a time, each of which takes 20 ms as its node is that far.
//! Thus neither the machine nor whoever makes the load is what is short.

use std::fmt;
use std::io::Write;
use std::time::Duration;

use super::samples::{Sample, quantile_ms};
use super::{Readings, Reads, now_ms};
use crate::Mesh;

/// Reads that the gateway works on at a time.
const AT_A_TIME: u32 = 16;
/// How long each takes, ms.
const EACH_MS: u32 = 20;
const TIMES: u32 = 3;
/// A load that it can answer, reads a second, and for how long.
const CALM_RATE: u32 = 100;
const CALM: Duration = Duration::from_secs(5);
const OVERLOAD: Duration = Duration::from_secs(10);

/// What became of the reads.
pub struct Overload {
    /// Reads a second that can be answered: so many at a time by how long one takes, as measured
    /// before.
    pub capacity: f64,
    /// Reads a second that came.
    pub offered: f64,
    /// Reads a second that were answered.
    pub goodput: f64,
    /// Of answers before the overload and with it, ms: p50, p99, p99.9.
    pub answers_ms: [[f64; 3]; 2],
    /// Of those that were sent away, ms: p50, p99, p99.9.
    pub sheds_ms: [f64; 3],
    /// Reads that ended otherwise.
    pub others: usize,
}

/// Sets the capacity of `ewr`'s gateway, and asks for three times as much.
pub fn overload(mesh: &mut Mesh, readings: &Readings) -> Overload {
    let settings = mesh.data().join("ewr/gateway.yaml");
    let file = std::fs::OpenOptions::new().append(true).open(settings);
    writeln!(file.expect("settings"), "max_in_flight: {AT_A_TIME}").expect("written");
    mesh.run(&["gateway", "stop", "ewr"]);
    mesh.run(&["gateway", "start", "ewr"]);
    // All of its ways, so that none of them becomes the nearer one.
    let far = ["ewr", "jfk", "lga"].map(|to| format!("ewr-{to}=+{EACH_MS}ms"));
    mesh.wan(&["--only", "reads", "--one-way", &far[0], &far[1], &far[2]]);
    mesh.wait_until("reads go home", |mesh| mesh.home("ewr").as_deref() == Some("ewr"));

    let calm = Reads::start(mesh, readings, CALM_RATE, CALM, &["ewr"]).end();
    let each_ms = quantile_ms(&calm.0, 0.5);
    let capacity = f64::from(AT_A_TIME) * 1e3 / each_ms;
    let rate = (capacity * f64::from(TIMES)) as u32;
    let begun_ms = now_ms() as f64;
    let samples = Reads::start(mesh, readings, rate, OVERLOAD, &["ewr"]).end();
    mesh.wan(&["ewr-ewr=ok", "ewr-jfk=ok", "ewr-lga=ok"]);

    // Once it has got going.
    let part = samples.due(begun_ms + 1_000.0, f64::INFINITY);
    let span_s = part.last().map_or(0.0, |last| last.due_ms - part[0].due_ms) / 1e3;
    let is_shed = |sample: &&Sample| sample.failure.starts_with("ResourceExhausted");
    let answered: Vec<Sample> = part.iter().filter(|s| !s.failed()).cloned().collect();
    let mut shed: Vec<Sample> = part.iter().filter(is_shed).cloned().collect();
    let others = part.len() - answered.len() - shed.len();
    shed.iter_mut().for_each(|sample| sample.failure.clear());
    let quantiles = |samples: &[Sample]| [0.5, 0.99, 0.999].map(|q| quantile_ms(samples, q));
    Overload {
        capacity,
        offered: part.len() as f64 / span_s,
        goodput: answered.len() as f64 / span_s,
        answers_ms: [quantiles(&calm.0), quantiles(&answered)],
        sheds_ms: quantiles(&shed),
        others,
    }
}

impl fmt::Display for Overload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |quantiles: [f64; 3]| quantiles.map(|ms| format!("{ms:.1}")).join(" / ");
        let share = self.goodput * 100.0 / self.capacity;
        write!(
            f,
            "overload: {:.0} reads/s of {:.0} that can be answered: {:.0} answered ({share:.0} %), p50 / p99 / \
             p99.9 {} ms (before: {} ms); the rest sent away within {} ms; {} ended otherwise",
            self.offered,
            self.capacity,
            self.goodput,
            ms(self.answers_ms[1]),
            ms(self.answers_ms[0]),
            ms(self.sheds_ms),
            self.others,
        )
    }
}
