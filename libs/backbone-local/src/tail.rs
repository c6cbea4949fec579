//! Tails: from memory at the end, from the disk behind it.

use std::collections::VecDeque;
use std::sync::Arc;

use async_trait::async_trait;
use backbone::{Batch, LogError, Partition, Stored, Tail};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::codec::Decoder;
use crate::partition::PartitionLog;
use crate::shared::{Shared, log_error};
use crate::store::{Placed, Store, StoreError};

/// Batches read from the disk at once, in bytes.
const READAHEAD_BYTES: usize = 1 << 20;

pub(crate) struct LocalTail {
    shared: Arc<Shared>,
    commits: watch::Receiver<u64>,
    cursors: Vec<Cursor>,
    /// Whose turn it is.
    turn: usize,
    /// A read of this cursor's, under way. Kept here and not in the future of `next`, so that a
    /// caller that cancels often gets on as well.
    reading: Option<(usize, JoinHandle<Result<Fetched, StoreError>>)>,
}

impl LocalTail {
    pub(crate) fn open(shared: &Arc<Shared>, from: &[(Partition, u64)]) -> Result<Self, LogError> {
        let commits = shared.commits.subscribe();
        let cursors = from
            .iter()
            .map(|(partition, offset)| {
                let log = shared.partition(partition)?;
                log.position(*offset)?;
                Ok(Cursor::new(log, *offset))
            })
            .collect::<Result<_, LogError>>()?;
        Ok(Self { shared: shared.clone(), commits, cursors, turn: 0, reading: None })
    }

    /// A batch that needs no waiting, or else what must be read first.
    fn ready(&mut self, max: usize) -> Result<Ready, LogError> {
        for step in 0..self.cursors.len() {
            let index = (self.turn + step) % self.cursors.len();
            let cursor = &mut self.cursors[index];
            loop {
                match cursor.fill()? {
                    // Turns are kept: who is behind is not overtaken by those at the end.
                    Fill::Disk => return Ok(Ready::Disk(index)),
                    Fill::End => break,
                    Fill::Memory => {
                        if let Some(batch) = cursor.take(max)? {
                            self.turn = (index + 1) % self.cursors.len();
                            return Ok(Ready::Batch(batch));
                        }
                    }
                }
            }
        }
        Ok(Ready::Nothing)
    }

    async fn read(&mut self, index: usize) -> Result<(), LogError> {
        let (index, reading) = self.reading.get_or_insert_with(|| {
            let cursor = &self.cursors[index];
            let (store, log, at) = (self.shared.store.clone(), cursor.log.clone(), cursor.at);
            (index, tokio::task::spawn_blocking(move || fetch(&store, &log, at)))
        });
        let (index, fetched) = (*index, reading.await);
        self.reading = None;
        let fetched = fetched
            .map_err(|error| LogError::Transient(format!("a read ended early: {error}")))?
            .map_err(log_error)?;
        self.cursors[index].accept(fetched)
    }
}

enum Ready {
    Batch(Batch),
    Disk(usize),
    Nothing,
}

#[async_trait]
impl Tail for LocalTail {
    async fn next(&mut self, max: usize) -> Result<Batch, LogError> {
        let max = max.max(1);
        loop {
            // Before looking, so that what is committed meanwhile wakes this.
            self.commits.borrow_and_update();
            match self.ready(max)? {
                Ready::Batch(batch) => return Ok(batch),
                Ready::Disk(index) => self.read(index).await?,
                Ready::Nothing => self.wait().await?,
            }
        }
    }
}

impl LocalTail {
    async fn wait(&mut self) -> Result<(), LogError> {
        let closed = |_| LogError::Transient("the log was closed".to_owned());
        self.commits.changed().await.map_err(closed)
    }
}

/// What was read from the disk.
struct Fetched {
    batches: Vec<Placed>,
    /// Everything below this is in `batches`, or gone.
    to: u64,
}

/// Batches from `at` to the committed end, or as many as fit.
fn fetch(store: &Store, log: &PartitionLog, at: u64) -> Result<Fetched, StoreError> {
    let end = log.end();
    let (mut batches, mut bytes) = (Vec::new(), 0);
    for batch in store.batches(log.id, at, end) {
        let batch = batch?;
        if bytes >= READAHEAD_BYTES {
            return Ok(Fetched { batches, to: batch.base });
        }
        bytes += batch.bytes.len();
        batches.push(batch);
    }
    Ok(Fetched { batches, to: end })
}

/// A tail's place in one partition.
struct Cursor {
    log: Arc<PartitionLog>,
    /// The next offset wanted; 0 until something was read: the start, wherever it is.
    at: u64,
    /// What is below this in a batch is not wanted, or was dropped.
    from: u64,
    fetched: VecDeque<Placed>,
    open: Option<Decoder>,
    /// Nothing below this is outside `open` and `fetched`.
    known_to: u64,
}

enum Fill {
    /// There is something to take.
    Memory,
    /// It must be read from the disk.
    Disk,
    /// There is nothing more yet.
    End,
}

impl Cursor {
    fn new(log: Arc<PartitionLog>, at: u64) -> Self {
        Self { log, at, from: at, fetched: VecDeque::new(), open: None, known_to: 0 }
    }

    fn fill(&mut self) -> Result<Fill, LogError> {
        if self.open.is_some() || !self.fetched.is_empty() || self.at < self.known_to {
            return Ok(Fill::Memory);
        }
        let at = self.log.position(self.at)?;
        self.from = at;
        let end = self.log.end();
        if at >= end {
            return Ok(Fill::End);
        }
        let Some(recent) = self.log.recent(at) else { return Ok(Fill::Disk) };
        self.known_to = recent.last().map_or(at, |batch| batch.next);
        self.fetched.extend(recent.into_iter().map(|batch| batch.placed));
        Ok(Fill::Memory)
    }

    fn accept(&mut self, fetched: Fetched) -> Result<(), LogError> {
        // What retention dropped before or during the read is missing from it.
        self.log.position(self.at)?;
        self.known_to = fetched.to;
        self.fetched.extend(fetched.batches);
        Ok(())
    }

    /// At most `max` records, across batches; `None` if there is not even an offset to tell.
    fn take(&mut self, max: usize) -> Result<Option<Batch>, LogError> {
        let before = self.at;
        let mut records = Vec::new();
        while records.len() < max {
            match self.next_record()? {
                Some(record) if record.offset >= self.from => {
                    self.at = record.offset + 1;
                    records.push(record);
                }
                Some(_) => {}
                None => {
                    self.at = self.at.max(self.known_to);
                    break;
                }
            }
        }
        let partition = self.log.name.clone();
        let some = !records.is_empty() || self.at > before;
        Ok(some.then_some(Batch { partition, records, next: self.at }))
    }

    fn next_record(&mut self) -> Result<Option<Stored>, LogError> {
        loop {
            if let Some(record) = self.open.as_mut().and_then(Iterator::next) {
                return record.map(Some).map_err(|error| self.corrupt(&error));
            }
            let Some(batch) = self.fetched.pop_front() else {
                self.open = None;
                return Ok(None);
            };
            self.open = Some(Decoder::new(batch.bytes).map_err(|error| self.corrupt(&error))?);
        }
    }

    fn corrupt(&self, error: &crate::codec::Corrupt) -> LogError {
        LogError::Fatal(format!("{} near offset {}: {error}", self.log.name, self.at))
    }
}
