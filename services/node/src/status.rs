//! What this node knows of itself and of every origin: for people, for gateways, for tests.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use api::node::v1::{Health, Position};
use api::v1::{ClaimStatus, FoldCounts, MirrorStatus, OriginInfo, OriginStatus, StatusResponse};
use backbone::{LogError, Partition};
use catalog::{Catalog, Plan, Source};
use futures::future::try_join_all;
use lattice::{Digest, Origin, PlanHash, Region, TopicId};
use store::{State, Store};

use crate::append;
use crate::claims::Claim;
use crate::core::Core;
use crate::mirrors::Mirrors;
use crate::origins::{self, Standing};
use crate::shared::Shared;

/// How long the log may take to say where its partitions end, ms: what a node knows is most wanted
/// while its log is away.
const ENDS_MS: u64 = 2_000;

/// Why the node is not ready; `None`: it is.
#[must_use]
pub fn not_ready(shared: &Shared) -> Option<String> {
    let sources = shared.catalog_now().sources();
    if shared.store().is_none() || sources.is_empty() {
        return Some("there is no catalog yet".into());
    }
    let claims = shared.claims.lock();
    let stuck =
        claims.iter().find_map(|(partition, claim)| Some((partition, claim.state.as_ref().err()?)));
    if let Some((partition, reason)) = stuck {
        return Some(format!("{partition}: {reason}"));
    }
    let claimed = |source: &Source| claims.keys().any(|p| p.topic == source.topic);
    let idle = sources.iter().find(|source| !claimed(source) && !folded_elsewhere(shared, source));
    if let Some(source) = idle {
        return Some(format!("{} is not claimed yet", source.topic));
    }
    let behind = !shared.positions.lock().caught_up();
    behind.then(|| "still reading deltas up to where they were at the start".into())
}

/// Whether another node of this region folds the source: of several, one may have no partition. Its
/// deltas are read up to where they were at the start, and what they say is fresh.
fn folded_elsewhere(shared: &Shared, source: &Source) -> bool {
    let Some(store) = shared.store() else { return false };
    let deltas = shared.identity.topics.deltas(&source.name);
    if !shared.positions.lock().caught_up_in(&deltas) {
        return false;
    }
    let (catalog, now_ms) = (shared.catalog_now(), shared.env.now_ms());
    let of_source = |plan| catalog.plan(plan).is_some_and(|p| p.source.name == source.name);
    let mut own = all_states(store)
        .into_iter()
        .filter(|((origin, plan), _)| origin.region == shared.identity.region && of_source(*plan));
    let fresh = |s: &Summary| origins::age_ms(now_ms, s.complete_to_ms) <= api::STALE_MS;
    own.any(|(_, summary)| fresh(&summary))
}

/// What a gateway needs in order to choose.
#[must_use]
pub fn health(shared: &Shared) -> Health {
    let reason = not_ready(shared);
    let catalog = shared.catalog_now();
    Health {
        region: shared.identity.region.to_string(),
        ready: reason.is_none(),
        serving: shared.store().is_some(),
        generation: catalog.generation(),
        shards: (0..shared.store().map_or(0, |store| store.shards())).collect(),
        covered: shared.store().map(|store| covered(shared, store)).unwrap_or_default(),
        origins: regions(shared),
        reason: reason.unwrap_or_default(),
        draining: *shared.draining.borrow(),
        load: 0,
        frontiers: shared.store().map(|store| frontiers(store)).unwrap_or_default(),
    }
}

/// The next offset that is missing, per origin: of its plans, the one that is furthest is served.
fn frontiers(store: &Store) -> Vec<Position> {
    let mut next: BTreeMap<Origin, u64> = BTreeMap::new();
    for ((origin, _), summary) in all_states(store) {
        let furthest = next.entry(origin).or_default();
        *furthest = summary.next.max(*furthest);
    }
    let position = |(origin, offset): (Origin, u64)| Position {
        region: origin.region.to_string(),
        topic_id: origin.topic.0.to_vec().into(),
        partition: origin.partition,
        offset,
    };
    next.into_iter().map(position).collect()
}

/// Views whose plan has caught up, in every origin of every region where any version of the view is
/// active: one that is rolled out region by region is not read for want of another before it is
/// everywhere, and one that is retired so is not any more from the first region on.
fn covered(shared: &Shared, store: &Store) -> Vec<String> {
    let (catalog, states) = (shared.catalog_now(), all_states(store));
    let mut covered = Vec::new();
    for (view, version, active) in versions(&catalog) {
        let everywhere = active.len() == catalog.regions(view).len();
        let complete = everywhere
            && active.iter().all(|(region, plan)| {
                let mut own =
                    states.iter().filter(|((o, p), _)| o.region == *region && *p == plan.hash);
                let origins: BTreeSet<_> = states
                    .keys()
                    .filter(|(o, p)| {
                        let same =
                            catalog.plan(*p).is_some_and(|p| p.source.name == plan.source.name);
                        o.region == *region && same
                    })
                    .map(|(origin, _)| origin)
                    .collect();
                own.clone().count() == origins.len()
                    && own.all(|((origin, _), summary)| {
                        summary.proven_shards == store.shards()
                            && summary.next >= furthest(&states, origin)
                    })
            });
        if complete {
            covered.push(format!("{view}@v{version}"));
        }
    }
    covered
}

