//! What both protocols call: read, push, explain, status.

use std::sync::Arc;

use api::node::v1 as node;
use api::v1;
use bytes::Bytes;
use catalog::{Ask, ColumnSource, resolve};
use clock::{Env, timeout};
use tokio::sync::{Semaphore, SemaphorePermit};
use tonic::{Code, Response, Status};

use crate::answer::{self, Answered};
use crate::catalog_cache::CatalogCache;
use crate::config::Config;
use crate::keys::Rows;
use crate::metrics::Instruments;
use crate::refusal::Refusal;
use crate::regions::{Region, Regions};
use crate::request::{FeatureRequest, loose, rows};
use crate::token;

/// Left of the deadline for the way back when a node waits for tokens, ms.
const MARGIN_MS: u64 = 20;
const MAX_EXCLUDED: usize = 64;

/// The gateway behind its protocols.
pub(crate) struct Door {
    pub(crate) config: Config,
    pub(crate) env: Arc<dyn Env>,
    pub(crate) catalog: Arc<CatalogCache>,
    pub(crate) regions: Regions,
    pub(crate) instruments: Instruments,
    pub(crate) slots: Semaphore,
}

/// How long a token may be waited for, and how old a part may be.
struct Rules<'a> {
    waits: bool,
    max_staleness_ms: Option<i64>,
    exclude: &'a [String],
}

impl Door {
    /// Reads features from the nearest region that can answer.
    pub(crate) async fn get_features(
        &self,
        request: FeatureRequest,
    ) -> Result<v1::GetFeaturesResponse, Refusal> {
        let _slot = self.slot()?;
        let options = &request.options;
        let tokens = token::decode_all(&options.tokens)?;
        check(options)?;
        let count = rows(&request.columns)?;
        let resolved =
            self.resolve(request.service.as_deref(), &request.features, request.full_names)?;
        let shards = self.catalog.now().shards_or_default();
        let mut rows = Rows::new(&resolved, &request.columns, count, shards)?;
        let rules = Rules {
            waits: !tokens.is_empty(),
            max_staleness_ms: options.max_staleness_ms,
            exclude: &options.exclude_regions,
        };
        let read = node::ReadRequest {
            views: std::mem::take(&mut rows.reads),
            as_of_ms: options.as_of_ms,
            now_ms: self.env.now_ms(),
            exclude_regions: options.exclude_regions.clone(),
            tokens,
            wait_ms: 0,
        };
        let (answered, read) = self.read(read, &rules).await?;
        rows.reads = read.views;
        answer::assemble(&resolved, &rows, answered, (request.full_names, options.as_of_ms))
    }

