//! One claim of one partition: from the claim to the first error. A session never repairs itself;
//! it ends, and the next one starts from what is in the log.

use std::collections::BTreeMap;
use std::sync::Arc;

use backbone::{Batch, LogError, Partition, Record, Stored, Tail, TopicInfo, Writer};
use catalog::{Plan, Source};
use fold::{Arrival, Fold, Outcome, Panes, PlanStart};
use futures::future::select_all;
use lattice::delta::claim_record;
use lattice::{Origin, Pane, PaneKey, TopicId};
use store::{Proven, Store};

use super::handover::{self, Available};
use super::{End, commit};
use crate::append;
use crate::applier::delta_topic;
use crate::shared::Shared;

/// An event waits at most this long for its commit …
const COMMIT_EVERY_MS: u64 = 20;
/// … but behind the log's end larger commits are worth more than early ones: a pane that changes
/// ten times is written, mirrored and merged once.
const CATCH_UP_EVERY_MS: u64 = 200;
/// A partition with more events than this before it is behind.
const BEHIND_EVENTS: u64 = 1_000;
/// Progress is written in all shards this often, events or not.
const HEARTBEAT_MS: u64 = 200;
/// More events than this are not put into one commit.
const COMMIT_EVENTS: usize = 2_000;
/// Nor more bytes of them: broken ones go into the commit whole, as dead letters.
const COMMIT_BYTES: usize = 8 << 20;
const BATCH: usize = 500;
const READ_ALL_MS: u64 = 10_000;

/// Plans of one contract that stand at one offset, and their reading of the log.
pub(super) struct Cohort {
    pub(super) fold: Fold,
    tail: Box<dyn Tail>,
    /// The log's stamp of the last event folded, ms.
    pub(super) appended_ms: i64,
}

/// A claimed partition at work.
pub(super) struct Session {
    pub(super) shared: Arc<Shared>,
    pub(super) store: Arc<Store>,
    pub(super) source: Arc<Source>,
    pub(super) partition: Partition,
    pub(super) origin: Origin,
    /// Of the topic, when it was claimed.
    pub(super) partitions: u32,
    pub(super) deltas: Arc<str>,
    pub(super) writer: Box<dyn Writer>,
    pub(super) cohorts: Vec<Cohort>,
    pub(super) generation: u64,
    /// Never decreases: what the last commit said.
    pub(super) complete_to_ms: i64,
    /// When the oldest uncommitted event was folded, ms. What is due is reckoned by the steady clock: a
    /// wall clock that is set back would put it off.
    dirty_since_ms: Option<u64>,
    uncommitted: usize,
    uncommitted_bytes: usize,
    /// The log's end when the last heartbeat asked for it, with what is not decided yet: a producer's
    /// open transaction holds back what others append behind it.
    end: u64,
    /// When the next heartbeat is due, by the same clock.
    heartbeat_ms: u64,
}

struct StorePanes<'a>(&'a Store);

impl Panes for StorePanes<'_> {
    fn pane(&self, shard: u32, key: &PaneKey) -> Option<Pane> {
        self.0.pane(shard, key)
    }
}

impl Session {
    /// Claims the partition: fences every older writer, reads the region's deltas to their end,
    /// and starts from the lowest progress.
    pub(super) async fn claim(
        shared: &Arc<Shared>,
        store: &Arc<Store>,
        source: &Arc<Source>,
        partition: &Partition,
    ) -> Result<Self, End> {
        let Partition { topic, index } = partition;
        let identity = &shared.identity;
        let claim = format!("{}-{}-{}-{index}", identity.mesh, identity.region, source.name);
        let mut writer = shared.log.claim(&claim).await?;
        let deltas = delta_topic(shared, &identity.region, &source.name);
        let info = append::look_up(shared, topic).await?;
        let TopicInfo { id, partitions } =
            info.ok_or_else(|| LogError::NoSuchPartition(partition.clone()))?;
        let origin =
            Origin { region: identity.region.clone(), topic: TopicId(id), partition: *index };
        read_all(shared, store.shards(), &origin, &deltas, &mut *writer).await?;
        let mut session = Self {
            shared: shared.clone(),
            store: store.clone(),
            source: source.clone(),
            partition: partition.clone(),
            origin,
            partitions,
            deltas,
            writer,
            cohorts: Vec::new(),
            generation: 0,
            complete_to_ms: i64::MIN,
            dirty_since_ms: None,
            uncommitted: 0,
            uncommitted_bytes: 0,
            end: 0,
            heartbeat_ms: shared.env.monotonic_ms(),
        };
        session.check_proven()?;
        session.take_plans().await?;
        Ok(session)
    }

