//! What operators are told of a gateway's file and of its metrics is what the code has.

use std::collections::{BTreeMap, BTreeSet};

use gateway::Config;
use routing::Standing;
use serde_json::Value as Json;

use crate::support::{FakeNode, open};

const GUIDE: &str = include_str!("../../../../docs/gateway.md");
const TELEMETRY: &str = include_str!("../../../../docs/telemetry.md");
const METRICS: &str = include_str!("../../src/metrics.rs");
const LEAST: &str = "{region: us, http: '127.0.0.1:0', grpc: '127.0.0.1:0', \
                     metrics: '127.0.0.1:0', node: 'http://127.0.0.1:1'}";

/// The cells of a table's rows whose first one is code, below a heading.
fn rows<'a>(text: &'a str, heading: &str) -> Vec<Vec<&'a str>> {
    let section = text.split("\n## ").find(|section| section.starts_with(heading));
    let rows = section.expect("the section").lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| row.split('|').map(str::trim).collect()).collect()
}

/// A level down is a period in the key.
fn flatten(prefix: &str, value: &Json, into: &mut BTreeMap<String, String>) {
    let levels = value.as_object().filter(|levels| !levels.is_empty());
    for (key, below) in levels.into_iter().flatten() {
        let dot = if prefix.is_empty() { "" } else { "." };
        flatten(&format!("{prefix}{dot}{key}"), below, into);
    }
    if levels.is_none() {
        let none = value.is_null() || value.is_object();
        into.insert(prefix.into(), if none { "none".into() } else { value.to_string() });
    }
}

#[test]
fn every_key_is_documented_with_its_default() {
    let config = Config::parse(LEAST).expect("a configuration");
    let mut keys = BTreeMap::new();
    flatten("", &serde_json::to_value(&config).expect("JSON"), &mut keys);
    for required in ["region", "http", "grpc", "metrics", "node"] {
        keys.insert(required.into(), "required".into());
    }
    let documented = rows(GUIDE, "Its file").into_iter();
    let documented: BTreeMap<String, String> =
        documented.map(|cells| (cells[1].replace('`', ""), cells[3].into())).collect();
    assert_eq!(documented, keys);
}

#[test]
fn every_metric_is_documented_and_no_other() {
    let node = FakeNode::start("us");
    let door = open(&node, &[]);
    let scraped = door.metrics();
    let types = scraped.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let names = types.filter_map(|line| line.split(' ').next());
    let names: BTreeSet<&str> =
        names.filter_map(|name| name.strip_prefix("meridian_gateway_")).collect();
    assert!(names.contains("admission"), "{scraped}");
    let told: BTreeSet<&str> = TELEMETRY
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter_map(|word| word.strip_prefix("meridian_gateway_"))
        .map(|name| name.trim_end_matches("_total"))
        .collect();
    for name in names {
        let name = name.trim_end_matches("_total");
        assert!(told.contains(name), "docs/telemetry.md lacks {name}");
    }
    for name in told {
        assert!(METRICS.contains(&format!("\"{name}\"")), "there is no {name}");
    }
}

#[test]
fn every_word_for_a_way_and_for_a_reason_is_documented() {
    let first = |heading| rows(GUIDE, heading).into_iter().map(|cells| cells[1].replace('`', ""));
    let ways: Vec<String> = first("How an answer came about").collect();
    assert_eq!(ways, ["local", "failover", "hedged", "cache", "stale"]);
    ways.iter().for_each(|way| assert!(METRICS.contains(&format!("\"{way}\"")), "{way}"));
    let reasons = [
        Standing::Probe,
        Standing::Fit,
        Standing::Draining,
        Standing::BehindToken,
        Standing::NotReady("…".into()),
        Standing::Lags("…".into()),
        Standing::TooOld("…".into()),
        Standing::Failing,
        Standing::Ejected,
        Standing::NotServing,
        Standing::Unknown,
    ];
    let reasons: Vec<String> = reasons.iter().map(Standing::to_string).collect();
    assert_eq!(first("Where reads go").collect::<Vec<_>>(), reasons);
}
