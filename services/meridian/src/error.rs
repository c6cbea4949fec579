//! What can go wrong for a user: one line each, naming the thing, the place and the way out.

use std::path::{Path, PathBuf};

use miette::Diagnostic;
use thiserror::Error;

/// A command failed.
#[derive(Debug, Error, Diagnostic)]
pub(crate) enum CliError {
    /// A file or directory could not be read, written or made.
    #[error("{}: cannot {doing}: {error}", path.display())]
    File { doing: &'static str, path: PathBuf, error: std::io::Error },
    /// What the user typed does not fit.
    #[error("{0}")]
    Usage(String),
    /// The catalog has errors; each has its place.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Catalog(#[from] crate::adapt::catalog::CatalogErrors),
    /// A mesh is needed and there is none.
    #[error(
        "no mesh runs in {}: start one with `meridian up --catalog DIR --regions a,b,c --data {}`, or name \
         another with --data",
        data.display(), data.display()
    )]
    NoMesh { data: PathBuf },
    /// A second supervisor on the same directory.
    #[error("{}: a mesh already runs here: stop it with `meridian down --data {}`, or give another --data", data.display(), data.display())]
    AlreadyUp { data: PathBuf },
    /// A port that a process should listen on is taken.
    #[error("port {port} is in use ({of}): stop what listens there, or give another --base-port")]
    PortInUse { port: u16, of: String },
    /// The directory holds something else than what was asked for.
    #[error("{}: {what}", data.display())]
    OtherMesh { data: PathBuf, what: String },
    /// A process could not be reached.
    #[error("{what} does not answer at {at}: {why}")]
    Unreachable { what: String, at: String, why: String },
    /// A process answered that it will not.
    #[error("{what}: {message}")]
    Refused { what: String, message: String },
    /// Something did not come true in time.
    #[error("{what} after {seconds} s: {hint}")]
    TooLate { what: String, seconds: u64, hint: String },
    /// A claim of the demo did not hold.
    #[error("the demo's claim does not hold: {0}")]
    Claim(String),
}

/// How commands end.
pub(crate) type Result<T, E = CliError> = std::result::Result<T, E>;

impl CliError {
    /// For `map_err`: what was being done to which file.
    pub(crate) fn file(
        doing: &'static str,
        path: impl AsRef<Path>,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.as_ref().to_owned();
        move |error| Self::File { doing, path, error }
    }

    /// Whether a process may answer otherwise when it has come up.
    pub(crate) fn may_pass(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Refused { .. } | Self::TooLate { .. })
    }

    /// From what a process answered over gRPC, or from not having reached it.
    pub(crate) fn from_status(what: &str, at: &str, status: &tonic::Status) -> Self {
        let message = status.message().lines().next().unwrap_or_default().to_owned();
        match status.code() {
            tonic::Code::Unavailable => {
                Self::Unreachable { what: what.to_owned(), at: at.to_owned(), why: message }
            }
            _ => Self::Refused { what: what.to_owned(), message },
        }
    }
}
