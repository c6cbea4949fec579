//! `wan`: what the links of a mesh are like, and what is to be wrong with them.

use serde_json::json;

use super::process::tell;
use crate::cli::WanCommand;
use crate::error::Result;
use crate::mesh::Mesh;
use crate::out;
use crate::supervisor::{Request, Verb};
use crate::wan::Change;

/// Shows or changes links.
///
/// # Errors
/// No mesh runs, it has no such links, or there is no such fault.
pub(super) async fn run(command: &WanCommand) -> Result<()> {
    match command {
        WanCommand::Show { json, mesh } => show(&Mesh::running(&mesh.data)?, *json),
        WanCommand::Set { links, only, one_way, mesh } => {
            let mesh = Mesh::running(&mesh.data)?;
            let change = |text: &String| {
                let change = Change::parse(text, mesh.regions.keys())?;
                Ok(Change { carries: *only, one_way: *one_way, ..change })
            };
            // All or none: a slip in the last one must not leave half a fault behind.
            let changes: Vec<Change> = links.iter().map(change).collect::<Result<_>>()?;
            for change in changes {
                let verb = Verb::Wan(change);
                tell(&mesh, Request { verb, region: None, role: None, number: None }).await?;
            }
        }
    }
    Ok(())
}

fn show(mesh: &Mesh, json: bool) {
    if json {
        return out::json(&json!(mesh.links));
    }
    let mut table = out::table(["from", "to", "carries", "round trip", "fault"]);
    for link in &mesh.links {
        let far = format!("{} ms", link.round_trip_ms);
        let carries = link.carries.name().to_owned();
        let row = [link.from.clone(), link.to.clone(), carries, far, link.fault.to_string()];
        table.add_row(row);
    }
    out::line(table.to_string());
}
