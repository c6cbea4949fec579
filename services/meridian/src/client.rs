//! gRPC to the processes of a mesh.

use std::time::Duration;

use api::mirror::v1::mirror_client::MirrorClient;
use api::node::v1::node_client::NodeClient;
use api::v1::mesh_client::MeshClient;
use tonic::transport::{Channel, Endpoint};

use crate::error::{CliError, Result};
use crate::mesh::Mesh;
use crate::supervisor::{ProcessId, Role};

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
/// A region's mirror.
pub(crate) type Mirror = At<MirrorClient<Channel>>;
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
    match region {
        Some(region) => gateway(mesh, region).await,
        None => first(mesh.regions.keys().map(|region| gateway(mesh, region))).await,
    }
}

/// Connects to a region's node; to the first that can be reached, if it has several.
///
/// # Errors
/// There is no such region, or nothing listens.
pub(crate) async fn node(mesh: &Mesh, region: &str) -> Result<Node> {
    let nodes = mesh.region(region)?.nodes().count();
    first((1..=nodes).map(|number| nth_node(mesh, region, number))).await
}

/// Connects to a region's node of this number, from 1.
///
/// # Errors
/// There is no such node, or nothing listens.
pub(crate) async fn nth_node(mesh: &Mesh, region: &str, number: usize) -> Result<Node> {
    let id = ProcessId { region: region.to_owned(), role: Role::Node, number };
    let what = format!("the {id}");
    let process = mesh.region(region)?.nodes().nth(number - 1);
    let url = process.ok_or_else(|| CliError::Usage(format!("mesh.json: {what} is not there")))?;
    let url = url.grpc.clone();
    let client = NodeClient::new(connect(&what, &url).await?);
    let client = client.max_decoding_message_size(MESSAGE_BYTES);
    Ok(At { what, url, client })
}

/// Connects to a region's mirror.
///
/// # Errors
/// It has none of ours, or nothing listens.
pub(crate) async fn mirror(mesh: &Mesh, region: &str) -> Result<Mirror> {
    let what = format!("the mirror of {region}");
    let process = mesh.region(region)?.mirror();
    let url = process.ok_or_else(|| CliError::Usage(format!("mesh.json: {what} is not there")))?;
    let url = url.grpc.clone();
    let client = MirrorClient::new(connect(&what, &url).await?);
    Ok(At { what, url, client })
}

/// Connects to the first node that can be reached.
///
/// # Errors
/// None can.
pub(crate) async fn any_node(mesh: &Mesh) -> Result<Node> {
    first(mesh.regions.keys().map(|region| node(mesh, region))).await
}

/// The first that can be reached; else why the last one cannot.
async fn first<C>(
    connections: impl Iterator<Item = impl Future<Output = Result<At<C>>>>,
) -> Result<At<C>> {
    let mut last = None;
    for connection in connections {
        match connection.await {
            Ok(connected) => return Ok(connected),
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
