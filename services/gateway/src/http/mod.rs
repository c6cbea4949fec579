//! Feast's HTTP protocol.

mod body;
mod error;
mod push;
mod read;
mod render;

pub(crate) use render::Fixed;

use std::sync::Arc;

use axum::extract::Request;
use axum::http::header::{ALLOW, CONNECTION};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use edge::Answers;
use telemetry::Begins;
use tower::service_fn;
use tracing::Span;

use crate::door::Door;
use crate::refusal::Refusal;

/// What can be asked. There are few; other paths are made up by clients.
const READ: &str = "/get-online-features";
const PUSH: &str = "/push";
const WRITE: &str = "/write-to-online-store";
const HEALTH: &str = "/health";

/// Everything that is served over HTTP. A client that keeps its connection to a gateway that ends
/// would lose a request with it, and is told.
pub(crate) fn serving(door: Arc<Door>) -> impl Answers {
    service_fn(move |request: Request| {
        let door = door.clone();
        async move {
            let mut response = answer(&door, request).await;
            if *door.draining.borrow() {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok(response)
        }
    })
}

/// By path and method. No router: it would box what it finds, which costs a tenth of a read.
async fn answer(door: &Door, request: Request) -> Response {
    match (request.uri().path(), request.method().as_str()) {
        (READ, "POST") => read::get_online_features(door, request).await,
        (PUSH, "POST") => push::push(door, request).await,
        (WRITE, "POST") => push::write_to_online_store(door, request).await,
        (HEALTH, "GET" | "HEAD") => health(door).into_response(),
        (HEALTH, _) => bad_method(&request, "GET,HEAD"),
        (READ | PUSH | WRITE, _) => bad_method(&request, "POST"),
        (path, _) => Refusal::NoSuchPath(path.chars().take(200).collect()).into_response(),
    }
}

/// A request's span, by the method and the route.
pub(crate) fn span(request: &Parts) -> Span {
    telemetry::server(&request.headers, Begins::Traces, || {
        let path = request.uri.path();
        let route = [READ, PUSH, WRITE, HEALTH].into_iter().find(|route| *route == path);
        format!("{} {}", request.method, route.unwrap_or_default()).trim_end().to_owned()
    })
}

/// 200 while some region can answer, and this gateway is not about to end.
fn health(door: &Door) -> StatusCode {
    let stays = !*door.draining.borrow();
    if stays && door.regions.serving() && door.catalog.now().generation() > 0 {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    }
}

fn bad_method(request: &Request, allowed: &'static str) -> Response {
    let (method, path) = (request.method().to_string(), request.uri().path().to_owned());
    ([(ALLOW, allowed)], Refusal::BadMethod { method, path }).into_response()
}
