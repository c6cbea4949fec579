//! Why Kafka does not run, and what to do about it.

use std::io;
use std::path::PathBuf;

/// Why Kafka does not run.
#[derive(Debug, thiserror::Error)]
pub enum KafkaError {
    /// Nothing was fetched.
    #[error("Kafka is not in {0}; fetch it with: make kafka")]
    NoJars(PathBuf),
    /// No Java.
    #[error("Kafka needs Java 17 or newer, and 'java' does not run: {0}")]
    NoJava(io::Error),
    /// A file or a process.
    #[error("cannot {doing} {what}: {cause}")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// With what.
        what: String,
        /// What the system said.
        cause: io::Error,
    },
    /// A process ended early, or a tool failed.
    #[error("{what} ended; it said: {said}")]
    Ended {
        /// Which.
        what: String,
        /// Its last words.
        said: String,
    },
    /// It runs, and does not answer.
    #[error("{what} does not listen after {seconds} s; its log is {log}")]
    Late {
        /// Which.
        what: String,
        /// How long it was waited for.
        seconds: u64,
        /// Where to look.
        log: PathBuf,
    },
}

impl KafkaError {
    /// For `map_err`.
    pub(crate) fn io(
        doing: &'static str,
        what: impl Into<String>,
    ) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |cause| Self::Io { doing, what, cause }
    }
}
