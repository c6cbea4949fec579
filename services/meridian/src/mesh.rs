//! `DIR/mesh.json`: what runs where. Written by `up`, read by every other command.

use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::error::{CliError, Result};
use crate::wan::{Carries, Link};

/// A mesh on this machine. Regions are in the order of `--regions`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mesh {
    /// The project of its catalog: a directory holds one mesh for good.
    pub(crate) mesh: String,
    /// The catalog that `up` was started with.
    pub(crate) catalog: PathBuf,
    /// Who supervises it; none when it is down.
    pub(crate) supervisor: Option<Supervisor>,
    /// How topics are called.
    #[serde(default)]
    pub(crate) topics: node::Names,
    /// By region.
    pub(crate) regions: IndexMap<String, Region>,
    /// Between regions, and from each gateway to its node; none without `up --wan`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) links: Vec<Link>,
}

/// The `up` that supervises.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Supervisor {
    pub(crate) pid: u32,
    /// Where it takes commands: a loopback address, one JSON object a line.
    pub(crate) control: String,
    /// Whether the catalog is applied and every region answers.
    pub(crate) ready: bool,
}

/// The processes of a region.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Region {
    /// The first of its nodes.
    pub(crate) node: NodeProcess,
    /// Those after it, in order: `node-2` and so on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) other_nodes: Vec<NodeProcess>,
    pub(crate) gateway: GatewayProcess,
    /// None if the log is embedded in the node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) kafka: Option<KafkaCluster>,
}

/// The Kafka cluster that is a region's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KafkaCluster {
    /// Some of its brokers: `host:port`.
    pub(crate) bootstrap: String,
    /// What copies the other regions' topics to it; none if MirrorMaker does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) mirror: Option<MirrorProcess>,
    /// None if it is not this mesh's to run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) own: Option<OwnKafka>,
}

/// A broker, and the MirrorMaker 2 that copies to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OwnKafka {
    /// Where Kafka's jars are.
    pub(crate) home: PathBuf,
    pub(crate) port: u16,
    pub(crate) controller_port: u16,
    /// The broker's process; none while it does not run.
    pub(crate) broker: Option<u32>,
    /// MirrorMaker's process; none while it does not run.
    pub(crate) mirror_maker: Option<u32>,
}

/// A node process. Addresses are URLs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NodeProcess {
    /// None while it does not run.
    pub(crate) pid: Option<u32>,
    pub(crate) grpc: String,
}

/// A mirror process. Addresses are URLs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MirrorProcess {
    /// None while it does not run.
    pub(crate) pid: Option<u32>,
    pub(crate) grpc: String,
    pub(crate) metrics: String,
}

/// A gateway process. Addresses are URLs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct GatewayProcess {
    /// None while it does not run.
    pub(crate) pid: Option<u32>,
    pub(crate) http: String,
    pub(crate) grpc: String,
    pub(crate) metrics: String,
}

impl Region {
    /// Its nodes, the first one first.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = &NodeProcess> {
        std::iter::once(&self.node).chain(&self.other_nodes)
    }

    /// Its mirror, if one of ours copies to it.
    pub(crate) fn mirror(&self) -> Option<&MirrorProcess> {
        self.kafka.as_ref()?.mirror.as_ref()
    }

    /// The node of this number, from 1.
    pub(crate) fn node_mut(&mut self, number: usize) -> Option<&mut NodeProcess> {
        match number {
            1 => Some(&mut self.node),
            _ => self.other_nodes.get_mut(number.checked_sub(2)?),
        }
    }

    /// Its processes that run.
    pub(crate) fn pids(&self) -> impl Iterator<Item = u32> {
        let own = self.kafka.as_ref().and_then(|kafka| kafka.own.as_ref());
        let own = own.map_or([None, None], |own| [own.broker, own.mirror_maker]);
        let mirror = self.mirror().and_then(|mirror| mirror.pid);
        let nodes = self.nodes().map(|node| node.pid);
        nodes.chain([self.gateway.pid, mirror]).chain(own).flatten()
    }
}

impl Mesh {
    /// Where it is kept.
    pub(crate) fn file(data: &Path) -> PathBuf {
        data.join("mesh.json")
    }

