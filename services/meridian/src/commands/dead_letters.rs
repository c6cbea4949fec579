//! `dead-letters`: the events that broke their source's contract, as they came.

use api::node::v1::{DeadLetter, DeadLettersRequest};
use serde_json::json;
use tokio_stream::StreamExt;

use crate::adapt::catalog::Known;
use crate::cli::DeadLettersArgs;
use crate::error::Result;
use crate::mesh::Mesh;
use crate::{client, out};

/// Prints them, region by region, in the order of their offsets.
///
/// # Errors
/// No mesh, no such source, or a node that cannot be reached.
pub(super) async fn run(args: &DeadLettersArgs) -> Result<()> {
    let mesh = Mesh::running(&args.mesh.data)?;
    let regions: Vec<&String> = match &args.region {
        Some(region) => {
            mesh.region(region)?;
            vec![region]
        }
        None => mesh.regions.keys().collect(),
    };
    Known::of(&mut client::any_node(&mesh).await?).await?.source(&args.source)?;
    let mut total = 0;
    for region in regions {
        let mut node = client::node(&mesh, region).await?;
        let failed = node.failed();
        let asked = DeadLettersRequest { source: args.source.clone() };
        let mut letters = node.client.dead_letters(asked).await.map_err(&failed)?.into_inner();
        while let Some(letter) = letters.next().await {
            print(&letter.map_err(&failed)?, args.json);
            total += 1;
        }
    }
    if !args.json {
        out::line(format!("{} dead letters of {}", out::count(total), args.source));
    }
    Ok(())
}

fn print(letter: &DeadLetter, as_json: bool) {
    let event = String::from_utf8_lossy(&letter.event);
    let at = clock::format_timestamp(letter.appended_ms);
    let place = format!("{}/{}@{}", letter.region, letter.partition, letter.offset);
    if !as_json {
        out::line(format!("{place}  {at}  {}", letter.rule));
        out::line(format!("    {}", event.escape_debug().to_string().replace("\\\"", "\"")));
        return;
    }
    let bytes: String = letter.event.iter().map(|byte| format!("{byte:02x}")).collect();
    let line = json!({
        "region": letter.region,
        "partition": letter.partition,
        "offset": letter.offset,
        "appended": at,
        "rule": letter.rule,
        "event": event,
        "bytes_hex": bytes,
    });
    out::line(line.to_string());
}
