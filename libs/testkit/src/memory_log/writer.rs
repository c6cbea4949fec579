//! Atomic commits under a claim.

use async_trait::async_trait;
use backbone::{CommitError, LogError, Partition, Record, Writer};
use rand::RngExt;

use super::Brokers;
use super::client::Client;

pub(super) struct MemoryWriter {
    client: Client,
    claim: String,
    epoch: u64,
    /// A commit's outcome is unknown, or its future was dropped: only a new claim may go on.
    in_doubt: bool,
}

/// What the dice say about a commit.
enum Luck {
    Good,
    Aborted,
    /// The request or the answer is lost; the former when false.
    Unknown(bool),
}

impl MemoryWriter {
    pub(super) fn new(client: Client, claim: String, epoch: u64) -> Self {
        Self { client, claim, epoch, in_doubt: false }
    }

    fn brokers(&self) -> &Brokers {
        &self.client.brokers
    }

    /// Writes the records, visible to nobody.
    fn begin(&self, records: Vec<(Partition, Record)>) -> Result<u64, CommitError> {
        let now_ms = self.brokers().env.now_ms();
        let mut state = self.brokers().state.lock();
        if !state.holds(&self.claim, self.epoch) {
            return Err(CommitError::Fenced);
        }
        if state.faults.down {
            let down = LogError::Transient("the memory log is down".to_owned());
            return Err(CommitError::Aborted(down));
        }
        state.begin(&self.claim, records, now_ms).map_err(CommitError::Aborted)
    }

    fn luck(&self) -> Luck {
        let mut state = self.brokers().state.lock();
        if state.chance(|faults| faults.commit_aborted) {
            Luck::Aborted
        } else if state.faults.down || state.chance(|faults| faults.commit_unknown) {
            Luck::Unknown(state.rng.random_bool(0.5))
        } else {
            Luck::Good
        }
    }

    fn decide(&self, transaction: u64, commit: bool) -> Result<(), CommitError> {
        let decided = self.brokers().state.lock().decide(transaction, commit);
        self.brokers().changed();
        decided.ok_or(CommitError::Fenced)
    }

    async fn try_commit(&self, records: Vec<(Partition, Record)>) -> Result<(), CommitError> {
        self.client.dawdle().await;
        let transaction = self.begin(records)?;
        self.brokers().settle_when_decided(transaction);
        self.client.dawdle().await;
        match self.luck() {
            Luck::Good => self.decide(transaction, true)?,
            Luck::Aborted => {
                self.decide(transaction, false)?;
                let fault = LogError::Transient("a fault of the memory log".to_owned());
                return Err(CommitError::Aborted(fault));
            }
            Luck::Unknown(decide) => {
                if decide {
                    self.decide(transaction, true)?;
                }
                return Err(CommitError::Unknown);
            }
        }
        self.client.dawdle().await;
        Ok(())
    }
}

#[async_trait]
impl Writer for MemoryWriter {
    async fn commit(&mut self, records: Vec<(Partition, Record)>) -> Result<(), CommitError> {
        if std::mem::replace(&mut self.in_doubt, true) {
            return Err(CommitError::Unknown);
        }
        let outcome = self.try_commit(records).await;
        self.in_doubt = outcome == Err(CommitError::Unknown);
        outcome
    }
}
