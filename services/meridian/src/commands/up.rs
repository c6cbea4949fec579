//! `up`: runs a mesh on this machine until it is told to end.

use std::path::Path;
use std::pin::pin;
use std::sync::Arc;

use api::v1::StatusRequest;
use clock::Env;

use super::serve::told_to_end;
use super::{apply, status};
use crate::adapt;
use crate::adapt::catalog::{self, Definitions};
use crate::cli::UpArgs;
use crate::client::{self, request};
use crate::error::{CliError, Result};
use crate::mesh::{Lock, Mesh, Region};
use crate::out;
use crate::supervisor::{Kafka, Layout, Supervision, supervise};
use crate::wan::Distances;

/// How long every process has to come up, ms.
const UP_MS: u64 = 60_000;
/// The same with brokers and MirrorMakers, which need half a minute on two cores.
const UP_WITH_KAFKA_MS: u64 = 240_000;
/// How long what an earlier supervisor left behind has to end, ms.
const LEFTOVERS_MS: u64 = 15_000;
/// How often processes are asked, ms.
const ASK_MS: u64 = 50;

/// Starts the processes of every region, applies the catalog, supervises.
///
/// # Errors
/// The catalog, the directory, a port; a process that does not come up.
pub(super) async fn run(args: &UpArgs, env: Arc<dyn Env>) -> Result<()> {
    let mut end = pin!(told_to_end(args.exit_with_parent)?);
    let definitions = catalog::compile(&args.catalog)?;
    let data = &args.mesh.data;
    std::fs::create_dir_all(data).map_err(CliError::file("make", data))?;
    let lock = Lock::take(data)?;
    let data = data.canonicalize().map_err(CliError::file("find", data))?;
    let before = Mesh::read(&data)?;
    if let Some(before) = &before {
        // Whoever was killed said that it was ready; nobody should believe that any more.
        Mesh { supervisor: None, ..before.clone() }.write(&data)?;
        leftovers_ended(before, &data, &env).await?;
    }
    let kafka = choose(args)?;
    let layout = Layout {
        mesh: definitions.project()?,
        catalog: args.catalog.canonicalize().map_err(CliError::file("find", &args.catalog))?,
        regions: args.regions.clone(),
        nodes: args.nodes,
        data: data.clone(),
        base_port: args.base_port,
        kafka,
        own_mirror: args.own_mirror,
        topics: adapt::node::names(&args.topics),
        wan: Distances::parse(&args.wan, &args.regions)?,
    };
    let mesh = layout.settle(before.as_ref())?;
    let (supervision, mesh, supervised) = supervise(env.clone(), data, mesh, lock).await?;
    let mut supervised = pin!(supervised);
    let outcome = tokio::select! {
        outcome = &mut supervised => return outcome,
        brought_up = bring_up(&mesh, &definitions, &env) => brought_up,
        () = &mut end => {
            return both(supervised, supervision.shutdown(false)).await;
        }
    };
    if let Err(error) = outcome {
        both(supervised, supervision.shutdown(false)).await?;
        return Err(error);
    }
    let keep = async {
        supervision.ready().await;
        announce(args, &mesh);
        end.await;
        supervision.shutdown(false).await;
        impatient(&supervision).await;
    };
    tokio::select! {
        outcome = &mut supervised => outcome,
        () = keep => supervised.await,
    }
}

/// What `--kafka` asks for.
fn choose(args: &UpArgs) -> Result<Kafka> {
    match args.kafka.as_slice() {
        [] => Ok(Kafka::None),
        [start] if start == "start" => {
            adapt::kafka::check(&args.kafka_home)?;
            let home = &args.kafka_home;
            let home = home.canonicalize().map_err(CliError::file("find", home))?;
            Ok(Kafka::Start { home })
        }
        clusters => Ok(Kafka::Existing(super::kafka::pairs(clusters)?)),
    }
}

/// A second signal ends everything at once.
async fn impatient(supervision: &Supervision) {
    out::trouble("stopping; once more to kill");
    if let Ok(again) = told_to_end(false) {
        again.await;
        supervision.shutdown(true).await;
    }
}

async fn both<T>(supervised: impl Future<Output = T>, order: impl Future<Output = ()>) -> T {
    let mut supervised = pin!(supervised);
    tokio::select! {
        outcome = &mut supervised => outcome,
        () = order => supervised.await,
    }
}

