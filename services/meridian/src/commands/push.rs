//! `push`: a file of events in one request.

use std::sync::Arc;

use api::v1::{OnRegionDown, PushRequest};
use tokio_stream::StreamExt;

use crate::cli::PushArgs;
use crate::client;
use crate::error::{CliError, Result};
use crate::ingest::input::{Format, Input};
use crate::mesh::Mesh;
use crate::out;

/// Most bytes of events in one request.
const MAX_BYTES: usize = 3 << 20;

/// Pushes it, prints what was taken and the token that a read may present.
///
/// # Errors
/// The file, its size, or whatever the gateway says.
pub(super) async fn run(args: &PushArgs) -> Result<()> {
    let mesh = Mesh::running(&args.mesh.data)?;
    let mut input = Input::open(&args.file, &Format::Lines, Arc::default())?;
    let (mut events, mut bytes) = (Vec::new(), 0);
    while let Some(line) = input.next_event()? {
        bytes += line.len();
        if bytes > MAX_BYTES {
            return Err(CliError::Usage(format!(
                "{}: more than {} MiB are too much for one request: use `meridian ingest`",
                args.file.display(),
                MAX_BYTES >> 20
            )));
        }
        events.push(line);
    }
    let mut gateway = client::any_gateway(&mesh, args.region.as_deref()).await?;
    let failed = gateway.failed();
    let on_region_down = if args.reroute { OnRegionDown::Reroute } else { OnRegionDown::Refuse };
    let on_region_down = on_region_down.into();
    let request = PushRequest { source: args.source.clone(), events, on_region_down };
    let replies = gateway.client.push(tokio_stream::once(request)).await;
    let reply = replies.map_err(&failed)?.into_inner().next().await;
    let reply = reply.unwrap_or_else(|| Err(tonic::Status::unavailable("no answer")));
    let reply = reply.map_err(&failed)?;
    out::line(format!("{} events accepted", out::count(reply.accepted)));
    out::line(format!("token {}", reply.token));
    if reply.possible_duplicate {
        out::line(format!(
            "taken by {}: should whoever was asked before have them too, they count twice",
            reply.region
        ));
    }
    Ok(())
}