    /// Folds and commits until something ends it.
    pub(super) async fn run(mut self) -> End {
        while !*self.shared.leaving.borrow() {
            if let Err(end) = self.turn().await {
                return end;
            }
        }
        self.leave().await
    }

    /// The last commit: what is folded, and in every shard how far that is, so that whoever comes
    /// next folds nothing again.
    async fn leave(&mut self) -> End {
        self.heartbeat_ms = self.shared.env.monotonic_ms();
        self.commit().await.err().unwrap_or(End::Left)
    }

    /// One turn: what is due is committed, else what has come is folded.
    async fn turn(&mut self) -> Result<(), End> {
        let wait_ms = self.due_ms().saturating_sub(self.shared.env.monotonic_ms());
        let full = self.uncommitted >= COMMIT_EVENTS || self.uncommitted_bytes >= COMMIT_BYTES;
        if wait_ms == 0 || full {
            return self.commit().await;
        }
        let mut catalog = self.shared.catalog.subscribe();
        if catalog.borrow_and_update().generation() != self.generation {
            // What is folded so far is committed under the generation that it was folded with.
            self.commit().await?;
            return self.take_plans().await;
        }
        let timer = self.shared.env.sleep_ms(wait_ms);
        let arrived = tokio::select! {
            biased;
            () = timer => None,
            () = self.shared.leaves() => None,
            _ = catalog.changed() => None,
            arrived = next_batch(&mut self.cohorts) => Some(arrived),
        };
        match arrived {
            Some((cohort, batch)) => self.take_batch(cohort, batch?).await,
            None => Ok(()),
        }
    }

    fn due_ms(&self) -> u64 {
        let heartbeat_ms = self.heartbeat_ms;
        let wait_ms = if self.is_behind() { CATCH_UP_EVERY_MS } else { COMMIT_EVERY_MS };
        self.dirty_since_ms.map_or(heartbeat_ms, |since_ms| heartbeat_ms.min(since_ms + wait_ms))
    }

    /// Plans that still catch up do not make the others wait.
    fn is_behind(&self) -> bool {
        let next = self.cohorts.iter().map(|cohort| cohort.fold.next()).max();
        next.is_some_and(|next| next.saturating_add(BEHIND_EVENTS) < self.end)
    }

    async fn take_batch(&mut self, index: usize, batch: Batch) -> Result<(), End> {
        let limit = self.join_at(index);
        let panes = StorePanes(&self.store);
        let cohort = &mut self.cohorts[index];
        let next = batch.next.min(limit);
        for stored in batch.records.iter().filter(|stored| stored.offset < limit) {
            if let Outcome::Rejected(rule) = cohort.fold.fold(arrival(stored), &panes) {
                tracing::debug!(partition = %self.partition, offset = stored.offset, rule, "dead letter");
            }
            cohort.appended_ms = stored.appended_ms;
            self.uncommitted += 1;
            self.uncommitted_bytes += stored.record.size();
        }
        cohort.fold.skip_to(next);
        self.dirty_since_ms.get_or_insert_with(|| self.shared.env.monotonic_ms());
        self.join_cohort(index).await
    }

    /// The offset at which a cohort meets one of the same contract that is ahead of it.
    fn join_at(&self, index: usize) -> u64 {
        let this = &self.cohorts[index].fold;
        let ahead = self.cohorts.iter().map(|cohort| &cohort.fold);
        ahead
            .filter(|other| other.contract() == this.contract() && other.next() > this.next())
            .map(Fold::next)
            .min()
            .unwrap_or(u64::MAX)
    }

    /// A cohort that has caught up with another of its contract goes on as a part of that one,
    /// whose tail stands where it should: the newcomer's may have been read too far.
    async fn join_cohort(&mut self, index: usize) -> Result<(), End> {
        let Some(host) = self.host_of(index) else { return Ok(()) };
        self.commit().await?;
        let joined = self.cohorts.remove(index).fold;
        let host = if host > index { host - 1 } else { host };
        self.cohorts[host].fold.join(joined);
        Ok(())
    }

    fn host_of(&self, index: usize) -> Option<usize> {
        let this = &self.cohorts[index].fold;
        let meets = |other: &Cohort| {
            other.fold.contract() == this.contract() && other.fold.next() == this.next()
        };
        (0..self.cohorts.len()).find(|other| *other != index && meets(&self.cohorts[*other]))
    }

