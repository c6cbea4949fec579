//! `region|node|gateway stop|drain|start`, and `down`: asks the supervisor.

use crate::cli::{MeshArgs, ProcessAction};
use crate::error::{CliError, Result};
use crate::mesh::Mesh;
use crate::out;
use crate::supervisor::{Request, Role, Verb, ask};

/// Stops or starts one process of a region, or both.
///
/// # Errors
/// No mesh runs, or it has no such region.
pub(super) async fn run(action: &ProcessAction, role: Option<Role>) -> Result<()> {
    let (verb, region, mesh, done) = match action {
        ProcessAction::Stop { region, kill: false, mesh } => (Verb::Stop, region, mesh, "stopped"),
        ProcessAction::Stop { region, kill: true, mesh } => (Verb::Kill, region, mesh, "killed"),
        // Every process drains when it is told to end; only SIGKILL does without.
        ProcessAction::Drain { region, mesh } => (Verb::Stop, region, mesh, "drained and stopped"),
        ProcessAction::Start { region, mesh } => (Verb::Start, region, mesh, "started"),
    };
    let running = Mesh::running(&mesh.data)?;
    running.region(region)?;
    tell(&running, Request { verb, region: Some(region.clone()), role }).await?;
    let what = role.map_or("all processes", Role::name);
    out::line(format!("{what} of {region}: {done}"));
    Ok(())
}

/// Stops the mesh.
///
/// # Errors
/// No mesh runs.
pub(super) async fn down(args: &MeshArgs) -> Result<()> {
    let running = Mesh::running(&args.data)?;
    tell(&running, Request { verb: Verb::Down, region: None, role: None }).await?;
    out::line(format!("the mesh in {} is down", args.data.display()));
    Ok(())
}

/// Asks a running mesh's supervisor.
///
/// # Errors
/// It went away, or it refuses.
pub(super) async fn tell(mesh: &Mesh, request: Request) -> Result<()> {
    match &mesh.supervisor {
        Some(supervisor) => ask(supervisor, &request).await,
        None => Err(CliError::Usage("mesh.json: the mesh is down".into())),
    }
}
