//! Faults in the middle of a steady load, and what reads notice of them.
//!
//! Three regions, 1, 35 and 80 ms apart. Clients are near `ewr` and hold the list of all gateways, as a
//! name server gives it; each fault hits `ewr`, where their reads go: its processes, or the link from
//! its gateway to its node.

mod overload;
mod row;
mod samples;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use checkers::flights::{REGIONS, lines};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use testkit::within;

pub use self::overload::overload;
pub use self::row::{HEAD, Row};
pub use self::samples::{Sample, Samples};
use crate::Mesh;
use crate::mesh::root;

/// How far the regions are apart.
pub const WAN: &str = "ewr-jfk=1ms,ewr-lga=35ms,jfk-lga=80ms";

/// Where the reads go, and the faults.
const HOME: &str = "ewr";
/// Reads a second.
const RATE: u32 = 300;
/// How long the load runs before the fault, with it and after it.
const BEFORE: Duration = Duration::from_secs(8);
const DURING: Duration = Duration::from_secs(12);
const AFTER: Duration = Duration::from_secs(20);
/// Until the first reads have made their connections.
const START: Duration = Duration::from_secs(2);

/// What is done to a mesh, and undone.
pub struct Fault {
    /// As the table has it.
    pub name: &'static str,
    begin: fn(&Mesh),
    end: fn(&Mesh),
}

/// All but the overload, which needs a mesh whose capacity is known.
pub const FAULTS: [Fault; 11] = [
    Fault {
        name: "kill -9 node",
        begin: |mesh| _ = mesh.run(&["node", "stop", "ewr", "--kill"]),
        end: |mesh| _ = mesh.run(&["node", "start", "ewr"]),
    },
    Fault {
        name: "kill -9 node and gateway",
        begin: |mesh| _ = mesh.run(&["region", "stop", "ewr", "--kill"]),
        end: |mesh| _ = mesh.run(&["region", "start", "ewr"]),
    },
    Fault {
        name: "SIGSTOP node",
        begin: |mesh| assert!(mesh.signal("ewr", "node", Signal::SIGSTOP)),
        end: |mesh| assert!(mesh.signal("ewr", "node", Signal::SIGCONT)),
    },
    link("blackhole", |mesh| mesh.wan(&["ewr-ewr=blackhole"])),
    link("+500 ms", |mesh| mesh.wan(&["ewr-ewr=+500ms"])),
    link("30 % errors", |mesh| mesh.wan(&["ewr-ewr=errors:30"])),
    Fault {
        name: "stale data (mirror frozen)",
        begin: |mesh| {
            let frozen = ["ewr-jfk=blackhole", "ewr-lga=blackhole", "--only", "mirror"];
            mesh.wan(&[&frozen[..], &["--one-way"]].concat());
        },
        end: |mesh| mesh.wan(&["ewr-jfk=ok", "ewr-lga=ok"]),
    },
    link("slow drip (20 bytes/s)", |mesh| mesh.wan(&["ewr-ewr=drip:20"])),
    link("flapping every 2 s", |mesh| mesh.wan(&["ewr-ewr=flap:2s"])),
    Fault {
        name: "drain",
        begin: |mesh| _ = mesh.run(&["region", "drain", "ewr"]),
        end: |mesh| _ = mesh.run(&["region", "start", "ewr"]),
    },
    Fault {
        name: "clock of the node 30 s ahead",
        begin: |mesh| _ = mesh.run(&["node", "skew", "ewr", "30s"]),
        end: |mesh| _ = mesh.run(&["node", "skew", "ewr", "0s"]),
    },
];

const fn link(name: &'static str, begin: fn(&Mesh)) -> Fault {
    Fault { name, begin, end: |mesh| mesh.wan(&["ewr-ewr=ok"]) }
}

/// What a measurement reads: a month of flights, and the planes in it, the busiest first.
pub struct Readings {
    keys: PathBuf,
    _dir: tempfile::TempDir,
}

impl Readings {
    /// Brings them into the mesh.
    pub fn bring(mesh: &mut Mesh) -> Self {
        let mut flights = std::collections::BTreeMap::<String, u32>::new();
        for region in REGIONS {
            let path = root().join(format!("examples/departures/data/{region}.jsonl.gz"));
            mesh.run(&["ingest", "departures", path.to_str().expect("a path"), "--region", region]);
            for line in lines(region) {
                let event: Value = serde_json::from_str(&line).expect("JSON");
                if let Some(plane) = event["tailnum"].as_str() {
                    *flights.entry(plane.to_owned()).or_default() += 1;
                }
            }
        }
        mesh.wait_until_equal();
        let mut planes: Vec<_> = flights.into_iter().collect();
        planes.sort_by_key(|(plane, flights)| (std::cmp::Reverse(*flights), plane.clone()));
        let key = |(plane, _): &(String, u32)| json!({ "tailnum": plane }).to_string();
        let text: Vec<String> = planes.iter().map(key).collect();
        let dir = tempfile::tempdir().expect("a directory");
        let keys = dir.path().join("planes.jsonl");
        std::fs::write(&keys, text.join("\n")).expect("a file");
        Self { keys, _dir: dir }
    }
}

