//! The YAML as it is written: every key optional and with its place, none unknown. What is missing
//! or does not fit is said by [`crate::check`], which knows the names of things.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_saphyr::Spanned;

use crate::aggregates::Feature;
use crate::diagnostics::{Diagnostic, Text};

/// A catalog file is no larger than this.
pub const MAX_FILE_BYTES: usize = 1 << 20;
/// What anchors may blow it up to, in YAML events.
const MAX_REPLAYED: usize = 100_000;

pub(crate) type Opt<T> = Option<Spanned<T>>;
pub(crate) type List<T> = Spanned<Vec<Spanned<T>>>;

/// Names and what they stand for, in the order of the text.
#[derive(Debug)]
pub(crate) struct Names<T>(pub(crate) Vec<(Spanned<String>, T)>);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    pub(crate) project: Opt<String>,
    pub(crate) shards: Opt<u32>,
    pub(crate) entities: Option<Names<Entity>>,
    pub(crate) sources: Option<Names<Source>>,
    pub(crate) feature_views: Option<Names<View>>,
    pub(crate) on_demand_feature_views: Option<Names<OnDemand>>,
    pub(crate) feature_services: Option<Names<List<String>>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entity {
    pub(crate) join_key: Opt<String>,
    pub(crate) join_keys: Option<List<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Source {
    pub(crate) topic: Opt<String>,
    pub(crate) format: Opt<String>,
    pub(crate) event_time: Opt<String>,
    pub(crate) id: Opt<String>,
    pub(crate) id_window: Option<IdWindow>,
    pub(crate) disorder: Opt<String>,
    pub(crate) max_ahead: Opt<String>,
    pub(crate) skip: Opt<String>,
    pub(crate) partitions: Opt<u32>,
    pub(crate) retention: Option<Retention>,
    pub(crate) fields: Option<Names<Spanned<Field>>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct IdWindow {
    pub(crate) events: Opt<u64>,
    pub(crate) time: Opt<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Retention {
    pub(crate) time: Opt<String>,
    pub(crate) bytes: Opt<String>,
}

/// `string?`, or a mapping with rules.
#[derive(Debug)]
pub(crate) enum Field {
    Short(String),
    Rules(Box<Rules>),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rules {
    #[serde(rename = "type")]
    pub(crate) kind: Opt<String>,
    #[serde(rename = "in")]
    pub(crate) one_of: Option<List<String>>,
    pub(crate) range: Opt<(f64, f64)>,
    /// `null` is a choice here, not its absence.
    #[serde(default, deserialize_with = "given")]
    pub(crate) on_violation: Opt<Option<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct View {
    pub(crate) version: Opt<u32>,
    pub(crate) entity: Opt<String>,
    pub(crate) source: Opt<String>,
    #[serde(rename = "where")]
    pub(crate) filter: Opt<String>,
    pub(crate) windows: Option<List<String>>,
    pub(crate) resolution: Opt<String>,
    pub(crate) history: Opt<String>,
    pub(crate) ttl: Opt<String>,
    pub(crate) features: Option<Names<Feature>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OnDemand {
    pub(crate) request: Option<Names<Spanned<String>>>,
    pub(crate) inputs: Option<List<String>>,
    pub(crate) features: Option<Names<Spanned<String>>>,
}

/// Parses one file.
pub(crate) fn parse(text: Text<'_>) -> Result<File, Diagnostic> {
    let start = text.located(serde_saphyr::Location::UNKNOWN);
    if text.text.len() > MAX_FILE_BYTES {
        let message = format!("the file is larger than {MAX_FILE_BYTES} bytes; split it up");
        return Err(Diagnostic::new(&start, message));
    }
    let options = serde_saphyr::options! {
        with_snippet: false,
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: MAX_REPLAYED },
    };
    serde_saphyr::from_str_with_options(text.text, options).map_err(|error| {
        let place = error.location().map_or(start, |at| text.located(at));
        let message = error.render_with_formatter(&serde_saphyr::UserMessageFormatter);
        let line = message.lines().next().unwrap_or_default();
        let line = line.rsplit_once(" at line ").map_or(line, |(line, _)| line);
        Diagnostic::new(&place, if line.is_empty() { "not a catalog in YAML" } else { line })
    })
}

/// [`Some`], also of null.
pub(crate) fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    d: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(d).map(Some)
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Names<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(NamesVisitor(PhantomData))
    }
}

struct NamesVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for NamesVisitor<T> {
    type Value = Names<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a mapping of names")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Names<T>, A::Error> {
        let mut names = Vec::new();
        while let Some(entry) = map.next_entry()? {
            names.push(entry);
        }
        Ok(Names(names))
    }
}

impl<'de> Deserialize<'de> for Field {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FieldVisitor)
    }
}

struct FieldVisitor;

impl<'de> Visitor<'de> for FieldVisitor {
    type Value = Field;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a type (`string?`) or a mapping with `type`")
    }

    fn visit_str<E: Error>(self, kind: &str) -> Result<Field, E> {
        Ok(Field::Short(kind.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Field, A::Error> {
        Rules::deserialize(MapAccessDeserializer::new(map)).map(|rules| Field::Rules(rules.into()))
    }
}
