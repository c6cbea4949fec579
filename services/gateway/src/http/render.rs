//! Answers as Feast's clients read them, written as they are walked. The rules that are not obvious:
//! floats keep their point (`1.0`), since clients infer types from JSON; what JSON cannot say is a
//! string (`"NaN"`, `"Infinity"`); timestamps are RFC 3339, and the epoch where there is none.

use std::collections::{BTreeMap, HashMap};

use api::GetFeaturesResponse;
use api::v1::value::Kind;
use api::v1::{FeatureColumn, FeatureInfo, FieldStatus, MeshInfo, OriginInfo};
use serde::ser::Error;
use serde::{Serialize, Serializer};
use serde_json::value::{RawValue, to_raw_value};

use crate::given::Given;

/// The event time of nothing.
const EPOCH: &str = "1970-01-01T00:00:00Z";

/// Beside what is fixed: names, and what there is of some regions.
const MESH_BYTES: usize = 1 << 10;

/// What is the same however often an answer is given.
#[derive(Debug)]
pub(crate) struct Fixed {
    results: Box<RawValue>,
    metadata: Box<RawValue>,
    /// By region. Maps on the wire have no order; people like one.
    watermarks: BTreeMap<String, Box<RawValue>>,
    token: Box<RawValue>,
    features: Box<RawValue>,
    invalid: Option<Box<RawValue>>,
}

impl Fixed {
    /// # Errors
    /// A value that came from a node is none.
    pub(crate) fn of(answer: &GetFeaturesResponse, mesh: &MeshInfo) -> serde_json::Result<Self> {
        let columns = answer.columns().map_err(serde_json::Error::custom)?;
        let results: Vec<Column<'_>> = columns.iter().map(Column::of).collect();
        let invalid = Some(&mesh.invalid).filter(|invalid| !invalid.is_empty());
        let watermark = |(name, origin): (&String, &OriginInfo)| {
            Ok((name.clone(), to_raw_value(&origin.watermark_ms.map(Instant))?))
        };
        Ok(Self {
            watermarks: mesh.origins.iter().map(watermark).collect::<serde_json::Result<_>>()?,
            token: to_raw_value(&mesh.token)?,
            results: to_raw_value(&results)?,
            metadata: to_raw_value(&Metadata { feature_names: &answer.feature_names })?,
            features: to_raw_value(&sorted(&mesh.features, Feature::of))?,
            invalid: invalid.map(|all| to_raw_value(&sorted(all, String::as_str))).transpose()?,
        })
    }
}

/// The whole answer.
///
/// # Errors
/// Those of [`Fixed::of`].
pub(crate) fn features(given: &Given) -> serde_json::Result<Vec<u8>> {
    let fixed = given.fixed()?;
    let Fixed { results, metadata, token, features, .. } = fixed;
    let bytes =
        [results, metadata, token, features].map(|part| part.get().len()).iter().sum::<usize>();
    let mut out = Vec::with_capacity(bytes + MESH_BYTES);
    serde_json::to_writer(&mut out, &Answer { results, metadata, mesh: Mesh::of(given, fixed) })?;
    Ok(out)
}

#[derive(Serialize)]
struct Answer<'a> {
    results: &'a RawValue,
    metadata: &'a RawValue,
    mesh: Mesh<'a>,
}

#[derive(Serialize)]
struct Metadata<'a> {
    feature_names: &'a [String],
}

#[derive(Serialize)]
struct Column<'a> {
    #[serde(serialize_with = "values")]
    values: &'a [api::v1::Value],
    #[serde(serialize_with = "statuses")]
    statuses: &'a [i32],
    #[serde(serialize_with = "instants")]
    event_timestamps: &'a [i64],
}

impl<'a> Column<'a> {
    fn of(column: &'a FeatureColumn) -> Self {
        let FeatureColumn { values, statuses, event_timestamps_ms: event_timestamps } = column;
        Self { values, statuses, event_timestamps }
    }
}

#[derive(Serialize)]
struct Mesh<'a> {
    served_by: &'a str,
    route: &'a str,
    as_of: Option<Instant>,
    complete: bool,
    origins: Origins<'a>,
    token: &'a RawValue,
    features: &'a RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    invalid: Option<&'a RawValue>,
}

impl<'a> Mesh<'a> {
    fn of(given: &'a Given, fixed: &'a Fixed) -> Self {
        let mesh = given.mesh();
        Self {
            served_by: &mesh.served_by,
            route: given.route(),
            as_of: mesh.as_of_ms.map(Instant),
            complete: given.complete(),
            origins: Origins(given, fixed),
            token: &fixed.token,
            features: &fixed.features,
            invalid: fixed.invalid.as_deref(),
        }
    }
}

/// What there is of each region by now.
struct Origins<'a>(&'a Given, &'a Fixed);

#[derive(Serialize)]
struct Origin<'a> {
    state: &'a str,
    age_ms: Option<i64>,
    watermark: &'a RawValue,
}

impl Serialize for Origins<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let Self(given, fixed) = self;
        to.collect_map(fixed.watermarks.iter().filter_map(|(name, watermark)| {
            let (state, age_ms) = given.aged(given.mesh().origins.get(name)?);
            Some((name, Origin { state, age_ms, watermark }))
        }))
    }
}

#[derive(Serialize)]
struct Feature {
    resolution: String,
    covered_from: Option<Instant>,
    as_of: Option<Instant>,
}

impl Feature {
    fn of(info: &FeatureInfo) -> Self {
        let resolution = match info.resolution_ms {
            0 => "all".to_owned(),
            ms => clock::format_duration(ms),
        };
        let (covered_from, as_of) = (info.covered_from_ms, info.as_of_ms);
        Self { resolution, covered_from: covered_from.map(Instant), as_of: as_of.map(Instant) }
    }
}

fn sorted<'a, T, U>(map: &'a HashMap<String, T>, of: impl Fn(&'a T) -> U) -> BTreeMap<&'a str, U> {
    map.iter().map(|(name, value)| (name.as_str(), of(value))).collect()
}

/// Milliseconds since the epoch, as RFC 3339.
struct Instant(i64);

impl Serialize for Instant {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            0 => to.serialize_str(EPOCH),
            ms => to.collect_str(&clock::Rfc3339(ms)),
        }
    }
}

struct Value<'a>(&'a api::v1::Value);

impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match &self.0.kind {
            None => to.serialize_none(),
            Some(Kind::BoolValue(b)) => to.serialize_bool(*b),
            Some(Kind::IntValue(n)) => to.serialize_i64(*n),
            Some(Kind::DoubleValue(x)) if x.is_nan() => to.serialize_str("NaN"),
            Some(Kind::DoubleValue(x)) if x.is_infinite() => {
                to.serialize_str(if *x > 0.0 { "Infinity" } else { "-Infinity" })
            }
            Some(Kind::DoubleValue(x)) => to.serialize_f64(*x),
            Some(Kind::StringValue(text)) => to.serialize_str(text),
            Some(Kind::TimestampMs(ms)) => Instant(*ms).serialize(to),
        }
    }
}

fn values<S: Serializer>(values: &&[api::v1::Value], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(values.iter().map(Value))
}

fn statuses<S: Serializer>(statuses: &&[i32], to: S) -> Result<S::Ok, S::Error> {
    let name = |status: &i32| FieldStatus::try_from(*status).unwrap_or_default().as_str_name();
    to.collect_seq(statuses.iter().map(name))
}

fn instants<S: Serializer>(instants: &&[i64], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(instants.iter().copied().map(Instant))
}
