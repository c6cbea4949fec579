//! What librdkafka's clients tell of themselves, as log lines.

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::KafkaError;

/// For clients whose results are all taken from their calls.
#[derive(Clone, Copy)]
pub(crate) struct Quiet;

impl ClientContext for Quiet {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        trouble(&error, reason);
    }
}

impl ConsumerContext for Quiet {}

/// A line of librdkafka's own log.
pub(crate) fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
            tracing::error!(facility, "kafka: {message}");
        }
        RDKafkaLogLevel::Error | RDKafkaLogLevel::Warning => {
            tracing::warn!(facility, "kafka: {message}");
        }
        _ => tracing::debug!(facility, "kafka: {message}"),
    }
}

/// Something that a client goes on trying.
pub(crate) fn trouble(error: &KafkaError, reason: &str) {
    tracing::debug!(%error, "kafka: {reason}");
}
