//! Logs and metrics, set up once per process.

use opentelemetry::metrics::{Meter, MeterProvider};
use opentelemetry_sdk::metrics::SdkMeterProvider;
use prometheus::{Encoder, Registry, TextEncoder};
use tracing_subscriber::EnvFilter;

/// Logs go to standard error as text, what `RUST_LOG` says, else `info`. The first call counts.
pub fn init_logging() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second call finds the first one's subscriber in place, which is as good.
    _ = subscriber.with_ansi(false).try_init();
}

/// OpenTelemetry metrics that Prometheus can scrape.
pub struct Metrics {
    provider: SdkMeterProvider,
    registry: Registry,
}

/// The exporter could not be set up, or the metrics not be written.
#[derive(Debug, thiserror::Error)]
#[error("metrics: {0}")]
pub struct MetricsError(String);

impl Metrics {
    /// A registry of its own.
    pub fn new() -> Result<Self, MetricsError> {
        let registry = Registry::new();
        let exporter = opentelemetry_prometheus::exporter()
            .with_registry(registry.clone())
            .scope_info_enabled(false)
            .without_target_info()
            .build()
            .map_err(|error| MetricsError(error.to_string()))?;
        let provider = SdkMeterProvider::builder().with_reader(exporter).build();
        Ok(Self { provider, registry })
    }

    /// Where instruments come from.
    #[must_use]
    pub fn meter(&self, name: &'static str) -> Meter {
        self.provider.meter(name)
    }

    /// Prometheus' text format.
    pub fn render(&self) -> Result<String, MetricsError> {
        let mut text = Vec::new();
        let encoded = TextEncoder::new().encode(&self.registry.gather(), &mut text);
        encoded.map_err(|error| MetricsError(error.to_string()))?;
        String::from_utf8(text).map_err(|error| MetricsError(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instruments_are_scraped_by_name() {
        let metrics = Metrics::new().unwrap();
        metrics.meter("test").u64_counter("meridian_things").build().add(2, &[]);
        let text = metrics.render().unwrap();
        assert!(text.lines().any(|line| line == "meridian_things_total 2"), "{text}");
    }
}
