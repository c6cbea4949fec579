//! Bodies: bounded before they are read, and JSON whatever their content type says.

use axum::body::Body;
use axum::http::header::CONTENT_LENGTH;
use axum::http::request::Parts;
use bytes::{Bytes, BytesMut};
use edge::BodyError;
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use crate::refusal::Refusal;

/// The largest body that is read.
pub(crate) const MAX_BODY_BYTES: usize = 8 << 20;
/// A client that sends more is heard out up to here, unread, so that it sees the answer.
const MAX_IGNORED_BYTES: usize = 128 << 20;

/// Reads and parses a body.
pub(crate) async fn json<T: DeserializeOwned>(parts: &Parts, body: Body) -> Result<T, Refusal> {
    let bytes = read(parts, body).await?;
    serde_json::from_slice(&bytes).map_err(|error| match error.classify() {
        Category::Data => Refusal::Shape(error.to_string()),
        _ => Refusal::Malformed(error.to_string()),
    })
}

async fn read(parts: &Parts, mut body: Body) -> Result<Bytes, Refusal> {
    let announced = parts.headers.get(CONTENT_LENGTH).and_then(|n| n.to_str().ok()?.parse().ok());
    let mut kept = announced.is_none_or(|bytes: usize| bytes <= MAX_BODY_BYTES);
    let (mut bytes, mut seen) = (BytesMut::new(), 0_usize);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(broken)?;
        let Ok(data) = frame.into_data() else { continue };
        seen = seen.saturating_add(data.len());
        if seen > MAX_BODY_BYTES {
            kept = false;
            bytes = BytesMut::new();
        }
        if seen > MAX_IGNORED_BYTES {
            break;
        }
        if kept {
            bytes.extend_from_slice(&data);
        }
    }
    if kept { Ok(bytes.freeze()) } else { Err(Refusal::TooLarge { limit_bytes: MAX_BODY_BYTES }) }
}

fn broken(error: axum::Error) -> Refusal {
    let error = error.into_inner();
    match error.downcast_ref::<BodyError>() {
        Some(slow @ BodyError::TooSlow(_)) => Refusal::TooSlow(slow.to_string()),
        Some(full @ BodyError::Full(_)) => Refusal::Full(full.to_string()),
        _ => Refusal::Malformed(error.to_string()),
    }
}
