//! The names of the topics that a mesh uses, in one place.

use std::sync::Arc;

use backbone::{Retention, TopicSpec};
use catalog::Source;

/// Catalog entries of one region. Mirrored.
pub const CATALOG: &str = "mesh-catalog";
const DELTAS: &str = "mesh-deltas-";
const DEAD_LETTERS: &str = "mesh-dead-letters-";
/// How long a null stays readable, so that a replica that was away sees it collected.
const NULL_MS: i64 = 60_000;

/// Where a source's panes and progress are written. Mirrored.
#[must_use]
pub fn deltas(source: &str) -> Arc<str> {
    format!("{DELTAS}{source}").into()
}

/// Where a source's rejected events go.
#[must_use]
pub fn dead_letters(source: &str) -> Arc<str> {
    format!("{DEAD_LETTERS}{source}").into()
}

/// The name in this region's log of a topic that is mirrored from `region`.
#[must_use]
pub fn mirrored(region: &str, topic: &str) -> Arc<str> {
    format!("{region}.{topic}").into()
}

/// Whether other regions may read the topic: what is mirrored, and nothing else.
#[must_use]
pub fn is_mirrored(topic: &str) -> bool {
    topic == CATALOG || topic.starts_with(DELTAS)
}

/// The catalog's topic as it should be.
#[must_use]
pub fn catalog_spec() -> TopicSpec {
    compacted(CATALOG.into(), 1)
}

/// The topics of a source as they should be: its events, its deltas, its dead letters.
#[must_use]
pub fn source_specs(source: &Source, shards: u32) -> [TopicSpec; 3] {
    let kept = Retention::Delete { ms: source.retention_ms, bytes: source.retention_bytes };
    let events =
        TopicSpec { name: source.topic.clone(), partitions: source.partitions, retention: kept };
    let rejected = TopicSpec { name: dead_letters(&source.name), ..events.clone() };
    [events, compacted(deltas(&source.name), shards), rejected]
}

fn compacted(name: Arc<str>, partitions: u32) -> TopicSpec {
    TopicSpec { name, partitions, retention: Retention::Compact { null_ms: NULL_MS } }
}
