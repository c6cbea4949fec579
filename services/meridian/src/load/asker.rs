//! Asks gateways for features, over either protocol. It holds a list of them, as a name server would
//! give it: when the first does not answer at all, the next is asked, once each.

use std::sync::Arc;
use std::time::Duration;

use api::v1::mesh_client::MeshClient;
use api::v1::{GetFeaturesRequest, MeshInfo};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use super::http::HttpGateway;
use crate::error::{CliError, Result};

/// How long a connection may take to come up, ms.
pub(super) const CONNECT_MS: u64 = 500;

/// What gateways are asked over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// `meridian.v1.Mesh`.
    Grpc,
    /// Feast's.
    Http,
}

/// Gateways, the preferred one first.
#[derive(Clone)]
pub(crate) struct Asker {
    gateways: Arc<[Gateway]>,
    timeout_ms: u64,
}

enum Gateway {
    Grpc(MeshClient<Channel>),
    Http(Box<HttpGateway>),
}

/// The route of an answer and who gave it, or why there is none.
pub(super) type Answer = std::result::Result<(String, String), Failure>;

/// Why there is no answer.
#[derive(Debug)]
pub(super) struct Failure {
    /// In few words, to be counted.
    pub(super) reason: String,
    /// Whether there is no gateway: one that refuses has answered.
    pub(super) is_gone: bool,
}

/// An answer, or why there is none, and whether another gateway than the preferred one was asked.
pub(crate) type Asked = (std::result::Result<(String, String), String>, bool);

impl Failure {
    pub(super) fn refused(reason: String) -> Self {
        Self { reason, is_gone: false }
    }

    pub(super) fn gone(reason: String) -> Self {
        Self { reason, is_gone: true }
    }
}

impl Asker {
    /// Connects when it has to.
    ///
    /// # Errors
    /// An address is none.
    pub(crate) fn new(urls: &[String], protocol: Protocol, timeout_ms: u64) -> Result<Self> {
        let gateway = |url: &String| match protocol {
            Protocol::Grpc => grpc(url).map(Gateway::Grpc),
            Protocol::Http => HttpGateway::new(url).map(|gateway| Gateway::Http(Box::new(gateway))),
        };
        let gateways: Result<Vec<_>> = urls.iter().map(gateway).collect();
        Ok(Self { gateways: gateways?.into(), timeout_ms })
    }

    /// Asks for the features of these entities.
    pub(crate) async fn ask(&self, request: GetFeaturesRequest) -> Asked {
        let mut reason = "no gateway".to_owned();
        for (at, gateway) in self.gateways.iter().enumerate() {
            let answer = match gateway {
                Gateway::Grpc(client) => ask(client, &request, self.timeout_ms).await,
                Gateway::Http(client) => client.ask(&request, self.timeout_ms).await,
            };
            match answer {
                Ok(how) => return (Ok(how), at > 0),
                Err(failure) if !failure.is_gone => return (Err(failure.reason), at > 0),
                Err(failure) => reason = failure.reason,
            }
        }
        (Err(reason), self.gateways.len() > 1)
    }
}

fn grpc(url: &str) -> Result<MeshClient<Channel>> {
    let endpoint = Endpoint::from_shared(url.to_owned())
        .map_err(|e| CliError::Usage(format!("'{url}' is not the address of a gateway: {e}")))?;
    let endpoint = endpoint.connect_timeout(Duration::from_millis(CONNECT_MS));
    Ok(MeshClient::new(endpoint.tcp_nodelay(true).connect_lazy()))
}

async fn ask(
    client: &MeshClient<Channel>,
    request: &GetFeaturesRequest,
    timeout_ms: u64,
) -> Answer {
    let mut timed = tonic::Request::new(request.clone());
    timed.set_timeout(Duration::from_millis(timeout_ms));
    match client.clone().get_features(timed).await {
        Ok(answer) => Ok(how(answer.into_inner().mesh)),
        Err(status) => Err(Failure { reason: reason(&status), is_gone: is_gone(&status) }),
    }
}

fn is_gone(status: &Status) -> bool {
    let transport = std::error::Error::source(status).is_some();
    transport && matches!(status.code(), Code::Unavailable | Code::Unknown | Code::Cancelled)
}

fn how(mesh: Option<MeshInfo>) -> (String, String) {
    mesh.map(|mesh| (mesh.route, mesh.served_by)).unwrap_or_default()
}

/// Few enough to be counted apart: the code, and what comes before any detail.
fn reason(status: &Status) -> String {
    let message = status.message().split([':', '(']).next().unwrap_or_default().trim();
    format!("{:?}: {message}", status.code())
}

/// A request for one row of each of these keys.
pub(crate) fn request(like: &GetFeaturesRequest, keys: &[&super::Key]) -> GetFeaturesRequest {
    let mut request = like.clone();
    for key in keys {
        for (name, value) in key.iter() {
            request.entities.entry(name.clone()).or_default().values.push(value.clone());
        }
    }
    request
}
