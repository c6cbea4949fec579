//! What a process tells of itself: logs and spans, set up once, and metrics.
//!
//! A request that is not traced costs nothing here but a look at one cell of memory: it makes no
//! span, and nothing that its span would have said is computed. A request that is traced has a span
//! in every process that it goes through; its lines in the log name its trace, and so do the
//! exemplars of the latencies it was counted in.

mod logs;
mod metrics;
mod traces;

pub use logs::LogFormat;
pub use metrics::{Latency, Metrics, MetricsError, SECONDS};
pub use traces::{
    Begins, Traces, carried, client, failed, inject, note, resumed, server, trace_id,
};

use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// What was set up; held until the process ends.
pub struct Telemetry {
    spans: Option<SdkTracerProvider>,
}

/// Logs or spans could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// Where spans go is no address.
    #[error(
        "traces: spans cannot be sent to {endpoint}: {cause}; name an OTLP collector's gRPC, http://host:port"
    )]
    Endpoint {
        /// What was configured.
        endpoint: String,
        /// What is wrong with it.
        cause: String,
    },
    /// The share of requests is none.
    #[error("traces: a share of {0} is not between 0 and 1")]
    Share(f64),
    /// Somebody else in this process was first.
    #[error("logs and spans are set up once per process")]
    Twice,
}

/// Sets up the logs and, if there is a collector to send them to, the spans of a process: `service`,
/// as `meridian-gateway`, of a region. In a runtime, which the exporter uses.
///
/// # Errors
/// [`TelemetryError`].
pub fn start(
    service: &'static str,
    region: &str,
    format: LogFormat,
    traces: &Traces,
) -> Result<Telemetry, TelemetryError> {
    let spans = traces.provider(service, region)?;
    let exporting = spans.as_ref().map(|spans| traces::layer(spans, service));
    let subscriber = tracing_subscriber::registry().with(exporting).with(logs::layer(format));
    subscriber.try_init().map_err(|_| TelemetryError::Twice)?;
    if spans.is_some() {
        traces.open(region);
    }
    Ok(Telemetry { spans })
}

impl Telemetry {
    /// Sends the spans that are still here. Blocks, for a few seconds at most.
    pub fn end(self) {
        if let Some(Err(error)) = self.spans.map(|spans| spans.shutdown()) {
            tracing::warn!(%error, "the last spans were not sent");
        }
    }
}
