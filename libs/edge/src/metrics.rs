//! What ports count, read off them whenever somebody asks.

use std::fmt;
use std::sync::{Arc, Weak};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::registry::Registry;

use crate::arriving::Shared;
use crate::crowd::Crowd;
use crate::port::Port;

/// Makes `meridian_port_connections`, `meridian_port_held_bytes` and `meridian_port_closed` of these
/// ports known, all that a process has.
pub fn observe(registry: &mut Registry, ports: &[Port]) {
    let seen = |port: &Port| Seen {
        name: port.name,
        shared: Arc::downgrade(&port.shared),
        crowd: Arc::downgrade(&port.crowd),
    };
    registry.register_collector(Box::new(Watched(ports.iter().map(seen).collect())));
}

/// The ports, for as long as they are there.
#[derive(Debug)]
struct Watched(Vec<Seen>);

struct Seen {
    name: &'static str,
    shared: Weak<Shared>,
    crowd: Weak<Crowd>,
}

impl fmt::Debug for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Seen").field(&self.name).finish()
    }
}

impl Collector for Watched {
    fn encode(&self, mut out: DescriptorEncoder<'_>) -> fmt::Result {
        let there = || self.0.iter().filter_map(|port| Some((port.name, port.crowd.upgrade()?)));
        let (name, help) = ("meridian_port_connections", "Connections, by port");
        let mut metric = out.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (port, crowd) in there() {
            metric.encode_family(&[("port", port)])?.encode_gauge(&(crowd.len() as u64))?;
        }
        let name = "meridian_port_held_bytes";
        let help = "Parts of bodies that arrive and of answers that leave, bytes, by port";
        let mut metric = out.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for port in &self.0 {
            let Some(shared) = port.shared.upgrade() else { continue };
            metric.encode_family(&[("port", port.name)])?.encode_gauge(&(shared.held() as u64))?;
        }
        let name = "meridian_port_closed";
        let help = "Connections that were ended, by port and reason";
        let mut metric = out.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (port, crowd) in there() {
            for (reason, times) in crowd.endings() {
                let labels = [("port", port), ("reason", reason.name())];
                ConstCounter::new(times).encode(metric.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}
