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
use crate::load::tally::{Span, Tally};
use crate::load::{self, Job, Key, Protocol, Samples, plot};
use crate::mesh::Mesh;
use crate::{out, value};

/// Loads and prints.
///
/// # Errors
/// No mesh, no such region or feature, keys that cannot be read, a file that cannot be written.
pub(super) async fn run(args: &LoadArgs, env: &Arc<dyn Env>) -> Result<()> {
    let mesh = Mesh::running(&args.mesh.data)?;
    let duration_ms = time_ms("--duration", &args.duration)?;
    let sound = args.rate.is_finite() && args.rate > 0.0 && (0.0..=10.0).contains(&args.zipf);
    if !sound {
        return Err(CliError::Usage("--rate must be above 0, --zipf from 0 to 10".into()));
    }
    let like = GetFeaturesRequest { full_feature_names: true, ..GetFeaturesRequest::default() };
    let job = Job {
        gateways: gateways(&mesh, args)?,
        like: get::name(&mesh, &args.what, like).await?,
        keys: keys(&args.keys, args.keys_file.as_deref())?,
        zipf_exponent: args.zipf,
        rows: args.rows.max(1),
        rate: args.rate,
        duration_ms,
        timeout_ms: args.timeout_ms,
        protocol: if args.http { Protocol::Http } else { Protocol::Grpc },
        marks_us: marks_us(&args.mark, duration_ms)?,
    };
    let started_ms = env.now_ms();
    let samples = args.samples.as_deref().map(|path| Samples::create(path, started_ms));
    let spinner = out::spinner(format!("{} requests a second for {}", args.rate, args.duration));
    let tally = load::run(job, samples.transpose()?, env).await;
    spinner.finish_and_clear();
    let tally = tally?;
    if let Some(path) = &args.plot {
        let title = format!("{} at {} a second", args.what, args.rate);
        plot::svg(&tally, &title, path)
            .map_err(|e| CliError::file("write", path)(std::io::Error::other(e.to_string())))?;
    }
    print(args, &tally);
    Ok(())
}

fn time_ms(flag: &str, text: &str) -> Result<u64> {
    let ms = clock::parse_duration_ms(text);
    let ms = ms.map_err(|e| CliError::Usage(format!("{flag}: {e}")))?;
    Ok(u64::try_from(ms).unwrap_or_default())
}

fn marks_us(marks: &[String], duration_ms: u64) -> Result<Vec<u64>> {
    let marks: Vec<u64> =
        marks.iter().map(|mark| time_ms("--mark", mark)).collect::<Result<_>>()?;
    let sound = marks.is_sorted() && marks.last().is_none_or(|last| *last < duration_ms);
    let wrong = || CliError::Usage("--mark: times of the run, in order, as 10s,20s".into());
    sound.then(|| marks.iter().map(|ms| ms * 1_000).collect()).ok_or_else(wrong)
}

/// The regions' gateways in this order; all of them if none is named.
fn gateways(mesh: &Mesh, args: &LoadArgs) -> Result<Vec<String>> {
    let all: Vec<String> = mesh.regions.keys().cloned().collect();
    let regions = if args.region.is_empty() { &all } else { &args.region };
    let url = |region: &String| {
        let gateway = &mesh.region(region)?.gateway;
        Ok(if args.http { &gateway.http } else { &gateway.grpc }.clone())
    };
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
            "http": args.http,
        });
        return out::json(&json);
    }
    let quantiles = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)];
    let names = quantiles.map(|(name, _)| name);
    let mut table = out::table(["", "requests", "failed"].into_iter().chain(names));
    let row = |name: String, span: &Span| {
        let counts = [span.requests(), span.failed()].map(out::count);
        let times = quantiles.map(|(_, q)| format!("{:.2} ms", span.quantile_ms(q)));
        std::iter::once(name).chain(counts).chain(times).collect::<Vec<_>>()
    };
    if !args.mark.is_empty() {
        for (from_us, span) in tally.phases() {
            table.add_row(row(format!("from {} s", from_us as f64 / 1e6), span));
        }
    }
    table.add_row(row("all".into(), tally.all()));
    out::right(&mut table, &[1, 2, 3, 4, 5, 6, 7]);
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