/// Every active version of every view, and its plan per region.
fn versions(
    catalog: &Catalog,
) -> impl Iterator<Item = (&Arc<str>, u32, &BTreeMap<Region, Arc<Plan>>)> {
    let views = catalog.views().iter();
    views.flat_map(|(view, of)| of.iter().map(move |v| (view, v.version, &v.regions)))
}

fn furthest(states: &BTreeMap<(Origin, PlanHash), Summary>, origin: &Origin) -> u64 {
    states.iter().filter(|((o, _), _)| o == origin).map(|(_, s)| s.next).max().unwrap_or(0)
}

fn regions(shared: &Shared) -> std::collections::HashMap<String, OriginInfo> {
    let Some(store) = shared.store() else { return Default::default() };
    let catalog = shared.catalog_now();
    let mut wanted = Vec::new();
    for (_, _, active) in versions(&catalog) {
        wanted.extend((0..store.shards()).map(|shard| (shard, active.clone())));
    }
    let now_ms = shared.env.now_ms();
    let parts = origins::parts(store, &shared.identity.regions, &wanted, now_ms);
    parts.into_iter().map(|(region, part)| (region.to_string(), part.info(now_ms))).collect()
}

/// One (origin, plan) over all shards.
#[derive(Default, Clone, PartialEq, Eq, Debug)]
pub struct Summary {
    /// The least proven `next`.
    pub next: u64,
    /// The least proven watermark, ms.
    pub watermark_ms: Option<i64>,
    /// The least `complete_to`, ms.
    pub complete_to_ms: i64,
    /// The sum of the digests.
    pub digest: Digest,
    /// Shards in which everything known is proven.
    pub proven_shards: u32,
    /// Live panes.
    pub panes: u64,
}

/// Every (origin, plan) that the store holds, over all shards.
#[must_use]
pub fn all_states(store: &Store) -> BTreeMap<(Origin, PlanHash), Summary> {
    let mut all: BTreeMap<(Origin, PlanHash), Summary> = BTreeMap::new();
    for shard in 0..store.shards() {
        for state in store.states(shard) {
            let summary = all.entry((state.origin.clone(), state.plan)).or_insert_with(|| {
                Summary { next: u64::MAX, complete_to_ms: i64::MAX, ..Default::default() }
            });
            summary.add(&state);
        }
    }
    all
}

impl Summary {
    fn add(&mut self, state: &State) {
        self.digest.add(state.digest);
        self.panes += state.panes;
        let Some(proven) = &state.proven else {
            self.next = 0;
            return;
        };
        self.next = self.next.min(proven.progress.frontier.next);
        self.complete_to_ms = self.complete_to_ms.min(proven.complete_to_ms);
        let watermark_ms = proven.progress.watermark_ms;
        if watermark_ms != lattice::progress::NO_WATERMARK {
            self.watermark_ms =
                Some(self.watermark_ms.map_or(watermark_ms, |w| w.min(watermark_ms)));
        }
        self.proven_shards += u32::from(state.pending.is_none());
    }
}

/// The whole status. Asks the log for the ends of this region's partitions.
pub async fn status(core: &Core) -> StatusResponse {
    let shared = core.shared();
    let catalog = shared.catalog_now();
    let reason = not_ready(shared);
    let mut response = StatusResponse {
        region: shared.identity.region.to_string(),
        generation: catalog.generation(),
        ready: reason.is_none(),
        warnings: reason.into_iter().chain(catalog.warnings().iter().cloned()).collect(),
        folded: counts(shared),
        mirrors: mirrors(core.mirrors()),
        claims: claims(shared),
        checkpoint_age_ms: checkpoint_age_ms(shared),
        ..Default::default()
    };
    let Some(store) = shared.store() else { return response };
    response.shards = store.shards();
    let ends = log_ends(shared).await.unwrap_or_else(|error| {
        response.warnings.push(format!("where the log ends is not known: {error}"));
        BTreeMap::new()
    });
    let states = all_states(store);
    let mut total = Digest::default();
    for ((origin, plan), summary) in &states {
        total.add(Digest::of(plan.0.as_slice(), &summary.digest.0.to_be_bytes(), &mut Vec::new()));
        response.panes += summary.panes;
        let plan = catalog.plan(*plan);
        if plan.as_ref().is_some_and(|plan| !is_active(&catalog, plan, &origin.region)) {
            // Retired there and not yet everywhere: its panes are kept, and nobody folds or reads it.
            continue;
        }
        let mut row = origin_status(shared, store, origin, plan.as_ref(), summary);
        row.log_end = ends.get(origin).copied();
        if summary.next < furthest(&states, origin) && row.state != Standing::Partial.name() {
            row.state = Standing::CatchingUp.name().into();
        }
        response.origins.push(row);
    }
    response.digest = total.to_string();
    response
}

