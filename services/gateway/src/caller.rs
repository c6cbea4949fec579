//! What a request says of its caller, in headers that HTTP and gRPC share.

use axum::http::{HeaderMap, HeaderName};
use clock::Env;
use routing::Priority;

use crate::deadline::Deadline;
use crate::refusal::Refusal;

/// `critical`, `normal` or `batch`: who is shed last.
pub(crate) const PRIORITY: &str = "x-meridian-priority";
static PRIORITY_NAME: HeaderName = HeaderName::from_static(PRIORITY);
/// The name that a quota is kept under.
static CLIENT: HeaderName = HeaderName::from_static("x-meridian-client");
/// How long the caller waits, ms; gRPC has a header of its own.
static TIMEOUT_MS: HeaderName = HeaderName::from_static("x-meridian-timeout-ms");
static GRPC_TIMEOUT: HeaderName = HeaderName::from_static(api::GRPC_TIMEOUT);
/// Gateways that a request has been through.
pub(crate) const HOPS: &str = "x-meridian-hops";
static HOPS_NAME: HeaderName = HeaderName::from_static(HOPS);
const MAX_CLIENT_BYTES: usize = 64;

/// Who asks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Caller {
    pub(crate) priority: Priority,
    pub(crate) client: String,
    pub(crate) timeout_ms: Option<u64>,
    pub(crate) hops: u32,
}

impl Caller {
    pub(crate) fn from_headers(headers: &HeaderMap) -> Result<Self, Refusal> {
        let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let priority = priority(text(&PRIORITY_NAME).unwrap_or_default())?;
        let timeout_ms = match text(&TIMEOUT_MS) {
            Some(ms) => Some(ms.parse().map_err(|_| bad(&TIMEOUT_MS, "milliseconds"))?),
            None => text(&GRPC_TIMEOUT).and_then(api::timeout_ms),
        };
        let client = text(&CLIENT).unwrap_or_default();
        if client.len() > MAX_CLIENT_BYTES {
            return Err(bad(&CLIENT, "at most 64 bytes"));
        }
        let hops = text(&HOPS_NAME).and_then(|hops| hops.parse().ok()).unwrap_or(0);
        Ok(Self { priority, client: client.to_owned(), timeout_ms, hops })
    }

    /// The caller's deadline, or the house's if that is sooner.
    pub(crate) fn deadline(&self, env: &dyn Env, most_ms: u64) -> Deadline {
        Deadline::after(env, self.timeout_ms.map_or(most_ms, |ms| ms.min(most_ms)))
    }
}

/// By its word; none is `normal`.
pub(crate) fn priority(word: &str) -> Result<Priority, Refusal> {
    match word {
        "" | "normal" => Ok(Priority::Normal),
        "critical" => Ok(Priority::Critical),
        "batch" => Ok(Priority::Batch),
        _ => Err(bad(&PRIORITY_NAME, "critical, normal or batch")),
    }
}

/// Its word; none for what says nothing.
pub(crate) fn word(priority: Priority) -> &'static str {
    match priority {
        Priority::Normal => "",
        Priority::Critical => "critical",
        Priority::Batch => "batch",
    }
}

fn bad(header: &HeaderName, wanted: &str) -> Refusal {
    Refusal::BadOption(format!("{header} must be {wanted}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_optional_and_checked() {
        let of = |name: &HeaderName, value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(name.clone(), value.parse().unwrap());
            Caller::from_headers(&headers)
        };
        assert_eq!(Caller::from_headers(&HeaderMap::new()).unwrap().priority, Priority::Normal);
        for kind in [Priority::Batch, Priority::Normal, Priority::Critical] {
            assert_eq!(of(&PRIORITY_NAME, word(kind)).unwrap().priority, kind);
        }
        assert_eq!(of(&HOPS_NAME, "2").unwrap().hops, 2);
        assert_eq!(of(&TIMEOUT_MS, "40").unwrap().timeout_ms, Some(40));
        for (name, value) in [(&PRIORITY_NAME, "urgent"), (&TIMEOUT_MS, "soon")] {
            assert!(of(name, value).unwrap_err().to_string().contains(name.as_str()));
        }
    }
}
