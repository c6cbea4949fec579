//! January's departures in parts, dirtied by a seed: a part for each fault.

use std::collections::BTreeMap;
use std::process::Child;

use checkers::flights::{REGIONS, lines};
use checkers::{Broken, Injected, Oracle, inject};
use tempfile::TempDir;

use crate::Mesh;
use crate::story::dead_letters_are;

/// What is still to be sent, and what the mesh must know of what was.
pub struct Feed {
    seed: u64,
    waiting: BTreeMap<&'static str, Vec<Vec<String>>>,
    clean: Vec<String>,
    sent: BTreeMap<&'static str, Vec<String>>,
    broken: BTreeMap<&'static str, Vec<Broken>>,
}

impl Feed {
    /// All of January in so many parts.
    #[must_use]
    pub fn new(seed: u64, parts: usize) -> Self {
        println!("injector seed {seed}");
        let split = |region| {
            let lines = lines(region);
            let mut chunks: Vec<Vec<String>> =
                lines.chunks(lines.len().div_ceil(parts)).map(<[String]>::to_vec).collect();
            chunks.reverse();
            (region, chunks)
        };
        let waiting = REGIONS.map(split).into();
        let (sent, broken) = (BTreeMap::new(), BTreeMap::new());
        Self { seed, waiting, clean: Vec::new(), sent, broken }
    }

    /// Begins to send the next part, each region's through its own gateway.
    pub fn send(&mut self, mesh: &Mesh) -> Sending {
        self.seed += 1;
        let seed = self.seed;
        self.send_as(mesh, |lines| inject(seed, lines))
    }

    /// The same as it is: while a topic grows, a repeated event need not meet its twin.
    pub fn send_once_each(&mut self, mesh: &Mesh) -> Sending {
        self.send_as(mesh, |lines| Injected {
            lines: lines.to_vec(),
            clean: lines.to_vec(),
            broken: Vec::new(),
            repeats: 0,
        })
    }

    fn send_as(&mut self, mesh: &Mesh, dirty: impl Fn(&[String]) -> Injected) -> Sending {
        let dir = tempfile::tempdir().expect("a directory");
        let mut children = Vec::new();
        for (region, waiting) in &mut self.waiting {
            let injected = dirty(&waiting.pop().expect("another part"));
            let path = dir.path().join(format!("{region}.jsonl"));
            std::fs::write(&path, injected.lines.join("\n") + "\n").expect("a file");
            let path = path.to_str().expect("a path");
            children.push(mesh.spawn_command(&["ingest", "departures", path, "--region", region]));
            self.clean.extend(injected.clean);
            self.sent.entry(region).or_default().extend(injected.lines);
            self.broken.entry(region).or_default().extend(injected.broken);
        }
        Sending { children, _dir: dir }
    }

    /// What SQL says of everything sent.
    #[must_use]
    pub fn oracle(&self) -> Oracle {
        Oracle::load(self.clean.iter().map(String::as_str))
    }

    /// What was sent to a region, and what of it broke the contract.
    #[must_use]
    pub fn sent(&self, region: &str) -> (&[String], &[Broken]) {
        (&self.sent[region], &self.broken[region])
    }

    /// Each broken event is one dead letter, and there are no others.
    pub fn check_dead_letters(&self, mesh: &Mesh) {
        self.broken.iter().for_each(|(region, broken)| dead_letters_are(mesh, region, broken));
    }
}

/// A part on its way.
#[must_use]
pub struct Sending {
    children: Vec<Child>,
    // After the children, which read it.
    _dir: TempDir,
}

impl Sending {
    /// Waits until all of it is durable in its region.
    pub fn finish(self) {
        for child in self.children {
            let output = child.wait_with_output().expect("ingest ends");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
    }
}
