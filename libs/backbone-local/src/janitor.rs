//! Keeps the disk bounded: one round over all partitions, at an interval or when asked.

use std::sync::Arc;

use backbone::{LogError, Partition};
use clock::Task;

use crate::compact::{self, Compaction};
use crate::partition::PartitionLog;
use crate::shared::{Shared, blocking, log_error};
use crate::topic::StoredRetention;
use crate::trim::{self, trim};

/// Starts the rounds, if there is an interval. They end with the task, or with the log.
pub(crate) fn start(shared: &Arc<Shared>) -> Option<Task> {
    let every_ms = shared.options.maintain_every_ms;
    if every_ms == 0 {
        return None;
    }
    let (env, shared) = (shared.env.clone(), Arc::downgrade(shared));
    let rounds = {
        let env = env.clone();
        async move {
            loop {
                env.sleep_ms(every_ms).await;
                let Some(shared) = shared.upgrade() else { return };
                if let Err(error) = maintain(&shared).await {
                    tracing::warn!(%error, "retention and compaction will be tried again");
                }
            }
        }
    };
    Some(env.spawn("log.local.janitor", Box::pin(rounds)))
}

/// One round.
pub(crate) async fn maintain(shared: &Arc<Shared>) -> Result<(), LogError> {
    let _one_at_a_time = shared.maintaining.lock().await;
    let topics: Vec<_> = shared.topics.read().values().cloned().collect();
    for topic in topics {
        let retention = topic.record().retention;
        for partition in topic.partitions() {
            tidy(shared, partition, retention).await?;
        }
    }
    Ok(())
}

async fn tidy(
    shared: &Shared,
    partition: Arc<PartitionLog>,
    retention: StoredRetention,
) -> Result<(), LogError> {
    let now_ms = shared.env.now_ms();
    match retention {
        StoredRetention::Delete { ms, bytes } => {
            let (store, before_ms) = (shared.store.clone(), now_ms.saturating_sub(ms));
            blocking(move || trim(&store, &partition, before_ms, bytes)).await?.map_err(log_error)
        }
        StoredRetention::Compact { null_ms } => {
            let nulls_before_ms = now_ms.saturating_sub(null_ms);
            if compact::is_due(&partition.floor(), nulls_before_ms) {
                run(shared, partition, nulls_before_ms).await?;
            }
            Ok(())
        }
    }
}

async fn run(
    shared: &Shared,
    partition: Arc<PartitionLog>,
    nulls_before_ms: i64,
) -> Result<(), LogError> {
    let (store, keys) = (shared.store.clone(), shared.options.compaction_keys);
    let compaction = Compaction { store, partition, nulls_before_ms, keys };
    blocking(move || compaction.run()).await?.map_err(log_error)
}

/// Compacts to the end, in as many steps as the bound on keys makes it.
pub(crate) async fn compact(shared: &Shared, partition: &Partition) -> Result<(), LogError> {
    let _one_at_a_time = shared.maintaining.lock().await;
    let log = shared.partition(partition)?;
    let retention = shared.topic(&partition.topic).map(|topic| topic.record().retention);
    let nulls_before_ms = match retention {
        Some(StoredRetention::Compact { null_ms }) => shared.env.now_ms().saturating_sub(null_ms),
        _ => i64::MIN,
    };
    let end = log.end();
    run(shared, log.clone(), nulls_before_ms).await?;
    while log.floor().clean_to < end {
        run(shared, log.clone(), nulls_before_ms).await?;
    }
    Ok(())
}

pub(crate) async fn drop_before(
    shared: &Shared,
    partition: &Partition,
    start: u64,
) -> Result<(), LogError> {
    let _one_at_a_time = shared.maintaining.lock().await;
    let (store, log) = (shared.store.clone(), shared.partition(partition)?);
    blocking(move || trim::drop_before(&store, &log, start)).await?.map_err(log_error)
}
