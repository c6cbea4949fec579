//! Whose fault it is that a request cannot be decoded: its sender's. tonic says INTERNAL, which callers
//! take for a region that fails. Nothing in a gateway itself answers INTERNAL.

use axum::http::Response;
use tonic::body::Body;
use tonic::{Code, Status};

/// What could not be decoded, as an argument that is invalid; other statuses as they are.
pub(super) fn malformed(status: Status) -> Status {
    match status.code() {
        Code::Internal => {
            Status::invalid_argument(format!("the request is malformed: {}", status.message()))
        }
        _ => status,
    }
}

/// The same for the answer to a call that its service did not get to see.
pub(crate) fn blame_caller(response: Response<Body>) -> Response<Body> {
    match response.extensions().get::<Status>() {
        Some(status) if status.code() == Code::Internal => malformed(status.clone()).into_http(),
        _ => response,
    }
}
