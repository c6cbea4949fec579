//! What the source has, and whether that changed.

use std::collections::BTreeMap;
use std::sync::Arc;

use clock::timeout;
use futures::future::{Either, select, try_join_all};
use tokio::sync::watch;

use super::positions::positions_spec;
use super::{Ended, Mirror};
use crate::log::{LogError, Partition, Retention, TopicInfo, TopicSpec};

/// How often the source is looked at, ms: for new topics and partitions, and for the lag.
const SURVEY_MS: u64 = 1_000;
/// A source that does not answer for this long is taken to be away, ms.
const SURVEY_TIMEOUT_MS: u64 = 10_000;
/// How long a null in a mirrored topic can be read at least, ms.
const NULL_MS: i64 = 60_000;

/// The topics that are wanted and there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found(pub(super) BTreeMap<Arc<str>, TopicInfo>);

/// The ids of the copies in the target, by the source's topic.
pub(super) type Targets = BTreeMap<Arc<str>, [u8; 16]>;

impl Mirror {
    /// The name in the target.
    pub(super) fn target_name(&self, topic: &str) -> Arc<str> {
        (self.names.topic)(topic)
    }

    /// Which of the wanted topics the source has.
    pub(super) async fn survey(&self, wanted: &[Arc<str>]) -> Result<Found, Ended> {
        let topics = wanted.iter().map(|name| async {
            Ok::<_, LogError>((Arc::clone(name), self.source.topic(name).await?))
        });
        let topics = self.in_time(try_join_all(topics)).await?;
        let there = topics.into_iter().filter_map(|(name, info)| Some((name, info?)));
        Ok(Found(there.collect()))
    }

    /// Makes what the mirror writes to.
    pub(super) async fn make_targets(&self, found: &Found) -> Result<Targets, Ended> {
        self.ensure(&positions_spec(&self.names.positions)).await?;
        let mut targets = Targets::new();
        for (topic, info) in &found.0 {
            let copy = TopicSpec {
                name: self.target_name(topic),
                partitions: info.partitions,
                retention: Retention::Compact { null_ms: NULL_MS },
            };
            targets.insert(topic.clone(), self.ensure(&copy).await?.id);
        }
        Ok(targets)
    }

    async fn ensure(&self, spec: &TopicSpec) -> Result<TopicInfo, Ended> {
        self.target.ensure(spec).await.map_err(|error| self.target_error(error))
    }

    /// A copy that was deleted, or made again, lacks what the positions say is there.
    async fn check_targets(&self, targets: &Targets) -> Result<(), Ended> {
        for (topic, id) in targets {
            let copy = self.target.topic(&self.target_name(topic)).await;
            let copy = copy.map_err(|error| self.target_error(error))?;
            if copy.map(|copy| copy.id) != Some(*id) {
                return Err(Ended::Changed);
            }
        }
        Ok(())
    }

    /// Looks at the source and the copies again and again, until there is something other to mirror.
    pub(super) async fn watch(
        &self,
        mut topics: watch::Receiver<Vec<Arc<str>>>,
        wanted: &[Arc<str>],
        found: &Found,
        targets: &Targets,
    ) -> Result<(), Ended> {
        loop {
            if self.survey(wanted).await? != *found {
                return Err(Ended::Changed);
            }
            self.check_targets(targets).await?;
            self.measure_lag(found).await?;
            let pause = self.env.sleep_ms(SURVEY_MS);
            match select(Box::pin(topics.changed()), pause).await {
                Either::Left((Ok(()), _)) => return Err(Ended::Changed),
                // Nobody is left who could change the list.
                Either::Left((Err(_), pause)) => pause.await,
                Either::Right(_) => {}
            }
        }
    }

    async fn measure_lag(&self, found: &Found) -> Result<(), Ended> {
        let partitions = found.0.iter().flat_map(|(topic, info)| {
            (0..info.partitions).map(|index| Partition::new(Arc::clone(topic), index))
        });
        let bounds = partitions.map(|partition| async {
            let bounds = self.source.bounds(&partition).await?;
            Ok::<_, LogError>((partition, bounds))
        });
        let bounds = self.in_time(try_join_all(bounds)).await?;
        let mut status = self.status.lock();
        for (partition, bounds) in bounds {
            status.heard(&partition, bounds.committed_end);
        }
        status.count();
        Ok(())
    }

    async fn in_time<T>(
        &self,
        asked: impl Future<Output = Result<T, LogError>> + Send,
    ) -> Result<T, Ended> {
        match timeout(&self.env, SURVEY_TIMEOUT_MS, asked).await {
            Ok(answer) => answer.map_err(|error| self.source_error(error)),
            Err(_) => Err(Ended::Silent(Arc::clone(&self.from))),
        }
    }
}
