//! Checkpoints in a directory of their own, over fjall: one batch a save, synced.

use std::path::{Path, PathBuf};
use std::{fs, io};

use async_trait::async_trait;
use bytes::Bytes;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use super::{CheckpointError, Checkpoints};
use crate::Record;

/// The layout that this version writes and reads.
const FORMAT: u32 = 1;
const MARKER: &str = "checkpoint.format";
const DATA: &str = "data";
/// Read in one go at a start and then only written: a cache has nothing to do.
const CACHE_BYTES: u64 = 4 << 20;
/// The least that fjall allows.
const JOURNAL_BYTES: u64 = 64 << 20;
/// Flushing and compacting; not urgent.
const WORKERS: usize = 1;

/// Checkpoints on disk. Clones share the directory, which one process at a time can open.
#[derive(Clone)]
pub struct DiskCheckpoints {
    dir: PathBuf,
    db: Database,
    entries: Keyspace,
}

impl std::fmt::Debug for DiskCheckpoints {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DiskCheckpoints").field("dir", &self.dir).finish_non_exhaustive()
    }
}

impl DiskCheckpoints {
    /// Opens the directory, which is made if it is not there. Blocks.
    pub fn open(dir: &Path) -> Result<Self, CheckpointError> {
        check_format(dir)?;
        let open = || {
            let db = Database::builder(dir.join(DATA))
                .cache_size(CACHE_BYTES)
                .max_journaling_size(JOURNAL_BYTES)
                .worker_threads(WORKERS)
                .open()?;
            let entries = db.keyspace("entries", KeyspaceCreateOptions::default)?;
            Ok((db, entries))
        };
        let (db, entries) = open().map_err(|error| failed(dir, error))?;
        Ok(Self { dir: dir.to_owned(), db, entries })
    }

    /// Runs what blocks where it may.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> fjall::Result<T> + Send + 'static,
    ) -> Result<T, CheckpointError> {
        let this = self.clone();
        let done = tokio::task::spawn_blocking(move || {
            work(&this).map_err(|error| failed(&this.dir, error))
        });
        done.await.unwrap_or_else(|error| {
            Err(broken(&self.dir, format!("was not finished ({error}); try again")))
        })
    }
}

#[async_trait]
impl Checkpoints for DiskCheckpoints {
    async fn load(&self) -> Result<Vec<(Bytes, Bytes)>, CheckpointError> {
        self.blocking(|this| {
            let entry = |guard: fjall::Guard| {
                let (key, value) = guard.into_inner()?;
                Ok((key.into(), value.into()))
            };
            this.entries.iter().map(entry).collect()
        })
        .await
    }

    async fn save(&self, entries: Vec<Record>) -> Result<(), CheckpointError> {
        self.blocking(move |this| {
            let mut batch = this.db.batch().durability(Some(PersistMode::SyncData));
            for (key, value) in entries {
                match value {
                    Some(value) => batch.insert(&this.entries, key, value),
                    None => batch.remove(&this.entries, key),
                }
            }
            batch.commit()
        })
        .await
    }
}

/// Reads the marker, or writes it into a new directory.
fn check_format(dir: &Path) -> Result<(), CheckpointError> {
    let cannot = |error: io::Error| {
        broken(dir, format!("cannot be opened ({error}); check that the directory is writable"))
    };
    let marker = dir.join(MARKER);
    match fs::read_to_string(&marker) {
        Ok(text) => match text.trim().parse::<u32>() {
            Ok(FORMAT) => Ok(()),
            Ok(found) => Err(broken(
                dir,
                format!(
                    "has format {found}, this version knows {FORMAT}; run the version that wrote \
                     it, or delete the directory: the state is rebuilt from the log"
                ),
            )),
            Err(_) => Err(damaged(dir, "its format is unreadable")),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if fs::read_dir(dir).is_ok_and(|mut files| files.next().is_some()) {
                return Err(broken(
                    dir,
                    "shares its directory with something else; name an empty or a new one".into(),
                ));
            }
            fs::create_dir_all(dir).map_err(cannot)?;
            let written = marker.with_extension("new");
            fs::write(&written, format!("{FORMAT}\n")).map_err(cannot)?;
            fs::rename(&written, &marker).map_err(cannot)
        }
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            Err(damaged(dir, "its format is unreadable"))
        }
        Err(error) => Err(cannot(error)),
    }
}

fn failed(dir: &Path, error: fjall::Error) -> CheckpointError {
    match error {
        fjall::Error::Locked => broken(
            dir,
            "is open in another process; stop that one, or name another directory".to_owned(),
        ),
        fjall::Error::Io(error) => {
            broken(dir, format!("failed ({error}); check that the disk is not full, and restart"))
        }
        fjall::Error::Poisoned => {
            broken(dir, "takes no more after a failed write; check the disk, and restart".into())
        }
        error => damaged(dir, &error.to_string()),
    }
}

fn damaged(dir: &Path, reason: &str) -> CheckpointError {
    let message =
        format!("is damaged ({reason}); delete the directory: the state is rebuilt from the log");
    broken(dir, message)
}

fn broken(dir: &Path, message: String) -> CheckpointError {
    CheckpointError { place: dir.display().to_string(), message }
}
