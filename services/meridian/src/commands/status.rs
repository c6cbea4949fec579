//! `status`: what every region knows of every other, and whether they agree.

use std::collections::BTreeMap;

use api::v1::{ClaimStatus, FoldCounts, MirrorStatus, OriginStatus, StatusRequest, StatusResponse};
use serde_json::{Value as Json, json};

use crate::cli::StatusArgs;
use crate::client::{self, request};
use crate::error::{CliError, Result};
use crate::mesh::Mesh;
use crate::{out, value};

/// What each node says, or why it does not. Named by its region, a second one with its number, as
/// commands name it: `ewr`, `ewr/2`.
pub(super) type Answers = Vec<(String, Result<StatusResponse>)>;

/// Asks every node and prints.
///
/// # Errors
/// No mesh runs here.
pub(super) async fn run(args: &StatusArgs) -> Result<()> {
    let mesh = Mesh::running(&args.mesh.data)?;
    let answers = ask_all(&mesh).await;
    if args.json {
        out::json(&as_json(&mesh, &answers));
    } else {
        print(&mesh, &answers);
    }
    Ok(())
}

/// Asks every node.
pub(super) async fn ask_all(mesh: &Mesh) -> Answers {
    let mut answers = Vec::new();
    for (region, number, _) in mesh.nodes() {
        let mut answer = of_node(mesh, region, number).await;
        if let Ok(status) = &mut answer
            && mesh.regions.get(region).is_some_and(|region| region.mirror().is_some())
        {
            status.mirrors = of_mirror(mesh, region).await;
        }
        answers.push((seat(region, number), answer));
    }
    answers
}

/// What a region's mirror says; that it does not answer is an error of each of its copies.
async fn of_mirror(mesh: &Mesh, region: &str) -> Vec<MirrorStatus> {
    let asked = async {
        let mut mirror = client::mirror(mesh, region).await?;
        let failed = mirror.failed();
        let status = mirror.client.status(request(api::mirror::v1::StatusRequest {})).await;
        Ok::<_, CliError>(status.map_err(failed)?.into_inner().mirrors)
    };
    asked.await.unwrap_or_else(|error| {
        let others = mesh.regions.keys().filter(|other| *other != region);
        let lost = |from: &String| MirrorStatus {
            from: from.clone(),
            error: error.to_string(),
            ..MirrorStatus::default()
        };
        others.map(lost).collect()
    })
}

fn seat(region: &str, number: usize) -> String {
    if number == 1 { region.to_owned() } else { format!("{region}/{number}") }
}

async fn of_node(mesh: &Mesh, region: &str, number: usize) -> Result<StatusResponse> {
    let mut node = client::nth_node(mesh, region, number).await?;
    let failed = node.failed();
    Ok(node.client.status(request(StatusRequest {})).await.map_err(failed)?.into_inner())
}

/// What a region's gateway says.
///
/// # Errors
/// It cannot be reached.
pub(super) async fn of_gateway(mesh: &Mesh, region: &str) -> Result<StatusResponse> {
    let mut gateway = client::gateway(mesh, region).await?;
    let failed = gateway.failed();
    Ok(gateway.client.status(request(StatusRequest {})).await.map_err(failed)?.into_inner())
}

/// Why the regions are not equal and quiet; none if they are.
pub(super) fn disagreement(answers: &Answers) -> Option<String> {
    let mut told = Vec::new();
    for (region, answer) in answers {
        match answer {
            Ok(status) => told.push((region, status)),
            Err(error) => return Some(error.to_string()),
        }
    }
    let mut ends = BTreeMap::new();
    for origin in told.iter().flat_map(|(_, status)| &status.origins) {
        if let Some(end) = origin.log_end {
            ends.insert((&origin.region, &origin.topic_id, origin.partition), end);
        }
    }
    for (region, status) in &told {
        if !status.ready {
            let why = status.warnings.first().map_or("no reason given", String::as_str);
            return Some(format!("{region} is not ready: {why}"));
        }
        for origin in &status.origins {
            let end = ends.get(&(&origin.region, &origin.topic_id, origin.partition));
            let behind = end.is_some_and(|end| origin.next < *end);
            if behind || origin.proven_shards < status.shards {
                return Some(format!("{region} lags behind {}", name(origin)));
            }
        }
    }
    let (_, first) = told.first()?;
    let other = told.iter().find(|(_, status)| status.digest != first.digest);
    other.map(|(region, _)| format!("the digest of {region} differs"))
}