/// Reads at a constant rate, in the background.
struct Reads {
    child: Child,
    samples: PathBuf,
}

impl Reads {
    fn start(mesh: &Mesh, of: &Readings, rate: u32, time: Duration, gateways: &[&str]) -> Self {
        let samples = mesh.data().join(format!("samples-{rate}.csv"));
        let (rate, time) = (rate.to_string(), format!("{}ms", time.as_millis()));
        let path = |path: &Path| path.to_str().expect("a path").to_owned();
        let (keys, file) = (path(&of.keys), path(&samples));
        let mut args = vec!["load", "plane_delays", "--keys-file", &keys, "--samples", &file];
        args.extend(["--rate", &rate, "--duration", &time, "--json"]);
        gateways.iter().for_each(|gateway| args.extend(["--region", gateway]));
        let command = &mut mesh.command(&args);
        let child = command.stdout(Stdio::null()).stderr(Stdio::inherit()).spawn();
        Self { child: child.expect("meridian runs"), samples }
    }

    /// So long is a part of the experiment; a load that ends within it spoils it.
    fn go_on_for(&mut self, time: Duration) {
        let ended = || !matches!(self.child.try_wait(), Ok(None));
        assert!(!within(time, ended), "the load ended before its time");
    }

    fn end(mut self) -> Samples {
        let status = self.child.wait().expect("load ends");
        assert!(status.success(), "load: {status}");
        Samples::read(&self.samples)
    }
}

/// One fault, from a calm mesh to a calm mesh.
pub fn measure(mesh: &mut Mesh, fault: &Fault, readings: &Readings) -> Row {
    mesh.wait_until("the mesh is calm", calm);
    let counted = Counted::now(mesh);
    let mut reads = Reads::start(mesh, readings, RATE, START + BEFORE + DURING + AFTER, &REGIONS);
    reads.go_on_for(START + BEFORE);
    let begins_ms = now_ms();
    (fault.begin)(mesh);
    let begun_ms = now_ms();
    reads.go_on_for(DURING);
    let ends_ms = now_ms();
    (fault.end)(mesh);
    let samples = reads.end();
    let instants = row::Instants { begins_ms, begun_ms, ends_ms };
    let noticed = noticed_ms(mesh, begins_ms..ends_ms).map(|at_ms| at_ms - begins_ms);
    Row::new(fault.name, &samples, instants, noticed, Counted::now(mesh).since(&counted))
}

/// What gateways count, over all of them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counted {
    /// Reads that were asked of two regions.
    pub hedges: u64,
    /// Times that the home of `ewr`'s gateway moved.
    pub moves: u64,
}

impl Counted {
    fn now(mesh: &Mesh) -> Self {
        let hedges = REGIONS.map(|region| mesh.counter(region, "meridian_gateway_hedges_total"));
        Self {
            hedges: hedges.iter().sum(),
            moves: mesh.counter("ewr", "meridian_gateway_home_moves_total"),
        }
    }

    /// What came since then; all of it after a restart, which counts from nothing.
    fn since(self, before: &Self) -> Self {
        let more = |now: u64, before: u64| now.checked_sub(before).unwrap_or(now);
        Self { hedges: more(self.hedges, before.hedges), moves: more(self.moves, before.moves) }
    }
}

/// Whether every gateway reads at home, and thinks well of everybody.
#[must_use]
pub fn calm(mesh: &Mesh) -> bool {
    let Some(table) = mesh.routes() else { return false };
    REGIONS.iter().all(|region| {
        let routes = table[*region]["routes"].as_array();
        let fine = |route: &Value| {
            let home = route["region"] == **region;
            route["standing"] == "fit" && route["home"] == home && route["share_percent"] == 100
        };
        routes.is_some_and(|routes| routes.len() == 3 && routes.iter().all(fine))
    })
}

/// When `ewr`'s gateway first said that something was wrong, ms since the epoch.
fn noticed_ms(mesh: &Mesh, within_ms: Range<i64>) -> Option<i64> {
    const SIGNS: [&str; 4] =
        [" breaker ", "region lost", "reads go to another region", "lags its peers region"];
    let log = std::fs::read_to_string(mesh.data().join("ewr/gateway.log")).ok()?;
    let signs = log.lines().filter(|line| SIGNS.iter().any(|sign| line.contains(sign)));
    let times = signs.filter_map(|line| {
        let at_ms = clock::parse_timestamp_ms(line.split_whitespace().next()?).ok()?;
        within_ms.contains(&at_ms).then_some(at_ms)
    });
    times.min()
}

fn now_ms() -> i64 {
    clock::Env::now_ms(&clock::SystemEnv)
}
