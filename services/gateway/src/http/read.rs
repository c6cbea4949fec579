//! `POST /get-online-features`.

use api::v1;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use clock::Stopwatch;
use serde::Deserialize;
use serde_json::Value as Json;

use super::{body, render};
use crate::caller::Caller;
use crate::door::Door;
use crate::given::Given;
use crate::metrics::Ending;
use crate::refusal::Refusal;
use crate::request::{Columns, FeatureRequest};

/// The request as Feast's clients send it; unknown keys are ignored.
#[derive(Debug, Deserialize)]
struct Body {
    entities: Columns,
    #[serde(default)]
    features: Option<Vec<String>>,
    #[serde(default)]
    feature_service: Option<String>,
    #[serde(default)]
    full_feature_names: Option<bool>,
    /// Go's place for request fields.
    #[serde(default)]
    request_context: Option<Columns>,
    #[serde(default)]
    mesh: Option<Mesh>,
}

/// What Meridian adds.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Mesh {
    #[serde(default)]
    as_of: Option<Json>,
    #[serde(default)]
    exclude_regions: Option<Vec<String>>,
    #[serde(default)]
    token: Option<OneOrMany>,
    #[serde(default)]
    max_staleness_ms: Option<i64>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

/// Reads features.
pub(super) async fn get_online_features(door: &Door, request: Request) -> Response {
    let started = Stopwatch::start();
    let given = answer(door, request).await.and_then(|given| {
        let body = render::features(&given);
        let body = body.map_err(|error| Refusal::Unavailable(error.to_string()))?;
        Ok((given, body))
    });
    let (status, route) = match &given {
        Ok((given, _)) => (StatusCode::OK, given.route()),
        Err(refusal) => (refusal.status(), ""),
    };
    let ending = Ending::Http(status);
    door.instruments.request("get-online-features", ending, route, started.elapsed());
    match given {
        Ok((_, body)) => ([(header::CONTENT_TYPE, "application/json")], body).into_response(),
        Err(refusal) => refusal.into_response(),
    }
}

async fn answer(door: &Door, request: Request) -> Result<Given, Refusal> {
    let (parts, body) = request.into_parts();
    let caller = Caller::from_headers(&parts.headers)?;
    let body: Body = body::json(&parts, body).await?;
    let mesh = body.mesh.unwrap_or_default();
    let mut columns = body.entities;
    for (name, column) in body.request_context.into_iter().flatten() {
        columns.entry(name).or_insert(column);
    }
    let options = v1::ReadOptions {
        as_of_ms: mesh.as_of.as_ref().map_or(Ok(None), instant)?,
        exclude_regions: mesh.exclude_regions.unwrap_or_default(),
        tokens: match mesh.token {
            None => Vec::new(),
            Some(OneOrMany::One(token)) => vec![token],
            Some(OneOrMany::Many(tokens)) => tokens,
        },
        max_staleness_ms: mesh.max_staleness_ms,
    };
    let request = FeatureRequest {
        service: body.feature_service.filter(|name| !name.is_empty()),
        features: body.features.unwrap_or_default(),
        columns,
        full_names: body.full_feature_names.unwrap_or(false),
        options,
    };
    door.get_features(caller, request).await
}

/// RFC 3339, or milliseconds.
fn instant(json: &Json) -> Result<Option<i64>, Refusal> {
    let ms = match json {
        Json::Null => return Ok(None),
        Json::Number(ms) => ms.as_i64(),
        Json::String(text) => clock::parse_timestamp_ms(text).ok(),
        _ => None,
    };
    let bad = || Refusal::BadOption("mesh.as_of must be RFC 3339 or milliseconds".into());
    ms.map(Some).ok_or_else(bad)
}
