//! What librdkafka's clients tell of themselves: as log lines, and where it explains why nothing is
//! answered.

use std::sync::Arc;

use backbone::LogError;
use parking_lot::Mutex;
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

/// Why the cluster lets a client of this log not in; nothing once it has answered one. A client
/// that is refused goes on trying, and its calls would only say that they were too slow.
#[derive(Clone, Default)]
pub(crate) struct Door(Arc<Mutex<Option<String>>>);

impl Door {
    /// Something that a client goes on trying.
    pub(crate) fn trouble(&self, error: &KafkaError, reason: &str) {
        tracing::debug!(%error, "kafka: {reason}");
        if error.rdkafka_error_code().is_some_and(|code| is_refusal(code, reason)) {
            *self.0.lock() = Some(reason.to_owned());
        }
    }

    /// What came of a call, with the refusal in place of silence.
    pub(crate) fn passed<T>(&self, outcome: Result<T, LogError>) -> Result<T, LogError> {
        let mut refusal = self.0.lock();
        match (outcome, &*refusal) {
            (Err(LogError::Transient(_)), Some(why)) => Err(LogError::Fatal(format!(
                "there is no way into the cluster: {why}; see kafka.properties"
            ))),
            (Ok(done), _) => {
                *refusal = None;
                Ok(done)
            }
            (outcome, _) => outcome,
        }
    }
}

fn is_refusal(code: Code, reason: &str) -> bool {
    match code {
        Code::Authentication | Code::SaslAuthenticationFailed | Code::SSL => true,
        // In TLS 1.3 a client is open already when it hears what is wrong with its certificate.
        Code::BrokerTransportFailure => reason.contains("SSL alert"),
        _ => false,
    }
}

/// For clients whose results are all taken from their calls.
#[derive(Clone)]
pub(crate) struct Quiet(pub(crate) Door);

impl ClientContext for Quiet {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.0.trouble(&error, reason);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_explains_silence_until_the_cluster_answers() {
        let door = Door::default();
        let silence = || Err::<(), _>(LogError::Transient("too slow".to_owned()));
        door.trouble(&KafkaError::Global(Code::BrokerTransportFailure), "gone");
        assert_eq!(door.passed(silence()), silence());
        door.trouble(&KafkaError::Global(Code::Authentication), "wrong password");
        let Err(LogError::Fatal(why)) = door.passed(silence()) else { panic!("no refusal") };
        assert!(why.contains("wrong password"), "{why}");
        let full = || Err::<(), _>(LogError::Full("full".to_owned()));
        assert_eq!(door.passed(full()), full(), "what was answered stands");
        assert_eq!(door.passed(Ok(())), Ok(()));
        assert_eq!(door.passed(silence()), silence());
    }
}
