//! `demo departures`: January's flights through three regions, and the loss of one of them. Every
//! claim that it prints is checked; one that does not hold ends it.

mod outage;
mod stage;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use api::GetFeaturesResponse;
use api::v1::{GetFeaturesRequest, ReadOptions, Value, ValueList, value::Kind};
use clock::Env;
use futures::future::try_join_all;

use super::status::{self, Answers};
use crate::adapt::catalog::Known;
use crate::cli::DemoArgs;
use crate::client::{self, request};
use crate::error::{CliError, Result};
use crate::ingest::{self, Job};
use crate::mesh::Mesh;
use crate::{out, value};

pub(super) const REGIONS: [&str; 3] = ["ewr", "jfk", "lga"];
/// The region that is lost.
pub(super) const LOST: &str = "ewr";
const SOURCE: &str = "departures";
const AS_OF: &str = "2013-02-01T00:00:00Z";
const KEYS: [(&str, &str); 3] = [("tailnum", "N608JB"), ("carrier", "B6"), ("origin", "JFK")];
/// What is shown of the model's features.
const SHOWN: [&str; 6] = [
    "plane_delays__departures_30d",
    "plane_delays__delay_30d",
    "plane_delays__delay_p90_30d",
    "plane_delays__destinations_30d",
    "carrier_delays__late_share_7d",
    "airport_delays__delay_1h",
];
/// How long the regions may take to agree, ms.
const AGREE_MS: u64 = 60_000;
const LOOK_MS: u64 = 100;

/// Tells the story; the mesh is stopped at the end, also of a failure, unless it is to be kept.
///
/// # Errors
/// The examples, the mesh, or a claim that does not hold.
pub(super) async fn run(args: &DemoArgs, env: Arc<dyn Env>) -> Result<()> {
    let stage = stage::Stage::set(args, &env).await?;
    let told = tell(args, &stage.mesh()?, &env).await;
    stage.clear(args.keep, &env).await;
    told
}

async fn tell(args: &DemoArgs, mesh: &Mesh, env: &Arc<dyn Env>) -> Result<()> {
    out::line("three regions are up, two processes each");
    let events = replay(args, mesh, env).await?;
    let answers = agreed(mesh, env).await?;
    print_counts(&answers, events)?;
    read_everywhere(mesh).await?;
    outage::lose_a_region(mesh, env).await?;
    let answers = agreed(mesh, env).await?;
    out::line(format!("\n{LOST} is back; all three regions agree again: {}", digest(&answers)));
    Ok(())
}

/// Replays all three files at once.
async fn replay(args: &DemoArgs, mesh: &Mesh, env: &Arc<dyn Env>) -> Result<u64> {
    let source = Known::of(&mut client::any_node(mesh).await?).await?.source(SOURCE)?;
    let file = |region: &str| args.examples.join(format!("departures/data/{region}.jsonl.gz"));
    let files: Vec<_> = REGIONS.iter().map(|region| file(region)).collect();
    let bar = out::bar(ingest::size_bytes(&files)?, "{bar:40} {percent} %  {msg}");
    let (start_ms, read_bytes) = (env.now_ms(), Arc::new(AtomicU64::new(0)));
    let sum = AtomicU64::new(0);
    let acknowledged = |more: u64| {
        let order = std::sync::atomic::Ordering::Relaxed;
        bar.set_position(read_bytes.load(order));
        bar.set_message(format!("{} events", out::count(sum.fetch_add(more, order) + more)));
    };
    let feeds = REGIONS.iter().zip(files).map(|(region, file)| {
        let job = Job {
            mesh: mesh.clone(),
            region: (*region).to_owned(),
            source: source.clone(),
            files: vec![file],
            speed: None,
            read_bytes: read_bytes.clone(),
        };
        async {
            let (delivered, outcome) = ingest::feed(job, env, acknowledged).await;
            outcome.map(|()| delivered.events)
        }
    });
    let events: u64 = try_join_all(feeds).await?.into_iter().sum();
    bar.finish_and_clear();
    let ms = u64::try_from(env.now_ms() - start_ms).unwrap_or(0);
    out::line(format!("January replayed: {} events in {ms} ms", out::count(events)));
    Ok(events)
}

/// Waits until nothing lags and all digests are equal.
pub(super) async fn agreed(mesh: &Mesh, env: &Arc<dyn Env>) -> Result<Answers> {
    let mut why = String::new();
    let agree = async {
        loop {
            let answers = status::ask_all(mesh).await;
            match status::disagreement(&answers) {
                None => return answers,
                Some(reason) => why = reason,
            }
            env.sleep_ms(LOOK_MS).await;
        }
    };
    let agreed = clock::timeout(env, AGREE_MS, agree).await;
    agreed.map_err(|_| CliError::Claim(format!("the regions are to agree, but {why}")))
}

