//! `plan`: what applying a catalog would change.

use super::apply;
use crate::adapt::catalog::{self, Known};
use crate::cli::CatalogArgs;
use crate::error::{CliError, Result};
use crate::mesh::Mesh;
use crate::{client, out};

/// Compares with the running mesh; without one, everything is new.
///
/// # Errors
/// What is wrong in the catalog, with its place; a change that needs a new version.
pub(super) async fn run(args: &CatalogArgs) -> Result<()> {
    let definitions = catalog::compile(&args.dir)?;
    let (known, regions) = match Mesh::running(&args.mesh.data) {
        Ok(mesh) => {
            let mut node = client::any_node(&mesh).await?;
            (Known::of(&mut node).await?, apply::chosen(&mesh, &args.region)?)
        }
        // No mesh runs: everything is new.
        Err(CliError::NoMesh { .. }) => (Known::nothing(), Vec::new()),
        Err(error) => return Err(error),
    };
    let changes = catalog::changes(&definitions, &known, &regions)?;
    changes.lines().iter().for_each(out::line);
    Ok(())
}
