//! One push, taken by the own region's log; or, if its caller asks for that, by another region's
//! while the own one is down.
//!
//! Within a region an event counts once by its id, so that a push whose fate is unknown can be
//! repeated there. Through another region it may count twice: that is only done when asked, and said.
//! While the own region's node says nothing, because it is restarted, pushes wait until it does.

use std::error::Error;
use std::iter;
use std::sync::Arc;
use std::time::Duration;

use api::node::v1 as node;
use api::v1::{self, OnRegionDown};
use bytes::Bytes;
use clock::{Env, timeout};
use parking_lot::Mutex;
use routing::{Budget, Need, Standing};
use tonic::{Code, ConnectError, Request, Status};
use tracing::Instrument;

use crate::catalog_cache::CatalogCache;
use crate::config::Config;
use crate::deadline::{Deadline, in_time};
use crate::gate::Permit;
use crate::hop;
use crate::metrics::Instruments;
use crate::refusal::{Refusal, is_too_much, too_much};
use crate::regions::{Region, Regions};
use crate::token;

/// Between two tries in the own region, ms: doubled from the first to the last.
const BACKOFF_MS: (u64, u64) = (50, 500);

/// Events for a source.
#[derive(Debug)]
pub(crate) struct Push {
    pub(crate) source: String,
    pub(crate) events: Vec<Bytes>,
    pub(crate) on_region_down: OnRegionDown,
}

/// Appends to regions.
pub(crate) struct Pusher {
    env: Arc<dyn Env>,
    regions: Arc<Regions>,
    catalog: Arc<CatalogCache>,
    instruments: Arc<Instruments>,
    retries: Mutex<Budget>,
}

impl Pusher {
    pub(crate) fn new(
        config: &Config,
        env: Arc<dyn Env>,
        (regions, catalog): (Arc<Regions>, Arc<CatalogCache>),
        instruments: Arc<Instruments>,
    ) -> Self {
        let budget = Budget::retries(config.retry_percent, config.retry_per_s, env.monotonic_ms());
        Self { env, regions, catalog, instruments, retries: Mutex::new(budget) }
    }

    /// The own region, again while it is down and repeats count once; or the next one that is there.
    ///
    /// # Errors
    /// No log took it that may, or it is wrong.
    pub(crate) async fn push(
        &self,
        push: Push,
        deadline: Deadline,
        permit: &Permit,
    ) -> Result<v1::PushResponse, Refusal> {
        self.retries.lock().request();
        let request = node::AppendRequest { source: push.source, events: push.events };
        match push.on_region_down {
            OnRegionDown::Refuse => self.at_home(request, deadline, permit).await,
            OnRegionDown::Reroute => self.anywhere(request, deadline).await,
        }
    }

    async fn at_home(
        &self,
        request: node::AppendRequest,
        deadline: Deadline,
        permit: &Permit,
    ) -> Result<v1::PushResponse, Refusal> {
        let mut backoff_ms = BACKOFF_MS.0;
        loop {
            self.until_there(&request, deadline, permit).await?;
            let (own, left_ms) = (self.regions.own(), deadline.left_ms(&*self.env));
            let status = match self.append(own, request.clone(), left_ms).await {
                Ok(answer) => return Ok(pushed(answer, own, false)),
                Err(status) => status,
            };
            let again = is_down(&status) && self.counts_once(&request);
            if !(again && self.may_repeat(backoff_ms, deadline).await) {
                return Err(wrong(&own.name, &request, &status)
                    .unwrap_or_else(|| self.not_pushed(status.message().to_owned())));
            }
            backoff_ms = (backoff_ms * 2).min(BACKOFF_MS.1);
        }
    }

    /// Waits while the own region's node is not heard: it is restarted, or will not take it anyhow.
    async fn until_there(
        &self,
        request: &node::AppendRequest,
        deadline: Deadline,
        permit: &Permit,
    ) -> Result<(), Refusal> {
        if self.regions.own_serves() {
            return Ok(());
        }
        let bytes = request.events.iter().map(Bytes::len).sum();
        let _aside = permit.park(bytes).ok_or_else(|| {
            self.not_pushed("it is not there, and enough pushes wait for it already".into())
        })?;
        let left_ms = deadline.left_ms(&*self.env);
        let returned = timeout(&self.env, left_ms, self.regions.own_returns()).await;
        returned.map_err(|_| self.not_pushed("it is not there, and did not return in time".into()))
    }

    /// Whether to ask again what failed: at once if the node is gone, as its return is waited for; if
    /// it is there, after a pause and only within the budget, so that it is not met by a crowd.
    async fn may_repeat(&self, backoff_ms: u64, deadline: Deadline) -> bool {
        if deadline.left_ms(&*self.env) <= backoff_ms {
            return false;
        }
        if timeout(&self.env, backoff_ms, self.regions.own_goes()).await.is_ok() {
            return true;
        }
        let may = self.retries.lock().try_spend(self.env.monotonic_ms());
        if may {
            self.instruments.push_retry();
        }
        may
    }

    /// Whether the source's events have an id, by which a repeated one counts once.
    fn counts_once(&self, request: &node::AppendRequest) -> bool {
        self.catalog.now().source(&request.source).is_some_and(|source| source.id.is_some())
    }

    fn not_pushed(&self, cause: String) -> Refusal {
        Refusal::NotPushed { region: self.regions.own().name.to_string(), cause }
    }

