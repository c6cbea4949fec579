//! What both protocols call: read, push, explain, status, routes.

use std::sync::Arc;
use std::time::Duration;

use api::node::v1 as node;
use api::v1;
use catalog::ColumnSource;
use clock::Env;
use routing::Need;
use tokio::sync::watch;
use tonic::{Response, Status};
use tower::{ServiceBuilder, ServiceExt};
use tracing::Instrument;

use crate::cache::Answers;
use crate::caller::Caller;
use crate::catalog_cache::CatalogCache;
use crate::config::Config;
use crate::deadline::in_time;
use crate::extra::Extra;
use crate::gate::Gate;
use crate::given::Given;
use crate::hop;
use crate::keys::Rows;
use crate::metrics::Instruments;
use crate::pushing::{self, Push, Pusher};
use crate::question::{check, names_to_plans};
use crate::refusal::{Refusal, is_too_much, too_much};
use crate::regions::Regions;
use crate::request::{FeatureRequest, loose};
use crate::resolutions::{Names, Resolutions};
use crate::stack::{
    Call, Try, Unanswered, admission, assembly, breaker, cache, deadline, hedge, retry, split,
};

/// The gateway behind its protocols.
pub(crate) struct Door {
    pub(crate) config: Config,
    pub(crate) env: Arc<dyn Env>,
    pub(crate) catalog: Arc<CatalogCache>,
    pub(crate) resolutions: Resolutions,
    pub(crate) regions: Arc<Regions>,
    pub(crate) instruments: Arc<Instruments>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) answers: Answers,
    pub(crate) extra: Extra,
    pub(crate) pusher: Pusher,
    /// Whether this gateway is about to end.
    pub(crate) draining: watch::Sender<bool>,
}

impl Door {
    /// The path of a read, top to bottom.
    pub(crate) async fn get_features(
        &self,
        caller: Caller,
        request: FeatureRequest,
    ) -> Result<Given, Refusal> {
        let read = ServiceBuilder::new()
            // How long the answer is of use.
            .layer(deadline(self))
            // Quota, limit, queue: shed here, or worked on to the end.
            .layer(admission(self))
            // One that was given already, for who said how old it may be; else
            .layer(cache(self))
            // names to plans, keys to shards; and back, rows to columns, on-demand features;
            .layer(assembly(self))
            // whom to ask, and where nodes differ, each for its shards;
            .layer(split(self))
            // the next best, as often as the budget allows;
            .layer(retry(self))
            // another one beside it when it is slower than usual;
            .layer(hedge(self))
            // a try at one region, which counts for or against it;
            .layer(breaker(self))
            // the call.
            .service_fn(|asked: Try<node::ReadRequest>| {
                let region = self.regions.at(asked.pick.target);
                region.read(asked)
            });
        let answer = read.oneshot(Call { caller, request }).await;
        if let Ok(given) = &answer {
            telemetry::note("served_by", || given.mesh().served_by.clone());
        }
        answer
    }

    /// Whether a caller who waits for so long leaves time for one try. Of one who does not, it says
    /// nothing that the answer is late, or a few such callers would shrink the limit for all.
    pub(crate) fn is_patient(&self, timeout_ms: Option<u64>) -> bool {
        timeout_ms.is_none_or(|ms| ms >= self.config.try_ms)
    }

    /// What names mean now.
    pub(crate) fn names(&self) -> Names {
        Names { catalog: self.catalog.now(), covered: self.regions.covered() }
    }

    /// Asks the own region's node.
    async fn ask<T>(
        &self,
        name: &str,
        ms: u64,
        call: impl Future<Output = Result<Response<T>, Status>> + Send,
    ) -> Result<T, Status> {
        let span = telemetry::client(name, || [("region", self.config.region.to_string())]);
        let asked = async {
            let answer = in_time(&self.env, ms, call).await.map(Response::into_inner);
            hop::ended(&answer);
            answer
        };
        asked.instrument(span).await
    }

    /// The path of a push, top to bottom.
    pub(crate) async fn push(
        &self,
        caller: &Caller,
        push: Push,
    ) -> Result<v1::PushResponse, Refusal> {
        let deadline = caller.deadline(&*self.env, self.config.push_ms);
        let permit = self.gate.enter(caller, deadline).await?;
        self.pusher.push(push, deadline, &permit).await
    }

    /// What another gateway pushes here, because its own region is down: to the own node, once.
    pub(crate) async fn append(
        &self,
        caller: &Caller,
        append: node::AppendRequest,
    ) -> Result<node::AppendResponse, Status> {
        let deadline = caller.deadline(&*self.env, self.config.push_ms);
        let _permit = self.gate.relayed(caller.priority, deadline).await?;
        let (own, ms) = (self.regions.own(), deadline.left_ms(&*self.env));
        pushing::append(&self.env, own, ms, || hop::next(caller, append)).await
    }

