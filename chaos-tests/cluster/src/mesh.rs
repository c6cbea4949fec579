//! One mesh of real processes, and the questions that a test asks of it.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use checkers::flights::REGIONS;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;
use testkit::within;

/// How long a mesh may take to get anywhere: far more than it needs, as machines are noisy.
pub const PATIENCE: Duration = Duration::from_secs(240);

/// A running mesh. Its processes end with it.
pub struct Mesh {
    supervisor: Child,
    dir: TempDir,
    agent: ureq::Agent,
    logs_shown: bool,
    /// Held by a mesh on Kafka.
    _alone: Option<MutexGuard<'static, ()>>,
}

/// Two fleets of brokers and MirrorMakers at once starve each other on a small machine, until
/// brokers take themselves for dead.
static FLEET: Mutex<()> = Mutex::new(());

/// How a mesh on Kafka is started.
#[derive(Debug, Clone, Copy)]
pub struct OnKafka {
    /// Of the source.
    pub partitions: u32,
    /// In each region.
    pub nodes: u32,
    /// `meridian mirror` in place of MirrorMaker 2.
    pub own_mirror: bool,
}

impl Default for OnKafka {
    fn default() -> Self {
        Self { partitions: 1, nodes: 1, own_mirror: false }
    }
}

/// The workspace's root.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The catalog of the departures.
fn departures() -> PathBuf {
    root().join("examples/departures/catalog")
}

/// The `meridian` binary that cargo built beside this one, or, for a test, a directory above.
pub(crate) fn binary() -> PathBuf {
    let this = std::env::current_exe().expect("a process has a path");
    let beside = this.ancestors().skip(1).take(2).map(|dir| dir.join("meridian"));
    let mut built = beside.filter(|binary| binary.exists());
    built.next().expect("meridian is built; run: cargo build -p meridian")
}

/// A command line of `meridian` that is about the mesh in `data`.
fn meridian(data: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command.args(args).arg("--data").arg(data).stdin(Stdio::null());
    command
}

/// Three neighbouring ports that nobody listens on now, and below those that the system gives to
/// clients: while a killed process is down, somebody's connection must not take its port.
pub(crate) fn base_port() -> u16 {
    for _ in 0..100 {
        let base = rand::random_range(10_000..30_000);
        if (base..base + 3).all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok()) {
            return base;
        }
    }
    panic!("no three neighbouring ports are free");
}

/// The departures catalog with a text replaced, in a directory of its own; the one that is there, or
/// else the example's.
fn write_catalog(dir: &Path, old: &str, new: &str) -> PathBuf {
    let catalog = dir.join("catalog");
    let file = catalog.join("departures.yaml");
    let text = std::fs::read_to_string(&file)
        .or_else(|_| std::fs::read_to_string(departures().join("departures.yaml")));
    let text = text.expect("the example");
    assert!(text.contains(old), "the catalog has no '{old}'");
    std::fs::create_dir_all(&catalog).expect("a directory");
    std::fs::write(&file, text.replacen(old, new, 1)).expect("a file");
    catalog
}

impl Mesh {
    /// Starts a mesh with the departures catalog and waits until every region is ready.
    #[must_use]
    pub fn start() -> Self {
        let dir = TempDir::new().expect("a directory for the mesh");
        Self::start_with(dir, &departures(), &[], &[])
    }

    /// The same, and its processes send the spans of traced requests to this collector, at once.
    #[must_use]
    pub fn start_traced(collector: &str) -> Self {
        let dir = TempDir::new().expect("a directory for the mesh");
        let quickly = ("OTEL_BSP_SCHEDULE_DELAY", "100");
        let environment = [("OTEL_EXPORTER_OTLP_ENDPOINT", collector), quickly];
        Self::start_with(dir, &departures(), &[], &environment)
    }

    /// The same on Kafka: three brokers of its own, and what mirrors between them.
    #[must_use]
    pub fn start_on_kafka(setup: OnKafka) -> Self {
        let dir = TempDir::new().expect("a directory for the mesh");
        let partitions = format!("topic: departures\n    partitions: {}", setup.partitions);
        let catalog = write_catalog(dir.path(), "topic: departures", &partitions);
        let home = root().join("target/kafka");
        let (home, nodes) = (home.to_str().expect("a path"), setup.nodes.to_string());
        let mut args = vec!["--kafka", "start", "--kafka-home", home, "--nodes", &nodes];
        args.extend(setup.own_mirror.then_some("--own-mirror"));
        Self::start_with(dir, &catalog, &args, &[])
    }

