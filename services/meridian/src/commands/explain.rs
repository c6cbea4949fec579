//! `explain`: the panes behind a value, per origin, with their versions.

use api::v1::{ExplainRequest, ExplainResponse, PaneInfo};
use serde_json::{Value as Json, json};

use super::get;
use crate::cli::ExplainArgs;
use crate::client::{self, request};
use crate::error::Result;
use crate::mesh::Mesh;
use crate::{out, value};

/// Asks and prints.
///
/// # Errors
/// No mesh, no such feature, a key that is missing, or whatever the gateway says.
pub(super) async fn run(args: &ExplainArgs) -> Result<()> {
    let asked = ExplainRequest {
        feature: args.feature.clone(),
        entity: value::keys(&args.keys)?,
        options: Some(value::options(&args.read)?),
    };
    let mesh = Mesh::running(&args.mesh.data)?;
    get::known_regions(&mesh, &args.read)?;
    let mut gateway = client::any_gateway(&mesh, args.read.region.as_deref()).await?;
    let failed = gateway.failed();
    let answer = gateway.client.explain(request(asked)).await.map_err(failed)?.into_inner();
    if args.read.json {
        out::json(&as_json(&answer));
    } else {
        print(&args.feature, &answer);
    }
    Ok(())
}

fn print(feature: &str, answer: &ExplainResponse) {
    out::line(format!(
        "{feature} = {}  ({}@v{}, plan {}, shard {}, panes of {})",
        value::shown(answer.value.as_ref()),
        answer.view,
        answer.version,
        answer.plan.get(..8).unwrap_or(&answer.plan),
        answer.shard,
        value::resolution(answer.resolution_ms)
    ));
    let head = ["origin", "pane from", "version", "events", "last event", "value", "bytes"];
    let mut table = out::table(head);
    out::right(&mut table, &[2, 3, 5, 6]);
    for pane in &answer.panes {
        table.add_row([
            format!("{}/{}", pane.region, pane.partition),
            pane.start_ms.map_or_else(|| "all of time".into(), clock::format_timestamp),
            pane.version.to_string(),
            out::count(pane.events),
            clock::format_timestamp(pane.last_event_ms),
            value::shown(pane.value.as_ref()),
            pane.bytes.to_string(),
        ]);
    }
    out::line(table.to_string());
    out::line("");
    get::print_mesh(&answer.mesh.clone().unwrap_or_default());
}

fn as_json(answer: &ExplainResponse) -> Json {
    json!({
        "view": answer.view,
        "version": answer.version,
        "plan": answer.plan,
        "shard": answer.shard,
        "resolution": value::resolution(answer.resolution_ms),
        "value": value::json(answer.value.as_ref()),
        "panes": answer.panes.iter().map(pane_json).collect::<Vec<_>>(),
        "mesh": get::mesh_json(&answer.mesh.clone().unwrap_or_default()),
    })
}

fn pane_json(pane: &PaneInfo) -> Json {
    json!({
        "region": pane.region,
        "partition": pane.partition,
        "topic_id": pane.topic_id,
        "start": pane.start_ms.map(clock::format_timestamp),
        "version": pane.version,
        "events": pane.events,
        "first_event": clock::format_timestamp(pane.first_event_ms),
        "last_event": clock::format_timestamp(pane.last_event_ms),
        "value": value::json(pane.value.as_ref()),
        "bytes": pane.bytes,
    })
}
