//! A mirror of a region beside the one that `up` runs.

use std::process::{Child, Command, Stdio};

use crate::Mesh;
use crate::mesh::{base_port, binary};

/// A running mirror; killed when dropped.
pub struct SecondMirror {
    child: Child,
    metrics: String,
    agent: ureq::Agent,
}

impl SecondMirror {
    /// Starts one with the settings of the region's own, on other ports.
    #[must_use]
    pub fn start(mesh: &Mesh, region: &str) -> Self {
        let port = base_port();
        let (grpc, metrics) = (format!("127.0.0.1:{port}"), format!("127.0.0.1:{}", port + 1));
        let dir = mesh.data().join(region);
        let log = std::fs::File::create(dir.join("second-mirror.log")).expect("a log");
        let mut command = Command::new(binary());
        command.arg("mirror").arg("--config").arg(dir.join("mirror.yaml"));
        command.args(["--grpc", &grpc, "--metrics", &metrics]).stdin(Stdio::null());
        let child = command.stdout(Stdio::null()).stderr(log).spawn().expect("a mirror");
        Self { child, metrics, agent: ureq::Agent::new_with_defaults() }
    }

    /// A metric of it, of what it reads from this region; `None` while it does not answer.
    #[must_use]
    pub fn metric(&self, name: &str, from: &str) -> Option<u64> {
        let url = format!("http://{}/metrics", self.metrics);
        let text = self.agent.get(url).call().ok()?.body_mut().read_to_string().ok()?;
        let start = format!("{name}{{from=\"{from}\"}} ");
        text.lines().find_map(|line| line.strip_prefix(&*start)?.parse().ok())
    }
}

impl Drop for SecondMirror {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}
