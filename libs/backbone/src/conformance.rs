//! What a `Log` is: one case per law of the trait, for every implementation to pass.
//!
//! An implementation's tests give [`run`] a [`Harness`]. Topics and claims are named after the case
//! and a random number, so that a log that outlives a test (a Kafka cluster) can be used again. No
//! case sleeps for luck: each waits for a condition, and the deadline turns waiting in vain into a
//! failure.

mod append;
mod commit;
mod reading;
mod support;
mod topics;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use clock::{Env, timeout};
use futures::future::BoxFuture;

use self::support::Bench;
use crate::log::{Log, LogError, Partition};

/// A case that takes longer than this has failed, ms.
const DEADLINE_MS: u64 = 30_000;

/// The log under test, and what the suite cannot do through the trait.
#[async_trait]
pub trait Harness: Send + Sync + 'static {
    /// For timers, tasks and names.
    fn env(&self) -> Arc<dyn Env>;
    /// A connection to the log under test, which need not be empty. Every call means the same log.
    async fn log(&self) -> Arc<dyn Log>;
    /// Compacts the partition now, as far as this log does. False if it cannot be told to.
    async fn compact(&self, _partition: &Partition) -> bool {
        false
    }
    /// Drops every record before `start` now, as retention does. False if this log cannot be told
    /// to.
    async fn truncate(&self, _partition: &Partition, _start: u64) -> bool {
        false
    }
}

/// How a case came out when it did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The law holds.
    Passed,
    /// The harness has no means to bring the situation about.
    NotPossible,
}

/// A law that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// What was found instead.
    pub found: String,
}

impl From<LogError> for Broken {
    fn from(error: LogError) -> Self {
        Self { found: format!("an error: {error}") }
    }
}

impl From<crate::log::CommitError> for Broken {
    fn from(error: crate::log::CommitError) -> Self {
        Self { found: format!("an error: {error}") }
    }
}

type Check = fn(Bench) -> BoxFuture<'static, Result<Outcome, Broken>>;

/// One law.
pub struct Case {
    /// Short, and unique.
    pub name: &'static str,
    /// What must hold.
    pub law: &'static str,
    check: Check,
}

impl Case {
    /// Checks the law.
    pub async fn run(&self, harness: Arc<dyn Harness>) -> Result<Outcome, Broken> {
        let env = harness.env();
        let log = harness.log().await;
        let unique = format!("{}-{:08x}", self.name, env.random_u64() as u32);
        let bench = Bench { harness, env: Arc::clone(&env), log, unique };
        let late = || Broken { found: format!("nothing within {DEADLINE_MS} ms") };
        timeout(&env, DEADLINE_MS, (self.check)(bench)).await.unwrap_or_else(|_| Err(late()))
    }
}

/// Every law, in an order in which a new implementation may want to learn them.
#[must_use]
pub fn cases() -> Vec<Case> {
    let groups = [topics::cases(), append::cases(), reading::cases(), commit::cases()];
    groups.into_iter().flatten().collect()
}

/// The laws that a log breaks.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct Failures(pub Vec<Failure>);

/// A case that failed.
#[derive(Debug)]
pub struct Failure {
    /// Its name.
    pub name: &'static str,
    /// What must hold.
    pub law: &'static str,
    /// What was found instead.
    pub found: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; found {}", self.name, self.law, self.found)
    }
}

/// Checks all laws, and returns the names of those whose situation the harness could not bring
/// about.
///
/// # Errors
/// Names each law that is broken, and what was found instead.
pub async fn run(harness: Arc<dyn Harness>) -> Result<Vec<&'static str>, Failures> {
    let (mut not_possible, mut failures) = (Vec::new(), Vec::new());
    for case in cases() {
        match case.run(Arc::clone(&harness)).await {
            Ok(Outcome::Passed) => {}
            Ok(Outcome::NotPossible) => not_possible.push(case.name),
            Err(Broken { found }) => {
                failures.push(Failure { name: case.name, law: case.law, found });
            }
        }
    }
    if failures.is_empty() { Ok(not_possible) } else { Err(Failures(failures)) }
}
