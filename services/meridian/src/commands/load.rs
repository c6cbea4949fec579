//! `load`: asks for features at a constant rate, and says how that went.

use std::path::Path;
use std::sync::Arc;

use api::v1::value::Kind;
use api::v1::{GetFeaturesRequest, Value};
use clock::Env;
use serde_json::{Map, Value as Json, json};

use super::get;
use crate::cli::LoadArgs;
use crate::error::{CliError, Result};
use crate::load::tally::Tally;
use crate::load::{self, Job, Key};
use crate::mesh::Mesh;
use crate::{out, value};

/// Loads and prints.
///
/// # Errors
/// No mesh, no such region or feature, or keys that cannot be read.
pub(super) async fn run(args: &LoadArgs, env: &Arc<dyn Env>) -> Result<()> {
    let mesh = Mesh::running(&args.mesh.data)?;
    let duration = clock::parse_duration_ms(&args.duration);
    let duration_ms = duration.map_err(|e| CliError::Usage(format!("--duration: {e}")))?;
    let sound = args.rate.is_finite() && args.rate > 0.0 && (0.0..=10.0).contains(&args.zipf);
    if !sound {
        return Err(CliError::Usage("--rate must be above 0, --zipf from 0 to 10".into()));
    }
    let like = GetFeaturesRequest { full_feature_names: true, ..GetFeaturesRequest::default() };
    let job = Job {
        gateways: gateways(&mesh, &args.region)?,
        like: get::name(&mesh, &args.what, like).await?,
        keys: keys(&args.keys, args.keys_file.as_deref())?,
        zipf_exponent: args.zipf,
        rows: args.rows.max(1),
        rate: args.rate,
        duration_ms: u64::try_from(duration_ms).unwrap_or_default(),
        timeout_ms: args.timeout_ms,
    };
    let spinner = out::spinner(format!("{} requests a second for {}", args.rate, args.duration));
    let tally = load::run(job, env).await;
    spinner.finish_and_clear();
    print(args, &tally?);
    Ok(())
}

/// The regions' gateways in this order; all of them if none is named.
fn gateways(mesh: &Mesh, regions: &[String]) -> Result<Vec<String>> {
    let all: Vec<String> = mesh.regions.keys().cloned().collect();
    let regions = if regions.is_empty() { &all } else { regions };
    let url = |region: &String| Ok(mesh.region(region)?.gateway.grpc.clone());
    regions.iter().map(url).collect()
}

/// One entity as `KEY=VALUE…`, or one a line as a JSON object, the most popular first.
fn keys(one: &[String], file: Option<&Path>) -> Result<Vec<Key>> {
    let Some(path) = file else {
        return match one {
            [] => Err(CliError::Usage("give KEY=VALUE, or --keys-file".into())),
            keys => Ok(vec![value::keys(keys)?]),
        };
    };
    let text = std::fs::read_to_string(path).map_err(CliError::file("read", path))?;
    let key = |(at, line): (usize, &str)| {
        let object: Map<String, Json> = serde_json::from_str(line).map_err(|e| {
            CliError::Usage(format!("{}:{}: not a JSON object: {e}", path.display(), at + 1))
        })?;
        Ok(object.into_iter().map(|(name, value)| (name, text_value(&value))).collect())
    };
    let keys: Result<Vec<Key>> = text.lines().enumerate().map(key).collect();
    let keys = keys?;
    let none = || CliError::Usage(format!("{}: there is no key in it", path.display()));
    if keys.is_empty() { Err(none()) } else { Ok(keys) }
}

/// Values are text: the mesh knows their types.
fn text_value(value: &Json) -> Value {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    Value { kind: Some(Kind::StringValue(text)) }
}

fn print(args: &LoadArgs, tally: &Tally) {
    if args.json {
        let mut json = tally.json();
        json["asked"] = json!({
            "what": args.what, "rate": args.rate, "duration": args.duration, "zipf": args.zipf,
            "rows": args.rows, "regions": args.region, "timeout_ms": args.timeout_ms,
        });
        return out::json(&json);
    }
    let (requests, failed) = (tally.requests(), tally.failed());
    out::line(format!("{} requests, {} failed", out::count(requests), out::count(failed)));
    let quantiles = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)];
    let mut table = out::table(quantiles.map(|(name, _)| name));
    table.add_row(quantiles.map(|(_, quantile)| format!("{:.2} ms", tally.quantile_ms(quantile))));
    out::line(table.to_string());
    out::line("from when each was due; --json has it by second, route, region and failure");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_line_by_line_and_faults_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys.jsonl");
        std::fs::write(&path, "{\"plane\": \"N1\"}\n{\"plane\": 7}\n").unwrap();
        let read = keys(&[], Some(&path)).unwrap();
        assert_eq!(value::shown(read[0].get("plane")), "N1");
        assert_eq!(value::shown(read[1].get("plane")), "7");
        std::fs::write(&path, "{}\n[1]\n").unwrap();
        let error = keys(&[], Some(&path)).unwrap_err().to_string();
        assert!(error.contains("keys.jsonl:2: not a JSON object"), "{error}");
        std::fs::write(&path, "").unwrap();
        assert!(keys(&[], Some(&path)).is_err());
        assert!(keys(&[], None).is_err());
        assert_eq!(keys(&["plane=N1".into()], None).unwrap().len(), 1);
    }
}
