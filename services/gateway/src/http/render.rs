//! Answers as Feast's clients read them. The rules that are not obvious:
//! floats keep their point (`1.0`), since clients infer types from JSON; what JSON cannot say is a
//! string (`"NaN"`, `"Infinity"`); timestamps are RFC 3339, and the epoch where there is none.

use api::v1::value::Kind;
use api::v1::{FeatureColumn, FeatureInfo, FieldStatus, GetFeaturesResponse, MeshInfo, Value};
use serde_json::{Value as Json, json};

/// The whole answer.
pub(crate) fn features(answer: &GetFeaturesResponse) -> Json {
    let results: Vec<Json> = answer.results.iter().map(column).collect();
    json!({
        "results": results,
        "metadata": { "feature_names": answer.feature_names },
        "mesh": answer.mesh.as_ref().map(mesh),
    })
}

fn column(column: &FeatureColumn) -> Json {
    let status = |status: &i32| FieldStatus::try_from(*status).unwrap_or_default().as_str_name();
    json!({
        "values": column.values.iter().map(value).collect::<Vec<_>>(),
        "statuses": column.statuses.iter().map(status).collect::<Vec<_>>(),
        "event_timestamps":
            column.event_timestamps_ms.iter().map(|ms| clock::format_timestamp(*ms)).collect::<Vec<_>>(),
    })
}

/// One value.
pub(crate) fn value(value: &Value) -> Json {
    match &value.kind {
        None => Json::Null,
        Some(Kind::BoolValue(b)) => (*b).into(),
        Some(Kind::IntValue(n)) => (*n).into(),
        Some(Kind::DoubleValue(x)) if x.is_nan() => "NaN".into(),
        Some(Kind::DoubleValue(x)) if x.is_infinite() => {
            if *x > 0.0 { "Infinity" } else { "-Infinity" }.into()
        }
        Some(Kind::DoubleValue(x)) => (*x).into(),
        Some(Kind::StringValue(text)) => text.as_str().into(),
        Some(Kind::TimestampMs(ms)) => clock::format_timestamp(*ms).into(),
    }
}

fn mesh(mesh: &MeshInfo) -> Json {
    let origins = mesh.origins.iter().map(|(region, origin)| {
        let watermark = origin.watermark_ms.map(clock::format_timestamp);
        let origin =
            json!({ "state": origin.state, "age_ms": origin.age_ms, "watermark": watermark });
        (region.clone(), origin)
    });
    let features = mesh.features.iter().map(|(name, info)| (name.clone(), feature(info)));
    let mut answer = json!({
        "served_by": mesh.served_by,
        "route": mesh.route,
        "as_of": mesh.as_of_ms.map(clock::format_timestamp),
        "complete": mesh.complete,
        "origins": sorted(origins),
        "token": mesh.token,
        "features": sorted(features),
    });
    if !mesh.invalid.is_empty() {
        let reasons =
            mesh.invalid.iter().map(|(name, reason)| (name.clone(), reason.as_str().into()));
        answer["invalid"] = sorted(reasons);
    }
    answer
}

fn feature(info: &FeatureInfo) -> Json {
    let resolution = match info.resolution_ms {
        0 => "all".to_owned(),
        ms => clock::format_duration(ms),
    };
    json!({
        "resolution": resolution,
        "covered_from": info.covered_from_ms.map(clock::format_timestamp),
        "as_of": info.as_of_ms.map(clock::format_timestamp),
    })
}

/// Maps on the wire have no order; people like one.
fn sorted(entries: impl Iterator<Item = (String, Json)>) -> Json {
    let mut entries: Vec<(String, Json)> = entries.collect();
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    Json::Object(entries.into_iter().collect())
}