fn name(origin: &OriginStatus) -> String {
    format!("{}/{}/{}", origin.region, origin.source, origin.partition)
}

fn print(mesh: &Mesh, answers: &Answers) {
    let head = ["region", "node", "gateway", "ready", "catalog", "panes", "saved", "digest"];
    let mut table = out::table(head);
    out::right(&mut table, &[5, 6]);
    let nodes = mesh
        .regions
        .values()
        .flat_map(|region| region.nodes().map(move |node| [node.pid, region.gateway.pid].map(pid)));
    for ((seat, answer), [node, gateway]) in answers.iter().zip(nodes) {
        let row = match answer {
            Ok(s) => [
                if s.ready { "yes".into() } else { "no".into() },
                s.generation.to_string(),
                out::count(s.panes),
                s.checkpoint_age_ms.map_or_else(|| "not yet".into(), saved),
                short(&s.digest),
            ],
            Err(_) => ["no answer".into(), "–".into(), "–".into(), "–".into(), "–".into()],
        };
        table.add_row([seat.clone(), node, gateway].into_iter().chain(row));
    }
    out::line(table.to_string());
    out::line("");
    print_origins(answers);
    out::line("");
    print_claims(answers);
    out::line("");
    print_copies(answers);
    out::line("");
    for (region, answer) in answers {
        match answer {
            Ok(status) => {
                status.warnings.iter().for_each(|w| out::line(format!("{region}: {w}")));
                let failing = status.mirrors.iter().filter(|m| !m.error.is_empty());
                failing.for_each(|m| out::line(format!("{region}: from {}: {}", m.from, m.error)));
            }
            Err(error) => out::line(format!("{region}: {error}")),
        }
    }
    out::line(match disagreement(answers) {
        None => "all regions are equal".to_owned(),
        Some(why) => format!("the regions are not equal now: {why}"),
    });
}

/// A line per origin and view: how far its own region has folded, and what the others have of it.
fn print_origins(answers: &Answers) {
    let head = ["origin", "view", "folded", "lag", "watermark"].into_iter();
    let mut table = out::table(head.chain(answers.iter().map(|(region, _)| region.as_str())));
    out::right(&mut table, &[2, 3]);
    let mut rows: BTreeMap<_, BTreeMap<&str, &OriginStatus>> = BTreeMap::new();
    for (region, answer) in answers {
        for origin in answer.iter().flat_map(|status| &status.origins) {
            let key = (name(origin), &origin.topic_id, &origin.view, &origin.plan);
            rows.entry(key).or_default().insert(region, origin);
        }
    }
    for ((name, _, view, _), by_region) in &rows {
        let owner = by_region.values().find(|o| o.log_end.is_some());
        let Some(most) = owner.or_else(|| by_region.values().next()) else { continue };
        let end = most.log_end.map_or_else(|| "?".into(), out::count);
        let cells = answers.iter().map(|(region, _)| match by_region.get(region.as_str()) {
            Some(o) => format!("{}, {}", o.state, out::age(o.age_ms)),
            None => "–".into(),
        });
        let row = [
            name.clone(),
            (*view).clone(),
            format!("{} of {end}", out::count(most.next)),
            lag(most).map_or_else(|| "?".into(), out::count),
            value::instant(most.watermark_ms),
        ];
        table.add_row(row.into_iter().chain(cells));
    }
    out::line(table.to_string());
}

/// A line per partition: which node folds it, and how fast.
fn print_claims(answers: &Answers) {
    let mut table = out::table(["partition", "held by", "commits/s", "events/s"]);
    out::right(&mut table, &[2, 3]);
    for (seat, answer) in answers {
        for claim in answer.iter().flat_map(|status| &status.claims) {
            let held = if claim.error.is_empty() { seat.clone() } else { format!("{seat} tries") };
            table.add_row([
                format!("{}/{}", claim.topic, claim.partition),
                held,
                format!("{:.0}", claim.commits_per_s),
                format!("{:.0}", claim.events_per_s),
            ]);
        }
    }
    out::line(table.to_string());
}

