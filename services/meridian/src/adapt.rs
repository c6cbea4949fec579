//! Where the command line touches the other rooms of the house, a file for each.

pub(crate) mod catalog;
pub(crate) mod gateway;
pub(crate) mod kafka;
pub(crate) mod mirror;
pub(crate) mod node;

use std::net::SocketAddr;
use std::path::PathBuf;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::cli::RunArgs;
use crate::error::{CliError, Result};

/// The text of the file that `--config` names.
fn read_settings(args: &RunArgs) -> Result<(PathBuf, String)> {
    let path = args.config.clone().unwrap_or_default();
    let yaml = std::fs::read_to_string(&path).map_err(CliError::file("read", &path))?;
    Ok((path, yaml))
}

/// Logs and spans of this process.
fn telemetry(
    service: &'static str,
    region: &str,
    traces: &telemetry::Traces,
    args: &RunArgs,
) -> Result<telemetry::Telemetry> {
    let format = args.log_format.into();
    let started = telemetry::start(service, region, format, traces);
    started.map_err(|error| CliError::Usage(error.to_string()))
}

/// Every connection is an open file, and many systems begin with 1,024; what they allow is more.
fn raise_file_limit() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, most)| setrlimit(Resource::RLIMIT_NOFILE, most, most));
    if let Err(error) = raised {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}

/// What it has not said yet is sent.
async fn end(telemetry: telemetry::Telemetry) {
    if let Err(error) = tokio::task::spawn_blocking(move || telemetry.end()).await {
        tracing::warn!(%error, "the last spans were not sent");
    }
}

/// A process that was configured by `path` ended with an error.
fn failed(path: &std::path::Path, error: &dyn std::error::Error) -> CliError {
    let message = error.to_string();
    let message = message.lines().next().unwrap_or_default().to_owned();
    CliError::Refused { what: path.display().to_string(), message }
}

fn address(flag: &str, text: &str) -> Result<SocketAddr> {
    let wrong = |_| CliError::Usage(format!("{flag}: '{text}' is not ADDRESS:PORT"));
    text.parse().map_err(wrong)
}