    /// Refuses at once rather than queueing without bound.
    fn slot(&self) -> Result<SemaphorePermit<'_>, Refusal> {
        self.slots.try_acquire().map_err(|_| Refusal::Busy(self.config.max_in_flight))
    }

    fn resolve(
        &self,
        service: Option<&str>,
        features: &[String],
        full_names: bool,
    ) -> Result<catalog::Resolved, Refusal> {
        let catalog = self.catalog.now();
        if catalog.generation() == 0 {
            return Err(Refusal::NoCatalog);
        }
        let covered = self.regions.covered();
        let covered = |view: &str, version| covered.contains(&format!("{view}@v{version}"));
        Ok(resolve(&catalog, &Ask { service, features, full_names }, &covered)?)
    }

    /// One region after the other, until one answers as the rules want it or the time is over.
    async fn read(
        &self,
        mut read: node::ReadRequest,
        rules: &Rules<'_>,
    ) -> Result<(Answered, node::ReadRequest), Refusal> {
        let until_ms = self.env.now_ms().saturating_add_unsigned(self.config.deadline_ms);
        let candidates = self.regions.candidates();
        let (mut conflict, mut reasons) = (None, Vec::new());
        for (i, region) in candidates.iter().enumerate() {
            let left_ms = u64::try_from(until_ms.saturating_sub(self.env.now_ms())).unwrap_or(0);
            if left_ms == 0 {
                break;
            }
            // A region that may not see the token in time leaves the next one as much again.
            let last = i + 1 == candidates.len();
            let wait_ms = if last { left_ms.saturating_sub(MARGIN_MS) } else { left_ms / 2 };
            read.wait_ms = if rules.waits { u32::try_from(wait_ms).unwrap_or(u32::MAX) } else { 0 };
            let most_ms = if last { left_ms } else { left_ms - left_ms / 4 };
            let try_ms = self.config.try_ms.saturating_add(read.wait_ms.into()).min(most_ms);
            let mut client = region.client.clone();
            let question = read.clone();
            match self.within(try_ms, async move { client.read(question).await }).await {
                Ok(response) => match rules.too_old(&response) {
                    None => return Ok((self.answered(region, response), read)),
                    Some(refusal) => conflict = Some(refusal),
                },
                Err(status) if status.code() == Code::FailedPrecondition => {
                    conflict.get_or_insert(Refusal::TokensNotReached);
                }
                Err(status) => reasons.push(format!("{}: {}", region.name, status.message())),
            }
            if !last {
                self.instruments.failover(&region.name);
            }
        }
        let unavailable = || Refusal::Unavailable(reasons.join("; "));
        Err(conflict.unwrap_or_else(unavailable))
    }

    fn answered(&self, region: &Region, response: node::ReadResponse) -> Answered {
        let route = self.route(region);
        Answered { region: region.name.to_string(), route, response }
    }

    fn route(&self, region: &Region) -> &'static str {
        if region.name == self.config.region { "local" } else { "failover" }
    }

    async fn within<T>(
        &self,
        ms: u64,
        call: impl Future<Output = Result<Response<T>, Status>> + Send,
    ) -> Result<T, Status> {
        match timeout(&self.env, ms, call).await {
            Ok(answer) => answer.map(Response::into_inner),
            Err(_) => Err(Status::deadline_exceeded(format!("no answer within {ms} ms"))),
        }
    }

    /// Appends events to a source in the own region. Never tried elsewhere: a retry through another
    /// region could count twice.
    pub(crate) async fn push(
        &self,
        source: String,
        events: Vec<Bytes>,
    ) -> Result<v1::PushResponse, Refusal> {
        let _slot = self.slot()?;
        let request = node::AppendRequest { source: source.clone(), events };
        let mut client = self.regions.own().client.clone();
        let call = async move {
            let mut answers = client.append(tokio_stream::once(request)).await?.into_inner();
            let lost = || Status::unavailable("the node ended the stream");
            answers.message().await?.map(Response::new).ok_or_else(lost)
        };
        match self.within(self.config.push_ms, call).await {
            Ok(answer) => Ok(pushed(answer)),
            Err(status) => Err(self.not_pushed(&source, &status)),
        }
    }

    pub(crate) fn not_pushed(&self, source: &str, status: &Status) -> Refusal {
        match status.code() {
            Code::NotFound => Refusal::NoSuchSource(source.to_owned()),
            _ => Refusal::NotPushed {
                region: self.config.region.to_string(),
                cause: status.message().to_owned(),
            },
        }
    }

    /// The panes behind the value of one feature of one entity.
    pub(crate) async fn explain(
        &self,
        request: v1::ExplainRequest,
    ) -> Result<v1::ExplainResponse, Refusal> {
        let _slot = self.slot()?;
        let options = request.options.unwrap_or_default();
        check(&options)?;
        let resolved = self.resolve(None, std::slice::from_ref(&request.feature), false)?;
        let single =
            matches!(&resolved.columns[..], [c] if matches!(c.source, ColumnSource::View { .. }));
        if !single {
            return Err(Refusal::NotExplainable(request.feature));
        }
        let entity = request.entity.into_iter();
        let columns = entity.map(|(name, value)| (name, vec![loose(value)])).collect();
        let rows = Rows::new(&resolved, &columns, 1, self.catalog.now().shards_or_default())?;
        let names = || resolved.join_keys.iter().map(|key| key.name.to_string()).collect();
        let read =
            rows.reads.into_iter().next().ok_or_else(|| Refusal::MissingJoinKeys(names()))?;
        let question = node::ExplainRequest {
            view: read.view,
            version: read.version,
            shard: read.shard,
            entity: read.entities.into_iter().next().unwrap_or_default(),
            feature: read.features.first().copied().unwrap_or_default(),
            as_of_ms: options.as_of_ms,
            now_ms: self.env.now_ms(),
            exclude_regions: options.exclude_regions,
        };
        let mut reasons = Vec::new();
        for region in self.regions.candidates() {
            let (mut client, question) = (region.client.clone(), question.clone());
            match self
                .within(self.config.try_ms, async move { client.explain(question).await })
                .await
            {
                Ok(mut answer) => {
                    let mesh = answer.mesh.get_or_insert_default();
                    mesh.served_by = region.name.to_string();
                    mesh.route = self.route(region).to_owned();
                    return Ok(answer);
                }
                Err(status) => reasons.push(format!("{}: {}", region.name, status.message())),
            }
        }
        Err(Refusal::Unavailable(reasons.join("; ")))
    }

    /// What the own region's node knows.
    pub(crate) async fn status(&self) -> Result<v1::StatusResponse, Refusal> {
        let mut client = self.regions.own().client.clone();
        let call = async move { client.status(v1::StatusRequest {}).await };
        let answer = self.within(self.config.push_ms, call).await;
        answer.map_err(|status| {
            Refusal::Unavailable(format!("{}: {}", self.config.region, status.message()))
        })
    }
}

impl Rules<'_> {
    /// The oldest part, if it is older than allowed.
    fn too_old(&self, response: &node::ReadResponse) -> Option<Refusal> {
        let max_ms = self.max_staleness_ms?;
        let included = response.origins.iter().filter(|(region, _)| !self.exclude.contains(region));
        let ages = included.map(|(region, origin)| (origin.age_ms.unwrap_or(i64::MAX), region));
        let (age_ms, region) = ages.max().filter(|(age_ms, _)| *age_ms > max_ms)?;
        let unknown = age_ms == i64::MAX;
        let age = if unknown { "infinitely".into() } else { clock::format_duration(age_ms) };
        Some(Refusal::TooOld { region: region.clone(), age })
    }
}

pub(crate) fn pushed(answer: node::AppendResponse) -> v1::PushResponse {
    v1::PushResponse { accepted: answer.accepted, token: token::encode(answer.positions) }
}

fn check(options: &v1::ReadOptions) -> Result<(), Refusal> {
    if options.max_staleness_ms.is_some_and(|ms| ms < 0) {
        return Err(Refusal::BadOption("max_staleness_ms must not be negative".into()));
    }
    if options.exclude_regions.len() > MAX_EXCLUDED {
        return Err(Refusal::BadOption(format!("exclude_regions: more than {MAX_EXCLUDED}")));
    }
    Ok(())
}