/// A line per node and region that it has a copy of: how far the copy is behind, and what the mirror
/// says, if it is ours.
fn print_copies(answers: &Answers) {
    let mut table = out::table(["copy in", "of", "behind", "to copy", "copied"]);
    out::right(&mut table, &[2, 3, 4]);
    for ((seat, of), behind_ms) in behind_ms(answers) {
        let status = answers.iter().find(|(name, _)| name == seat);
        let mirrors = status.iter().flat_map(|(_, answer)| answer).flat_map(|s| &s.mirrors);
        let mirror = mirrors.into_iter().find(|mirror| mirror.from == of);
        let [to_copy, copied] = match mirror {
            Some(mirror) => [mirror.lag, mirror.records].map(out::count),
            None => ["?".into(), "?".into()],
        };
        table.add_row([seat.to_owned(), of.to_owned(), out::age(behind_ms), to_copy, copied]);
    }
    out::line(table.to_string());
}

/// By node and region that it has a copy of: how much later than there the log is known to be complete
/// here, ms, by the clock of that region. Of its origins the one that is furthest behind.
fn behind_ms(answers: &Answers) -> BTreeMap<(&str, &str), i64> {
    let statuses =
        || answers.iter().filter_map(|(seat, answer)| Some((seat, answer.as_ref().ok()?)));
    let key =
        |origin: &OriginStatus| (origin.topic_id.clone(), origin.partition, origin.plan.clone());
    let origins = statuses().flat_map(|(_, status)| &status.origins);
    let owned = origins.filter(|origin| origin.log_end.is_some());
    let complete: BTreeMap<_, i64> =
        owned.map(|origin| ((&origin.region, key(origin)), origin.complete_to_ms)).collect();
    let mut behind = BTreeMap::new();
    for (seat, status) in statuses() {
        for copy in status.origins.iter().filter(|origin| origin.region != status.region) {
            let Some(there_ms) = complete.get(&(&copy.region, key(copy))) else { continue };
            let ms = there_ms.saturating_sub(copy.complete_to_ms).max(0);
            let most = behind.entry((seat.as_str(), copy.region.as_str())).or_insert(0);
            *most = ms.max(*most);
        }
    }
    behind
}

/// Events that are still to be folded, as far as its own region knows.
fn lag(origin: &OriginStatus) -> Option<u64> {
    origin.log_end.map(|end| end.saturating_sub(origin.next))
}

fn pid(pid: Option<u32>) -> String {
    pid.map_or_else(|| "stopped".into(), |pid| pid.to_string())
}

/// How old a checkpoint is.
fn saved(age_ms: u64) -> String {
    format!("{} ago", out::age(i64::try_from(age_ms).unwrap_or(i64::MAX)))
}

/// Enough of a digest to compare by eye.
pub(super) fn short(digest: &str) -> String {
    digest.get(..12).unwrap_or(digest).to_owned()
}

fn as_json(mesh: &Mesh, answers: &Answers) -> Json {
    let mut regions = serde_json::Map::new();
    let mut answers_left = answers.iter().map(|(_, answer)| answer);
    let behind_ms = behind_ms(answers);
    for (region, processes) in &mesh.regions {
        let of_region: Vec<_> = answers_left.by_ref().take(processes.nodes().count()).collect();
        let mut of = region_json(&of_region);
        of["processes"] = json!(processes);
        let copies = behind_ms.iter().filter(|((seat, _), _)| *seat == *region);
        of["behind_ms"] = copies.map(|((_, other), ms)| ((*other).to_owned(), json!(ms))).collect();
        regions.insert(region.clone(), of);
    }
    let why = disagreement(answers);
    json!({ "equal": why.is_none(), "why_not": why, "regions": regions })
}

/// A region by the first of its nodes that answers, and each node by itself where there are several.
fn region_json(nodes: &[&Result<StatusResponse>]) -> Json {
    let each = || {
        nodes.iter().map(|answer| match answer {
            Ok(status) => node_json(status),
            Err(error) => json!({ "error": error.to_string() }),
        })
    };
    let there = nodes.iter().position(|answer| answer.is_ok());
    let mut of = each().nth(there.unwrap_or(0)).unwrap_or_default();
    if nodes.len() > 1 {
        of["nodes"] = each().collect();
    }
    if there.is_some() {
        let answered = || nodes.iter().filter_map(|answer| answer.as_ref().ok());
        of["ready"] = nodes.iter().all(|a| a.as_ref().is_ok_and(|s| s.ready)).into();
        of["folded"] = folded_json(answered());
    }
    of
}

