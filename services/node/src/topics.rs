//! The names of the topics that a mesh uses, in one place.

use std::sync::Arc;

use backbone::mirror::POSITIONS_TOPIC;
use backbone::{Retention, TopicSpec};
use catalog::Source;
use serde::{Deserialize, Serialize};

const CATALOG: &str = "mesh-catalog";
const DELTAS: &str = "mesh-deltas-";
const DEAD_LETTERS: &str = "mesh-dead-letters-";
/// How long a null stays readable, so that a replica that was away sees it collected.
const NULL_MS: i64 = 60_000;
/// The longest name that Kafka takes, less what names of sources and regions may add.
const PATTERN_BYTES: usize = 64;
const REGION: &str = "{region}";
const TOPIC: &str = "{topic}";

/// How the topics of a mesh are called. Sources' own topics are called as the catalog says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Names {
    /// Before the names of the mesh's own topics: two meshes in one cluster need different ones.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub prefix: Arc<str>,
    /// What a region's topic is called where it is mirrored to: `{region}.{topic}`, as
    /// MirrorMaker 2 and MSK Replicator call it, or for example `{topic}.{region}`.
    pub mirrored: Arc<str>,
}

impl Default for Names {
    fn default() -> Self {
        Self { prefix: "".into(), mirrored: format!("{REGION}.{TOPIC}").into() }
    }
}

impl Names {
    /// Checks that no two topics of these regions have one name.
    ///
    /// # Errors
    /// Says what is wrong, in a line.
    pub fn check(&self, regions: &[Arc<str>]) -> Result<(), String> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let parts = self.mirrored.replacen(REGION, "", 1).replacen(TOPIC, "", 1);
        if !self.mirrored.contains(REGION) || !self.mirrored.contains(TOPIC) {
            return Err(format!(
                "mirrored: '{}' must have {REGION} and {TOPIC}: regions' topics must not meet",
                self.mirrored
            ));
        }
        for (key, text) in [("prefix", &*self.prefix), ("mirrored", &parts)] {
            if !text.chars().all(plain) || text.len() > PATTERN_BYTES {
                return Err(format!(
                    "{key}: '{text}' does not go into a topic's name: use at most {PATTERN_BYTES} \
                     letters, digits, '.', '_' and '-'"
                ));
            }
        }
        self.check_distinct(regions)
    }

    /// Of two regions' names neither may begin (or end, if the region is at the end) as the other's
    /// do, whatever the topics; and none may look like a topic that is mirrored itself.
    fn check_distinct(&self, regions: &[Arc<str>]) -> Result<(), String> {
        let region_first = self.mirrored.find(REGION) < self.mirrored.find(TOPIC);
        let stem = |region: &str| match region_first {
            true => self.mirrored(region, &self.own("mesh-")),
            false => self.mirrored(region, ""),
        };
        for (at, region) in regions.iter().enumerate() {
            let meets = |other: &&Arc<str>| {
                let (a, b) = (stem(region), stem(other));
                match region_first {
                    true => a.starts_with(&*b) || b.starts_with(&*a),
                    false => a.ends_with(&*b) || b.ends_with(&*a),
                }
            };
            if let Some(other) = regions[..at].iter().find(meets) {
                return Err(format!(
                    "mirrored: '{}' may give topics of '{region}' and '{other}' one name; \
                     put a '.' between region and topic",
                    self.mirrored
                ));
            }
            let copies =
                [self.catalog(), self.deltas("a")].map(|topic| self.mirrored(region, &topic));
            if let Some(copy) = copies.iter().find(|copy| self.is_mirrored(copy)) {
                return Err(format!(
                    "mirrored: '{}' gives '{copy}', which looks like a topic of the region's own and \
                     would be mirrored on and on; put a '.' between region and topic",
                    self.mirrored
                ));
            }
        }
        Ok(())
    }

    fn own(&self, name: &str) -> Arc<str> {
        format!("{}{name}", self.prefix).into()
    }

    /// Catalog entries of one region. Mirrored.
    #[must_use]
    pub fn catalog(&self) -> Arc<str> {
        self.own(CATALOG)
    }

    /// Where a source's panes and progress are written. Mirrored.
    #[must_use]
    pub fn deltas(&self, source: &str) -> Arc<str> {
        format!("{}{DELTAS}{source}", self.prefix).into()
    }

    /// Where a source's rejected events go.
    #[must_use]
    pub fn dead_letters(&self, source: &str) -> Arc<str> {
        format!("{}{DEAD_LETTERS}{source}", self.prefix).into()
    }

    /// Where mirrors of our own keep their positions.
    #[must_use]
    pub fn positions(&self) -> Arc<str> {
        self.own(POSITIONS_TOPIC)
    }

    /// The name in this region's log of a topic that is mirrored from `region`.
    #[must_use]
    pub fn mirrored(&self, region: &str, topic: &str) -> Arc<str> {
        self.mirrored.replacen(REGION, region, 1).replacen(TOPIC, topic, 1).into()
    }

    /// Whether other regions may read the topic: what is mirrored, and nothing else.
    #[must_use]
    pub fn is_mirrored(&self, topic: &str) -> bool {
        let word = |source: &str| {
            !source.is_empty() && source.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        };
        let own = topic.strip_prefix(&*self.prefix);
        own.is_some_and(|own| own == CATALOG || own.strip_prefix(DELTAS).is_some_and(word))
    }

    /// The same as a regular expression that is matched against whole names.
    #[must_use]
    pub fn mirrored_pattern(&self) -> String {
        let prefix = self.prefix.replace('.', "\\.");
        format!("{prefix}{CATALOG}|{prefix}{DELTAS}[A-Za-z0-9_]+")
    }

    /// What stands between region and topic, if mirrored names are `region` + that + `topic`: all
    /// that MirrorMaker 2 can be told.
    #[must_use]
    pub fn separator(&self) -> Option<&str> {
        self.mirrored.strip_prefix(REGION)?.strip_suffix(TOPIC)
    }

    /// The catalog's topic as it should be.
    #[must_use]
    pub fn catalog_spec(&self) -> TopicSpec {
        compacted(self.catalog(), 1)
    }

    /// The topics of a source as they should be: its events, its deltas, its dead letters.
    #[must_use]
    pub fn source_specs(&self, source: &Source, shards: u32) -> [TopicSpec; 3] {
        let kept = Retention::Delete { ms: source.retention_ms, bytes: source.retention_bytes };
        let (name, partitions) = (source.topic.clone(), source.partitions);
        let events = TopicSpec { name, partitions, retention: kept };
        let rejected = TopicSpec { name: self.dead_letters(&source.name), ..events.clone() };
        [events, compacted(self.deltas(&source.name), shards), rejected]
    }
}

