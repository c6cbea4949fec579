//! What this gateway counts.

use std::sync::{Arc, Weak};
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Histogram, Meter};

use crate::catalog_cache::CatalogCache;
use crate::door::Door;

/// From a cache hit on loopback to the deadline of a read.
const SECONDS: [f64; 12] =
    [0.000_25, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0];

/// The instruments.
#[derive(Debug)]
pub(crate) struct Instruments {
    requests: Counter<u64>,
    seconds: Histogram<f64>,
    failovers: Counter<u64>,
    retries: Counter<u64>,
    hedges: Counter<u64>,
    sheds: Counter<u64>,
    breakers: Counter<u64>,
    moves: Counter<u64>,
}

impl Instruments {
    pub(crate) fn new(meter: &Meter, catalog: Arc<CatalogCache>) -> Self {
        let generation = meter.u64_observable_gauge("meridian_gateway_catalog_generation");
        generation
            .with_callback(move |gauge| gauge.observe(catalog.now().generation(), &[]))
            .build();
        let seconds = meter.f64_histogram("meridian_gateway_request_seconds");
        let counter =
            |name, description| meter.u64_counter(name).with_description(description).build();
        Self {
            requests: counter("meridian_gateway_requests", "Requests by call, status and route"),
            seconds: seconds.with_boundaries(SECONDS.to_vec()).build(),
            failovers: counter(
                "meridian_gateway_failovers",
                "Tries of a read that another region had to answer, by region left",
            ),
            retries: counter("meridian_gateway_retries", "Reads that were asked again"),
            hedges: counter("meridian_gateway_hedges", "Reads that were asked of two at once"),
            sheds: counter("meridian_gateway_sheds", "Requests sent away, by reason"),
            breakers: counter(
                "meridian_gateway_breaker_transitions",
                "Changes of breakers, by region and new state",
            ),
            moves: counter(
                "meridian_gateway_home_moves",
                "Times that reads were sent to another region from then on, by region",
            ),
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

    /// A read was asked again.
    pub(crate) fn retry(&self) {
        self.retries.add(1, &[]);
    }

    /// A read was asked of a second region.
    pub(crate) fn hedge(&self) {
        self.hedges.add(1, &[]);
    }

    /// A request was sent away.
    pub(crate) fn shed(&self, reason: &'static str) {
        self.sheds.add(1, &[KeyValue::new("reason", reason)]);
    }

    /// A breaker changed.
    pub(crate) fn breaker(&self, region: &str, to: &'static str) {
        let labels = [KeyValue::new("region", region.to_owned()), KeyValue::new("to", to)];
        self.breakers.add(1, &labels);
    }

    /// Reads go elsewhere.
    pub(crate) fn moved(&self, to: &str) {
        self.moves.add(1, &[KeyValue::new("to", to.to_owned())]);
    }
}

/// What is read off the door whenever somebody asks.
pub(crate) fn observe(meter: &Meter, door: &Arc<Door>) {
    let region = |name: &str| KeyValue::new("region", name.to_owned());
    let watched = Arc::downgrade(door);
    meter
        .u64_observable_gauge("meridian_gateway_breaker_state")
        .with_description("0: closed, 1: half-open, 2: open; by region")
        .with_callback(move |gauge| {
            for row in table(&watched) {
                let state = match row.breaker {
                    "closed" => 0,
                    "half-open" => 1,
                    _ => 2,
                };
                gauge.observe(state, &[region(&row.name)]);
            }
        })
        .build();
    let watched = Arc::downgrade(door);
    meter
        .f64_observable_gauge("meridian_gateway_round_trip_seconds")
        .with_description("Peak EWMA of the round trip, by region")
        .with_callback(move |gauge| {
            for row in table(&watched) {
                if let Some(us) = row.round_trip_us {
                    gauge.observe(us / 1e6, &[region(&row.name)]);
                }
            }
        })
        .build();
    let watched = Arc::downgrade(door);
    meter
        .u64_observable_gauge("meridian_gateway_cache_bytes")
        .with_description("Answers that are kept, bytes as sent")
        .with_callback(move |gauge| {
            if let Some(door) = watched.upgrade() {
                gauge.observe(door.answers.bytes(), &[]);
            }
        })
        .build();
    let watched = Arc::downgrade(door);
    meter
        .u64_observable_gauge("meridian_gateway_admission")
        .with_description("Requests that are worked on, that may be, that wait")
        .with_callback(move |gauge| {
            let Some(fill) = watched.upgrade().map(|door| door.gate.fill()) else { return };
            let kinds =
                [("in_flight", fill.in_flight), ("limit", fill.limit), ("waiting", fill.waiting)];
            for (kind, value) in kinds {
                gauge.observe(value, &[KeyValue::new("kind", kind)]);
            }
        })
        .build();
}

fn table(door: &Weak<Door>) -> Vec<routing::Row> {
    door.upgrade().map(|door| door.regions.routes().table()).unwrap_or_default()
}
