//! Asks gateways for features, over either protocol. It holds a list of them, as a name server would
//! give it: when the first does not answer at all, the next is asked, once each.

use std::sync::Arc;
use std::time::Duration;

use api::v1::mesh_client::MeshClient;
use api::v1::{GetFeaturesRequest, MeshInfo};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use crate::error::{CliError, Result};

/// How long a connection may take to come up, ms.
const CONNECT_MS: u64 = 500;

/// Gateways, the preferred one first.
#[derive(Clone)]
pub(crate) struct Asker {
    gateways: Arc<[MeshClient<Channel>]>,
    timeout_ms: u64,
}

/// An answer, or why there is none, and whether the preferred gateway gave it.
pub(crate) type Asked = (std::result::Result<(String, String), String>, bool);

impl Asker {
    /// Connects when it has to.
    ///
    /// # Errors
    /// An address is none.
    pub(crate) fn new(urls: &[String], timeout_ms: u64) -> Result<Self> {
        let client = |url: &String| {
            let endpoint = Endpoint::from_shared(url.clone()).map_err(|e| {
                CliError::Usage(format!("'{url}' is not the address of a gateway: {e}"))
            })?;
            let endpoint = endpoint.connect_timeout(Duration::from_millis(CONNECT_MS));
            Ok(MeshClient::new(endpoint.tcp_nodelay(true).connect_lazy()))
        };
        let gateways: Result<Vec<_>> = urls.iter().map(client).collect();
        Ok(Self { gateways: gateways?.into(), timeout_ms })
    }

    /// Asks for the features of these entities.
    pub(crate) async fn ask(&self, request: GetFeaturesRequest) -> Asked {
        let mut outcome = Err("no gateway".to_owned());
        for (at, gateway) in self.gateways.iter().enumerate() {
            let mut timed = tonic::Request::new(request.clone());
            timed.set_timeout(Duration::from_millis(self.timeout_ms));
            let answer = gateway.clone().get_features(timed).await;
            let gone = answer.as_ref().is_err_and(is_gone);
            outcome = answer.map(|a| how(a.into_inner().mesh)).map_err(|status| reason(&status));
            if !gone {
                return (outcome, at > 0);
            }
        }
        (outcome, self.gateways.len() > 1)
    }
}

/// Whether there is no gateway: one that refuses has answered.
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
