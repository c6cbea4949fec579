//! What a mesh on this machine looks like on disk and on loopback, before anything is started.
//!
//! Ports are picked at the first start and written down: peers and clients find a process where it
//! was before it died.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use fault_proxy::Fault;
use indexmap::IndexMap;

use super::child::Recipe;
use super::{ProcessId, Role};
use crate::adapt;
use crate::error::{CliError, Result};
use crate::mesh::{
    GatewayProcess, KafkaCluster, Mesh, MirrorProcess, NodeProcess, OwnKafka, Region,
};
use crate::wan::{Carries, Distances, Link};

/// The longest name of a region; topics and directories carry it.
const REGION_BYTES: usize = 32;
/// Most regions on one machine.
const REGIONS: usize = 16;
/// Most nodes in a region on one machine.
const NODES: usize = 8;
/// Picked ports lie this far above the first gateway's, below those the system gives to clients.
const PICK_ABOVE: u16 = 1_000;
/// Without a base they lie here or up to [`PICKS`] above, also below those: a client that looks for
/// a process that is down could be given its port, would talk to itself, and keep it down.
const LOWEST_PICK: u16 = 10_000;
const PICKS: u16 = 20_000;

/// What `up` was asked for.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    /// The catalog's project.
    pub(crate) mesh: String,
    pub(crate) catalog: PathBuf,
    pub(crate) regions: Vec<String>,
    /// How many each region has.
    pub(crate) nodes: usize,
    pub(crate) data: PathBuf,
    pub(crate) base_port: u16,
    pub(crate) kafka: Kafka,
    /// Whether mirrors of ours copy between the regions' Kafka, and not MirrorMaker.
    pub(crate) own_mirror: bool,
    pub(crate) topics: node::Names,
    /// How far the regions are apart; none: there are no links between them.
    pub(crate) wan: Option<Distances>,
}

/// What the regions' logs are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kafka {
    /// Embedded in their nodes.
    None,
    /// Brokers that this mesh runs, from the jars in `home`.
    Start {
        /// Where they are.
        home: PathBuf,
    },
    /// Clusters that exist, by region.
    Existing(IndexMap<String, String>),
}

impl Layout {
    /// Where everything will be, given where it was, if there was anything.
    ///
    /// # Errors
    /// Names that cannot be regions; a directory of another mesh; a port in use.
    pub(crate) fn settle(&self, before: Option<&Mesh>) -> Result<Mesh> {
        check_regions(&self.regions)?;
        self.check_nodes()?;
        self.check_topics()?;
        if let Some(before) = before {
            self.check_same(before)?;
        }
        let mut ports = Ports::above(self.base_port);
        let mut regions = IndexMap::new();
        for (index, name) in self.regions.iter().enumerate() {
            let before = before.and_then(|m| m.regions.get(name));
            let http = self.http_port(index, name, before, &mut ports)?;
            let mut keep = |url: Option<&String>| ports.keep(url).map(local_url);
            let mut node = |at: usize| -> Result<NodeProcess> {
                let before = before.and_then(|region| region.nodes().nth(at));
                Ok(NodeProcess { pid: None, grpc: keep(before.map(|node| &node.grpc))? })
            };
            let region = Region {
                node: node(0)?,
                other_nodes: (1..self.nodes).map(node).collect::<Result<_>>()?,
                gateway: GatewayProcess {
                    pid: None,
                    http: local_url(http),
                    grpc: keep(before.map(|r| &r.gateway.grpc))?,
                    metrics: keep(before.map(|r| &r.gateway.metrics))?,
                },
                kafka: self.cluster(name, before, &mut ports)?,
            };
            regions.insert(name.clone(), region);
        }
        let links = self.links(before, &mut ports)?;
        let catalog = self.catalog.clone();
        let topics = self.topics.clone();
        Ok(Mesh { mesh: self.mesh.clone(), catalog, supervisor: None, topics, regions, links })
    }

