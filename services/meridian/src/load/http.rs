//! Asks a gateway over Feast's HTTP protocol.

use std::time::Duration;

use api::v1::GetFeaturesRequest;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

use super::asker::{Answer, CONNECT_MS, Failure};
use crate::error::{CliError, Result};
use crate::value;

/// A gateway, over connections that are kept.
#[derive(Clone)]
pub(super) struct HttpGateway {
    client: Client<HttpConnector, Full<Bytes>>,
    uri: Uri,
}

/// Of an answer, all that is counted.
#[derive(Deserialize)]
struct Counted {
    mesh: How,
}

#[derive(Deserialize)]
struct How {
    route: String,
    served_by: String,
}

impl HttpGateway {
    /// Connects when it has to.
    ///
    /// # Errors
    /// An address that is none.
    pub(super) fn new(url: &str) -> Result<Self> {
        let uri = format!("{url}/get-online-features").parse().map_err(|e| {
            CliError::Usage(format!("'{url}' is not the address of a gateway: {e}"))
        })?;
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(Duration::from_millis(CONNECT_MS)));
        Ok(Self { client: Client::builder(TokioExecutor::new()).build(connector), uri })
    }

    /// Asks, and waits for as long as it may take.
    pub(super) async fn ask(&self, request: &GetFeaturesRequest, timeout_ms: u64) -> Answer {
        let body = body(request).to_string();
        let asked = Request::builder()
            .method(Method::POST)
            .uri(self.uri.clone())
            .header("content-type", "application/json")
            .header("x-meridian-timeout-ms", timeout_ms)
            .body(Full::from(body))
            .map_err(|e| Failure::refused(e.to_string()))?;
        let answered = async {
            let answer = self.client.request(asked).await;
            let answer = answer.map_err(|e| Failure::gone(format!("no answer: {e}")))?;
            let status = answer.status();
            let body = answer.into_body().collect().await;
            let body = body.map_err(|e| Failure::gone(format!("half an answer: {e}")))?;
            read(status, &body.to_bytes())
        };
        let most = Duration::from_millis(timeout_ms);
        let late = |_| Err(Failure::refused("no answer in time".into()));
        tokio::time::timeout(most, answered).await.unwrap_or_else(late)
    }
}

/// The request as Feast's clients send it.
fn body(request: &GetFeaturesRequest) -> Json {
    let column = |(name, list): (&String, &api::v1::ValueList)| {
        (name.clone(), list.values.iter().map(|v| value::json(Some(v))).collect())
    };
    let entities: Map<String, Json> = request.entities.iter().map(column).collect();
    let mut body =
        json!({ "entities": entities, "full_feature_names": request.full_feature_names });
    if request.feature_service.is_empty() {
        body["features"] = json!(request.features);
    } else {
        body["feature_service"] = json!(request.feature_service);
    }
    body
}

fn read(status: StatusCode, body: &[u8]) -> Answer {
    if status != StatusCode::OK {
        return Err(Failure::refused(status.to_string()));
    }
    let counted: Counted = serde_json::from_slice(body)
        .map_err(|e| Failure::refused(format!("not an answer: {e}")))?;
    Ok((counted.mesh.route, counted.mesh.served_by))
}

#[cfg(test)]
mod tests {
    use api::v1::ValueList;

    use super::*;

    #[test]
    fn a_request_is_what_feast_sends() {
        let text = api::v1::value::Kind::StringValue("N1".into());
        let values = vec![api::v1::Value { kind: Some(text) }];
        let request = GetFeaturesRequest {
            features: vec!["v:f".into()],
            entities: [("plane".to_owned(), ValueList { values })].into(),
            ..GetFeaturesRequest::default()
        };
        let expected = json!({
            "entities": { "plane": ["N1"] }, "features": ["v:f"], "full_feature_names": false,
        });
        assert_eq!(body(&request), expected);
        let service = GetFeaturesRequest { feature_service: "s".into(), ..request };
        assert_eq!(body(&service)["feature_service"], "s");
    }

    #[test]
    fn only_a_whole_answer_counts() {
        let good = br#"{"results": [1, {"a": 2}], "mesh": {"route": "local", "served_by": "us"}}"#;
        let how = read(StatusCode::OK, good).unwrap();
        assert_eq!(how, ("local".to_owned(), "us".to_owned()));
        assert!(read(StatusCode::OK, b"{}").is_err());
        let failure = read(StatusCode::SERVICE_UNAVAILABLE, good).unwrap_err();
        assert!(failure.reason.starts_with("503") && !failure.is_gone);
    }
}
