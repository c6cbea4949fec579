//! `POST /push`, and `POST /write-to-online-store`, which is what `FeatureStore.push` of Feast's
//! client really calls. Both append events; features follow from them.

use std::sync::Arc;

use api::v1::PushResponse;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use clock::Stopwatch;
use serde::Deserialize;

use super::body;
use crate::caller::Caller;
use crate::door::Door;
use crate::events::{events, source_of};
use crate::metrics::Ending;
use crate::refusal::Refusal;
use crate::request::Columns;

#[derive(Debug, Deserialize)]
struct Push {
    push_source_name: String,
    df: Columns,
    #[serde(default)]
    to: Option<To>,
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
}

/// Appends to a source; `x-meridian-token` in the answer names what was appended.
pub(super) async fn push(State(door): State<Arc<Door>>, request: Request) -> Response {
    let started = Stopwatch::start();
    let (parts, body) = request.into_parts();
    let pushed = match body::json::<Push>(&parts, body).await {
        Ok(push) if push.to == Some(To::Offline) => Err(Refusal::Offline),
        Ok(push) => append(&door, &parts, &push.push_source_name, push.df).await,
        Err(refusal) => Err(refusal),
    };
    respond(&door, "push", started, pushed, "")
}

/// Appends to the source of that name, or to the source of the view of that name.
pub(super) async fn write_to_online_store(
    State(door): State<Arc<Door>>,
    request: Request,
) -> Response {
    let started = Stopwatch::start();
    let (parts, body) = request.into_parts();
    let pushed = match body::json::<Write>(&parts, body).await {
        Ok(write) => append(&door, &parts, &write.feature_view_name, write.df).await,
        Err(refusal) => Err(refusal),
    };
    respond(&door, "write-to-online-store", started, pushed, "null")
}

async fn append(
    door: &Door,
    parts: &Parts,
    name: &str,
    frame: Columns,
) -> Result<PushResponse, Refusal> {
    let caller = Caller::from_headers(&parts.headers)?;
    let catalog = door.catalog.now();
    if catalog.generation() == 0 {
        return Err(Refusal::NoCatalog);
    }
    let source = source_of(&catalog, name)?;
    let events = events(&source, frame)?;
    door.push(&caller, source.name.to_string(), events).await
}

fn respond(
    door: &Door,
    call: &'static str,
    started: Stopwatch,
    pushed: Result<PushResponse, Refusal>,
    body: &'static str,
) -> Response {
    let status = pushed.as_ref().map_or_else(Refusal::status, |_| StatusCode::OK);
    door.instruments.request(call, Ending::Http(status), "local", started.elapsed());
    match pushed {
        Ok(pushed) => {
            let headers = [
                (header::HeaderName::from_static("x-meridian-token"), pushed.token),
                (header::CONTENT_TYPE, "application/json".to_owned()),
            ];
            (headers, body).into_response()
        }
        Err(refusal) => refusal.into_response(),
    }
}
