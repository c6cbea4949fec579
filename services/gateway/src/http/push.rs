//! `POST /push`, and `POST /write-to-online-store`, which is what `FeatureStore.push` of Feast's
//! client really calls. Both append events; features follow from them.

use api::v1::{OnRegionDown, PushResponse};
use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use clock::Stopwatch;
use serde::Deserialize;

use super::body;
use crate::caller::Caller;
use crate::door::Door;
use crate::events::{events, source_of};
use crate::metrics::Ending;
use crate::pushing;
use crate::refusal::Refusal;
use crate::request::Columns;

#[derive(Debug, Deserialize)]
struct Push {
    push_source_name: String,
    df: Columns,
    #[serde(default)]
    to: Option<To>,
    #[serde(default)]
    mesh: Option<Mesh>,
}

/// What Meridian adds.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Mesh {
    #[serde(default)]
    on_region_down: Choice,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Choice {
    #[default]
    Refuse,
    Reroute,
}

impl From<Mesh> for OnRegionDown {
    fn from(mesh: Mesh) -> Self {
        match mesh.on_region_down {
            Choice::Refuse => Self::Refuse,
            Choice::Reroute => Self::Reroute,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum To {
    Online,
    Offline,
    OnlineAndOffline,
}

#[derive(Debug, Deserialize)]
struct Write {
    feature_view_name: String,
    df: Columns,
    #[serde(default)]
    mesh: Option<Mesh>,
}

/// Appends to a source. In the answer's headers, `x-meridian-token` names what was appended and
/// `x-meridian-region` where; `x-meridian-possible-duplicate` is there if it may be in a log already.
pub(super) async fn push(door: &Door, request: Request) -> Response {
    let started = Stopwatch::start();
    let (parts, body) = request.into_parts();
    let pushed = match body::json::<Push>(&parts, body).await {
        Ok(push) if push.to == Some(To::Offline) => Err(Refusal::Offline),
        Ok(push) => append(door, &parts, &push.push_source_name, (push.df, push.mesh)).await,
        Err(refusal) => Err(refusal),
    };
    respond(door, "push", started, pushed, "")
}

/// Appends to the source of that name, or to the source of the view of that name.
pub(super) async fn write_to_online_store(door: &Door, request: Request) -> Response {
    let started = Stopwatch::start();
    let (parts, body) = request.into_parts();
    let pushed = match body::json::<Write>(&parts, body).await {
        Ok(write) => append(door, &parts, &write.feature_view_name, (write.df, write.mesh)).await,
        Err(refusal) => Err(refusal),
    };
    respond(door, "write-to-online-store", started, pushed, "null")
}

async fn append(
    door: &Door,
    parts: &Parts,
    name: &str,
    (frame, mesh): (Columns, Option<Mesh>),
) -> Result<PushResponse, Refusal> {
    let caller = Caller::from_headers(&parts.headers)?;
    let catalog = door.catalog.now();
    if catalog.generation() == 0 {
        return Err(Refusal::NoCatalog);
    }
    let source = source_of(&catalog, name)?;
    let events = events(&source, frame)?;
    let (source, on_region_down) = (source.name.to_string(), mesh.unwrap_or_default().into());
    door.push(&caller, pushing::Push { source, events, on_region_down }).await
}

fn respond(
    door: &Door,
    call: &'static str,
    started: Stopwatch,
    pushed: Result<PushResponse, Refusal>,
    body: &'static str,
) -> Response {
    let status = pushed.as_ref().map_or_else(Refusal::status, |_| StatusCode::OK);
    let route = pushed.as_ref().map_or("", |pushed| door.pusher.route(pushed));
    door.instruments.request(call, Ending::Http(status), route, started.elapsed());
    match pushed {
        Ok(pushed) => {
            let headers = [
                (HeaderName::from_static("x-meridian-token"), pushed.token),
                (HeaderName::from_static("x-meridian-region"), pushed.region),
                (header::CONTENT_TYPE, "application/json".to_owned()),
            ];
            let duplicate = pushed
                .possible_duplicate
                .then(|| [(HeaderName::from_static("x-meridian-possible-duplicate"), "true")]);
            match duplicate {
                Some(duplicate) => (headers, duplicate, body).into_response(),
                None => (headers, body).into_response(),
            }
        }
        Err(refusal) => refusal.into_response(),
    }
}
