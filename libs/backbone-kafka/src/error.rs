//! librdkafka's errors as this log's.

use backbone::{LogError, Partition};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

/// What an error about a partition means to whoever asked for it.
pub(crate) fn of(partition: &Partition, error: &KafkaError) -> LogError {
    match error.rdkafka_error_code() {
        Some(code) if is_absence(code) => LogError::NoSuchPartition(partition.clone()),
        Some(Code::MessageSizeTooLarge | Code::InvalidMessageSize | Code::InvalidRecord) => {
            LogError::Fatal(format!("{partition}: {error}"))
        }
        _ => general(error),
    }
}

/// What an error that concerns no partition means.
pub(crate) fn general(error: &KafkaError) -> LogError {
    match error {
        KafkaError::ClientConfig(_, why, key, _) => {
            // Not the value: it may be a secret.
            LogError::Fatal(format!("kafka's property '{key}': {why}"))
        }
        KafkaError::ClientCreation(_) | KafkaError::AdminOpCreation(_) | KafkaError::Nul(_) => {
            LogError::Fatal(error.to_string())
        }
        _ => error.rdkafka_error_code().map_or_else(
            || LogError::Transient(error.to_string()),
            |code| of_code(code, error.to_string()),
        ),
    }
}

/// What an answer of the cluster means.
pub(crate) fn of_code(code: Code, text: String) -> LogError {
    match code {
        Code::QueueFull | Code::PolicyViolation | Code::ThrottlingQuotaExceeded => {
            LogError::Full(text)
        }
        Code::TopicAuthorizationFailed
        | Code::GroupAuthorizationFailed
        | Code::ClusterAuthorizationFailed
        | Code::TransactionalIdAuthorizationFailed
        | Code::SaslAuthenticationFailed
        | Code::Authentication
        | Code::UnsupportedVersion
        | Code::UnsupportedFeature
        | Code::InvalidTopic
        | Code::InvalidPartitions
        | Code::InvalidReplicationFactor
        | Code::InvalidConfig
        | Code::InvalidTransactionTimeout
        | Code::InvalidArgument => LogError::Fatal(text),
        _ => LogError::Transient(text),
    }
}

/// Whether there is no such topic or partition.
pub(crate) fn is_absence(code: Code) -> bool {
    matches!(
        code,
        Code::UnknownTopicOrPartition
            | Code::UnknownTopic
            | Code::UnknownPartition
            | Code::UnknownTopicId
            | Code::InvalidTopic
    )
}

/// Whether a writer's claim is another's by now.
pub(crate) fn is_fencing(code: Code) -> bool {
    matches!(code, Code::Fenced | Code::ProducerFenced | Code::InvalidProducerEpoch)
}