    /// Reads it; none if there is none.
    ///
    /// # Errors
    /// An unreadable file, or one that is not a mesh.json that this version knows.
    pub(crate) fn read(data: &Path) -> Result<Option<Self>> {
        let path = Self::file(data);
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(CliError::file("read", &path)(e)),
        };
        let mesh = serde_json::from_slice(&text).map_err(|e| CliError::OtherMesh {
            data: path,
            what: format!("not a mesh.json of this version of meridian ({e})"),
        })?;
        Ok(Some(mesh))
    }

    /// The mesh that runs in `data`.
    ///
    /// # Errors
    /// [`CliError::NoMesh`] when none does, for what is known without asking it.
    pub(crate) fn running(data: &Path) -> Result<Self> {
        let mesh = Self::read(data)?.filter(Self::is_supervised);
        mesh.ok_or_else(|| CliError::NoMesh { data: data.to_owned() })
    }

    /// Whether the supervisor that is written down still takes commands.
    pub(crate) fn is_supervised(&self) -> bool {
        self.supervisor.as_ref().is_some_and(|s| std::net::TcpStream::connect(&s.control).is_ok())
    }

    /// Replaces the file as a whole, so that readers never see half of it.
    ///
    /// # Errors
    /// The directory cannot be written to.
    pub(crate) fn write(&self, data: &Path) -> Result<()> {
        let path = Self::file(data);
        let next = data.join("mesh.json.next");
        let write = || -> std::io::Result<()> {
            let mut text = serde_json::to_vec_pretty(self)?;
            text.push(b'\n');
            std::fs::File::create(&next)?.write_all(&text)?;
            std::fs::rename(&next, &path)
        };
        write().map_err(CliError::file("write", &path))
    }

    /// Every node: its region, its number there, and it.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = (&str, usize, &NodeProcess)> {
        self.regions.iter().flat_map(|(name, region)| {
            (1..).zip(region.nodes()).map(move |(number, node)| (name.as_str(), number, node))
        })
    }

    /// The link between two regions, if there is one.
    pub(crate) fn link(&self, from: &str, to: &str, carries: Carries) -> Option<&Link> {
        let wanted = (from, to, carries);
        self.links.iter().find(|link| (&*link.from, &*link.to, link.carries) == wanted)
    }

    /// Where `from` finds what is at `address` in `to`: at the near end of the link to it.
    pub(crate) fn way<'a>(
        &'a self,
        (from, to, carries): (&str, &str, Carries),
        address: &'a str,
    ) -> &'a str {
        self.link(from, to, carries).map_or(address, |link| &link.at)
    }

    /// The region of that name.
    ///
    /// # Errors
    /// There is none; says which there are.
    pub(crate) fn region(&self, name: &str) -> Result<&Region> {
        self.regions.get(name).ok_or_else(|| {
            let known: Vec<&str> = self.regions.keys().map(String::as_str).collect();
            CliError::Usage(format!("no region '{name}': this mesh has {}", known.join(", ")))
        })
    }
}

/// Held for as long as a supervisor runs; the system lets go of it however the process ends.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: std::fs::File,
}

impl Lock {
    /// Takes the directory for this process.
    ///
    /// # Errors
    /// [`CliError::AlreadyUp`] when another process has it.
    pub(crate) fn take(data: &Path) -> Result<Self> {
        let path = data.join("lock");
        let file = std::fs::File::create(&path).map_err(CliError::file("write", &path))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(std::fs::TryLockError::WouldBlock) => {
                Err(CliError::AlreadyUp { data: data.to_owned() })
            }
            Err(std::fs::TryLockError::Error(e)) => Err(CliError::file("lock", &path)(e)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Mesh {
        let url = |port: u16| format!("http://127.0.0.1:{port}");
        let region = |n: u16| Region {
            node: NodeProcess { pid: Some(7), grpc: url(n) },
            other_nodes: Vec::new(),
            gateway: GatewayProcess {
                pid: None,
                http: url(n + 2),
                grpc: url(n + 3),
                metrics: url(n + 4),
            },
            kafka: None,
        };
        Mesh {
            mesh: "nyc".into(),
            catalog: "catalog".into(),
            supervisor: None,
            topics: node::Names::default(),
            regions: [("lga".to_owned(), region(1)), ("ewr".to_owned(), region(11))].into(),
            links: Vec::new(),
        }
    }

    #[test]
    fn survives_a_round_trip_in_the_order_of_its_regions() {
        let dir = tempfile::tempdir().unwrap();
        sample().write(dir.path()).unwrap();
        let read = Mesh::read(dir.path()).unwrap().unwrap();
        assert_eq!(read, sample());
        assert!(read.regions.keys().eq(["lga", "ewr"]));
    }

    #[test]
    fn is_what_scripts_expect() {
        let json = serde_json::to_value(sample()).unwrap();
        assert_eq!(json["regions"]["lga"]["node"]["pid"], 7);
        assert_eq!(json["regions"]["lga"]["gateway"]["http"], "http://127.0.0.1:3");
    }

    #[test]
    fn a_directory_has_one_supervisor() {
        let dir = tempfile::tempdir().unwrap();
        let lock = Lock::take(dir.path()).unwrap();
        assert!(matches!(Lock::take(dir.path()), Err(CliError::AlreadyUp { .. })));
        drop(lock);
        Lock::take(dir.path()).unwrap();
    }

    #[test]
    fn rubbish_is_named() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(Mesh::file(dir.path()), "{").unwrap();
        let error = Mesh::read(dir.path()).unwrap_err().to_string();
        assert!(error.contains("mesh.json") && !error.contains('\n'), "{error}");
    }
}