/// Waits for the processes, applies the catalog, waits until every region answers.
async fn bring_up(mesh: &Mesh, definitions: &Definitions, env: &Arc<dyn Env>) -> Result<()> {
    let own_kafka = |region: &Region| region.kafka.as_ref().is_some_and(|k| k.own.is_some());
    let on_own_kafka = mesh.regions.values().any(own_kafka);
    let spinner = out::spinner("starting");
    let come_up = async {
        for region in mesh.regions.keys() {
            spinner.set_message(format!("waiting for the node of {region}"));
            answers(mesh, region, env).await;
        }
        spinner.set_message("applying the catalog");
        while let Err(error) = apply::apply(mesh, definitions, &[], env).await {
            // Brokers and MirrorMakers come up meanwhile; to apply again changes nothing.
            if !on_own_kafka || !error.may_pass() {
                return Err(error);
            }
            env.sleep_ms(ASK_MS).await;
        }
        for region in mesh.regions.keys() {
            spinner.set_message(format!("waiting for {region} to be ready"));
            ready(mesh, region, env).await;
        }
        Ok(())
    };
    let up_ms = if on_own_kafka { UP_WITH_KAFKA_MS } else { UP_MS };
    let outcome = clock::timeout(env, up_ms, come_up).await;
    let waited_for = spinner.message();
    spinner.finish_and_clear();
    outcome.unwrap_or_else(|_| {
        Err(CliError::TooLate {
            what: format!("still {waited_for}"),
            seconds: up_ms / 1_000,
            hint: "the logs are in the data directory, DIR/REGION/node.log and gateway.log".into(),
        })
    })
}

async fn answers(mesh: &Mesh, region: &str, env: &Arc<dyn Env>) {
    loop {
        if let Ok(mut node) = client::node(mesh, region).await
            && node.client.status(request(StatusRequest {})).await.is_ok()
        {
            return;
        }
        env.sleep_ms(ASK_MS).await;
    }
}

/// Waits until a region's gateway answers that its node is ready.
pub(super) async fn ready(mesh: &Mesh, region: &str, env: &Arc<dyn Env>) {
    loop {
        if status::of_gateway(mesh, region).await.is_ok_and(|status| status.ready) {
            return;
        }
        env.sleep_ms(ASK_MS).await;
    }
}

/// Waits until the processes of a supervisor that was killed have noticed.
async fn leftovers_ended(before: &Mesh, data: &Path, env: &Arc<dyn Env>) -> Result<()> {
    let pids: Vec<u32> = before.regions.values().flat_map(Region::pids).collect();
    let ended = async {
        while pids.iter().any(|pid| is_meridian(*pid, data)) {
            env.sleep_ms(ASK_MS).await;
        }
    };
    clock::timeout(env, LEFTOVERS_MS, ended).await.map_err(|_| CliError::TooLate {
        what: "processes of an earlier `up` still run".into(),
        seconds: LEFTOVERS_MS / 1_000,
        hint: format!("end them: kill {}", join(&pids)),
    })
}

/// Whether that process is one of ours; a number is given away again. Kafka's are known by their
/// settings, which are in this mesh's directory.
fn is_meridian(pid: u32, data: &Path) -> bool {
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let line = String::from_utf8_lossy(&line);
    line.contains("--exit-with-parent") || line.contains(&*data.to_string_lossy())
}

fn join(pids: &[u32]) -> String {
    let pids: Vec<String> = pids.iter().map(u32::to_string).collect();
    pids.join(" ")
}

fn announce(args: &UpArgs, mesh: &Mesh) {
    let mut table = out::table(["region", "HTTP (Feast)", "gRPC", "metrics", "node"]);
    for (name, region) in &mesh.regions {
        let gateway = &region.gateway;
        let nodes: Vec<&str> = region.nodes().map(|node| node.grpc.as_str()).collect();
        let nodes = nodes.join("\n");
        table.add_row([name, &gateway.http, &gateway.grpc, &gateway.metrics, &nodes]);
    }
    out::line(table.to_string());
    let data = args.mesh.data.display();
    out::line(format!("mesh '{}' is up; {data}/mesh.json says what runs where", mesh.mesh));
    out::line(format!("Ctrl-C or `meridian down --data {data}` stops it"));
}
