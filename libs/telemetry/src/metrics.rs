//! Metrics as Prometheus scrapes them: in OpenMetrics with exemplars for who asks for it, else in
//! the older text format, which has none.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use http::{HeaderMap, StatusCode, header};
use prometheus_client::encoding::{EncodeMetric, MetricEncoder, prometheus_text, text};
use prometheus_client::metrics::exemplar::HistogramWithExemplars;
use prometheus_client::metrics::{MetricType, TypedMetric};
use prometheus_client::registry::Registry;

use crate::traces;

const OPENMETRICS: &str = "application/openmetrics-text";
const OPENMETRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// From a cache hit on loopback to the deadline of a read: the edges of a [`Latency`], seconds.
pub const SECONDS: [f64; 12] =
    [0.000_25, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0];

/// A process's metrics.
#[derive(Debug, Default)]
pub struct Metrics {
    registry: Registry,
}

/// A metric could not be written.
#[derive(Debug, thiserror::Error)]
#[error("metrics: {0}")]
pub struct MetricsError(#[from] fmt::Error);

impl Metrics {
    /// Where metrics are made known.
    pub fn registry(&mut self) -> &mut Registry {
        &mut self.registry
    }

    /// All metrics, and the content type, for a scraper that accepts this.
    ///
    /// # Errors
    /// A metric could not be written.
    pub fn render(&self, accept: Option<&str>) -> Result<(&'static str, String), MetricsError> {
        let mut out = String::new();
        if accept.is_some_and(|accept| accept.contains(OPENMETRICS)) {
            text::encode(&mut out, &self.registry)?;
            return Ok((OPENMETRICS_TYPE, out));
        }
        prometheus_text::encode(&mut out, &self.registry)?;
        Ok((prometheus_text::CONTENT_TYPE, out))
    }

    /// `GET /metrics`.
    pub fn router(self) -> Router {
        let metrics = Arc::new(self);
        let text = move |headers: HeaderMap| {
            let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
            let text =
                metrics.render(accept).map(|(kind, text)| ([(header::CONTENT_TYPE, kind)], text));
            let failed =
                |error: MetricsError| (StatusCode::INTERNAL_SERVER_ERROR, error.to_string());
            std::future::ready(text.map_err(failed))
        };
        Router::new().route("/metrics", get(text))
    }
}

/// How long things took, in seconds; and for each bucket the trace of the last one that was traced.
#[derive(Debug, Clone)]
pub struct Latency(HistogramWithExemplars<[(&'static str, String); 1]>);

impl Default for Latency {
    fn default() -> Self {
        Self(HistogramWithExemplars::new(SECONDS.into_iter()))
    }
}

impl Latency {
    /// Something took so long, within the current span.
    pub fn observe(&self, took: Duration) {
        let exemplar = traces::trace_id().map(|id| [("trace_id", id.to_string())]);
        self.0.observe(took.as_secs_f64(), exemplar, None);
    }
}

impl EncodeMetric for Latency {
    fn encode(&self, encoder: MetricEncoder<'_>) -> fmt::Result {
        self.0.encode(encoder)
    }

    fn metric_type(&self) -> MetricType {
        self.0.metric_type()
    }
}

impl TypedMetric for Latency {
    const TYPE: MetricType = MetricType::Histogram;
}

#[cfg(test)]
mod tests {
    use prometheus_client::metrics::counter::Counter;

    use super::*;

    #[test]
    fn the_scraper_chooses_the_format() {
        let mut metrics = Metrics::default();
        let things = Counter::<u64>::default();
        metrics.registry().register("meridian_things", "Things", things.clone());
        things.inc_by(2);
        let has = |text: &str, line: &str| text.lines().any(|l| l == line);
        let (kind, text) = metrics.render(None).unwrap();
        assert!(kind.starts_with("text/plain; version=0.0.4"), "{kind}");
        assert!(has(&text, "# TYPE meridian_things_total counter"), "{text}");
        assert!(has(&text, "meridian_things_total 2") && !has(&text, "# EOF"), "{text}");
        let accept = "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;q=0.2";
        let (kind, text) = metrics.render(Some(accept)).unwrap();
        assert!(kind.starts_with(OPENMETRICS), "{kind}");
        assert!(has(&text, "# TYPE meridian_things counter"), "{text}");
        assert!(has(&text, "meridian_things_total 2") && has(&text, "# EOF"), "{text}");
    }

    #[test]
    fn what_is_not_traced_has_no_exemplar() {
        let mut metrics = Metrics::default();
        let took = Latency::default();
        metrics.registry().register("took_seconds", "Time", took.clone());
        took.observe(Duration::from_micros(700));
        let (_, text) = metrics.render(Some(OPENMETRICS)).unwrap();
        assert!(text.lines().any(|l| l == r#"took_seconds_bucket{le="0.001"} 1"#), "{text}");
    }
}