    /// With links between the regions, so far apart (see `up --wan`).
    #[must_use]
    pub fn start_over(wan: &str) -> Self {
        let dir = TempDir::new().expect("a directory for the mesh");
        Self::start_with(dir, &departures(), &["--wan", wan], &[])
    }

    fn start_with(
        dir: TempDir,
        catalog: &Path,
        args: &[&str],
        environment: &[(&str, &str)],
    ) -> Self {
        let on_kafka = args.contains(&"--kafka");
        let alone = on_kafka.then(|| FLEET.lock().unwrap_or_else(PoisonError::into_inner));
        let supervisor = Self::spawn(dir.path(), catalog, args, environment);
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(10)))
            .build();
        let mut mesh =
            Self { supervisor, dir, agent: config.into(), logs_shown: false, _alone: alone };
        mesh.wait_until("every region is ready", Mesh::ready);
        mesh
    }

    fn spawn(dir: &Path, catalog: &Path, args: &[&str], environment: &[(&str, &str)]) -> Child {
        let log = std::fs::File::create(dir.join("up.log")).expect("a file for the log");
        let base_port = base_port().to_string();
        meridian(&dir.join("mesh"), &["up", "--regions", "ewr,jfk,lga", "--base-port", &base_port])
            .arg("--catalog")
            .arg(catalog)
            .args(args)
            .envs(environment.iter().copied())
            .stdout(log.try_clone().expect("a file"))
            .stderr(log)
            .spawn()
            .expect("meridian up starts")
    }

    /// The mesh's directory.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.dir.path().join("mesh")
    }

    /// What `up` says of itself.
    #[must_use]
    pub fn describe(&self) -> Option<Value> {
        serde_json::from_slice(&std::fs::read(self.data().join("mesh.json")).ok()?).ok()
    }

    /// Waits until `done` holds, or says that it does not.
    pub fn wait_until(&mut self, what: &str, mut done: impl FnMut(&Self) -> bool) {
        self.wait_for(what, |mesh| done(mesh).then_some(()).ok_or_else(String::new));
    }

    /// Waits until `look` finds something, or says why it found nothing the last time. The logs come
    /// first: what matters is then at the end of the output.
    pub(crate) fn wait_for<T>(
        &mut self,
        what: &str,
        mut look: impl FnMut(&Self) -> Result<T, String>,
    ) -> T {
        let mut found = Err("never looked".to_owned());
        within(PATIENCE, || {
            let ended = self.supervisor.try_wait().ok().flatten();
            found = match ended {
                Some(status) => Err(format!("meridian up ended with {status}")),
                None => look(self),
            };
            found.is_ok() || ended.is_some()
        });
        found.unwrap_or_else(|why| {
            self.show_logs();
            panic!("{what}: not within {PATIENCE:?}; {why}");
        })
    }

    fn show_logs(&mut self) {
        if !std::mem::replace(&mut self.logs_shown, true) {
            eprintln!("{}", self.logs());
        }
    }

    /// The ends of all logs that are text; a broker's segments are called by a number.
    fn logs(&self) -> String {
        let mut text = String::new();
        let mut dirs = vec![self.dir.path().to_path_buf()];
        while let Some(dir) = dirs.pop() {
            for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.is_dir() {
                    dirs.push(path);
                } else if path.extension().is_some_and(|e| e == "log")
                    && path.file_stem().is_some_and(|s| s.to_string_lossy().parse::<u64>().is_err())
                {
                    let log = String::from_utf8_lossy(&std::fs::read(&path).unwrap_or_default())
                        .into_owned();
                    let lines: Vec<&str> = log.lines().rev().take(40).collect();
                    let lines: Vec<&str> = lines.into_iter().rev().collect();
                    text += &format!("--- {}\n{}\n", path.display(), lines.join("\n"));
                }
            }
        }
        text
    }

    fn ready(&self) -> bool {
        REGIONS
            .iter()
            .all(|region| self.status(region).is_some_and(|status| status["ready"] == true))
    }

    /// A command line of `meridian` about this mesh.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        meridian(&self.data(), args)
    }

    /// What a region's gateway counts, in Prometheus' format.
    #[must_use]
    pub fn metrics(&self, region: &str) -> Option<String> {
        let mesh = self.describe()?;
        let url = mesh["regions"][region]["gateway"]["metrics"].as_str()?.to_owned();
        self.agent.get(format!("{url}/metrics")).call().ok()?.body_mut().read_to_string().ok()
    }

    /// One of the things it counts, over all labels.
    #[must_use]
    pub fn counter(&self, region: &str, name: &str) -> u64 {
        let text = self.metrics(region).unwrap_or_default();
        let lines = text.lines().filter(|line| line.starts_with(name));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
    }

    /// Changes links; see `meridian wan set`.
    pub fn wan(&self, args: &[&str]) {
        self.run(&[&["wan", "set"], args].concat());
    }

    /// Where all gateways send reads, and why; `None` while one does not answer.
    #[must_use]
    pub fn routes(&self) -> Option<Value> {
        let output = self.command(&["routes", "--json"]).output().ok()?;
        serde_json::from_slice(&output.stdout).ok()
    }

    /// Where a region's gateway sends reads; `None` while it does not answer.
    #[must_use]
    pub fn home(&self, region: &str) -> Option<String> {
        let output = self.command(&["routes", "--json", "--region", region]).output().ok()?;
        let table: Value = serde_json::from_slice(&output.stdout).ok()?;
        let routes = table[region]["routes"].as_array()?;
        let home = routes.iter().find(|route| route["home"] == true)?;
        Some(home["region"].as_str()?.to_owned())
    }

    /// Runs a command line to its end; its output must be a success.
    pub fn run(&self, args: &[&str]) -> String {
        let output = meridian(&self.data(), args).output().expect("meridian runs");
        let (out, err) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(
            output.status.success(),
            "meridian {args:?}: {}\n{out}{err}\n{}",
            output.status,
            self.logs()
        );
        out.into_owned()
    }

    /// Runs a command line that must be refused; what it says.
    #[must_use]
    pub fn refused(&self, args: &[&str]) -> String {
        let output = meridian(&self.data(), args).output().expect("meridian runs");
        assert!(!output.status.success(), "meridian {args:?} was to be refused");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    /// Writes the departures catalog, with this text of it replaced; where to.
    #[must_use]
    pub fn catalog_with(&self, old: &str, new: &str) -> String {
        write_catalog(self.dir.path(), old, new).to_str().expect("a path").to_owned()
    }

    /// Starts a command line in the background.
    #[must_use]
    pub fn spawn_command(&self, args: &[&str]) -> Child {
        let command = &mut meridian(&self.data(), args);
        command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("meridian runs")
    }

    /// A region's part of `meridian status --json`; `None` while it does not answer.
    #[must_use]
    pub fn status(&self, region: &str) -> Option<Value> {
        let output = meridian(&self.data(), &["status", "--json"]).output().ok()?;
        let status: Value = serde_json::from_slice(&output.stdout).ok()?;
        let regions = status.get("regions")?;
        regions.get(region).filter(|r| r.get("error").is_none()).cloned()
    }

    /// Posts JSON to a region's gateway. The status and the body.
    #[must_use]
    pub fn post(&self, region: &str, path: &str, body: &Value) -> Option<(u16, Value)> {
        self.post_with(region, path, body, &[])
    }

    /// The same with these headers.
    #[must_use]
    pub fn post_with(
        &self,
        region: &str,
        path: &str,
        body: &Value,
        headers: &[(&str, &str)],
    ) -> Option<(u16, Value)> {
        let mesh = self.describe()?;
        let http = mesh["regions"][region]["gateway"]["http"].as_str()?.to_owned();
        let url = format!("http://{}{path}", http.trim_start_matches("http://"));
        let request = headers
            .iter()
            .fold(self.agent.post(url), |request, (name, value)| request.header(*name, *value));
        let mut response = request.send_json(body).ok()?;
        let status = response.status().as_u16();
        let body = response.body_mut().with_config().limit(256 << 20).read_json();
        Some((status, body.unwrap_or(Value::Null)))
    }

    /// SIGKILLs a process of a region (`node`, `node-2`, `gateway`, `broker`, …) by the id in `mesh.json`; the supervisor restarts it. False if
    /// it was down from the last time.
    pub fn kill(&self, region: &str, process: &str) -> bool {
        self.signal(region, process, Signal::SIGKILL)
    }

    /// Sends a signal to a process of a region; false if it is down.
    pub fn signal(&self, region: &str, process: &str, signal: Signal) -> bool {
        let mesh = self.describe().expect("mesh.json");
        let processes = &mesh["regions"][region];
        let pid = match process {
            "broker" | "mirror_maker" => &processes["kafka"]["own"][process],
            "mirror" => &processes["kafka"]["mirror"]["pid"],
            "node-2" => &processes["other_nodes"][0]["pid"],
            _ => &processes[process]["pid"],
        };
        let pid = pid.as_i64();
        let pid = pid.and_then(|pid| i32::try_from(pid).ok());
        pid.is_some_and(|pid| kill(Pid::from_raw(pid), signal).is_ok())
    }

    /// Waits until every region has folded its log to the end, and all hold the same.
    pub fn wait_until_equal(&mut self) -> String {
        self.wait_for("all regions hold the same", Self::equal)
    }

    /// The digest that all nodes agree on, if they do and nothing is left to fold; or what is
    /// missing.
    fn equal(&self) -> Result<String, String> {
        let output = meridian(&self.data(), &["status", "--json"]).output();
        let output = output.map_err(|error| error.to_string())?;
        let status: Value =
            serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())?;
        let mut digests = BTreeMap::new();
        let mut positions = BTreeMap::new();
        for region in REGIONS {
            for node in nodes(&status["regions"][region]) {
                let digest = node["digest"].as_str().ok_or(format!("{region}: {node}"))?;
                let warnings = node["warnings"].to_string();
                if warnings.contains("where the log ends is not known") {
                    return Err(format!("{region}: {warnings}"));
                }
                digests.insert(digest.to_owned(), region);
                positions.insert(settled(node).map_err(|why| format!("{region}: {why}"))?, region);
            }
        }
        match (digests.len(), positions.len()) {
            (1, 1) => digests.into_keys().next().ok_or_else(String::new),
            _ => Err(format!("digests {digests:?}, positions {positions:?}")),
        }
    }
}

