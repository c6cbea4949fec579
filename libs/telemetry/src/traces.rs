//! Spans by OpenTelemetry: one per request and process, and one per call to another process, in one
//! tree, whose context goes from hop to hop in W3C's `traceparent`.
//!
//! Whether a request is traced is decided once: by the caller, if it sends a `traceparent`, else by
//! lot where requests come in from outside. What is not traced is passed on without a `traceparent`,
//! and no process inside the mesh begins a trace of its own.

use std::collections::HashMap;
use std::sync::OnceLock;

use clock::{Env, SystemEnv};
use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::{Status, TraceContextExt, TraceId, TracerProvider};
use opentelemetry::{Context, KeyValue, Value};
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use serde::{Deserialize, Serialize};
use tracing::field::Empty;
use tracing::{Level, Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::registry::LookupSpan;

use crate::TelemetryError;

/// The target of the spans that are exported; no other is.
pub(crate) const TARGET: &str = "meridian_trace";
const TRACEPARENT: &str = "traceparent";
/// Where the standard says that a collector may be named.
const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];
const SHARE: &str = "OTEL_TRACES_SAMPLER_ARG";

/// Unset: nothing is traced.
static OPEN: OnceLock<Open> = OnceLock::new();

/// What is traced.
struct Open {
    /// The share of requests that are traced if their callers do not say.
    share: f64,
    /// Where this process is.
    region: String,
}

/// Where spans go, and of how many requests. A key of every service's configuration.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Traces {
    /// The gRPC of an OTLP collector, `http://host:port`; absent: what the environment says in
    /// `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` or `OTEL_EXPORTER_OTLP_ENDPOINT`, else nowhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// The share, 0 to 1, of the requests without a `traceparent` that are traced; absent: what the
    /// environment says in `OTEL_TRACES_SAMPLER_ARG`, else one in a hundred.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share: Option<f64>,
}

/// Whether a process begins traces of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begins {
    /// Requests come in from outside here.
    Traces,
    /// It goes on with what a gateway began.
    Nothing,
}

impl Traces {
    /// What sends the spans of a service; `None`: nothing does.
    pub(crate) fn provider(
        &self,
        service: &'static str,
        region: &str,
    ) -> Result<Option<SdkTracerProvider>, TelemetryError> {
        let set = |name: &&str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let Some(endpoint) = self.endpoint.clone().or_else(|| ENDPOINTS.iter().find_map(set))
        else {
            return Ok(None);
        };
        let share = self.share();
        if !(0.0..=1.0).contains(&share) {
            return Err(TelemetryError::Share(share));
        }
        let exporter = SpanExporter::builder().with_tonic().with_endpoint(&endpoint).build();
        let exporter = exporter
            .map_err(|cause| TelemetryError::Endpoint { endpoint, cause: cause.to_string() })?;
        let mut resource = Resource::builder();
        if set(&"OTEL_SERVICE_NAME").is_none() {
            resource = resource.with_service_name(service);
        }
        let region = KeyValue::new("meridian.region", region.to_owned());
        let provider = SdkTracerProvider::builder()
            .with_resource(resource.with_attribute(region).build())
            // It was decided before there was a span.
            .with_sampler(Sampler::AlwaysOn)
            .with_batch_exporter(exporter);
        Ok(Some(provider.build()))
    }

    /// From now on requests are traced.
    pub(crate) fn open(&self, region: &str) {
        _ = OPEN.set(Open { share: self.share(), region: region.to_owned() });
    }

    fn share(&self) -> f64 {
        let told = || std::env::var(SHARE).ok()?.parse().ok();
        self.share.or_else(told).unwrap_or(0.01)
    }
}

/// What makes exported spans of ours.
pub(crate) fn layer<S>(provider: &SdkTracerProvider, service: &'static str) -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    tracing_opentelemetry::layer()
        .with_tracer(provider.tracer(service))
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_tracked_inactivity(false)
        .with_filter(Targets::new().with_target(TARGET, Level::INFO))
}

/// The span of a request that came with these headers: the caller's trace goes on, or a new one
/// begins, or (mostly) there is none.
#[must_use]
pub fn server(headers: &HeaderMap, begins: Begins, name: impl FnOnce() -> String) -> Span {
    go_on(&Carried(headers), begins, name)
}

/// The same for a request that came in a message with others, and brought what [`carried`] gave.
#[must_use]
pub fn resumed(context: &HashMap<String, String>, name: &str) -> Span {
    go_on(context, Begins::Nothing, || name.to_owned())
}

