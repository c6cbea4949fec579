//! gRPC to the processes of a mesh.

use std::time::Duration;

use api::node::v1::node_client::NodeClient;
use api::v1::mesh_client::MeshClient;
use tonic::transport::{Channel, Endpoint};

use crate::error::{CliError, Result};
use crate::mesh::Mesh;

/// How long a connection may take to come up, ms.
const CONNECT_MS: u64 = 2_000;
/// How long a single answer may take, ms.
pub(crate) const ANSWER_MS: u64 = 10_000;
/// Largest answer taken, bytes.
const MESSAGE_BYTES: usize = 64 << 20;

/// A process, and how errors name it.
#[derive(Debug, Clone)]
pub(crate) struct At<C> {
    pub(crate) what: String,
    pub(crate) url: String,
    pub(crate) client: C,
}

/// A region's gateway.
pub(crate) type Gateway = At<MeshClient<Channel>>;
/// A region's node.
pub(crate) type Node = At<NodeClient<Channel>>;

impl<C> At<C> {
    /// For `map_err`.
    pub(crate) fn failed(&self) -> impl Fn(tonic::Status) -> CliError + use<C> {
        let (what, url) = (self.what.clone(), self.url.clone());
        move |status| CliError::from_status(&what, &url, &status)
    }
}

/// Connects to a region's gateway.
///
/// # Errors
/// There is no such region, or nothing listens.
pub(crate) async fn gateway(mesh: &Mesh, region: &str) -> Result<Gateway> {
    let url = mesh.region(region)?.gateway.grpc.clone();
    let what = format!("the gateway of {region}");
    let client = MeshClient::new(connect(&what, &url).await?);
    let client = client.max_decoding_message_size(MESSAGE_BYTES);
    Ok(At { what, url, client })
}

/// Connects to the named region's gateway, or else to the first that can be reached.
///
/// # Errors
/// There is no such region, or none can be reached.
pub(crate) async fn any_gateway(mesh: &Mesh, region: Option<&str>) -> Result<Gateway> {
    if let Some(region) = region {
        return gateway(mesh, region).await;
    }
    let mut last = None;
    for region in mesh.regions.keys() {
        match gateway(mesh, region).await {
            Ok(gateway) => return Ok(gateway),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| CliError::Usage("mesh.json: the mesh has no regions".into())))
}

/// Connects to a region's node.
///
/// # Errors
/// There is no such region, or nothing listens.
pub(crate) async fn node(mesh: &Mesh, region: &str) -> Result<Node> {
    let url = mesh.region(region)?.node.grpc.clone();
    let what = format!("the node of {region}");
    let client = NodeClient::new(connect(&what, &url).await?);
    let client = client.max_decoding_message_size(MESSAGE_BYTES);
    Ok(At { what, url, client })
}

/// Connects to the first node that can be reached.
///
/// # Errors
/// None can.
pub(crate) async fn any_node(mesh: &Mesh) -> Result<Node> {
    let mut last = None;
    for region in mesh.regions.keys() {
        match node(mesh, region).await {
            Ok(node) => return Ok(node),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| CliError::Usage("mesh.json: the mesh has no regions".into())))
}

async fn connect(what: &str, url: &str) -> Result<Channel> {
    let lost =
        |why: String| CliError::Unreachable { what: what.to_owned(), at: url.to_owned(), why };
    let endpoint = Endpoint::from_shared(url.to_owned()).map_err(|e| lost(e.to_string()))?;
    let endpoint = endpoint.connect_timeout(Duration::from_millis(CONNECT_MS));
    endpoint.connect().await.map_err(|e| lost(root_cause(&e)))
}

/// The innermost reason: `Connection refused`, not `transport error`.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

/// A unary request with a deadline.
pub(crate) fn request<T>(message: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request.set_timeout(Duration::from_millis(ANSWER_MS));
    request
}