/// What each node of a region says of itself.
pub(crate) fn nodes(region: &Value) -> Vec<&Value> {
    region["nodes"].as_array().map_or_else(|| vec![region], |nodes| nodes.iter().collect())
}

/// How far a node has folded each origin, if it is proven and nothing is left; else what is not.
fn settled(node: &Value) -> Result<Vec<([String; 3], u64)>, String> {
    let origins = node["origins"].as_array().filter(|origins| !origins.is_empty());
    let mut nexts = Vec::new();
    for origin in origins.ok_or("no origins")? {
        let (next, end) = (origin["next"].as_u64(), origin["log_end"].as_u64());
        let Some(next) = next.filter(|_| origin["proven_shards"] == node["shards"]) else {
            return Err(format!("not proven: {origin}"));
        };
        if end.is_some_and(|end| end != next) {
            return Err(format!("not folded: {origin}"));
        }
        nexts.push((["region", "plan", "partition"].map(|key| origin[key].to_string()), next));
    }
    nexts.sort();
    Ok(nexts)
}

impl Mesh {
    /// Ends all processes; what they wrote stays until the mesh is dropped.
    pub fn stop(&mut self) {
        // The id is ours until it has been waited for.
        if let (Ok(None), Ok(pid)) =
            (self.supervisor.try_wait(), i32::try_from(self.supervisor.id()))
        {
            _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
        _ = self.supervisor.wait();
    }

    /// The digest of every (region, plan, partition), as `region` sees it.
    #[must_use]
    pub fn digests(&self, region: &str) -> BTreeMap<(String, String, u32), String> {
        let status = self.status(region).expect("a status");
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        let origins = status["origins"].as_array().expect("origins").iter();
        let number = |value: &Value| value.as_u64().and_then(|n| u32::try_from(n).ok());
        origins
            .map(|origin| {
                let partition = number(&origin["partition"]).expect("a partition");
                let key = (text(&origin["region"]), text(&origin["plan"]), partition);
                (key, text(&origin["digest"]))
            })
            .collect()
    }
}

impl Drop for Mesh {
    fn drop(&mut self) {
        self.stop();
        if std::thread::panicking() {
            self.show_logs();
        }
    }
}
