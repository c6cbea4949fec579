//! Answers as Feast's clients read them, written as they are walked. The rules that are not obvious:
//! floats keep their point (`1.0`), since clients infer types from JSON; what JSON cannot say is a
//! string (`"NaN"`, `"Infinity"`); timestamps are RFC 3339, and the epoch where there is none.

use std::collections::{BTreeMap, HashMap};

use api::v1::value::Kind;
use api::v1::{FeatureColumn, FeatureInfo, FieldStatus, GetFeaturesResponse, MeshInfo, OriginInfo};
use serde::{Serialize, Serializer};

/// The event time of nothing.
const EPOCH: &str = "1970-01-01T00:00:00Z";

/// The whole answer.
///
/// # Errors
/// None that these types can have.
pub(crate) fn features(answer: &GetFeaturesResponse) -> serde_json::Result<Vec<u8>> {
    let metadata = Metadata { feature_names: &answer.feature_names };
    let results = answer.results.iter().map(Column::of).collect();
    serde_json::to_vec(&Answer { results, metadata, mesh: answer.mesh.as_ref().map(Mesh::of) })
}

#[derive(Serialize)]
struct Answer<'a> {
    results: Vec<Column<'a>>,
    metadata: Metadata<'a>,
    mesh: Option<Mesh<'a>>,
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
    /// Maps on the wire have no order; people like one.
    origins: BTreeMap<&'a str, Origin<'a>>,
    token: &'a str,
    features: BTreeMap<&'a str, Feature>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    invalid: BTreeMap<&'a str, &'a str>,
}

impl<'a> Mesh<'a> {
    fn of(mesh: &'a MeshInfo) -> Self {
        Self {
            served_by: &mesh.served_by,
            route: &mesh.route,
            as_of: mesh.as_of_ms.map(Instant),
            complete: mesh.complete,
            origins: sorted(&mesh.origins, Origin::of),
            token: &mesh.token,
            features: sorted(&mesh.features, Feature::of),
            invalid: sorted(&mesh.invalid, String::as_str),
        }
    }
}

#[derive(Serialize)]
struct Origin<'a> {
    state: &'a str,
    age_ms: Option<i64>,
    watermark: Option<Instant>,
}

impl<'a> Origin<'a> {
    fn of(origin: &'a OriginInfo) -> Self {
        let watermark = origin.watermark_ms.map(Instant);
        Self { state: &origin.state, age_ms: origin.age_ms, watermark }
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
            ms => to.serialize_str(&clock::format_timestamp(ms)),
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
