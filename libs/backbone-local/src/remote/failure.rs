//! A log's error as a gRPC status and back, without loss.

use api::log::v1::{self as proto, failure::Kind};
use backbone::{LogError, Partition};
use prost::Message;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Code, Status};

/// Where a status carries the log's own error.
const FAILURE: &str = "meridian-log-failure-bin";

/// The status of an error that the log decided.
pub(crate) fn status(error: LogError) -> Status {
    let code = match &error {
        LogError::NoSuchPartition(_) => Code::NotFound,
        LogError::Truncated { .. } => Code::OutOfRange,
        LogError::Full(_) => Code::ResourceExhausted,
        LogError::Transient(_) => Code::Unavailable,
        LogError::Fatal(_) => Code::FailedPrecondition,
    };
    coded(code, error)
}

/// The same, with a code that says more.
pub(crate) fn coded(code: Code, error: LogError) -> Status {
    let message = error.to_string();
    let failure = proto::Failure { kind: Some(kind(error)) };
    let mut metadata = MetadataMap::new();
    metadata.insert_bin(FAILURE, MetadataValue::from_bytes(&failure.encode_to_vec()));
    Status::with_metadata(code, message, metadata)
}

/// What the log decided, or else that `peer` could not be asked.
pub(crate) fn log_error(peer: &str, status: &Status) -> LogError {
    let bytes = status.metadata().get_bin(FAILURE).and_then(|value| value.to_bytes().ok());
    let failure = bytes.and_then(|bytes| proto::Failure::decode(bytes).ok());
    let decided = failure.and_then(|failure| failure.kind).and_then(decided);
    decided.unwrap_or_else(|| {
        let code = status.code();
        LogError::Transient(format!("{peer}: {code:?}: {}", status.message()))
    })
}

fn kind(error: LogError) -> Kind {
    match error {
        LogError::NoSuchPartition(partition) => Kind::NoSuchPartition(to_proto(&partition)),
        LogError::Truncated { partition, start } => {
            Kind::Truncated(proto::Truncated { partition: Some(to_proto(&partition)), start })
        }
        LogError::Full(text) => Kind::Full(text),
        LogError::Transient(text) => Kind::Transient(text),
        LogError::Fatal(text) => Kind::Fatal(text),
    }
}

fn decided(kind: Kind) -> Option<LogError> {
    Some(match kind {
        Kind::NoSuchPartition(partition) => LogError::NoSuchPartition(from_proto(partition)),
        Kind::Truncated(proto::Truncated { partition, start }) => {
            LogError::Truncated { partition: from_proto(partition?), start }
        }
        Kind::Full(text) => LogError::Full(text),
        Kind::Transient(text) => LogError::Transient(text),
        Kind::Fatal(text) => LogError::Fatal(text),
    })
}

pub(crate) fn to_proto(partition: &Partition) -> proto::Partition {
    proto::Partition { topic: partition.topic.to_string(), index: partition.index }
}

pub(crate) fn from_proto(partition: proto::Partition) -> Partition {
    Partition::new(partition.topic, partition.index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_arrive_as_they_were() {
        let partition = Partition::new("t", 7);
        let text = || "why".to_owned();
        for error in [
            LogError::NoSuchPartition(partition.clone()),
            LogError::Truncated { partition, start: u64::MAX },
            LogError::Full(text()),
            LogError::Transient(text()),
            LogError::Fatal(text()),
        ] {
            assert_eq!(log_error("peer", &status(error.clone())), error);
        }
        let transport = log_error("peer", &Status::unknown("reset"));
        assert_eq!(transport, LogError::Transient("peer: Unknown: reset".to_owned()));
    }
}
