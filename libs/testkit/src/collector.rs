//! An OpenTelemetry collector: takes spans over OTLP's gRPC, and keeps them to be looked at.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::Arc;

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1 as otlp;
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

/// A collector on loopback, on a runtime of its own.
pub struct Collector {
    /// Where to send spans.
    pub endpoint: String,
    spans: Arc<Mutex<Vec<Span>>>,
    _runtime: Runtime,
}

/// A span as it arrived. Ids are hex; the parent of a root is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// Which trace it belongs to.
    pub trace: String,
    /// Its own id.
    pub id: String,
    /// The id of the span that it is part of.
    pub parent: String,
    /// Its name.
    pub name: String,
    /// The service that sent it.
    pub service: String,
    /// Whether it says that it failed.
    pub failed: bool,
    attributes: HashMap<String, String>,
}

impl Collector {
    /// Starts one.
    ///
    /// # Errors
    /// No runtime, or no port.
    pub fn start() -> std::io::Result<Self> {
        let runtime = Runtime::new()?;
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        let spans = Arc::default();
        let service = TraceServiceServer::new(Service(Arc::clone(&spans)));
        let server = tonic::transport::Server::builder().add_service(service);
        runtime.spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
        Ok(Self { endpoint, spans, _runtime: runtime })
    }

    /// What has arrived of a trace, in no order.
    #[must_use]
    pub fn trace(&self, trace: &str) -> Vec<Span> {
        self.spans.lock().iter().filter(|span| span.trace == trace).cloned().collect()
    }
}

impl Span {
    /// What it says under this key, as text; empty: nothing.
    #[must_use]
    pub fn says(&self, key: &str) -> &str {
        self.attributes.get(key).map_or("", String::as_str)
    }
}

struct Service(Arc<Mutex<Vec<Span>>>);

#[tonic::async_trait]
impl TraceService for Service {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        for sent in request.into_inner().resource_spans {
            let resource = sent.resource.map(|resource| said(resource.attributes));
            let service = resource.and_then(|mut said| said.remove("service.name"));
            let service = service.unwrap_or_default();
            let spans = sent.scope_spans.into_iter().flat_map(|scope| scope.spans);
            self.0.lock().extend(spans.map(|span| taken(&service, span)));
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

fn taken(service: &str, span: otlp::Span) -> Span {
    let error = otlp::status::StatusCode::Error;
    Span {
        trace: hex(&span.trace_id),
        id: hex(&span.span_id),
        parent: hex(&span.parent_span_id),
        name: span.name,
        service: service.to_owned(),
        failed: span.status.is_some_and(|status| status.code() == error),
        attributes: said(span.attributes),
    }
}

fn said(attributes: Vec<KeyValue>) -> HashMap<String, String> {
    let text = |value: Value| match value {
        Value::StringValue(text) => text,
        Value::BoolValue(yes) => yes.to_string(),
        Value::IntValue(n) => n.to_string(),
        Value::DoubleValue(x) => x.to_string(),
        other => format!("{other:?}"),
    };
    let pair = |pair: KeyValue| Some((pair.key, text(pair.value?.value?)));
    attributes.into_iter().filter_map(pair).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        _ = write!(text, "{byte:02x}");
        text
    })
}
