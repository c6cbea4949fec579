//! Refusals as Feast's client raises them: a JSON string that contains JSON.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::refusal::{Fault, Refusal};

impl Refusal {
    pub(crate) fn status(&self) -> StatusCode {
        match self.fault() {
            Fault::NotFound => StatusCode::NOT_FOUND,
            Fault::Malformed => StatusCode::BAD_REQUEST,
            Fault::Slow => StatusCode::REQUEST_TIMEOUT,
            Fault::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
            Fault::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Fault::BadMethod => StatusCode::METHOD_NOT_ALLOWED,
            Fault::Conflict => StatusCode::CONFLICT,
            Fault::Unavailable | Fault::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Fault::TimedOut => StatusCode::GATEWAY_TIMEOUT,
            Fault::OverQuota => StatusCode::TOO_MANY_REQUESTS,
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let detail = serde_json::json!({
            "module": "feast.errors",
            "class": self.feast_class(),
            "message": self.to_string(),
        });
        let body = serde_json::Value::String(detail.to_string()).to_string();
        let json = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
        let mut response = (self.status(), json, body).into_response();
        if let Some(seconds) = self.retry_after_s() {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
