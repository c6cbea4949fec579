//! Kafka: the settings of its processes as `up` writes them, becoming one of them, and what a mesh
//! needs of it.

use std::collections::BTreeMap;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};

use kafka_server::{Broker, Installation, KafkaError, MirrorMaker};
use node::Names;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::cli::KafkaRunArgs;
use crate::error::{CliError, Result};
use crate::mesh::{Mesh, OwnKafka, Region};

#[derive(Debug, Serialize, Deserialize)]
struct BrokerSettings {
    home: PathBuf,
    dir: PathBuf,
    port: u16,
    controller_port: u16,
}

#[derive(Debug, Serialize, Deserialize)]
struct MirrorMakerSettings {
    home: PathBuf,
    dir: PathBuf,
    /// Every region's, by name.
    clusters: BTreeMap<String, String>,
    /// The region that is copied to.
    into: String,
    topics: Names,
}

/// The YAML of a region's broker, whose directory is in the region's.
///
/// # Errors
/// The region has no broker of its own.
pub(crate) fn broker_settings(dir: &Path, region: &Region) -> Result<String> {
    let own = own(region)?;
    to_yaml(&BrokerSettings {
        home: own.home.clone(),
        dir: dir.join("broker"),
        port: own.port,
        controller_port: own.controller_port,
    })
}

/// The YAML of the MirrorMaker that copies to a region.
///
/// # Errors
/// The region has no broker of its own.
pub(crate) fn mirror_maker_settings(dir: &Path, mesh: &Mesh, region: &str) -> Result<String> {
    to_yaml(&MirrorMakerSettings {
        home: own(mesh.region(region)?)?.home.clone(),
        dir: dir.join("mirror-maker"),
        clusters: clusters(mesh),
        into: region.to_owned(),
        topics: mesh.topics.clone(),
    })
}

/// Each region's cluster.
pub(crate) fn clusters(mesh: &Mesh) -> BTreeMap<String, String> {
    let clusters = mesh.regions.iter().filter_map(|(region, processes)| {
        Some((region.clone(), processes.kafka.as_ref()?.bootstrap.clone()))
    });
    clusters.collect()
}

/// A `mm2.properties` for clusters that somebody else runs.
///
/// # Errors
/// Names that MirrorMaker cannot give.
pub(crate) fn mm2_config(
    clusters: BTreeMap<String, String>,
    topics: &Names,
    replication: u32,
    exactly_once: bool,
) -> Result<String> {
    let mirror = mirror_maker_of(clusters, topics)?;
    Ok(MirrorMaker { replication, exactly_once, ..mirror }.properties())
}

/// With what of names it can be told.
fn mirror_maker_of(clusters: BTreeMap<String, String>, topics: &Names) -> Result<MirrorMaker> {
    let regions: Vec<_> = clusters.keys().map(|region| region.as_str().into()).collect();
    topics.check(&regions).map_err(|why| CliError::Usage(format!("topics: {why}")))?;
    let other = || {
        CliError::Usage(format!(
            "MirrorMaker 2 calls topics by their region first, as {{region}}_{{topic}}, and not '{}'; \
             another replicator may, or `meridian mirror`",
            topics.mirrored
        ))
    };
    let separator = topics.separator().ok_or_else(other)?.to_owned();
    let mirror = MirrorMaker::new(clusters, topics.mirrored_pattern());
    Ok(MirrorMaker { separator, ..mirror })
}

/// Whether there is a Kafka to be started.
///
/// # Errors
/// No jars, or no Java.
pub(crate) fn check(home: &Path) -> Result<()> {
    Installation::find(home).map(|_| ()).map_err(failed)
}

/// Becomes a broker.
///
/// # Errors
/// Its settings, its directory, or Kafka is not there. Does not return otherwise.
pub(crate) fn broker(args: &KafkaRunArgs) -> Result<()> {
    let settings: BrokerSettings = read(&args.config)?;
    let kafka = Installation::find(&settings.home).map_err(failed)?;
    let broker = Broker::new(settings.dir, settings.port, settings.controller_port);
    broker.prepare(&kafka).map_err(failed)?;
    become_it(broker.command(&kafka), args.exit_with_parent)
}

/// Becomes a MirrorMaker.
///
/// # Errors
/// As of [`broker`].
pub(crate) fn mirror_maker(args: &KafkaRunArgs) -> Result<()> {
    let settings: MirrorMakerSettings = read(&args.config)?;
    let kafka = Installation::find(&settings.home).map_err(failed)?;
    let mirror = mirror_maker_of(settings.clusters, &settings.topics)?;
    let file = mirror.write(&settings.dir).map_err(failed)?;
    let command = MirrorMaker::command(&kafka, &file, [settings.into.as_str()]);
    become_it(command, args.exit_with_parent)
}

/// Kafka does not notice when its parent ends, so the system ends it then: a process of ours in
/// between would only have to be watched too. It forgets nothing, and in order it would wait for
/// others that end as well.
fn become_it(mut command: std::process::Command, with_parent: bool) -> Result<()> {
    #[cfg(target_os = "linux")]
    if with_parent {
        let tied = nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL);
        tied.map_err(|error| CliError::file("tie", "java")(error.into()))?;
    }
    #[cfg(not(target_os = "linux"))]
    let _ends_by_the_supervisor_alone = with_parent;
    Err(CliError::file("start", "java")(command.exec()))
}

fn own(region: &Region) -> Result<&OwnKafka> {
    let own = region.kafka.as_ref().and_then(|kafka| kafka.own.as_ref());
    own.ok_or_else(|| CliError::Usage("mesh.json: a region has no broker of its own".into()))
}

fn to_yaml(settings: &impl Serialize) -> Result<String> {
    serde_saphyr::to_string(settings).map_err(|e| CliError::Usage(format!("kafka: {e}")))
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let yaml = std::fs::read_to_string(path).map_err(CliError::file("read", path))?;
    let refused = |error: serde_saphyr::Error| super::failed(path, &error);
    serde_saphyr::from_str(&yaml).map_err(refused)
}

fn failed(error: KafkaError) -> CliError {
    CliError::Refused { what: "Kafka".to_owned(), message: error.to_string() }
}
