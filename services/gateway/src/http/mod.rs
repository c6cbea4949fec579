//! Feast's HTTP protocol.

mod body;
mod error;
mod push;
mod read;
mod render;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use crate::door::Door;
use crate::refusal::Refusal;

/// Everything that is served over HTTP.
pub(crate) fn router(door: Arc<Door>) -> Router {
    Router::new()
        .route("/get-online-features", post(read::get_online_features))
        .route("/push", post(push::push))
        .route("/write-to-online-store", post(push::write_to_online_store))
        .route("/health", get(health))
        .fallback(no_such_path)
        .method_not_allowed_fallback(bad_method)
        .with_state(door)
}

/// 200 while some region can answer.
async fn health(State(door): State<Arc<Door>>) -> StatusCode {
    if door.regions.serving() && door.catalog.now().generation() > 0 {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    }
}

async fn no_such_path(request: Request) -> Response {
    Refusal::NoSuchPath(request.uri().path().chars().take(200).collect()).into_response()
}

async fn bad_method(request: Request) -> Response {
    let (method, path) = (request.method().to_string(), request.uri().path().to_owned());
    Refusal::BadMethod { method, path }.into_response()
}
