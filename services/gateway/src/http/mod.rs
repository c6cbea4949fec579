//! Feast's HTTP protocol.

mod body;
mod error;
mod push;
mod read;
mod render;

use std::sync::Arc;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::CONNECTION;
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use telemetry::Begins;
use tracing::Instrument;

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
        .layer(axum::middleware::from_fn_with_state(door.clone(), around))
        .with_state(door)
}

/// Around every request: its span; and a client that keeps its connection to a gateway that ends
/// would lose a request with it.
async fn around(State(door): State<Arc<Door>>, request: Request, next: Next) -> Response {
    let span = telemetry::server(request.headers(), Begins::Traces, || name(&request));
    let mut response = next.run(request).instrument(span).await;
    if *door.draining.borrow() {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// The method and the route, of which there are few, and not the path, which clients make up.
fn name(request: &Request) -> String {
    let route = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    format!("{} {route}", request.method()).trim_end().to_owned()
}

/// 200 while some region can answer, and this gateway is not about to end.
async fn health(State(door): State<Arc<Door>>) -> StatusCode {
    let stays = !*door.draining.borrow();
    if stays && door.regions.serving() && door.catalog.now().generation() > 0 {
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