    /// Commits what is folded; with a heartbeat in all shards when that is due.
    async fn commit(&mut self) -> Result<(), End> {
        let heartbeat = self.shared.env.monotonic_ms() >= self.heartbeat_ms;
        if heartbeat {
            self.note_completeness().await?;
        }
        let repairs = self.take_repairs();
        commit::write(self, heartbeat, &repairs).await?;
        self.tell();
        self.dirty_since_ms = None;
        (self.uncommitted, self.uncommitted_bytes) = (0, 0);
        if heartbeat {
            // From its end: where a commit takes longer than the pause between heartbeats, one
            // would follow the other, and nothing be folded.
            self.heartbeat_ms = self.shared.env.monotonic_ms() + HEARTBEAT_MS;
        }
        Ok(())
    }

    /// For people: nothing is decided by it.
    fn tell(&self) {
        if let Some(claim) = self.shared.claims.lock().get_mut(&self.partition) {
            claim.committed(self.uncommitted as u64, self.shared.env.monotonic_ms());
        }
        let next = self.cohorts.iter().map(|cohort| cohort.fold.next()).max();
        if let Some(next) = next {
            let group = super::group(&self.shared, &self.source);
            self.shared.log.note_progress(&group, &self.partition, next);
        }
    }

    /// Everything appended before the end was asked for is folded if `next` has reached the end.
    async fn note_completeness(&mut self) -> Result<(), End> {
        let now_ms = self.shared.env.now_ms();
        let topic = append::topic(&self.shared, &self.partition.topic).await?;
        self.check_topic(topic)?;
        self.end = self.shared.log.end(&self.partition).await?;
        let ahead = self.cohorts.iter().max_by_key(|cohort| cohort.fold.next());
        let Some(ahead) = ahead else { return Ok(()) };
        // A topic's stamps may be its producers', whose clocks may be ahead.
        let appended_ms = ahead.appended_ms.min(now_ms);
        let known_ms = if ahead.fold.next() >= self.end { now_ms } else { appended_ms };
        self.complete_to_ms = self.complete_to_ms.max(known_ms);
        Ok(())
    }

    /// A topic that was made again is another origin.
    fn check_topic(&self, topic: Option<TopicInfo>) -> Result<(), End> {
        match topic {
            Some(topic) if topic.id != self.origin.topic.0 => {
                Err(End::Remade(self.partition.topic.clone()))
            }
            _ => Ok(()),
        }
    }

    fn take_repairs(&self) -> Vec<(u32, u64)> {
        let mut asked = self.shared.repairs.lock();
        let mine: Vec<_> =
            asked.keys().filter(|(origin, _)| *origin == self.origin).cloned().collect();
        mine.into_iter().filter_map(|key| asked.remove(&key).map(|r| (key.1, r.serial))).collect()
    }

    fn proven(&self, plan: &Plan) -> Vec<Option<Proven>> {
        (0..self.store.shards())
            .map(|shard| self.store.state(shard, &self.origin, plan.hash)?.proven)
            .collect()
    }

    /// Ready is honest: nothing is folded before every shard's digest agrees. A shard that does
    /// not add up although its deltas have been read to the end is read again from the start.
    fn check_proven(&self) -> Result<(), End> {
        for shard in 0..self.store.shards() {
            let mut states =
                self.store.states(shard).into_iter().filter(|s| s.origin == self.origin);
            if states.any(|state| state.pending.is_some()) {
                self.shared.positions.lock().rewind(&Partition::new(self.deltas.clone(), shard));
                self.shared.tick();
                return Err(End::Unproven { shard, origin: self.origin.clone() });
            }
        }
        Ok(())
    }

    /// Starts the plans that are new in the catalog, and forgets those that are retired.
    async fn take_plans(&mut self) -> Result<(), End> {
        let catalog = self.shared.catalog_now();
        self.check_generation(catalog.generation())?;
        let live: BTreeMap<_, Arc<Plan>> = catalog
            .live(&self.shared.identity.region)
            .into_iter()
            .filter(|plan| plan.source.name == self.source.name)
            .map(|plan| (plan.hash, plan))
            .collect();
        for cohort in &mut self.cohorts {
            cohort.fold.retain(&|plan| live.contains_key(&plan.hash));
        }
        self.cohorts.retain(|cohort| !cohort.fold.plans().is_empty());
        let known: Vec<_> =
            self.cohorts.iter().flat_map(|c| c.fold.plans()).map(|p| p.plan.hash).collect();
        let new = live.into_values().filter(|plan| !known.contains(&plan.hash));
        let log = self.available().await?;
        let starts: Vec<_> =
            new.map(|plan| handover::start(plan.clone(), &self.proven(&plan), log)).collect();
        for plans in cohorts_of(starts) {
            let cohort = self.open(plans).await?;
            self.cohorts.push(cohort);
            self.generation = catalog.generation();
            self.join_cohort(self.cohorts.len() - 1).await?;
        }
        self.generation = catalog.generation();
        Ok(())
    }

