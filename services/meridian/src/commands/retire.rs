//! `retire`: ends the service of a view's version, in all regions or in some.

use std::sync::Arc;

use clock::Env;

use super::apply;
use crate::adapt::catalog::Known;
use crate::cli::RetireArgs;
use crate::error::Result;
use crate::mesh::Mesh;
use crate::{client, out};

/// Retires it.
///
/// # Errors
/// There is no such version, or something still reads it.
pub(super) async fn run(args: &RetireArgs, env: &Arc<dyn Env>) -> Result<()> {
    let mesh = Mesh::running(&args.mesh.data)?;
    let known = Known::of(&mut client::any_node(&mesh).await?).await?;
    let regions = apply::chosen(&mesh, &args.region)?;
    apply::define(&mesh, known.retire(&args.view, &regions)?, env).await?;
    let place = if args.region.is_empty() { "all regions".to_owned() } else { regions.join(", ") };
    out::line(format!("{} is retired in {place}", args.view));
    Ok(())
}