/// By source, what the folds of these nodes did.
fn folded_json<'a>(nodes: impl Iterator<Item = &'a StatusResponse>) -> Json {
    let mut folded: BTreeMap<&String, FoldCounts> = BTreeMap::new();
    for (source, n) in nodes.flat_map(|status| &status.folded) {
        let sum = folded.entry(source).or_default();
        sum.folded += n.folded;
        sum.skipped += n.skipped;
        sum.repeated += n.repeated;
        sum.dead_lettered += n.dead_lettered;
        sum.late += n.late;
    }
    let counts = |(source, n): (&String, FoldCounts)| {
        let counts = json!({
            "folded": n.folded, "skipped": n.skipped, "repeated": n.repeated,
            "dead_lettered": n.dead_lettered, "late": n.late,
        });
        (source.clone(), counts)
    };
    folded.into_iter().map(counts).collect()
}

fn node_json(status: &StatusResponse) -> Json {
    let mirrors: Vec<Json> = status
        .mirrors
        .iter()
        .map(|m| {
            let (from, error) = (&m.from, &m.error);
            json!({ "from": from, "error": error, "records": m.records, "lag": m.lag, "standby": m.standby })
        })
        .collect();
    json!({
        "ready": status.ready,
        "generation": status.generation,
        "shards": status.shards,
        "panes": status.panes,
        "digest": status.digest,
        "checkpoint_age_ms": status.checkpoint_age_ms,
        "warnings": status.warnings,
        "folded": folded_json(std::iter::once(status)),
        "mirrors": mirrors,
        "claims": status.claims.iter().map(claim_json).collect::<Vec<_>>(),
        "origins": status.origins.iter().map(origin_json).collect::<Vec<_>>(),
    })
}

fn claim_json(claim: &ClaimStatus) -> Json {
    json!({
        "topic": claim.topic,
        "partition": claim.partition,
        "error": claim.error,
        "commits_per_s": claim.commits_per_s,
        "events_per_s": claim.events_per_s,
    })
}

fn origin_json(origin: &OriginStatus) -> Json {
    json!({
        "region": origin.region,
        "source": origin.source,
        "topic_id": origin.topic_id,
        "partition": origin.partition,
        "view": origin.view,
        "plan": origin.plan,
        "next": origin.next,
        "log_end": origin.log_end,
        "lag": lag(origin),
        "watermark": origin.watermark_ms.map(clock::format_timestamp),
        "complete_to": clock::format_timestamp(origin.complete_to_ms),
        "age_ms": origin.age_ms,
        "digest": origin.digest,
        "proven_shards": origin.proven_shards,
        "panes": origin.panes,
        "state": origin.state,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(digest: &str, next: u64, log_end: Option<u64>) -> StatusResponse {
        let origin = OriginStatus {
            region: "ewr".into(),
            next,
            log_end,
            proven_shards: 2,
            ..OriginStatus::default()
        };
        StatusResponse {
            ready: true,
            shards: 2,
            digest: digest.into(),
            origins: vec![origin],
            ..StatusResponse::default()
        }
    }

    fn answers(a: StatusResponse, b: StatusResponse) -> Answers {
        vec![("ewr".into(), Ok(a)), ("jfk".into(), Ok(b))]
    }

    #[test]
    fn a_copy_is_behind_by_the_clock_of_its_origin() {
        let mut all = answers(status("d", 9, Some(9)), status("d", 9, None));
        for ((region, answer), complete_to_ms) in all.iter_mut().zip([5_000, 4_200]) {
            let status = answer.as_mut().unwrap();
            status.region.clone_from(region);
            status.origins[0].complete_to_ms = complete_to_ms;
        }
        assert_eq!(behind_ms(&all), [(("jfk", "ewr"), 800)].into());
    }

    #[test]
    fn equal_and_quiet_is_agreement() {
        let same = answers(status("d", 9, Some(9)), status("d", 9, None));
        assert_eq!(disagreement(&same), None);
    }

    #[test]
    fn whatever_is_not_equal_and_quiet_is_named() {
        let lags = answers(status("d", 9, Some(9)), status("d", 8, None));
        assert!(disagreement(&lags).unwrap().contains("jfk lags behind ewr"));
        let differs = answers(status("d", 9, Some(9)), status("e", 9, None));
        assert!(disagreement(&differs).unwrap().contains("digest of jfk"));
        let mut unproven = status("d", 9, None);
        unproven.origins[0].proven_shards = 1;
        assert!(disagreement(&answers(status("d", 9, Some(9)), unproven)).is_some());
        let mut unready = status("d", 9, None);
        unready.ready = false;
        assert!(disagreement(&answers(unready, status("d", 9, Some(9)))).is_some());
        let gone = vec![("ewr".to_owned(), Err(CliError::Usage("gone".into())))];
        assert_eq!(disagreement(&gone).unwrap(), "gone");
    }
}