fn compacted(name: Arc<str>, partitions: u32) -> TopicSpec {
    TopicSpec { name, partitions, retention: Retention::Compact { null_ms: NULL_MS } }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(mirrored: &str) -> Names {
        Names { mirrored: mirrored.into(), ..Names::default() }
    }

    fn regions(of: &[&str]) -> Vec<Arc<str>> {
        of.iter().map(|region| Arc::from(*region)).collect()
    }

    #[test]
    fn mirrored_names_are_as_the_tools_call_them() {
        let of = |mirrored| names(mirrored).mirrored("eu", "mesh-catalog").to_string();
        assert_eq!(of("{region}.{topic}"), "eu.mesh-catalog");
        assert_eq!(of("{topic}.{region}"), "mesh-catalog.eu");
        assert_eq!(of("from-{region}_{topic}"), "from-eu_mesh-catalog");
        assert_eq!(names("{region}_{topic}").separator(), Some("_"));
        assert_eq!(names("{topic}.{region}").separator(), None);
    }

    #[test]
    fn patterns_that_let_topics_meet_are_refused() {
        let of = regions(&["eu", "eu-2", "us"]);
        for good in ["{region}.{topic}", "{topic}.{region}", "{region}_{topic}", "{region}{topic}"]
        {
            assert_eq!(names(good).check(&of), Ok(()), "{good}");
        }
        let odd = regions(&["eu", "eu-mesh-catalog_eu"]);
        for (pattern, of, why) in [
            ("{topic}", &of, "{region}"),
            ("{region}", &of, "{topic}"),
            ("{region}/{topic}", &of, "'/'"),
            // A source may be called `a_eu`.
            ("{topic}_{region}", &of, "on and on"),
            ("{region}-{topic}", &regions(&["eu", "eu-mesh-"]), "one name"),
            ("{topic}.{region}", &regions(&["eu", "x.eu"]), "one name"),
        ] {
            let refused = names(pattern).check(of).unwrap_err();
            assert!(refused.contains(why) && !refused.contains('\n'), "{pattern}: {refused}");
        }
        assert!(names("{region}-{topic}").check(&odd).is_err());
    }

    #[test]
    fn a_prefix_keeps_two_meshes_apart() {
        let fraud = Names { prefix: "fraud.".into(), ..Names::default() };
        assert_eq!(&*fraud.deltas("clicks"), "fraud.mesh-deltas-clicks");
        assert!(fraud.is_mirrored("fraud.mesh-catalog") && !fraud.is_mirrored("mesh-catalog"));
        assert!(!fraud.is_mirrored("eu.fraud.mesh-catalog"));
        assert!(!fraud.is_mirrored("fraud.mesh-dead-letters-clicks"));
        assert_eq!(fraud.check(&regions(&["eu", "us"])), Ok(()));
        assert!(fraud.mirrored_pattern().starts_with("fraud\\.mesh-catalog|"));
    }
}