fn digest(answers: &Answers) -> String {
    let first = answers.iter().find_map(|(_, answer)| answer.as_ref().ok());
    first.map(|status| status::short(&status.digest)).unwrap_or_default()
}

fn print_counts(answers: &Answers, events: u64) -> Result<()> {
    let mut table =
        out::table(["region", "folded", "skipped", "repeated", "dead letters", "panes", "digest"]);
    out::right(&mut table, &[1, 2, 3, 4, 5]);
    let mut accounted = 0;
    for (region, answer) in answers {
        let Ok(status) = answer else { continue };
        let counts = status.folded.get(SOURCE).copied().unwrap_or_default();
        accounted += counts.folded + counts.skipped + counts.repeated + counts.dead_lettered;
        let numbers =
            [counts.folded, counts.skipped, counts.repeated, counts.dead_lettered, status.panes];
        let row = std::iter::once(region.clone()).chain(numbers.map(out::count));
        table.add_row(row.chain([status::short(&status.digest)]));
    }
    out::line(table.to_string());
    if accounted != events {
        let counted = out::count(accounted);
        return Err(CliError::Claim(format!(
            "{events} events were sent, {counted} are accounted for"
        )));
    }
    out::line("all three digests are equal: every region holds the same panes");
    Ok(())
}

/// Reads the model from every gateway: the answers must be the same.
async fn read_everywhere(mesh: &Mesh) -> Result<()> {
    let keys: Vec<String> = KEYS.iter().map(|(key, value)| format!("{key}={value}")).collect();
    out::line(format!("\ndeparture_model for {} as of {AS_OF}", keys.join(" ")));
    let mut table = out::table([
        "feature",
        "from ewr",
        "from jfk",
        "from lga",
        "of ewr alone",
        "of jfk",
        "of lga",
    ]);
    out::right(&mut table, &[1, 2, 3, 4, 5, 6]);
    let mut columns = Vec::new();
    for region in REGIONS {
        columns.push(read(mesh, region, &[], true).await?);
    }
    let same = columns.windows(2).all(|pair| pair[0].results == pair[1].results);
    for region in REGIONS {
        let others: Vec<&str> = REGIONS.into_iter().filter(|other| *other != region).collect();
        columns.push(read(mesh, LOST, &others, true).await?);
    }
    for name in SHOWN {
        let cells = columns.iter().map(|answer| shown(answer, name));
        table.add_row(std::iter::once(name.to_owned()).chain(cells));
    }
    out::line(table.to_string());
    if !same {
        return Err(CliError::Claim("the three regions are to answer the same".into()));
    }
    let departures: Vec<i64> =
        columns.iter().filter_map(|answer| whole(answer, SHOWN[0])).collect();
    if departures.len() != columns.len() || departures[0] != departures[3..].iter().sum::<i64>() {
        return Err(CliError::Claim(format!("the regions' parts are to add up: {departures:?}")));
    }
    out::line("every gateway gives the same values");
    Ok(())
}

/// The answer of one region's gateway, leaving out the events of some regions.
pub(super) async fn read(
    mesh: &Mesh,
    region: &str,
    exclude: &[&str],
    as_of: bool,
) -> Result<GetFeaturesResponse> {
    let mut gateway = client::gateway(mesh, region).await?;
    let failed = gateway.failed();
    let text = |text: &str| Value { kind: Some(Kind::StringValue(text.to_owned())) };
    let column =
        |(key, value): (&str, &str)| (key.to_owned(), ValueList { values: vec![text(value)] });
    let as_of_ms = clock::parse_timestamp_ms(AS_OF).ok().filter(|_| as_of);
    let asked = GetFeaturesRequest {
        feature_service: "departure_model".into(),
        entities: KEYS.map(column).into(),
        full_feature_names: true,
        options: Some(ReadOptions {
            as_of_ms,
            exclude_regions: exclude.iter().map(|region| (*region).to_owned()).collect(),
            ..ReadOptions::default()
        }),
        ..GetFeaturesRequest::default()
    };
    Ok(gateway.client.get_features(request(asked)).await.map_err(failed)?.into_inner())
}

fn cell(answer: &GetFeaturesResponse, feature: &str) -> Option<Value> {
    let at = answer.feature_names.iter().position(|name| name == feature)?;
    answer.columns().ok()?.into_iter().nth(at)?.values.into_iter().next()
}

fn shown(answer: &GetFeaturesResponse, feature: &str) -> String {
    value::shown(cell(answer, feature).as_ref())
}

fn whole(answer: &GetFeaturesResponse, feature: &str) -> Option<i64> {
    match cell(answer, feature)?.kind {
        Some(Kind::IntValue(count)) => Some(count),
        _ => None,
    }
}