    /// Each region once, and each node of the own one. Half of what time is left is for each, so that one
    /// that hangs leaves some for the next. Where the log may have it already and repeats count, as in
    /// another region they always do, the answer says so.
    async fn anywhere(
        &self,
        request: node::AppendRequest,
        deadline: Deadline,
    ) -> Result<v1::PushResponse, Refusal> {
        let (mut reasons, mut may_be_there) = (Vec::new(), false);
        for region in self.candidates() {
            let left_ms = deadline.left_ms(&*self.env).div_ceil(2);
            let status = match self.append(region, request.clone(), left_ms).await {
                Ok(answer) => {
                    let away = self.is_away(&region.name);
                    if away {
                        self.instruments.reroute(&region.name);
                    }
                    let twice = away || (may_be_there && !self.counts_once(&request));
                    return Ok(pushed(answer, region, twice));
                }
                Err(status) => status,
            };
            if let Some(refusal) = wrong(&region.name, &request, &status) {
                return Err(refusal);
            }
            may_be_there |= was_sent(&status);
            reasons.push(format!("{}: {}", region.name, status.message()));
            if !is_down(&status) {
                break;
            }
        }
        Err(Refusal::PushedNowhere(reasons.join("; ")))
    }

    fn is_away(&self, region: &str) -> bool {
        *region != *self.regions.own().name
    }

    /// How a push came about, for metrics.
    pub(crate) fn route(&self, pushed: &v1::PushResponse) -> &'static str {
        if self.is_away(&pushed.region) { "reroute" } else { "local" }
    }

    /// The own region unless it is known to be gone, then the others as reads would find them.
    fn candidates(&self) -> Vec<&Region> {
        let gone =
            |standing: &Standing| matches!(standing, Standing::Unknown | Standing::NotServing);
        let own = &self.regions.own().name;
        let picks = self.regions.routes().plan(&Need::default());
        let there = picks.iter().filter(|pick| !gone(&pick.standing));
        let mut regions: Vec<&Region> = there.map(|pick| self.regions.at(pick.target)).collect();
        regions.sort_by_key(|region| region.name != *own);
        if regions.is_empty() { vec![self.regions.own()] } else { regions }
    }

    async fn append(
        &self,
        region: &Region,
        request: node::AppendRequest,
        ms: u64,
    ) -> Result<node::AppendResponse, Status> {
        append(&self.env, region, ms, || Ok(hop::first(request))).await
    }
}

/// One append, answered within so many ms.
pub(crate) async fn append(
    env: &Arc<dyn Env>,
    region: &Region,
    ms: u64,
    request: impl FnOnce() -> Result<Request<node::AppendRequest>, Status> + Send,
) -> Result<node::AppendResponse, Status> {
    let mut client = region.client.clone();
    let call = async move {
        // Made here: it carries the span of this call.
        let mut request = request()?.map(tokio_stream::once);
        request.set_timeout(Duration::from_millis(ms));
        let mut answers = client.append(request).await?.into_inner();
        let lost = || Status::unavailable("the node ended the stream");
        answers.message().await?.ok_or_else(lost)
    };
    let asked = async {
        let answer = in_time(env, ms, call).await;
        hop::ended(&answer);
        answer
    };
    asked.instrument(telemetry::client("append", || [("region", region.name.to_string())])).await
}

/// Whether the region may take it later, and another one now: it is not there, or its log is not.
/// Whether it has taken it is not known. One that is full is neither: that is no reason to burden
/// others.
fn is_down(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::Unavailable
            | Code::DeadlineExceeded
            | Code::Cancelled
            | Code::Unknown
            | Code::Internal
            | Code::Unimplemented
    )
}

/// What is the push's own fault, wherever it goes.
fn wrong(region: &str, request: &node::AppendRequest, status: &Status) -> Option<Refusal> {
    match status.code() {
        Code::NotFound => Some(Refusal::NoSuchSource(request.source.chars().take(200).collect())),
        Code::InvalidArgument => Some(Refusal::BadOption(status.message().to_owned())),
        _ => is_too_much(status).then(|| too_much(region, status)),
    }
}

/// Whether what failed like this may have been taken all the same: always, but where there was no
/// connection to send it on, or nobody who knew the call.
fn was_sent(status: &Status) -> bool {
    let causes = iter::successors(status.source(), |error| (*error).source());
    status.code() != Code::Unimplemented
        && !causes.into_iter().any(|error| error.is::<ConnectError>())
}

fn pushed(answer: node::AppendResponse, region: &Region, twice: bool) -> v1::PushResponse {
    v1::PushResponse {
        accepted: answer.accepted,
        token: token::encode(answer.positions),
        region: region.name.to_string(),
        possible_duplicate: twice,
    }
}

#[cfg(test)]
mod tests {
    use api::node::v1::node_client::NodeClient;
    use tonic::transport::Endpoint;

    use super::*;

    #[tokio::test]
    async fn what_found_no_connection_was_not_sent() {
        // Bound, so that nobody else has it, and nobody listens.
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = format!("http://{}", socket.local_addr().unwrap());
        let mut client = NodeClient::new(Endpoint::from_shared(address).unwrap().connect_lazy());
        let refused = client.ping(node::PingRequest {}).await.unwrap_err();
        assert!(!was_sent(&refused) && is_down(&refused), "{refused:?}");
        for code in [Code::Unavailable, Code::DeadlineExceeded, Code::Cancelled, Code::Internal] {
            assert!(was_sent(&Status::new(code, "gone")));
        }
        assert!(!was_sent(&Status::unimplemented("an older node")));
    }
}
