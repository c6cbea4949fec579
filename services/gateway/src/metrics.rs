//! What this gateway counts.

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use axum::http::StatusCode;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeLabelSet, EncodeLabelValue, LabelValueEncoder,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::{Metric, Registry};
use telemetry::Latency;
use tonic::Code;

use crate::door::Door;

/// The instruments.
#[derive(Debug, Default)]
pub(crate) struct Instruments {
    requests: Family<Request, Counter>,
    seconds: Family<Call, Latency>,
    failovers: Family<Left, Counter>,
    retries: Counter,
    push_retries: Counter,
    reroutes: Family<To, Counter>,
    hedges: Counter,
    sheds: Family<Shed, Counter>,
    breakers: Family<Transition, Counter>,
    moves: Family<To, Counter>,
    demotions: Family<Demoted, Counter>,
    lookups: Family<Lookup, Counter>,
}

/// How a request ended, by its protocol.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Ending {
    Http(StatusCode),
    Grpc(Code),
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct Request {
    call: &'static str,
    status: Ending,
    route: &'static str,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct Call {
    call: &'static str,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct Left {
    from: Arc<str>,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct To {
    to: Arc<str>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct Shed {
    reason: &'static str,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct Transition {
    region: Arc<str>,
    to: &'static str,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct Demoted {
    region: Arc<str>,
    origin: Arc<str>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct Lookup {
    found: &'static str,
}

impl Instruments {
    /// Instruments that are scraped.
    pub(crate) fn new(registry: &mut Registry) -> Self {
        let all = Self::default();
        add(registry, "requests", "Requests by call, status and route", &all.requests);
        add(registry, "request_seconds", "How long requests took, by call", &all.seconds);
        let failovers = "Tries of a read that another region had to answer, by region left";
        add(registry, "failovers", failovers, &all.failovers);
        add(registry, "retries", "Reads that were asked again", &all.retries);
        let repeated = "Pushes that were repeated in the own region";
        add(registry, "push_retries", repeated, &all.push_retries);
        let reroutes = "Pushes that another region took, by that region";
        add(registry, "reroutes", reroutes, &all.reroutes);
        add(registry, "hedges", "Reads that were asked of two at once", &all.hedges);
        add(registry, "sheds", "Requests sent away, by reason", &all.sheds);
        let breakers = "Changes of breakers, by region and new state";
        add(registry, "breaker_transitions", breakers, &all.breakers);
        let moves = "Times that reads were sent to another region from then on, by region";
        add(registry, "home_moves", moves, &all.moves);
        let demotions = "Times that a region began to lag its peers in an origin";
        add(registry, "lag_demotions", demotions, &all.demotions);
        let lookups = "Reads that an earlier answer might do for, by whether there was one";
        add(registry, "cache_lookups", lookups, &all.lookups);
        all
    }

    /// A request was answered or refused; its span is told, too.
    pub(crate) fn request(&self, call: &'static str, status: Ending, route: &str, took: Duration) {
        let route = known(route);
        self.requests.get_or_create(&Request { call, status, route }).inc();
        self.seconds.get_or_create(&Call { call }).observe(took);
        telemetry::note("status", || status.to_string());
        telemetry::note("route", || route);
        if status.is_fault() {
            telemetry::failed(|| status.to_string());
        }
    }

    /// A region could not answer a read.
    pub(crate) fn failover(&self, region: &Arc<str>) {
        self.failovers.get_or_create(&Left { from: region.clone() }).inc();
    }

    /// A read was asked again.
    pub(crate) fn retry(&self) {
        self.retries.inc();
    }

    /// A push was repeated in the own region.
    pub(crate) fn push_retry(&self) {
        self.push_retries.inc();
    }

    /// Another region took a push.
    pub(crate) fn reroute(&self, to: &Arc<str>) {
        self.reroutes.get_or_create(&To { to: to.clone() }).inc();
    }

    /// A read was asked of a second region.
    pub(crate) fn hedge(&self) {
        self.hedges.inc();
    }

    /// A request was sent away.
    pub(crate) fn shed(&self, reason: &'static str) {
        self.sheds.get_or_create(&Shed { reason }).inc();
    }

    /// A breaker changed.
    pub(crate) fn breaker(&self, region: &Arc<str>, to: &'static str) {
        self.breakers.get_or_create(&Transition { region: region.clone(), to }).inc();
    }

    /// Reads go elsewhere.
    pub(crate) fn moved(&self, to: &Arc<str>) {
        self.moves.get_or_create(&To { to: to.clone() }).inc();
    }

    /// A region lags its peers in an origin.
    pub(crate) fn demoted(&self, region: &Arc<str>, origin: &Arc<str>) {
        let (region, origin) = (region.clone(), origin.clone());
        self.demotions.get_or_create(&Demoted { region, origin }).inc();
    }

    /// An answer that was given before was looked for.
    pub(crate) fn lookup(&self, found: &'static str) {
        self.lookups.get_or_create(&Lookup { found }).inc();
    }
}

fn add(registry: &mut Registry, name: &str, help: &str, metric: &(impl Metric + Clone)) {
    registry.register(format!("meridian_gateway_{name}"), help, metric.clone());
}

impl Ending {
    /// Whether it is the mesh's fault and not the caller's.
    fn is_fault(self) -> bool {
        match self {
            Self::Http(status) => status.is_server_error(),
            Self::Grpc(code) => matches!(
                code,
                Code::Unavailable | Code::DeadlineExceeded | Code::Internal | Code::DataLoss
            ),
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(status) => f.write_str(status.as_str()),
            Self::Grpc(Code::Ok) => f.write_str("OK"),
            Self::Grpc(code) => write!(f, "{code:?}"),
        }
    }
}

impl EncodeLabelValue for Ending {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        fmt::Write::write_fmt(encoder, format_args!("{self}"))
    }
}

/// Routes are few, and a label is not made anew for every request.
fn known(route: &str) -> &'static str {
    let routes = ["local", "cache", "failover", "hedged", "stale", "reroute", "relay"];
    routes.into_iter().find(|known| *known == route).unwrap_or_default()
}

/// What is read off the door whenever somebody asks.
#[derive(Debug)]
pub(crate) struct Watched(Weak<Door>);

impl Watched {
    pub(crate) fn new(door: &Arc<Door>) -> Self {
        Self(Arc::downgrade(door))
    }
}

impl Collector for Watched {
    fn encode(&self, mut out: DescriptorEncoder<'_>) -> fmt::Result {
        let Some(door) = self.0.upgrade() else { return Ok(()) };
        let table = door.regions.routes().table();
        let state = |row: &routing::Row| match row.breaker {
            "closed" => 0,
            "half-open" => 1,
            _ => 2,
        };
        let states = table.iter().map(|row| ([("region", &*row.name)], f64::from(state(row))));
        let help = "0: closed, 1: half-open, 2: open; by region";
        gauge(&mut out, "breaker_state", help, states)?;
        let trips = table
            .iter()
            .filter_map(|row| Some(([("region", &*row.name)], row.round_trip_us? / 1e6)));
        let help = "Peak EWMA of the round trip, by region";
        gauge(&mut out, "round_trip_seconds", help, trips)?;
        let ages = door.regions.ages();
        let ages = ages.iter().map(|(region, origin, age_ms)| {
            ([("region", &**region), ("origin", origin)], *age_ms as f64 / 1e3)
        });
        let help =
            "How long ago an origin's log was complete in a region, as that region last said";
        gauge(&mut out, "origin_age_seconds", help, ages)?;
        let generation = door.catalog.now().generation() as f64;
        gauge(&mut out, "catalog_generation", "The catalog's generation", [(NONE, generation)])?;
        let (entries, bytes) = door.answers.fill();
        let help = "Answers that are kept";
        gauge(&mut out, "cache_entries", help, [(NONE, entries as f64)])?;
        let help = "Answers that are kept, bytes of memory, about";
        gauge(&mut out, "cache_bytes", help, [(NONE, bytes as f64)])?;
        let fill = door.gate.fill();
        let kinds = [
            ("in_flight", fill.in_flight),
            ("limit", fill.limit),
            ("waiting", fill.waiting),
            ("parked", fill.parked),
        ];
        let kinds = kinds.into_iter().map(|(kind, n)| ([("kind", kind)], n as f64));
        let help =
            "Requests that are worked on, that may be, that wait, and pushes that wait for a node";
        gauge(&mut out, "admission", help, kinds)
    }
}

const NONE: [(&str, &str); 0] = [];

fn gauge<'a, const N: usize>(
    out: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    values: impl IntoIterator<Item = ([(&'a str, &'a str); N], f64)>,
) -> fmt::Result {
    let name = format!("meridian_gateway_{name}");
    let mut metric = out.encode_descriptor(&name, help, None, MetricType::Gauge)?;
    for (labels, value) in values {
        match N {
            0 => metric.encode_gauge(&value)?,
            _ => metric.encode_family(&labels)?.encode_gauge(&value)?,
        }
    }
    Ok(())
}
