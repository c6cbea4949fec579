//! What a gateway costs beside servers that do nothing: requests per CPU-second of the gateway and
//! its node together, in the same run, under the same load, with messages of the same size.
//!
//! The gateway and the node are a region of a mesh as `meridian up` starts it; the empty servers are
//! a process of their own, with the same runtime and allocator. The load comes from this process,
//! whose time is not counted. Cases take turns, and the median of their rounds counts, as the machine
//! is shared.

#![allow(clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::unwrap_used)]

mod cases;
mod cpu;
mod echo;
mod load;
mod question;

use std::time::Duration;

use cases::{Case, Taken};
use cluster::Mesh;
use cluster::faults::calm;
use echo::Echo;
use load::Load;

/// What the gateway's process has too.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(2);
/// Under load: connections, and requests under way on each.
const GRPC: Load = Load { connections: 8, lanes: 8, time: ROUND };
const HTTP: Load = Load { connections: 64, lanes: 1, time: ROUND };
/// One request after the other: what a caller waits who is alone.
const ALONE: Load = Load { connections: 1, lanes: 1, time: Duration::from_millis(700) };

fn main() {
    let mut args = std::env::args().skip(1);
    if args.next().as_deref() == Some("echo") {
        let dir = args.next().expect("the directory of the answers");
        return echo::serve(&dir, args.next());
    }
    let mut mesh = Mesh::start();
    question::fill(&mut mesh);
    mesh.wait_until("the mesh is calm", calm);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(measure(&mesh));
}

async fn measure(mesh: &Mesh) {
    let region = cases::region(mesh);
    let answers = question::answers(&region).await;
    let echo = Echo::start(&answers);
    let front = Echo::in_front_of(&echo, &answers);
    let mut cases = cases::all(&region, &echo, &front);
    if let Some(part) = std::env::args().skip(1).find(|arg| !arg.starts_with("--")) {
        cases.retain(|case| case.floor.is_none() || case.name.contains(&part));
    }
    let mut taken: Vec<Taken> = cases.iter().map(|_| Taken::default()).collect();
    for _ in 0..ROUNDS {
        for (case, taken) in cases.iter().zip(&mut taken) {
            taken.under_load.push(case.run(if case.is_http() { HTTP } else { GRPC }).await);
            taken.alone.push(case.run(ALONE).await);
        }
    }
    println!(
        "{ROUNDS} rounds of {ROUND:?}, medians; {} requests under way, then one at a time\n",
        GRPC.connections * GRPC.lanes
    );
    println!(
        "{:<34}{:>8}{:>9}{:>12}{:>9}{:>7}{:>9}{:>9}{:>10}",
        "", "req/s", "p99 us", "req/CPU-s", "of echo", "floor", "", "p50 us", "added us"
    );
    for (case, of) in cases.iter().zip(&taken) {
        print(case, of, &taken[case.echo]);
    }
}

fn print(case: &Case, taken: &Taken, echo: &Taken) {
    let per_cpu = taken.per_cpu_second();
    let share = per_cpu / echo.per_cpu_second();
    let (floor, held) = match case.floor {
        Some(floor) => (format!("{floor:.2}"), if share >= floor { "holds" } else { "missed" }),
        None => (String::new(), ""),
    };
    let (p50, added) = (taken.alone_us(), taken.alone_us().saturating_sub(echo.alone_us()));
    println!(
        "{:<34}{:>8.0}{:>9}{:>12.0}{:>9.2}{:>7}{:>9}{:>9}{:>10}",
        case.name,
        taken.per_second(),
        taken.p99_us(),
        per_cpu,
        share,
        floor,
        held,
        p50,
        added
    );
}
