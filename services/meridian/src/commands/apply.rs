//! `apply`: defines a catalog in a running mesh.

use std::sync::Arc;

use api::node::v1::{CatalogEntry, DefineRequest};
use api::v1::StatusRequest;
use clock::Env;

use crate::adapt::catalog::{self, Definitions, Known};
use crate::cli::CatalogArgs;
use crate::client::{self, request};
use crate::error::{CliError, Result};
use crate::mesh::Mesh;
use crate::out;

/// How long all regions have to learn a new catalog, ms.
const EVERYWHERE_MS: u64 = 30_000;
/// How often a region is asked again, ms.
const ASK_MS: u64 = 100;

/// Defines it, and waits until every region has it.
///
/// # Errors
/// What is wrong in the catalog; no mesh; a region does not learn it in time.
pub(super) async fn run(args: &CatalogArgs, env: &Arc<dyn Env>) -> Result<()> {
    let definitions = catalog::compile(&args.dir)?;
    let mesh = Mesh::running(&args.mesh.data)?;
    let lines = apply(&mesh, &definitions, &args.region, env).await?;
    lines.iter().for_each(out::line);
    Ok(())
}

/// Defines what is new of `definitions` in the mesh, and activates its views in these regions, or in
/// all if none is named; gives back what changed, for people.
///
/// # Errors
/// See [`run`].
pub(super) async fn apply(
    mesh: &Mesh,
    definitions: &Definitions,
    regions: &[String],
    env: &Arc<dyn Env>,
) -> Result<Vec<String>> {
    let mut node = client::any_node(mesh).await?;
    let known = Known::of(&mut node).await?;
    let regions = chosen(mesh, regions)?;
    let changes = catalog::changes(definitions, &known, &regions)?;
    let lines = changes.lines();
    let entries = changes.entries();
    if !entries.is_empty() {
        define(mesh, entries, env).await?;
    }
    Ok(lines)
}

/// The regions that are named; all of the mesh if none is.
///
/// # Errors
/// One that the mesh does not have.
pub(super) fn chosen(mesh: &Mesh, named: &[String]) -> Result<Vec<String>> {
    named.iter().try_for_each(|region| mesh.region(region).map(|_| ()))?;
    Ok(if named.is_empty() { mesh.regions.keys().cloned().collect() } else { named.to_vec() })
}

/// Appends entries to the catalog through one node, and waits until every region has them.
///
/// # Errors
/// The node refuses, or a region does not learn of it in time.
pub(super) async fn define(
    mesh: &Mesh,
    entries: Vec<CatalogEntry>,
    env: &Arc<dyn Env>,
) -> Result<()> {
    let mut node = client::any_node(mesh).await?;
    let failed = node.failed();
    let defined = node.client.define(request(DefineRequest { entries })).await.map_err(failed)?;
    let generation = defined.into_inner().generation;
    for (region, number, _) in mesh.nodes() {
        let learned = until_known(mesh, region, number, generation, env);
        let late = |_| CliError::TooLate {
            what: format!("{region} does not have the new catalog"),
            seconds: EVERYWHERE_MS / 1_000,
            hint:
                "it is defined, and the region learns of it when it is back; see `meridian status`"
                    .into(),
        };
        clock::timeout(env, EVERYWHERE_MS, learned).await.map_err(late)?;
    }
    Ok(())
}

async fn until_known(
    mesh: &Mesh,
    region: &str,
    number: usize,
    generation: u64,
    env: &Arc<dyn Env>,
) {
    loop {
        if let Ok(mut node) = client::nth_node(mesh, region, number).await {
            let status = node.client.status(request(StatusRequest {})).await;
            if status.is_ok_and(|s| s.into_inner().generation >= generation) {
                return;
            }
        }
        env.sleep_ms(ASK_MS).await;
    }
}