fn go_on(carrier: &dyn Extractor, begins: Begins, name: impl FnOnce() -> String) -> Span {
    let Some(open) = OPEN.get() else { return Span::none() };
    let caller = carrier
        .get(TRACEPARENT)
        .map(|_| TraceContextPropagator::new().extract_with_context(&Context::new(), carrier));
    let caller = caller.filter(|caller| caller.span().span_context().is_valid());
    let traced = match &caller {
        Some(caller) => caller.span().span_context().is_sampled(),
        None => begins == Begins::Traces && drawn(open.share),
    };
    if !traced {
        return Span::none();
    }
    let span = tracing::info_span!(
        target: TARGET, parent: None, "request", otel.name = name(), otel.kind = "server",
        trace_id = Empty
    );
    if let Some(Err(error)) = caller.map(|caller| span.set_parent(caller)) {
        tracing::debug!(%error, "a trace begins anew");
    }
    span.set_attribute("region", open.region.clone());
    named(span)
}

/// The span of a call to another process, within the current one; none if that is not traced.
#[must_use]
pub fn client<const N: usize>(
    name: &str,
    attributes: impl FnOnce() -> [(&'static str, String); N],
) -> Span {
    if trace_id().is_none() {
        return Span::none();
    }
    let span = tracing::info_span!(
        target: TARGET, "call", otel.name = name, otel.kind = "client", trace_id = Empty
    );
    for (key, value) in attributes() {
        span.set_attribute(key, value);
    }
    named(span)
}

/// Adds the current span's context to what is asked of another process.
pub fn inject(headers: &mut HeaderMap) {
    if trace_id().is_some() {
        TraceContextPropagator::new().inject_context(&Context::current(), &mut Carrying(headers));
    }
}

/// The trace that the current span belongs to, if it is traced.
#[must_use]
pub fn trace_id() -> Option<TraceId> {
    OPEN.get()?;
    Context::map_current(|now| {
        let span = now.span();
        let context = span.span_context();
        context.is_sampled().then(|| context.trace_id())
    })
}

/// Says something of the current span, if there is one.
pub fn note<V: Into<Value>>(key: &'static str, value: impl FnOnce() -> V) {
    if trace_id().is_some() {
        let attribute = KeyValue::new(key, value());
        Context::map_current(|now| now.span().set_attribute(attribute));
    }
}

/// Says that what the current span stands for failed, and why.
pub fn failed(why: impl FnOnce() -> String) {
    if trace_id().is_some() {
        let status = Status::error(why());
        Context::map_current(|now| now.span().set_status(status));
    }
}

/// The current span's context, to be sent along in a message; empty if it is not traced.
#[must_use]
pub fn carried() -> HashMap<String, String> {
    let mut context = HashMap::new();
    if trace_id().is_some() {
        TraceContextPropagator::new().inject_context(&Context::current(), &mut context);
    }
    context
}

fn drawn(share: f64) -> bool {
    // 53 bits, which a float holds exactly.
    ((SystemEnv.random_u64() >> 11) as f64) < share * (1_u64 << 53) as f64
}

/// Lines in the log name the trace.
fn named(span: Span) -> Span {
    let trace_id = span.context().span().span_context().trace_id();
    span.record("trace_id", tracing::field::display(trace_id));
    span
}

struct Carried<'a>(&'a HeaderMap);

impl Extractor for Carried<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}

struct Carrying<'a>(&'a mut HeaderMap);

impl Injector for Carrying<'_> {
    fn set(&mut self, key: &str, value: String) {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(key), HeaderValue::try_from(value)) {
            self.0.insert(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_drawn_about_as_often_as_it_says() {
        let hits = |share| (0..10_000).filter(|_| drawn(share)).count();
        assert_eq!((hits(0.0), hits(1.0)), (0, 10_000));
        assert!((1_000..4_000).contains(&hits(0.25)), "one in four");
    }

    #[test]
    fn nothing_is_traced_where_nothing_is_set_up() {
        let mut headers = HeaderMap::new();
        let sampled = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        headers.insert(TRACEPARENT, HeaderValue::from_static(sampled));
        assert!(server(&headers, Begins::Traces, || unreachable!()).is_none());
        assert!(client("ask", || -> [(&'static str, String); 0] { unreachable!() }).is_none());
        let mut onward = HeaderMap::new();
        inject(&mut onward);
        assert!(onward.is_empty() && carried().is_empty());
    }
}
