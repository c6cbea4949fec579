//! The one thread that writes records: group commit.
//!
//! Whatever is queued when the last group is done becomes the next one: one batch per partition,
//! one write, one fsync. Then, and not before, the partitions' ends move, the writers are answered
//! and tails wake. A thread of its own, because fsync blocks, and because one writer needs no lock
//! for claims and offsets.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::{Arc, mpsc};
use std::thread;

use backbone::Record;
use clock::Env;
use tokio::sync::{oneshot, watch};

use crate::codec::Encoder;
use crate::partition::{Committed, PartitionLog};
use crate::queue::{Claim, Part, Queued, Request, WriteError, stopped};
use crate::store::{PartitionId, Store};

/// A group takes no more requests once it has this much.
const GROUP_BYTES: usize = 8 << 20;
/// A batch is closed when it has this much, so that reading one never takes long.
const BATCH_BYTES: usize = 1 << 20;

/// The running thread. Dropping it waits for what is queued; the queue's sender must be gone.
pub(crate) struct Committer {
    thread: Option<thread::JoinHandle<()>>,
}

impl Committer {
    /// `commits` counts groups, for tails to wait on.
    pub(crate) fn start(
        store: Store,
        env: Arc<dyn Env>,
        queue: mpsc::Receiver<Queued>,
        commits: Arc<watch::Sender<u64>>,
    ) -> io::Result<Self> {
        let mut state = State { store, env, commits, claims: HashMap::new(), failed: false };
        let thread = thread::Builder::new().name("log-committer".to_owned()).spawn(move || {
            while let Ok(first) = queue.recv() {
                state.settle(group(first, &queue));
            }
        })?;
        Ok(Self { thread: Some(thread) })
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the log's committer ended with a panic");
        }
    }
}

fn group(first: Queued, queue: &mpsc::Receiver<Queued>) -> Vec<Queued> {
    let mut bytes = first.bytes;
    let mut group = vec![first];
    while bytes < GROUP_BYTES {
        let Ok(next) = queue.try_recv() else { break };
        bytes += next.bytes;
        group.push(next);
    }
    group
}

struct State {
    store: Store,
    env: Arc<dyn Env>,
    commits: Arc<watch::Sender<u64>>,
    claims: HashMap<Arc<str>, u64>,
    /// The store failed: what is on the disk is unknown, so nothing more may be written.
    failed: bool,
}

/// An answer that waits for the fsync.
enum Answer {
    Written(oneshot::Sender<Result<Vec<u64>, WriteError>>, Result<Vec<u64>, WriteError>),
    Claimed(oneshot::Sender<Claim>, Claim),
}

impl State {
    fn settle(&mut self, group: Vec<Queued>) {
        let now_ms = self.env.now_ms();
        let mut drafts: BTreeMap<PartitionId, Draft> = BTreeMap::new();
        let mut answers = Vec::with_capacity(group.len());
        // The queue's shares are given back when the group is on the disk.
        let mut shares = Vec::with_capacity(group.len());
        for queued in group {
            let (request, share) = queued.split();
            shares.push(share);
            answers.push(match request {
                Request::Claim { name, done } => Answer::Claimed(done, self.claim(name)),
                Request::Write { claim, parts, done } => {
                    Answer::Written(done, self.draft(claim.as_ref(), parts, &mut drafts, now_ms))
                }
            });
        }
        let written = self.write(drafts);
        drop(shares);
        for answer in answers {
            answer.send(written);
        }
    }

    fn claim(&mut self, name: Arc<str>) -> Claim {
        let epoch = self.claims.entry(name.clone()).or_default();
        *epoch += 1;
        Claim { name, epoch: *epoch }
    }

    fn draft(
        &self,
        claim: Option<&Claim>,
        parts: Vec<Part>,
        drafts: &mut BTreeMap<PartitionId, Draft>,
        now_ms: i64,
    ) -> Result<Vec<u64>, WriteError> {
        if self.failed {
            return Err(WriteError::Aborted(stopped()));
        }
        if claim.is_some_and(|claim| self.claims.get(&claim.name) != Some(&claim.epoch)) {
            return Err(WriteError::Fenced);
        }
        let parts = parts.into_iter().map(|(partition, records)| {
            let draft = drafts.entry(partition.id).or_insert_with(|| Draft::new(partition, now_ms));
            draft.push(&records)
        });
        Ok(parts.collect())
    }

    /// Whether it is all on the disk and visible.
    fn write(&mut self, drafts: BTreeMap<PartitionId, Draft>) -> bool {
        if drafts.is_empty() {
            return true;
        }
        let mut write = self.store.write();
        let done: Vec<_> = drafts.into_values().map(Draft::finish).collect();
        for (partition, batches, _) in &done {
            for batch in batches {
                write.put(partition.id, &batch.placed);
            }
        }
        if let Err(error) = write.commit() {
            tracing::error!(%error, "the log takes no more writes; restart the process to recover it");
            self.failed = true;
            return false;
        }
        for (partition, batches, last_ms) in done {
            partition.publish(batches, last_ms);
        }
        self.commits.send_modify(|commits| *commits += 1);
        true
    }
}

impl Answer {
    /// Nobody may be waiting any more; that is theirs to know.
    fn send(self, written: bool) {
        match self {
            Self::Claimed(done, claim) => {
                let _ = done.send(claim);
            }
            Self::Written(done, outcome) => {
                let unknown = outcome.is_ok() && !written;
                let _ = done.send(if unknown { Err(WriteError::Unknown) } else { outcome });
            }
        }
    }
}

/// What a group writes to one partition.
struct Draft {
    partition: Arc<PartitionLog>,
    now_ms: i64,
    open: Encoder,
    closed: Vec<Committed>,
}

impl Draft {
    fn new(partition: Arc<PartitionLog>, now_ms: i64) -> Self {
        // The log's stamp never decreases, whatever the clock does.
        let now_ms = now_ms.max(partition.last_ms());
        let open = Encoder::new(partition.end());
        Self { partition, now_ms, open, closed: Vec::new() }
    }

    /// The first record's offset; the others follow it.
    fn push(&mut self, records: &[Record]) -> u64 {
        let first = self.open.header().next;
        for record in records {
            if self.open.size() >= BATCH_BYTES {
                self.close();
            }
            self.open.push(self.open.header().next, self.now_ms, record);
        }
        first
    }

    fn close(&mut self) {
        let header = self.open.header();
        let batch = std::mem::replace(&mut self.open, Encoder::new(header.next));
        self.closed.push(Committed::new(header.base, header.next, batch.finish(header.next)));
    }

    fn finish(mut self) -> (Arc<PartitionLog>, Vec<Committed>, i64) {
        if !self.open.is_empty() {
            self.close();
        }
        (self.partition, self.closed, self.now_ms)
    }
}