    /// One for each two regions and each thing that goes between them; and one from each gateway to
    /// its node.
    fn links(&self, before: Option<&Mesh>, ports: &mut Ports) -> Result<Vec<Link>> {
        let Some(distances) = &self.wan else { return Ok(Vec::new()) };
        let mut links = Vec::new();
        for (from, to) in self.regions.iter().flat_map(|a| self.regions.iter().map(move |b| (a, b)))
        {
            let mirrored = (from != to).then_some(Carries::Mirror);
            for carries in std::iter::once(Carries::Reads).chain(mirrored) {
                let before = before.and_then(|mesh| mesh.link(from, to, carries));
                links.push(Link {
                    from: from.clone(),
                    to: to.clone(),
                    carries,
                    at: local_url(ports.keep(before.map(|link| &link.at))?),
                    round_trip_ms: distances.between(from, to),
                    fault: Fault::None,
                });
            }
        }
        Ok(links)
    }

    fn http_port(
        &self,
        index: usize,
        name: &str,
        before: Option<&Region>,
        ports: &mut Ports,
    ) -> Result<u16> {
        if self.base_port == 0 {
            return ports.keep(before.map(|r| &r.gateway.http));
        }
        let past_the_end = || CliError::Usage("--base-port: too high for this many regions".into());
        let port = u16::try_from(index).ok().and_then(|i| self.base_port.checked_add(i));
        let port = port.ok_or_else(past_the_end)?;
        if !ports.take(port) {
            return Err(CliError::PortInUse { port, of: format!("HTTP of {name}'s gateway") });
        }
        Ok(port)
    }

    fn cluster(
        &self,
        region: &str,
        before: Option<&Region>,
        ports: &mut Ports,
    ) -> Result<Option<KafkaCluster>> {
        let home = match &self.kafka {
            Kafka::None => return Ok(None),
            Kafka::Existing(clusters) => {
                let none = || CliError::Usage(format!("--kafka: no cluster for region '{region}'"));
                let bootstrap = clusters.get(region).ok_or_else(none)?.clone();
                let mirror = self.mirror(before, ports)?;
                return Ok(Some(KafkaCluster { bootstrap, mirror, own: None }));
            }
            Kafka::Start { home } => home.clone(),
        };
        let mirror = self.mirror(before, ports)?;
        let before = before.and_then(|r| r.kafka.as_ref()?.own.as_ref());
        let port = ports.keep_port(before.map(|own| own.port))?;
        let controller_port = ports.keep_port(before.map(|own| own.controller_port))?;
        let bootstrap = SocketAddr::from((Ipv4Addr::LOCALHOST, port)).to_string();
        let own = OwnKafka { home, port, controller_port, broker: None, mirror_maker: None };
        Ok(Some(KafkaCluster { bootstrap, mirror, own: Some(own) }))
    }

    fn mirror(&self, before: Option<&Region>, ports: &mut Ports) -> Result<Option<MirrorProcess>> {
        if !self.own_mirror {
            return Ok(None);
        }
        let before = before.and_then(Region::mirror);
        let mut keep = |url: Option<&String>| ports.keep(url).map(local_url);
        let grpc = keep(before.map(|mirror| &mirror.grpc))?;
        let metrics = keep(before.map(|mirror| &mirror.metrics))?;
        Ok(Some(MirrorProcess { pid: None, grpc, metrics }))
    }

    fn check_nodes(&self) -> Result<()> {
        let refuse = |why: String| Err(CliError::Usage(format!("--nodes: {why}")));
        if self.nodes > 1 && self.kafka == Kafka::None {
            return refuse("the embedded log lives in one node; several need --kafka".into());
        }
        if !(1..=NODES).contains(&self.nodes) {
            return refuse(format!("a region on one machine has 1 to {NODES} nodes"));
        }
        Ok(())
    }

