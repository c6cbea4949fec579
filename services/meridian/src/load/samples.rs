//! Every request of a run, a line each, for whoever wants to know more than quantiles.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::tally::Done;
use crate::error::{CliError, Result};

/// A CSV file.
pub(crate) struct Samples {
    path: PathBuf,
    lines: csv::Writer<File>,
}

impl Samples {
    /// Makes the file; `started_ms`, since the epoch, is what its times count from.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn create(path: &Path, started_ms: i64) -> Result<Self> {
        let file = File::create(path).map_err(CliError::file("write", path))?;
        let mut samples = Self { path: path.to_owned(), lines: csv::Writer::from_writer(file) };
        let due = format!("due_us_after_{started_ms}");
        samples.write([&due, "took_us", "route", "region", "rerouted", "failure"])?;
        Ok(samples)
    }

    /// Adds one; in the order in which they ended.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn add(&mut self, done: &Done) -> Result<()> {
        let (due, took) = (done.due_us, done.end_us.saturating_sub(done.due_us));
        let (route, region, failure) = match &done.outcome {
            Ok((route, region)) => (&**route, &**region, ""),
            Err(reason) => ("", "", &**reason),
        };
        let rerouted = if done.rerouted { "1" } else { "0" };
        self.write([&due.to_string(), &took.to_string(), route, region, rerouted, failure])
    }

    /// Writes what is left.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn end(mut self) -> Result<()> {
        self.lines.flush().map_err(CliError::file("write", &self.path))
    }

    fn write(&mut self, fields: [&str; 6]) -> Result<()> {
        let written = self.lines.write_record(fields);
        written.map_err(|e| CliError::file("write", &self.path)(std::io::Error::other(e)))
    }
}
