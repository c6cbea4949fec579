//! Logs go to standard error, as text for people or as JSON for collectors.

use tracing_subscriber::EnvFilter;

/// How a line of the log looks.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One object a line.
    Json,
}

/// Logging could not be started.
#[derive(Debug, thiserror::Error)]
#[error("logging is already started in this process")]
pub struct LoggingError;

/// Starts logging to standard error. `MERIDIAN_LOG` filters it, as `debug` or `node=debug,info`;
/// `info` without it.
///
/// # Errors
/// When it is already started.
pub fn init_logging(format: LogFormat) -> Result<(), LoggingError> {
    let filter = EnvFilter::try_from_env("MERIDIAN_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match format {
        LogFormat::Text => lines.try_init(),
        LogFormat::Json => lines.json().try_init(),
    };
    started.map_err(|_| LoggingError)
}
