//! A `Log` in memory that does to its users all that a real one may.
//!
//! It stands for disk and brokers: it survives the processes that use it, while a killed process's
//! tails and writers just disappear. A commit is written, decided and then becomes visible in each
//! partition on its own, as in Kafka; [`Faults`] say what goes wrong. The same seed (and, under
//! [`Sim`](crate::Sim), the same schedule) gives the same faults.

mod client;
mod faults;
mod partition;
mod state;
mod tail;
#[cfg(test)]
mod tests;
mod writer;

use std::sync::{Arc, Weak};

use backbone::{Bounds, Log, LogError, Partition, Stored, TopicInfo, TopicSpec};
use clock::{Env, timeout};
use parking_lot::Mutex;
use tokio::sync::watch;

use self::client::Client;
pub use self::faults::Faults;
use self::state::State;

/// An open transaction of a writer that went away is aborted after this long.
pub const TRANSACTION_TIMEOUT_MS: u64 = 10_000;

/// The log. Clones share it; each process reads and writes through its own
/// [`client`](Self::client).
#[derive(Clone)]
pub struct MemoryLog {
    brokers: Arc<Brokers>,
}

pub(crate) struct Brokers {
    env: Arc<dyn Env>,
    state: Mutex<State>,
    /// Told whenever something may have become visible or been decided.
    changes: watch::Sender<()>,
    /// Settles one transaction each.
    tasks: Mutex<Vec<(u64, clock::Task)>>,
    me: Weak<Brokers>,
}

impl MemoryLog {
    /// An empty log. `env` is the brokers' own: their clock stamps records.
    #[must_use]
    pub fn new(env: Arc<dyn Env>, seed: u64, faults: Faults) -> Self {
        let brokers = Arc::new_cyclic(|me| Brokers {
            env,
            state: Mutex::new(State::new(seed, faults)),
            changes: watch::Sender::new(()),
            tasks: Mutex::new(Vec::new()),
            me: Weak::clone(me),
        });
        Self { brokers }
    }

    /// A process's connection, which waits by that process's clock.
    #[must_use]
    pub fn client(&self, env: Arc<dyn Env>) -> Arc<dyn Log> {
        Arc::new(Client { env, brokers: Arc::clone(&self.brokers) })
    }

    /// Changes what goes wrong from now on.
    pub fn set_faults(&self, change: impl FnOnce(&mut Faults)) {
        change(&mut self.brokers.state.lock().faults);
        self.brokers.changed();
    }

    /// Keeps only the newest visible record of each key; a null only for the topic's `null_ms`.
    /// Does nothing to a topic that is not compacted.
    pub fn compact(&self, partition: &Partition) {
        let now_ms = self.brokers.env.now_ms();
        self.brokers.state.lock().compact(partition, now_ms);
        self.brokers.changed();
    }

    /// Drops what is before offset `start`, as retention does.
    pub fn truncate(&self, partition: &Partition, start: u64) {
        if let Ok(part) = self.brokers.state.lock().part_mut(partition) {
            part.truncate(start);
        }
        self.brokers.changed();
    }

    /// Deletes a topic and makes it again: empty, with another id.
    pub fn remake(&self, topic: &str) {
        self.brokers.state.lock().remake(topic);
        self.brokers.changed();
    }

    /// As an administrator would: makes a topic or adds partitions to it, with no faults.
    pub fn make(&self, topic: &TopicSpec) -> TopicInfo {
        let info = self.brokers.state.lock().ensure(topic);
        self.brokers.changed();
        info
    }

    /// The names of its topics.
    #[must_use]
    pub fn topics(&self) -> Vec<Arc<str>> {
        self.brokers.state.lock().topics.keys().cloned().collect()
    }

    /// A topic as it is, with no faults.
    #[must_use]
    pub fn topic(&self, name: &str) -> Option<TopicInfo> {
        self.brokers.state.lock().topics.get(name).map(state::Topic::info)
    }

    /// What can be read of a partition, with no faults.
    pub fn bounds(&self, partition: &Partition) -> Result<Bounds, LogError> {
        Ok(self.brokers.state.lock().part(partition)?.bounds())
    }

    /// The end of a partition with what is not decided yet, with no faults.
    pub fn end(&self, partition: &Partition) -> Result<u64, LogError> {
        Ok(self.brokers.state.lock().part(partition)?.end())
    }

    /// The records that a new tail from 0 would see.
    #[must_use]
    pub fn visible(&self, partition: &Partition) -> Vec<Stored> {
        let state = self.brokers.state.lock();
        state.part(partition).map(partition::Part::visible).unwrap_or_default()
    }

    /// Every record that tails could ever see since the topic was made, whatever compaction and
    /// retention dropped since: the log prefix that an oracle folds.
    #[must_use]
    pub fn history(&self, partition: &Partition) -> Vec<Stored> {
        let state = self.brokers.state.lock();
        state.part(partition).map(partition::Part::history).unwrap_or_default()
    }
}

impl Brokers {
    fn changed(&self) {
        self.changes.send_replace(());
    }

    /// Waits for a transaction's decision (an abort, after a timeout) and then lets it become
    /// visible partition by partition. It is the brokers' work: the writer may be dead.
    fn settle_when_decided(&self, transaction: u64) {
        let (me, env) = (Weak::clone(&self.me), Arc::clone(&self.env));
        let task = self.env.spawn(
            "transaction",
            Box::pin(async move {
                if let Some(brokers) = me.upgrade() {
                    brokers.settle(&env, transaction).await;
                }
            }),
        );
        let mut tasks = self.tasks.lock();
        let done = {
            let state = self.state.lock();
            tasks.extract_if(.., |(id, _)| !state.transactions.contains_key(id)).collect::<Vec<_>>()
        };
        tasks.push((transaction, task));
        drop(tasks);
        drop(done);
    }

    async fn settle(&self, env: &Arc<dyn Env>, transaction: u64) {
        let mut changes = self.changes.subscribe();
        let decided = async { while self.open(transaction) && changes.changed().await.is_ok() {} };
        if timeout(env, TRANSACTION_TIMEOUT_MS, decided).await.is_err() {
            self.state.lock().decide(transaction, false);
        }
        loop {
            let max_ms = self.state.lock().faults.max_visibility_ms;
            if max_ms > 0 {
                env.sleep_ms(env.random_u64() % (max_ms + 1)).await;
            }
            let more = self.state.lock().settle_one(transaction, env.now_ms());
            self.changed();
            if !more {
                return;
            }
        }
    }

    fn open(&self, transaction: u64) -> bool {
        let state = self.state.lock();
        state.transactions.get(&transaction).is_some_and(|t| t.decision.is_none())
    }
}