fn checkpoint_age_ms(shared: &Shared) -> Option<u64> {
    let saved_ms = *shared.saved_ms.lock();
    Some(shared.env.monotonic_ms().saturating_sub(saved_ms?))
}

fn is_active(catalog: &Catalog, plan: &Plan, region: &Region) -> bool {
    let active = catalog.active(&plan.view, plan.version);
    active.get(region).is_some_and(|active| active.hash == plan.hash)
}

fn origin_status(
    shared: &Shared,
    store: &Store,
    origin: &Origin,
    plan: Option<&Arc<Plan>>,
    summary: &Summary,
) -> OriginStatus {
    let age_ms = origins::age_ms(shared.env.now_ms(), summary.complete_to_ms);
    let standing = if summary.proven_shards < store.shards() {
        Standing::Partial
    } else if age_ms > api::STALE_MS {
        Standing::Stale
    } else {
        Standing::Ok
    };
    OriginStatus {
        region: origin.region.to_string(),
        source: plan.map(|plan| plan.source.name.to_string()).unwrap_or_default(),
        topic_id: format!("{:?}", origin.topic),
        partition: origin.partition,
        view: plan.map(|plan| plan.reference()).unwrap_or_default(),
        plan: plan.map(|plan| plan.hash.to_string()).unwrap_or_default(),
        next: summary.next,
        log_end: None,
        watermark_ms: summary.watermark_ms,
        complete_to_ms: summary.complete_to_ms,
        age_ms,
        digest: summary.digest.to_string(),
        proven_shards: summary.proven_shards,
        panes: summary.panes,
        state: standing.name().into(),
    }
}

/// Where the partitions of this region's sources end, if the log says so in time. Of a topic that was
/// deleted and made again, those of the new one: an origin of the old one has no end.
async fn log_ends(shared: &Shared) -> Result<BTreeMap<Origin, u64>, LogError> {
    let sources = shared.catalog_now().sources();
    let ends = try_join_all(sources.iter().map(|source| ends_of(shared, &source.topic)));
    let late = |_| LogError::Transient(format!("no answer within {ENDS_MS} ms"));
    let ends = clock::timeout(&shared.env, ENDS_MS, ends).await.map_err(late)??;
    Ok(ends.into_iter().flatten().collect())
}

async fn ends_of(shared: &Shared, topic: &Arc<str>) -> Result<Vec<(Origin, u64)>, LogError> {
    let Some(info) = append::topic(shared, topic).await? else { return Ok(Vec::new()) };
    let region = &shared.identity.region;
    let ends = (0..info.partitions).map(|index| async move {
        let end = shared.log.bounds(&Partition::new(topic.clone(), index)).await?;
        let origin = Origin { region: region.clone(), topic: TopicId(info.id), partition: index };
        Ok((origin, end.committed_end))
    });
    try_join_all(ends).await
}

fn counts(shared: &Shared) -> std::collections::HashMap<String, FoldCounts> {
    let counts = shared.counts.lock();
    let count = |(source, c): (&Arc<str>, &fold::Counts)| {
        let counts = FoldCounts {
            folded: c.folded,
            skipped: c.skipped,
            repeated: c.repeated,
            dead_lettered: c.rejected,
            late: c.late,
        };
        (source.to_string(), counts)
    };
    counts.iter().map(count).collect()
}

fn claims(shared: &Shared) -> Vec<ClaimStatus> {
    let now_ms = shared.env.monotonic_ms();
    let status = |(partition, claim): (&Partition, &Claim)| {
        let (commits_per_s, events_per_s) = claim.rates(now_ms);
        ClaimStatus {
            topic: partition.topic.to_string(),
            partition: partition.index,
            error: claim.state.clone().err().unwrap_or_default(),
            commits_per_s,
            events_per_s,
        }
    };
    shared.claims.lock().iter().map(status).collect()
}

/// Each mirror, for people.
#[must_use]
pub fn mirrors(mirrors: &Mirrors) -> Vec<MirrorStatus> {
    let status =
        |(from, works, status): (&Region, bool, backbone::mirror::MirrorStatus)| MirrorStatus {
            from: from.to_string(),
            error: status.last_error.unwrap_or_default(),
            records: status.records,
            lag: status.lag,
            standby: !works,
        };
    mirrors.status().map(status).collect()
}