    /// A claimant whose catalog is older than the progress that it found would drop plans.
    fn check_generation(&self, known: u64) -> Result<(), End> {
        let states = (0..self.store.shards()).flat_map(|shard| self.store.states(shard));
        let own = states.filter(|state| state.origin == self.origin);
        let needed = own.filter_map(|state| Some(state.proven?.generation)).max().unwrap_or(0);
        if needed > known { Err(End::CatalogBehind { needed, known }) } else { Ok(()) }
    }

    async fn available(&mut self) -> Result<Available, End> {
        let start = self.shared.log.bounds(&self.partition).await?.start;
        let now_ms = self.shared.env.now_ms();
        Ok(Available { start, gone_until_ms: now_ms.saturating_add(self.source.max_ahead_ms) })
    }

    /// Opens the log for plans that start together, and fills their id window.
    async fn open(&mut self, plans: Vec<PlanStart>) -> Result<Cohort, End> {
        let Some(first) = plans.first() else {
            return Err(LogError::Fatal("a cohort without plans".into()).into());
        };
        let source = first.plan.source.clone();
        let mut fold = Fold::new(self.origin.clone(), self.store.shards(), source, plans);
        let start = self.shared.log.bounds(&self.partition).await?.start;
        let from = fold.remember_from().max(start);
        let mut tail = self.shared.log.tail(vec![(self.partition.clone(), from)]).await?;
        let next = fold.next();
        let mut at = from;
        let mut appended_ms = i64::MIN;
        while at < next {
            // No more than up to `next`: what follows is for folding.
            let batch = tail.next(BATCH.min((next - at) as usize)).await?;
            for stored in batch.records.iter().filter(|stored| stored.offset < next) {
                fold.remember(arrival(stored));
                appended_ms = stored.appended_ms;
            }
            at = batch.next;
        }
        if at > next {
            tail = self.shared.log.tail(vec![(self.partition.clone(), next)]).await?;
        }
        // Only now it is certain of which topic this is a tail.
        let topic = append::look_up(&self.shared, &self.partition.topic).await?;
        self.check_topic(topic)?;
        Ok(Cohort { fold, tail, appended_ms })
    }
}

fn arrival(stored: &Stored) -> Arrival<'_> {
    let value = stored.record.value.as_deref().unwrap_or_default();
    Arrival { offset: stored.offset, appended_ms: stored.appended_ms, value }
}

/// Plans of one contract at one offset share a reading of the log.
fn cohorts_of(starts: Vec<PlanStart>) -> Vec<Vec<PlanStart>> {
    let mut cohorts: BTreeMap<([u8; 16], u64), Vec<PlanStart>> = BTreeMap::new();
    for start in starts {
        cohorts.entry((start.plan.source.contract, start.frontier.next)).or_default().push(start);
    }
    cohorts.into_values().collect()
}

/// The next batch of whichever cohort has one; the one that is furthest ahead is asked first, so
/// that a new plan's reading of the past does not age the plans that are served.
async fn next_batch(cohorts: &mut [Cohort]) -> (usize, Result<Batch, LogError>) {
    if cohorts.is_empty() {
        return std::future::pending().await;
    }
    let mut order: Vec<_> = cohorts.iter_mut().enumerate().collect();
    order.sort_by_key(|(_, cohort)| std::cmp::Reverse(cohort.fold.next()));
    let indices: Vec<usize> = order.iter().map(|(index, _)| *index).collect();
    let nexts = order.into_iter().map(|(_, cohort)| cohort.tail.next(BATCH));
    let (batch, ready, _) = select_all(nexts).await;
    (indices[ready], batch)
}

/// Waits until the store holds everything that older writers committed. Their commits are decided,
/// but may not be visible in every shard yet, and a record that is written before one of theirs is
/// seen could outlive it in a compacted log. So a mark is written into every shard, and waited for.
async fn read_all(
    shared: &Shared,
    shards: u32,
    origin: &Origin,
    deltas: &Arc<str>,
    writer: &mut dyn Writer,
) -> Result<(), End> {
    let serial = shared.env.random_u64();
    let mark = |shard| {
        let (key, value) = claim_record(origin, serial);
        (Partition::new(deltas.clone(), shard), Record::new(key, value))
    };
    writer.commit((0..shards).map(mark).collect()).await?;
    let seen = |shard| shared.marks.lock().get(&(origin.clone(), shard)) == Some(&serial);
    let all = shared.wait_for(|| (0..shards).all(seen));
    clock::timeout(&shared.env, READ_ALL_MS, all).await.map_err(|_| {
        let behind = format!("{deltas} is not read up to this claim yet");
        End::Log(LogError::Transient(behind))
    })
}
