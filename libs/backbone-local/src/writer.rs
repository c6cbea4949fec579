//! A claim's writer.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use backbone::{CommitError, LogError, Partition, Record, Writer};

use crate::queue::{Claim, Part, WriteError};
use crate::shared::Shared;

/// The largest record that is taken; readers over gRPC must take it in one message.
const MAX_RECORD_BYTES: usize = 8 << 20;

pub(crate) struct LocalWriter {
    shared: Arc<Shared>,
    claim: Claim,
}

impl LocalWriter {
    pub(crate) fn new(shared: Arc<Shared>, claim: Claim) -> Self {
        Self { shared, claim }
    }

    fn parts(&self, records: Vec<(Partition, Record)>) -> Result<Vec<Part>, LogError> {
        let mut parts: BTreeMap<Partition, Vec<Record>> = BTreeMap::new();
        for (partition, record) in records {
            parts.entry(partition).or_default().push(record);
        }
        let part = |(partition, records): (Partition, Vec<Record>)| {
            check_records(&partition, &records)?;
            Ok((self.shared.partition(&partition)?, records))
        };
        parts.into_iter().map(part).collect()
    }
}

#[async_trait]
impl Writer for LocalWriter {
    async fn commit(&mut self, records: Vec<(Partition, Record)>) -> Result<(), CommitError> {
        let parts = self.parts(records).map_err(CommitError::Aborted)?;
        match self.shared.write(Some(self.claim.clone()), parts).await {
            Ok(_) => Ok(()),
            Err(WriteError::Aborted(error)) => Err(CommitError::Aborted(error)),
            Err(WriteError::Fenced) => Err(CommitError::Fenced),
            Err(WriteError::Unknown) => Err(CommitError::Unknown),
        }
    }
}

/// Refuses records that no reader could take.
pub(crate) fn check_records(partition: &Partition, records: &[Record]) -> Result<(), LogError> {
    match records.iter().map(Record::size).max() {
        Some(bytes) if bytes > MAX_RECORD_BYTES => Err(LogError::Fatal(format!(
            "{partition}: a record of {bytes} bytes is above the limit of {MAX_RECORD_BYTES}"
        ))),
        _ => Ok(()),
    }
}