    fn check_topics(&self) -> Result<()> {
        let refuse = |why: String| Err(CliError::Usage(format!("topics: {why}")));
        let renamed = self.topics != node::Names::default();
        if renamed && self.kafka == Kafka::None {
            return refuse(
                "the embedded log's have the names that they have; --kafka's can differ".into(),
            );
        }
        let regions: Vec<_> = self.regions.iter().map(|region| region.as_str().into()).collect();
        self.topics.check(&regions).or_else(refuse)
    }

    fn check_same(&self, before: &Mesh) -> Result<()> {
        let other = |what| Err(CliError::OtherMesh { data: self.data.clone(), what });
        if before.mesh != self.mesh {
            return other(format!(
                "holds the mesh of project '{}', and the catalog is of project '{}': give another --data",
                before.mesh, self.mesh
            ));
        }
        if before.topics != self.topics {
            return other("holds a mesh whose topics have other names: give the same --topic-prefix and --mirrored-topics, or another --data".into());
        }
        let on_kafka = before.regions.values().any(|region| region.kafka.is_some());
        if on_kafka != (self.kafka != Kafka::None) {
            let how = if on_kafka { "on Kafka" } else { "without Kafka" };
            return other(format!(
                "holds a mesh {how}: go on with it {how}, or give another --data"
            ));
        }
        let had: Vec<&String> = before.regions.keys().collect();
        if had.len() != self.regions.len() || had.iter().any(|r| !self.regions.contains(r)) {
            let had: Vec<&str> = had.into_iter().map(String::as_str).collect();
            return other(format!(
                "holds a mesh of the regions {}, not {}: give the same --regions or another --data",
                had.join(","),
                self.regions.join(",")
            ));
        }
        Ok(())
    }
}

/// Makes the directories and the settings of every process; says how to start each.
///
/// # Errors
/// The directory cannot be written to.
pub(crate) fn furnish(data: &Path, mesh: &Mesh) -> Result<Vec<(ProcessId, Recipe)>> {
    let mut recipes = Vec::new();
    for (region, processes) in &mesh.regions {
        let dir = data.join(region);
        std::fs::create_dir_all(&dir).map_err(CliError::file("make", &dir))?;
        for (role, number) in roles(processes) {
            let id = ProcessId { region: region.clone(), role, number };
            let name = id.name();
            let yaml = match role {
                Role::Broker => adapt::kafka::broker_settings(&dir, processes)?,
                Role::MirrorMaker => adapt::kafka::mirror_maker_settings(&dir, mesh, region)?,
                Role::Mirror => adapt::mirror::settings(mesh, region)?,
                Role::Node => adapt::node::settings(&dir.join(&name), mesh, &id)?,
                Role::Gateway => adapt::gateway::settings(mesh, region)?,
            };
            let config = dir.join(format!("{name}.yaml"));
            std::fs::write(&config, yaml).map_err(CliError::file("write", &config))?;
            let log = dir.join(format!("{name}.log"));
            recipes.push((id, Recipe { command: role.name(), config, log }));
        }
    }
    Ok(recipes)
}

/// What a region runs, each with its number.
fn roles(processes: &Region) -> impl Iterator<Item = (Role, usize)> {
    let broker = processes.kafka.as_ref().and_then(|kafka| kafka.own.as_ref());
    let broker = broker.map(|_| Role::Broker);
    let mirror = match processes.mirror() {
        Some(_) => Some(Role::Mirror),
        // Somebody else's clusters are mirrored by somebody else's MirrorMaker.
        None => broker.map(|_| Role::MirrorMaker),
    };
    let single = broker.into_iter().chain(mirror).chain([Role::Gateway]);
    let nodes = (1..=processes.nodes().count()).map(|number| (Role::Node, number));
    single.map(|role| (role, 1)).chain(nodes)
}

