//! What the catalog topic holds: entries that never change, each under the hash of its bytes.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::definitions::{Fold, OnDemandBody, Reading, SourceBody, hash};

/// An entry is no larger than this.
pub const MAX_ENTRY_BYTES: usize = 1 << 20;

/// The name of an entry: 128 bits of BLAKE3 over its value.
pub(crate) type EntryKey = [u8; 16];

/// An entry that is refused; the catalog is as it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CatalogError {
    /// The key is not the hash of the value.
    #[error("catalog entry {0} does not have the bytes that its name promises; it was damaged")]
    Damaged(String),
    /// Larger than [`MAX_ENTRY_BYTES`].
    #[error("a catalog entry has {0} bytes; {MAX_ENTRY_BYTES} are allowed, so split the view up")]
    TooLarge(usize),
    /// A definition that cannot be written as an entry.
    #[error("a definition cannot be written: {0}")]
    Unwritable(String),
}

/// One entry. In the topic it is JSON under `kind`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Entry {
    /// What holds for the whole mesh and never changes.
    Mesh { project: Option<String>, shards: u32 },
    /// The half of a view that is folded. Its key is the fold's hash.
    Fold { fold: Fold },
    /// How a fold's panes are read; the newest counts.
    Reading { fold: String, seq: u64, reading: Reading },
    /// A source; the newest counts.
    Source { seq: u64, source: SourceBody },
    /// A feature service; the newest counts, and one without features is no more.
    Service { name: String, seq: u64, features: Option<Vec<String>> },
    /// An on-demand view; the newest counts, and one without a view is no more.
    OnDemand { name: String, seq: u64, view: Option<OnDemandBody> },
    /// From here on the region folds the view.
    Activate { region: String, view: String, version: u32, fold: String, activation: u32 },
    /// From here on it does not, unless it is activated anew.
    Retire { region: String, view: String, version: u32, activation: u32 },
}

impl Entry {
    /// The record of the topic.
    pub(crate) fn encode(&self) -> Result<(Bytes, Bytes), CatalogError> {
        let value = serde_json::to_vec(self);
        let value = value.map_err(|error| CatalogError::Unwritable(error.to_string()))?;
        if value.len() > MAX_ENTRY_BYTES {
            return Err(CatalogError::TooLarge(value.len()));
        }
        Ok((Bytes::copy_from_slice(&hash(&[&value])), value.into()))
    }

    /// `None` for entries of a kind that this build does not know: they are kept as bytes.
    pub(crate) fn decode(value: &[u8]) -> Option<Self> {
        serde_json::from_slice(value).ok()
    }
}

/// Checks a record of the topic.
pub(crate) fn verify(key: &[u8], value: &[u8]) -> Result<EntryKey, CatalogError> {
    if value.len() > MAX_ENTRY_BYTES {
        return Err(CatalogError::TooLarge(value.len()));
    }
    let hashed = hash(&[value]);
    if key != hashed {
        return Err(CatalogError::Damaged(hex(&key[..key.len().min(16)])));
    }
    Ok(hashed)
}

/// A hash for people and for JSON.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
