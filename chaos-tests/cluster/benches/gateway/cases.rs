//! What is compared.

use bytes::Bytes;
use cluster::Mesh;

use crate::echo::Echo;
use crate::load::{self, Came, Load};
use crate::{cpu, question};

/// The region that is asked.
pub(crate) struct Region {
    pub(crate) grpc: String,
    pub(crate) http: String,
    /// Gateway and node.
    pids: [u64; 2],
}

pub(crate) fn region(mesh: &Mesh) -> Region {
    let mesh = mesh.describe().expect("mesh.json");
    let ewr = &mesh["regions"]["ewr"];
    let text = |key: &str| ewr["gateway"][key].as_str().expect("an address").to_owned();
    let pid = |process: &str| ewr[process]["pid"].as_u64().expect("an id");
    Region { grpc: text("grpc"), http: text("http"), pids: [pid("gateway"), pid("node")] }
}

/// One kind of request to one server.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// The case of the empty server, an index.
    pub(crate) echo: usize,
    /// The least share of the empty server's requests per CPU-second.
    pub(crate) floor: Option<f64>,
    address: String,
    /// Of gRPC; HTTP has none.
    path: Option<&'static str>,
    bodies: Vec<Bytes>,
    pids: Vec<u64>,
}

/// One round of a case.
pub(crate) struct Round {
    came: Came,
    cpu_s: f64,
}

/// All rounds of a case.
#[derive(Default)]
pub(crate) struct Taken {
    pub(crate) under_load: Vec<Round>,
    pub(crate) alone: Vec<Round>,
}

const READ: &str = "/meridian.v1.Mesh/GetFeatures";

/// The empty servers first, as others name their place.
pub(crate) fn all(region: &Region, echo: &Echo, front: &Echo) -> Vec<Case> {
    let (one, hundred) = (question::grpc(1, false), question::grpc(question::BATCH, false));
    let case = |name, echo, floor, path, bodies| {
        let (address, pids) = (region.grpc.clone(), region.pids.to_vec());
        Case { name, echo, floor, address, path, bodies, pids }
    };
    let empty = |name, echo_at, path, bodies| {
        let (address, pids) = (echo.grpc.clone(), vec![echo.pid()]);
        Case { name, echo: echo_at, floor: None, address, path: Some(path), bodies, pids }
    };
    let http = |case| Case { address: region.http.clone(), ..case };
    let (cached, cached_100) = (question::grpc(1, true), question::grpc(question::BATCH, true));
    let (json, json_cached) = (question::json(1, false), question::json(1, true));
    let hyper = Case {
        address: echo.http.clone(),
        path: None,
        ..empty("JSON: hyper, empty", 2, READ, json.clone())
    };
    let behind =
        |case| Case { address: front.grpc.clone(), pids: vec![front.pid(), echo.pid()], ..case };
    let (one_behind, batch_behind) = (
        empty("gRPC: tonic, empty, behind another", 0, "/echo/one-behind", one.clone()),
        empty("gRPC, 100 rows: empty, behind another", 1, "/echo/batch-behind", hundred.clone()),
    );
    vec![
        empty("gRPC: tonic, empty", 0, "/echo/one", one.clone()),
        empty("gRPC, 100 rows: tonic, empty", 1, "/echo/batch", hundred.clone()),
        hyper,
        behind(one_behind),
        behind(batch_behind),
        empty("gRPC: tonic, empty, of bytes", 0, "/echo/one-raw", one.clone()),
        empty("gRPC, 100 rows: tonic, of bytes", 1, "/echo/batch-raw", hundred.clone()),
        case("gRPC: from cache", 0, Some(0.8), Some(READ), cached),
        case("gRPC: through the node", 0, Some(0.35), Some(READ), one),
        case("gRPC, 100 rows: from cache", 1, Some(0.5), Some(READ), cached_100),
        case("gRPC, 100 rows: through the node", 1, Some(0.5), Some(READ), hundred),
        http(case("JSON: from cache", 2, Some(0.5), None, json_cached)),
        http(case("JSON: through the node", 2, Some(0.2), None, json)),
    ]
}

impl Case {
    pub(crate) fn is_http(&self) -> bool {
        self.path.is_none()
    }

    pub(crate) async fn run(&self, load: Load) -> Round {
        let before_s = cpu::seconds(&self.pids);
        let came = match self.path {
            Some(path) => load::grpc(&self.address, path, &self.bodies, load).await,
            None => load::http(&self.address, &self.bodies, load).await,
        };
        Round { came, cpu_s: cpu::seconds(&self.pids) - before_s }
    }
}

impl Taken {
    pub(crate) fn per_cpu_second(&self) -> f64 {
        median(self.under_load.iter().map(|round| round.came.requests as f64 / round.cpu_s))
    }

    pub(crate) fn per_second(&self) -> f64 {
        median(self.under_load.iter().map(|round| round.came.requests as f64 / round.came.seconds))
    }

    pub(crate) fn p99_us(&self) -> u64 {
        let p99 = |round: &Round| round.came.times.value_at_quantile(0.99) as f64;
        median(self.under_load.iter().map(p99)) as u64
    }

    /// The median of a request that is alone.
    pub(crate) fn alone_us(&self) -> u64 {
        let p50 = |round: &Round| round.came.times.value_at_quantile(0.5) as f64;
        median(self.alone.iter().map(p50)) as u64
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
