//! OpenTelemetry instruments, read as Prometheus text.

use opentelemetry::metrics::{Meter, MeterProvider};
use opentelemetry_sdk::metrics::SdkMeterProvider;
use prometheus::{Registry, TextEncoder};

/// The instruments of one process (or of one service in a test), and their text.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Registry,
    provider: SdkMeterProvider,
}

/// Metrics could not be set up or written.
#[derive(Debug, thiserror::Error)]
pub enum MetricsError {
    /// The exporter was not made.
    #[error("metrics: {0}")]
    Setup(#[from] opentelemetry_sdk::error::OTelSdkError),
    /// The text was not made.
    #[error("metrics: {0}")]
    Text(#[from] prometheus::Error),
}

impl Metrics {
    /// Without instruments yet.
    ///
    /// # Errors
    /// [`MetricsError::Setup`].
    pub fn new() -> Result<Self, MetricsError> {
        let registry = Registry::new();
        let exporter = opentelemetry_prometheus::exporter()
            .with_registry(registry.clone())
            .scope_info_enabled(false)
            .without_target_info()
            .build()?;
        let provider = SdkMeterProvider::builder().with_reader(exporter).build();
        Ok(Self { registry, provider })
    }

    /// Makes instruments; units are part of their names (`_seconds`).
    #[must_use]
    pub fn meter(&self, service: &'static str) -> Meter {
        self.provider.meter(service)
    }

    /// All instruments as Prometheus scrapes them.
    ///
    /// # Errors
    /// [`MetricsError::Text`].
    pub fn text(&self) -> Result<String, MetricsError> {
        Ok(TextEncoder::new().encode_to_string(&self.registry.gather())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instruments_are_scraped_by_name() {
        let metrics = Metrics::new().unwrap();
        metrics.meter("test").u64_counter("meridian_things").build().add(2, &[]);
        let text = metrics.text().unwrap();
        assert!(text.lines().any(|line| line == "meridian_things_total 2"), "{text}");
    }
}
