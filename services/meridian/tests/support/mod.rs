//! Runs the real binary, and meshes of real processes that end with the test.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use flate2::{Compression, write::GzEncoder};
use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;
use testkit::within;

/// The source of the catalog that `init` writes.
pub(crate) const STARTER_SOURCE: &str = "clicks";
/// Far more than anything needs, as machines are noisy.
const PATIENCE: Duration = Duration::from_secs(120);

/// A command line.
pub(crate) struct Line(Command);

/// What came of one.
pub(crate) struct Outcome(Output);

/// `meridian ARGS`.
pub(crate) fn meridian(args: &[&str]) -> Line {
    let mut command = Command::new(env!("CARGO_BIN_EXE_meridian"));
    command.args(args).stdin(Stdio::null()).env_remove("MERIDIAN_DATA");
    Line(command)
}

impl Line {
    /// About the mesh in this directory.
    pub(crate) fn data(mut self, data: &Path) -> Self {
        self.0.arg("--data").arg(data);
        self
    }

    /// Runs to its end.
    pub(crate) fn run(mut self) -> Outcome {
        Outcome(self.0.output().unwrap())
    }

    /// See [`Outcome::fails`].
    pub(crate) fn fails(self) -> String {
        self.run().fails()
    }

    /// See [`Outcome::refuses`].
    pub(crate) fn refuses(self) -> String {
        self.run().refuses()
    }

    /// See [`Outcome::succeeds`].
    pub(crate) fn succeeds(self) -> String {
        self.run().succeeds()
    }
}

impl Outcome {
    /// Its standard output.
    pub(crate) fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.0.stdout).into_owned()
    }

    /// It failed and said why in one line: that line.
    pub(crate) fn fails(&self) -> String {
        let error = self.refuses();
        assert_eq!(error.trim_end().lines().count(), 1, "{error}");
        error
    }

    /// It failed, and this is what it said.
    pub(crate) fn refuses(&self) -> String {
        let error = String::from_utf8_lossy(&self.0.stderr).into_owned();
        assert!(!self.0.status.success(), "it was to fail: {}", self.stdout());
        assert!(error.starts_with("error: "), "{error}");
        error
    }

    /// It went well, and this is what it printed.
    pub(crate) fn succeeds(&self) -> String {
        let error = String::from_utf8_lossy(&self.0.stderr);
        assert!(self.0.status.success(), "{error}");
        self.stdout()
    }
}

/// A directory with the catalog that `init` writes.
pub(crate) fn starter(dir: &Path) -> String {
    let catalog = dir.join("catalog").display().to_string();
    meridian(&["init", &catalog]).succeeds();
    catalog
}

/// A mesh that `meridian up` runs on ports of its own.
pub(crate) struct Mesh {
    dir: TempDir,
    up: Child,
}

impl Mesh {
    /// Starts it and waits until it is ready.
    pub(crate) fn start(regions: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        starter(dir.path());
        let up = Self::spawn(dir.path(), regions);
        let mut mesh = Self { dir, up };
        mesh.wait_ready();
        mesh
    }

    fn line(dir: &Path, regions: &[&str]) -> Line {
        let catalog = dir.join("catalog").display().to_string();
        let regions = regions.join(",");
        let args = ["up", "--catalog", &catalog, "--regions", &regions, "--base-port", "0"];
        meridian(&args).data(&dir.join("mesh"))
    }

    fn spawn(dir: &Path, regions: &[&str]) -> Child {
        let log = std::fs::File::create(dir.join("up.log")).unwrap();
        let mut line = Self::line(dir, regions);
        // If this test dies, the pipe ends, and the mesh with it.
        line.0.arg("--exit-with-parent").stdin(Stdio::piped());
        line.0.stdout(Stdio::null()).stderr(log).spawn().unwrap()
    }

    /// A second `up` on the same directory.
    pub(crate) fn up_again(&self, regions: &[&str]) -> Outcome {
        Self::line(self.dir.path(), regions).run()
    }

    /// Starts it again after it has ended.
    pub(crate) fn restart(&mut self, regions: &[&str]) {
        self.up = Self::spawn(self.dir.path(), regions);
        self.wait_ready();
    }

    fn wait_ready(&mut self) {
        let log = self.path("up.log");
        let log = || std::fs::read_to_string(&log).unwrap_or_default();
        let ready = within(PATIENCE, || {
            assert!(self.up.try_wait().unwrap().is_none(), "up ended: {}", log());
            self.is_ready()
        });
        assert!(ready, "up is not ready: {}", log());
    }

    /// A path beside the mesh's data.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Runs a command about this mesh.
    pub(crate) fn run(&self, args: &[&str]) -> Outcome {
        meridian(args).data(&self.path("mesh")).run()
    }

    /// `status --json`.
    pub(crate) fn status(&self) -> Value {
        serde_json::from_str(&self.run(&["status", "--json"]).succeeds()).unwrap()
    }

    /// Whether `up` is done and every region's node says that it is ready.
    pub(crate) fn is_ready(&self) -> bool {
        let supervisor = &self.described()["supervisor"];
        // What a supervisor left behind that was killed says nothing of this one.
        let ready = supervisor["pid"] == self.up.id() && supervisor["ready"] == true;
        ready && self.status()["regions"].as_object().unwrap().values().all(|r| r["ready"] == true)
    }

    fn described(&self) -> Value {
        let text = std::fs::read(self.path("mesh/mesh.json")).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    /// The process that runs there, as mesh.json has it.
    pub(crate) fn pid(&self, region: &str, role: &str) -> Option<i32> {
        let pid = self.described()["regions"][region][role]["pid"].as_i64()?;
        Some(i32::try_from(pid).unwrap())
    }

    /// Waits for something that must come true.
    pub(crate) fn wait_until(&self, what: &str, done: impl Fn(&Self) -> bool) {
        let status = || self.run(&["status", "--json"]).stdout();
        assert!(within(PATIENCE, || done(self)), "{what}: not within {PATIENCE:?}: {}", status());
    }

    /// Waits for the end of `up`.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        self.up.wait().unwrap()
    }

    /// SIGKILL, as an out-of-memory killer would.
    pub(crate) fn kill_supervisor(&mut self) {
        self.up.kill().unwrap();
        self.up.wait().unwrap();
    }
}

impl Drop for Mesh {
    fn drop(&mut self) {
        // Its children notice, and end too.
        let _already_gone = self.up.kill();
        let _reaped = self.up.wait();
    }
}

/// SIGKILL.
pub(crate) fn kill(pid: i32) {
    signal::kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
}

/// Whether a process runs; one that is only to be reaped does not.
pub(crate) fn is_alive(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit(") ").next().and_then(|rest| rest.chars().next());
    state.is_some_and(|state| state != 'Z')
}

/// Packed.
pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    std::io::Write::write_all(&mut encoder, bytes).unwrap();
    encoder.finish().unwrap()
}

/// The number in front of `words`.
pub(crate) fn number_before(text: &str, words: &str) -> u64 {
    let before = text.split(words).next().unwrap();
    before.split_whitespace().last().unwrap().parse().unwrap()
}

/// As the command line prints counts.
pub(crate) fn grouped(n: u64) -> String {
    if n < 1_000 { n.to_string() } else { format!("{},{:03}", n / 1_000, n % 1_000) }
}
