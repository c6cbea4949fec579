//! The region's Kafka cluster, as a node is told of it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use backbone_kafka::{KafkaOptions, topic_settings};
use catalog::Source;
use serde::{Deserialize, Serialize};

use crate::serve::NodeError;
use crate::topics::Names;

/// A Kafka cluster that is the region's log.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kafka {
    /// Some of its brokers: `host:port,host:port`.
    pub bootstrap: String,
    /// librdkafka's properties: security, tuning. A value `env:NAME` is taken from the environment,
    /// `file:PATH` from a file, so that secrets need not stand here.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub properties: BTreeMap<String, String>,
    /// Copies of each topic that Meridian makes; the cluster's default if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replication: Option<i32>,
}

impl Kafka {
    /// A cluster with nothing to be said about it.
    pub fn new(bootstrap: impl Into<String>) -> Self {
        Self { bootstrap: bootstrap.into(), properties: BTreeMap::new(), replication: None }
    }

    /// How its clients are set, secrets among it.
    ///
    /// # Errors
    /// [`NodeError::Config`], naming the property, if a value is not where it is to be taken from.
    pub fn options(&self) -> Result<KafkaOptions, NodeError> {
        let mut options = KafkaOptions::new(&self.bootstrap);
        options.replication = self.replication.unwrap_or(options.replication);
        for (name, value) in &self.properties {
            let value = resolve(value).map_err(|why| {
                NodeError::Config(format!("kafka.properties: '{name}' is taken from {why}"))
            })?;
            options.properties.insert(name.clone(), value);
        }
        Ok(options)
    }
}

impl fmt::Debug for Kafka {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&String> = self.properties.keys().collect();
        f.debug_struct("Kafka")
            .field("bootstrap", &self.bootstrap)
            .field("properties", &names)
            .field("replication", &self.replication)
            .finish()
    }
}

/// A topic that a mesh needs in each region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NeededTopic {
    /// Its name in its own region.
    pub name: Arc<str>,
    /// How many partitions.
    pub partitions: u32,
    /// Whether the other regions need a copy.
    pub mirrored: bool,
    /// What differs from a cluster's defaults.
    pub settings: BTreeMap<String, String>,
}

/// All that a mesh of these sources needs in each region's cluster.
#[must_use]
pub fn needed_topics(names: &Names, sources: &[Arc<Source>], shards: u32) -> Vec<NeededTopic> {
    let of_sources = sources.iter().flat_map(|source| names.source_specs(source, shards));
    let specs = std::iter::once(names.catalog_spec()).chain(of_sources);
    let needed = specs.map(|spec| NeededTopic {
        mirrored: names.is_mirrored(&spec.name),
        settings: topic_settings(spec.retention),
        name: spec.name,
        partitions: spec.partitions,
    });
    needed.collect()
}

fn resolve(value: &str) -> Result<String, String> {
    if let Some(name) = value.strip_prefix("env:") {
        return std::env::var(name).map_err(|error| format!("the environment's {name}: {error}"));
    }
    let Some(path) = value.strip_prefix("file:") else { return Ok(value.to_owned()) };
    let text = std::fs::read_to_string(Path::new(path));
    let text = text.map_err(|error| format!("{path}: {error}"))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_come_from_elsewhere_and_are_not_shown() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("password");
        std::fs::write(&file, "hunter2\n").unwrap();
        let mut kafka = Kafka::new("h:1");
        let mut set = |name: &str, value: String| kafka.properties.insert(name.to_owned(), value);
        set("sasl.password", format!("file:{}", file.display()));
        set("sasl.username", "env:PATH".to_owned());
        set("sasl.mechanism", "PLAIN".to_owned());
        let options = kafka.options().unwrap();
        assert_eq!(options.properties["sasl.password"], "hunter2");
        assert_eq!(options.properties["sasl.username"], std::env::var("PATH").unwrap());
        assert_eq!(options.properties["sasl.mechanism"], "PLAIN");
        let shown = format!("{kafka:?} {options:?}");
        assert!(shown.contains("sasl.password") && !shown.contains("hunter2"), "{shown}");
        kafka.properties.insert("sasl.password".to_owned(), "env:NOT THERE".to_owned());
        let error = kafka.options().unwrap_err().to_string();
        assert!(error.contains("sasl.password") && error.contains("NOT THERE"), "{error}");
    }
}