fn check_regions(regions: &[String]) -> Result<()> {
    let refuse = |why: String| Err(CliError::Usage(format!("--regions: {why}")));
    if regions.len() > REGIONS {
        return refuse(format!("at most {REGIONS} regions run on one machine"));
    }
    for (index, name) in regions.iter().enumerate() {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
        if name.is_empty() || name.len() > REGION_BYTES || !name.chars().all(plain) {
            return refuse(format!(
                "'{name}' is no name for a region: use a-z, 0-9, - and _, at most {REGION_BYTES}"
            ));
        }
        if regions[..index].contains(name) {
            return refuse(format!("'{name}' is there twice"));
        }
    }
    Ok(())
}

fn local_url(port: u16) -> String {
    format!("http://{}", SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
}

/// The socket address in a URL that [`local_url`] made.
///
/// # Errors
/// The URL is something else: the file that it came from was edited.
pub(crate) fn socket(url: &str) -> Result<SocketAddr> {
    let address = url.strip_prefix("http://").and_then(|a| a.parse().ok());
    address.ok_or_else(|| CliError::Usage(format!("mesh.json: '{url}' is not http://ADDRESS:PORT")))
}

/// Hands out free ports, each once; holds them until all are handed out.
struct Ports {
    next: u16,
    held: Vec<TcpListener>,
}

impl Ports {
    fn above(base_port: u16) -> Self {
        Self {
            next: base_port.checked_add(PICK_ABOVE).filter(|_| base_port != 0).unwrap_or(0),
            held: Vec::new(),
        }
    }

    /// Whether the port was free; it is held now.
    fn take(&mut self, port: u16) -> bool {
        let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, port));
        bound.map(|listener| self.held.push(listener)).is_ok()
    }

    /// The port of this URL if it is still free, else another one.
    fn keep(&mut self, url: Option<&String>) -> Result<u16> {
        self.keep_port(url.and_then(|url| socket(url).ok()).map(|address| address.port()))
    }

    /// This port if it is still free, else another one.
    fn keep_port(&mut self, before: Option<u16>) -> Result<u16> {
        match before.filter(|port| self.take(*port)) {
            Some(port) => Ok(port),
            None => self.pick(),
        }
    }

    fn pick(&mut self) -> Result<u16> {
        loop {
            if self.next == 0 {
                let any = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
                let any = any.map_err(CliError::file("find a free port on", "127.0.0.1"))?;
                let any = any.local_addr().map_err(CliError::file("read", "127.0.0.1"))?.port();
                let below = LOWEST_PICK + any % PICKS;
                if self.take(below) {
                    return Ok(below);
                }
                continue;
            }
            let port = self.next;
            self.next = self.next.wrapping_add(1);
            if self.take(port) {
                return Ok(port);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout() -> Layout {
        Layout {
            mesh: "nyc".into(),
            catalog: "c".into(),
            regions: vec!["ewr".into(), "jfk".into()],
            nodes: 1,
            data: "d".into(),
            base_port: 0,
            kafka: Kafka::None,
            own_mirror: false,
            topics: node::Names::default(),
            wan: None,
        }
    }

    fn message(result: Result<Mesh>) -> String {
        let message = result.unwrap_err().to_string();
        assert!(!message.contains('\n'), "{message}");
        message
    }

    #[test]
    fn every_process_has_its_own_ports_and_keeps_them() {
        let mesh = layout().settle(None).unwrap();
        let all = |mesh: &Mesh| -> Vec<String> {
            let urls = mesh
                .regions
                .values()
                .flat_map(|r| [&r.node.grpc, &r.gateway.http, &r.gateway.grpc, &r.gateway.metrics]);
            urls.cloned().collect()
        };
        let mut distinct = all(&mesh);
        distinct.sort();
        distinct.dedup();
        assert_eq!(distinct.len(), 8);
        assert_eq!(all(&layout().settle(Some(&mesh)).unwrap()), all(&mesh));
    }

    #[test]
    fn several_nodes_have_a_number_each_and_need_kafka() {
        let clusters = [("ewr", "h:1"), ("jfk", "h:2")];
        let clusters = clusters.map(|(region, at)| (region.to_owned(), at.to_owned()));
        let several = Layout { nodes: 3, kafka: Kafka::Existing(clusters.into()), ..layout() };
        let mesh = several.settle(None).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let recipes = furnish(dir.path(), &mesh).unwrap();
        let of_ewr = recipes.iter().filter(|(id, _)| id.region == "ewr");
        let names: Vec<String> = of_ewr.map(|(id, _)| id.name()).collect();
        assert_eq!(names, ["gateway", "node", "node-2", "node-3"]);
        let gateway = std::fs::read_to_string(dir.path().join("ewr/gateway.yaml")).unwrap();
        assert!(mesh.regions["ewr"].nodes().all(|node| gateway.contains(&node.grpc)), "{gateway}");
        let third = std::fs::read_to_string(dir.path().join("ewr/node-3.yaml")).unwrap();
        assert!(third.contains("ewr/node-3"), "{third}");
        for (layout, why) in [
            (Layout { nodes: 2, ..layout() }, "--kafka"),
            (Layout { nodes: 0, ..layout() }, "1 to"),
            (Layout { nodes: 9, ..several }, "1 to"),
        ] {
            assert!(message(layout.settle(None)).contains(why));
        }
    }

    #[test]
    fn links_are_between_all_regions_and_from_each_gateway_to_its_node() {
        let mut layout = layout();
        let pairs = ["jfk-ewr=80ms".to_owned()];
        layout.wan = Distances::parse(&pairs, &layout.regions).unwrap();
        let mesh = layout.settle(None).unwrap();
        assert_eq!(mesh.links.len(), 6);
        let mut ways: Vec<&str> = mesh.links.iter().map(|link| &*link.at).collect();
        ways.sort_unstable();
        ways.dedup();
        assert_eq!(ways.len(), 6);
        let far = |from, to| mesh.link(from, to, Carries::Reads).unwrap().round_trip_ms;
        assert_eq!([far("ewr", "jfk"), far("jfk", "ewr"), far("jfk", "jfk")], [80, 80, 0]);
        assert_eq!(layout.settle(Some(&mesh)).unwrap().links, mesh.links);
        let settings = adapt::gateway::settings(&mesh, "ewr").unwrap();
        for (region, address) in &mesh.regions {
            assert!(!settings.contains(&address.node.grpc), "past the link: {settings}");
            let own = region == "ewr";
            assert_eq!(settings.contains(&socket(&address.gateway.grpc).unwrap().to_string()), own);
        }
    }

    #[test]
    fn a_taken_port_is_named() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let message = message(Layout { base_port: port, ..layout() }.settle(None));
        assert!(
            message.contains(&port.to_string()) && message.contains("--base-port"),
            "{message}"
        );
        assert!(message.contains("ewr"), "{message}");
    }

    #[test]
    fn a_directory_of_another_mesh_is_refused() {
        let before = layout().settle(None).unwrap();
        let fraud = Layout { mesh: "fraud".into(), ..layout() };
        assert!(message(fraud.settle(Some(&before))).contains("'nyc'"));
        let other = Layout { regions: vec!["ewr".into(), "lga".into()], ..layout() };
        assert!(message(other.settle(Some(&before))).contains("ewr,jfk"));
        let fewer = Layout { regions: vec!["ewr".into()], ..layout() };
        assert!(message(fewer.settle(Some(&before))).contains("--regions"));
    }

    #[test]
    fn regions_have_plain_names() {
        for bad in ["", "e.wr", "EWR", "e/wr", "ewr ", "é"] {
            let bad = Layout { regions: vec![bad.into()], ..layout() };
            assert!(message(bad.settle(None)).contains("no name for a region"));
        }
        let twice = Layout { regions: vec!["a".into(), "a".into()], ..layout() };
        assert!(message(twice.settle(None)).contains("twice"));
    }
}