    /// The panes behind the value of one feature of one entity.
    pub(crate) async fn explain(
        &self,
        caller: &Caller,
        request: v1::ExplainRequest,
    ) -> Result<v1::ExplainResponse, Refusal> {
        let deadline = caller.deadline(&*self.env, self.config.deadline_ms);
        let _permit = self.gate.enter(caller, deadline).await?;
        let question = self.explainable(request)?;
        let tries = ServiceBuilder::new().layer(breaker(self)).service_fn(
            move |asked: Try<node::ExplainRequest>| async move {
                let mut client = self.regions.at(asked.pick.target).client.clone();
                let mut request = hop::first(asked.question);
                request.set_timeout(Duration::from_millis(asked.ms));
                client.explain(request).await.map(Response::into_inner)
            },
        );
        self.extra.read();
        let (mut first, mut reasons) = (true, Vec::new());
        for pick in self.regions.routes().plan(&Need::default()) {
            if !first && !self.extra.may_retry() {
                reasons.push("too much is being asked again".into());
                break;
            }
            let ms = self.config.try_ms.min(deadline.left_ms(&*self.env));
            let region = &self.regions.at(pick.target).name;
            let (pick, question, priority) = (pick.clone(), question.clone(), caller.priority);
            let asked = Try { pick: pick.clone(), question, ms, usual: false, priority };
            let answer = tries.oneshot(asked).await;
            if !matches!(answer, Err(Unanswered::NotAsked)) {
                if !first {
                    self.instruments.retry();
                }
                first = false;
            }
            match answer {
                Ok(mut answer) => {
                    let mesh = answer.mesh.get_or_insert_default();
                    mesh.served_by = region.to_string();
                    mesh.route = self.regions.route(&pick, false).to_owned();
                    return Ok(answer);
                }
                Err(Unanswered::NotAsked) => {}
                Err(Unanswered::Status(status)) if is_too_much(&status) => {
                    return Err(too_much(region, &status));
                }
                Err(Unanswered::Status(status)) => {
                    reasons.push(format!("{region}: {}", status.message()));
                }
            }
        }
        Err(Refusal::Unavailable(reasons.join("; ")))
    }

    /// One feature of one view, of one entity; nothing else has panes.
    fn explainable(&self, request: v1::ExplainRequest) -> Result<node::ExplainRequest, Refusal> {
        let options = request.options.unwrap_or_default();
        check(&options)?;
        let features = std::slice::from_ref(&request.feature);
        let names = self.names();
        let resolved = names_to_plans(self, &names, (None, features), false)?;
        let single =
            matches!(&resolved.columns[..], [c] if matches!(c.source, ColumnSource::View { .. }));
        if !single {
            return Err(Refusal::NotExplainable(request.feature));
        }
        let entity = request.entity.into_iter();
        let columns = entity.map(|(name, value)| (name, vec![loose(value)])).collect();
        let rows = Rows::new(&resolved, &columns, 1, names.catalog.shards_or_default())?;
        let names = || resolved.join_keys.iter().map(|key| key.name.to_string()).collect();
        let read =
            rows.reads.into_iter().next().ok_or_else(|| Refusal::MissingJoinKeys(names()))?;
        Ok(node::ExplainRequest {
            view: read.view,
            version: read.version,
            shard: read.shards.first().copied().unwrap_or_default(),
            entity: read.entities.into_iter().next().unwrap_or_default(),
            feature: read.features.first().copied().unwrap_or_default(),
            as_of_ms: options.as_of_ms,
            now_ms: self.env.now_ms(),
            exclude_regions: options.exclude_regions,
        })
    }

    /// What the own region's node knows.
    pub(crate) async fn status(&self, caller: &Caller) -> Result<v1::StatusResponse, Refusal> {
        let deadline = caller.deadline(&*self.env, self.config.push_ms);
        let _permit = self.gate.enter(caller, deadline).await?;
        let mut client = self.regions.own().client.clone();
        let call = async move { client.status(hop::first(v1::StatusRequest {})).await };
        let answer = self.ask("status", deadline.left_ms(&*self.env), call).await;
        answer.map_err(|status| {
            Refusal::Unavailable(format!("{}: {}", self.config.region, status.message()))
        })
    }

    /// Where reads go, and why.
    pub(crate) fn routes(&self) -> v1::RoutesResponse {
        let route = |row: routing::Row| v1::Route {
            region: row.name.to_string(),
            home: row.home,
            standing: row.standing.to_string(),
            breaker: row.breaker.to_owned(),
            failures: row.failures,
            round_trip_us: row.round_trip_us,
            outstanding: row.outstanding,
            share_percent: u32::try_from(row.share_percent).unwrap_or(100),
            heard_ms: row.heard_ms,
            lags_ms: row.lags_ms.into_iter().map(|(name, ms)| (name.to_string(), ms)).collect(),
        };
        let fill = self.gate.fill();
        v1::RoutesResponse {
            region: self.config.region.to_string(),
            routes: self.regions.routes().table().into_iter().map(route).collect(),
            in_flight: fill.in_flight,
            limit: fill.limit,
            waiting: fill.waiting,
        }
    }
}
