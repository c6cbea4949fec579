//! The directory of a log: whose it is, of which format, and that only one process has it open.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::options::LogOptions;

/// The layout that this version writes and reads.
const FORMAT: u32 = 1;
const LOCK: &str = "lock";
const MARKER: &str = "log.json";
const DATA: &str = "data";

/// Why a log was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Written by a newer version.
    #[error(
        "{dir}: this log has format {found}, this version knows up to {known}; \
         run the version that wrote it, or start with another directory"
    )]
    Newer {
        /// The log's directory.
        dir: PathBuf,
        /// The format that it has.
        found: u32,
        /// The newest one that this version knows.
        known: u32,
    },
    /// It belongs to another mesh or region.
    #[error(
        "{dir}: this log belongs to region '{region}' of mesh '{mesh}', not to '{wanted}'; \
         name the right directory, or remove this one to start anew"
    )]
    Foreign {
        /// The log's directory.
        dir: PathBuf,
        /// Whose it is.
        mesh: String,
        /// Whose it is.
        region: String,
        /// `mesh/region` that wanted to open it.
        wanted: String,
    },
    /// Another process has it open.
    #[error("{dir}: another process has this log open; stop it, or name another directory")]
    Locked {
        /// The log's directory.
        dir: PathBuf,
    },
    /// There is something else in it.
    #[error("{dir}: not empty and not a log ({reason}); name an empty or a new directory")]
    NotALog {
        /// The directory.
        dir: PathBuf,
        /// What was found.
        reason: String,
    },
    /// The operating system refused.
    #[error(
        "{dir}: cannot open the log: {source}; check that it is writable and the disk not full"
    )]
    Io {
        /// The log's directory.
        dir: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// What is in it cannot be read.
    #[error(
        "{dir}: the log is damaged: {reason}; restore it from a copy, or remove it to start anew"
    )]
    Damaged {
        /// The log's directory.
        dir: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

#[derive(Serialize, Deserialize)]
struct Marker {
    format: u32,
    mesh: String,
    region: String,
}

/// An opened directory. The lock ends with it, however the process ends.
pub(crate) struct Dir {
    pub(crate) data: PathBuf,
    pub(crate) lock: File,
}

impl Dir {
    /// Locks the directory, makes it if needed, and checks that it is `options`' own.
    pub(crate) fn open(dir: &Path, options: &LogOptions) -> Result<Self, OpenError> {
        let failed = |source| OpenError::Io { dir: dir.to_owned(), source };
        fs::create_dir_all(dir).map_err(failed)?;
        let marked = dir.join(MARKER).try_exists().map_err(failed)?;
        if !marked {
            check_empty(dir)?;
        }
        let lock =
            File::options().create(true).append(true).open(dir.join(LOCK)).map_err(failed)?;
        lock.try_lock().map_err(|error| match error {
            fs::TryLockError::WouldBlock => OpenError::Locked { dir: dir.to_owned() },
            fs::TryLockError::Error(source) => failed(source),
        })?;
        // Asked again under the lock: another process may have made it meanwhile.
        if dir.join(MARKER).try_exists().map_err(failed)? {
            check_marker(dir, options)?;
        } else {
            write_marker(dir, options).map_err(failed)?;
        }
        Ok(Self { data: dir.join(DATA), lock })
    }
}

fn check_empty(dir: &Path) -> Result<(), OpenError> {
    let failed = |source| OpenError::Io { dir: dir.to_owned(), source };
    for entry in fs::read_dir(dir).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name().to_string_lossy().into_owned();
        if name != LOCK && name != temporary() {
            let reason = format!("there is '{name}' but no {MARKER}");
            return Err(OpenError::NotALog { dir: dir.to_owned(), reason });
        }
    }
    Ok(())
}

fn check_marker(dir: &Path, options: &LogOptions) -> Result<(), OpenError> {
    let text = fs::read(dir.join(MARKER))
        .map_err(|source| OpenError::Io { dir: dir.to_owned(), source })?;
    // The format first and alone: a newer one may look different otherwise.
    #[derive(Deserialize)]
    struct Format {
        format: u32,
    }
    let damaged = |error: serde_json::Error| OpenError::NotALog {
        dir: dir.to_owned(),
        reason: format!("{MARKER}: {error}"),
    };
    let Format { format } = serde_json::from_slice(&text).map_err(damaged)?;
    if format > FORMAT {
        return Err(OpenError::Newer { dir: dir.to_owned(), found: format, known: FORMAT });
    }
    let Marker { mesh, region, .. } = serde_json::from_slice(&text).map_err(damaged)?;
    if *mesh != *options.mesh || *region != *options.region {
        let wanted = format!("{}/{}", options.mesh, options.region);
        return Err(OpenError::Foreign { dir: dir.to_owned(), mesh, region, wanted });
    }
    Ok(())
}

fn temporary() -> String {
    format!("{MARKER}.new")
}

/// Whole or not at all, also when power is lost.
fn write_marker(dir: &Path, options: &LogOptions) -> io::Result<()> {
    let marker = Marker {
        format: FORMAT,
        mesh: options.mesh.to_string(),
        region: options.region.to_string(),
    };
    let new = dir.join(temporary());
    let mut file = File::create(&new)?;
    file.write_all(&serde_json::to_vec(&marker)?)?;
    file.sync_all()?;
    fs::rename(&new, dir.join(MARKER))?;
    File::open(dir)?.sync_all()
}
