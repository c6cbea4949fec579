//! `region|node|gateway stop|drain|start|skew`, and `down`: asks the supervisor.

use crate::cli::{MeshArgs, ProcessAction};
use crate::error::{CliError, Result};
use crate::mesh::Mesh;
use crate::out;
use crate::supervisor::{ProcessId, Request, Role, Verb, ask};

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
        ProcessAction::Skew { region, ahead, mesh } => {
            (Verb::Skew(skew_ms(ahead)?), region, mesh, "clock put ahead")
        }
    };
    let running = Mesh::running(&mesh.data)?;
    let (region, number) = which(region, role)?;
    running.region(region)?;
    tell(&running, Request { verb, region: Some(region.to_owned()), role, number }).await?;
    let what = match (role, number) {
        (None, _) => "all processes".to_owned(),
        (Some(role), None) => role.name().to_owned(),
        (Some(role), Some(number)) => ProcessId { region: String::new(), role, number }.name(),
    };
    out::line(format!("{what} of {region}: {done}"));
    Ok(())
}

/// `ewr`, or of its nodes only the second: `ewr/2`.
fn which(text: &str, role: Option<Role>) -> Result<(&str, Option<usize>)> {
    let Some((region, number)) = text.split_once('/') else { return Ok((text, None)) };
    let wrong = || {
        let message = format!("'{text}': only a node has a number, from 1, as `node stop ewr/2`");
        CliError::Usage(message)
    };
    let number = number.parse().ok().filter(|number| *number > 0 && role == Some(Role::Node));
    Ok((region, Some(number.ok_or_else(wrong)?)))
}

/// `30s`, or `-30s`, in ms.
fn skew_ms(text: &str) -> Result<i64> {
    let (sign, time) = text.strip_prefix('-').map_or((1, text), |time| (-1, time));
    let ms = clock::parse_duration_ms(time).map_err(|e| CliError::Usage(e.to_string()))?;
    Ok(sign * ms)
}

/// Stops the mesh.
///
/// # Errors
/// No mesh runs.
pub(super) async fn down(args: &MeshArgs) -> Result<()> {
    let running = Mesh::running(&args.data)?;
    tell(&running, Request { verb: Verb::Down, region: None, role: None, number: None }).await?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_several_nodes_is_named_by_its_number() {
        let node = Some(Role::Node);
        assert_eq!(which("ewr", node).unwrap(), ("ewr", None));
        assert_eq!(which("ewr/2", node).unwrap(), ("ewr", Some(2)));
        for (text, role) in [("ewr/0", node), ("ewr/x", node), ("ewr/2", None)] {
            assert!(which(text, role).unwrap_err().to_string().contains("ewr/2"));
        }
    }
}
