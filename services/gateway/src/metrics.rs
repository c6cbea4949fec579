//! What this gateway counts.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Histogram, Meter};

use crate::catalog_cache::CatalogCache;

/// From a cache hit on loopback to the deadline of a read.
const SECONDS: [f64; 12] =
    [0.000_25, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0];

/// The instruments.
#[derive(Debug)]
pub(crate) struct Instruments {
    requests: Counter<u64>,
    seconds: Histogram<f64>,
    failovers: Counter<u64>,
}

impl Instruments {
    pub(crate) fn new(meter: &Meter, catalog: Arc<CatalogCache>) -> Self {
        let generation = meter.u64_observable_gauge("meridian_gateway_catalog_generation");
        generation
            .with_callback(move |gauge| gauge.observe(catalog.now().generation(), &[]))
            .build();
        let seconds = meter.f64_histogram("meridian_gateway_request_seconds");
        Self {
            requests: meter
                .u64_counter("meridian_gateway_requests")
                .with_description("Requests by call, status and route")
                .build(),
            seconds: seconds.with_boundaries(SECONDS.to_vec()).build(),
            failovers: meter
                .u64_counter("meridian_gateway_failovers")
                .with_description(
                    "Tries of a read that another region had to answer, by region left",
                )
                .build(),
        }
    }

    /// A request was answered or refused.
    pub(crate) fn request(&self, call: &'static str, status: &str, route: &str, took: Duration) {
        let labels = [
            KeyValue::new("call", call),
            KeyValue::new("status", status.to_owned()),
            KeyValue::new("route", route.to_owned()),
        ];
        self.requests.add(1, &labels);
        self.seconds.record(took.as_secs_f64(), &[KeyValue::new("call", call)]);
    }

    /// A region could not answer a read.
    pub(crate) fn failover(&self, region: &str) {
        self.failovers.add(1, &[KeyValue::new("from", region.to_owned())]);
    }
}
