//! `docs/definitions.md` has every key of the YAML, and no key that is none.

mod common;

use std::collections::BTreeSet;

use catalog::compile;

const DOC: &str = include_str!("../../../docs/definitions.md");

/// Where keys may stand, as YAML around an unknown one: the parser lists what it would have taken.
const PLACES: [&str; 9] = [
    "{?: 1}",
    "{entities: {x: {?: 1}}}",
    "{sources: {x: {?: 1}}}",
    "{sources: {x: {id_window: {?: 1}}}}",
    "{sources: {x: {retention: {?: 1}}}}",
    "{sources: {x: {fields: {x: {?: 1}}}}}",
    "{feature_views: {x: {?: 1}}}",
    "{feature_views: {x: {features: {x: {?: 1}}}}}",
    "{on_demand_feature_views: {x: {?: 1}}}",
];

fn keys() -> BTreeSet<String> {
    let listed = PLACES.iter().flat_map(|place| {
        let errors = compile(&[("c", place.replace('?', "nope"))]).unwrap_err();
        let message = errors[0].message.clone();
        let (_, keys) =
            message.split_once("expected one of ").or(message.split_once("expected ")).unwrap();
        keys.replace(" or ", ", ")
            .split(", ")
            .map(|key| key.trim_matches('`').to_owned())
            .collect::<Vec<_>>()
    });
    listed.collect()
}

#[test]
fn every_key_is_documented_and_no_other() {
    let keys = keys();
    assert!(keys.len() > 40 && keys.contains("max_ahead"), "{keys:?}");
    let rows = DOC.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let documented: BTreeSet<String> = rows.map(|(key, _)| key.to_owned()).collect();
    // These two lists are told in a sentence.
    let in_text: BTreeSet<String> = ["events", "time", "bytes"].map(str::to_owned).into();
    assert!(in_text.iter().all(|key| DOC.contains(&format!("`{key}`"))));
    let documented: BTreeSet<String> = documented.union(&in_text).cloned().collect();
    assert_eq!(documented, keys);
}

/// The defaults that the page names are those that a catalog gets.
#[test]
fn defaults_are_as_documented() {
    let text = "{entities: {e: {join_key: k}}, sources: {s: {event_time: t, id: k, fields: {t: timestamp, k: string}}}, \
                feature_views: {v: {entity: e, source: s, windows: [1h], features: {n: {distinct: k}}}}}";
    let catalog = common::applied(text, &["us"]);
    let plan = &catalog.live("us")[0];
    let source = &plan.source;
    assert_eq!((&*source.topic, source.partitions, source.disorder_ms), ("s", 1, 0));
    assert_eq!(
        (source.id_events, source.id_ms, source.max_ahead_ms),
        (1_000_000, 86_400_000, 300_000)
    );
    assert_eq!((source.retention_ms, source.retention_bytes), (7 * 86_400_000, 1 << 30));
    assert_eq!(
        (plan.version, plan.history_ms, plan.ttl_ms, catalog.shards()),
        (1, 0, None, Some(16))
    );
    assert!(matches!(plan.widths[0].specs[0].kind, lattice::Kind::Distinct { error_bp: 100 }));
}
