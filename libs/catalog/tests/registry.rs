//! Laws of the registry, the life of a view in it, and what `changes` and `retire` refuse.

mod common;

use bytes::Bytes;
use catalog::{Catalog, CatalogError, Change, Reference, RetireError, changes, compile, retire};
use crdts::CvRDT;
use proptest::prelude::*;

use common::{DEPARTURES, FRAUD, applied, apply, plan, said, take};

/// The entries of a life: applied, read differently, retired, applied anew, a second version, an
/// unknown kind, and a concurrent body under one name.
fn life() -> Vec<(Bytes, Bytes)> {
    let mut catalog = applied(DEPARTURES, &["ewr"]);
    apply(DEPARTURES, &mut catalog, &["ewr", "jfk"]);
    let versions =
        DEPARTURES.replace("    source: departures\n", "    source: departures\n    version: 2\n");
    apply(&versions, &mut catalog, &["ewr", "jfk"]);
    take(&retire(&catalog, &reference("route_delays@v1"), &["ewr"]).unwrap(), &mut catalog);
    apply(DEPARTURES, &mut catalog, &["ewr"]);
    let rival = DEPARTURES.replace("max: dep_delay", "min: dep_delay");
    let rivals = applied(&rival, &["ewr"]);
    take(&owned(&rivals), &mut catalog);
    let unknown = Bytes::from_static(b"{\"kind\":\"later\"}");
    let mut hasher = blake3::Hasher::new();
    let mut key = [0; 16];
    hasher.update(&unknown).finalize_xof().fill(&mut key);
    let mut entries = owned(&catalog);
    entries.push((Bytes::copy_from_slice(&key), unknown));
    entries
}

fn owned(catalog: &Catalog) -> Vec<(Bytes, Bytes)> {
    catalog.entries().map(|(key, value)| (Bytes::copy_from_slice(key), value.clone())).collect()
}

fn of(entries: &[(Bytes, Bytes)], chosen: &[bool]) -> Catalog {
    let mut catalog = Catalog::default();
    let chosen = entries.iter().zip(chosen).filter(|(_, chosen)| **chosen);
    take(&chosen.map(|(entry, _)| entry.clone()).collect::<Vec<_>>(), &mut catalog);
    catalog
}

fn merged(a: &Catalog, b: &Catalog) -> Catalog {
    let mut out = a.clone();
    // An index that was made before the merge must not outlive it.
    seen(&out);
    out.merge(b.clone());
    out
}

/// Everything a node would act on.
fn seen(catalog: &Catalog) -> (Vec<String>, Vec<String>, Option<u32>) {
    let hashes = catalog.plans().values().map(|p| format!("{} {}", p.reference(), p.hash));
    (hashes.collect(), catalog.warnings().to_vec(), catalog.shards())
}

fn reference(text: &str) -> Reference {
    text.parse().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_catalog_is_a_join_semilattice(choices in prop::collection::vec(any::<[bool; 3]>(), 64)) {
        let entries = life();
        let pick = |i: usize| choices.iter().map(|c| c[i]).cycle().take(entries.len()).collect::<Vec<_>>();
        let (a, b, c) = (of(&entries, &pick(0)), of(&entries, &pick(1)), of(&entries, &pick(2)));
        prop_assert_eq!(merged(&a, &b), merged(&b, &a));
        prop_assert_eq!(merged(&merged(&a, &b), &c), merged(&a, &merged(&b, &c)));
        prop_assert_eq!(merged(&a, &a), a.clone());
        let both = merged(&a, &b);
        prop_assert!(both.generation() >= a.generation().max(b.generation()));
        prop_assert_eq!(merged(&both, &a), both.clone());
        prop_assert_eq!(seen(&merged(&a, &b)), seen(&merged(&b, &a)));
    }

    /// Whatever the order of arrival, and however often: the same plans.
    #[test]
    fn order_and_repetition_change_nothing(order in Just(life()).prop_shuffle()) {
        let mut catalog = Catalog::default();
        for (i, (key, value)) in order.iter().enumerate() {
            prop_assert!(catalog.insert(key, value).unwrap());
            if i % 7 == 0 {
                seen(&catalog);
                prop_assert!(!catalog.insert(key, value).unwrap());
            }
        }
        let mut sorted = order;
        sorted.sort();
        let all = of(&sorted, &vec![true; sorted.len()]);
        prop_assert_eq!(seen(&catalog), seen(&all));
        prop_assert_eq!(catalog.generation(), sorted.len() as u64);
    }

    #[test]
    fn arbitrary_records_are_refused(
        key in prop::collection::vec(any::<u8>(), 0..20),
        value in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let mut catalog = Catalog::default();
        prop_assert!(matches!(catalog.insert(&key, &value), Err(CatalogError::Damaged(_))));
        prop_assert_eq!(catalog.generation(), 0);
    }
}

/// Entries with rightful names and wrong insides: read as well as may be, never a panic.
#[test]
fn mangled_entries_are_warnings() {
    let life = life();
    for (_, value) in &life {
        let text = String::from_utf8(value.to_vec()).unwrap();
        for (from, to) in [
            ("\"dep_delay\"", "\"gone\""),
            ("\"departed_at\"", "\"carrier\""),
            ("3600", "0"),
            ("\"int\"", "\"string\""),
            ("\"24h\"", "\"x\""),
            ("dep_delay > 15", "((("),
            ("null", "7"),
            ("\"view\":", "\"v\":"),
        ] {
            let mut catalog = applied(FRAUD, &["us"]);
            let value = text.replace(from, to);
            let mut key = [0; 16];
            blake3::Hasher::new().update(value.as_bytes()).finalize_xof().fill(&mut key);
            catalog.insert(&key, value.as_bytes()).unwrap();
            take(&life, &mut catalog);
            assert!(!catalog.live("ewr").is_empty());
        }
    }
}

#[test]
fn applying_twice_changes_nothing() {
    let catalog = applied(DEPARTURES, &["ewr", "jfk"]);
    let again = plan(DEPARTURES, &catalog, &["ewr", "jfk"]).unwrap();
    assert_eq!(again.entries, []);
    assert!(again.lines.iter().all(|line| line.change == Change::Unchanged), "{:?}", again.lines);
    assert_eq!(again.topics, ["departures", "mesh-deltas-departures"]);
}

/// The order of lines, fields and features is not part of a view.
#[test]
fn moved_lines_change_nothing_that_is_folded() {
    let catalog = applied(DEPARTURES, &["ewr"]);
    let moved = DEPARTURES
        .replace("      carrier: string\n", "")
        .replace("      dest: string\n", "      dest: string\n      carrier: string\n")
        .replace("      miles: {sum: distance}\n", "")
        .replace("    features:\n", "    features:\n      miles: {sum: distance}\n");
    let mut after = catalog.clone();
    apply(&moved, &mut after, &["ewr"]);
    assert_eq!(
        catalog.plans().keys().collect::<Vec<_>>(),
        after.plans().keys().collect::<Vec<_>>()
    );
    assert_eq!(&*after.live("ewr")[0].features[0].name, "miles_1h");
}

#[test]
fn reading_differently_needs_no_version() {
    let mut catalog = applied(FRAUD, &["us"]);
    let before = catalog.live("us")[0].hash;
    let text = FRAUD.replace("ttl: 30d", "ttl: 2d").replace("empty: null", "empty: 0");
    let changed = apply(&text, &mut catalog, &["us"]);
    let live = catalog.live("us");
    assert_eq!((live[0].hash, live[0].ttl_ms), (before, Some(2 * 86_400_000)));
    assert!(
        changed.lines.iter().any(|l| l.change == Change::Changed && l.name == "card_velocity@v2")
    );
    // And back: the newest counts, not the first.
    apply(FRAUD, &mut catalog, &["us"]);
    assert_eq!(catalog.live("us")[0].ttl_ms, Some(30 * 86_400_000));
}

#[test]
fn whatever_changes_a_fold_needs_a_version() {
    let catalog = applied(FRAUD, &["us"]);
    for (from, to, what) in [
        ("mean: amount", "max: amount", "features, windows or history"),
        ("windows: [1h, 24h, 30d]", "windows: [1h, 24h, 60d]", "features, windows or history"),
        ("    ttl: 30d", "    ttl: 30d\n    history: 1d", "features, windows or history"),
        ("error: 1%", "error: 2%", "features, windows or history"),
        ("status == \"approved\"", "status == \"declined\"", "where"),
        ("disorder: 30s", "disorder: 31s", "the source"),
        ("range: [0, 50000]", "range: [0, 50001]", "the source"),
        ("id: payment_id", "id: merchant_id", "the source"),
        ("authorized_at: timestamp", "authorized_at: timestamp\n      extra: int?", "the source"),
        ("join_key: card_id", "join_key: merchant_id", "the join keys"),
    ] {
        let text = FRAUD.replacen(from, to, 1);
        assert_ne!(text, FRAUD, "{from}");
        let errors = said(&plan(&text, &catalog, &["us"]).unwrap_err());
        let line = 1 + text.lines().position(|l| l.contains("version: 2")).unwrap();
        let expected = format!(
            "c.yaml:{line}:14: card_velocity@v2 is applied and would fold differently ({what}); write `version: 3`"
        );
        assert_eq!(errors, expected, "{to}");
        let bumped = text.replace("version: 2", "version: 3").replace("@v2", "@v3");
        let mut catalog = catalog.clone();
        let changes = apply(&bumped, &mut catalog, &["us"]);
        assert!(
            changes.lines.iter().any(|l| l.change == Change::Kept && l.name == "card_velocity@v2")
        );
        assert_eq!(catalog.live("us").len(), 2);
    }
}

#[test]
fn what_never_changes_is_refused() {
    let catalog = applied(FRAUD, &["us"]);
    for (from, to, expected) in [
        (
            "project: fraud",
            "project: fraud\nshards: 8",
            "c.yaml:2:9: the mesh has 16 shards, which never change; write 16",
        ),
        (
            "project: fraud",
            "project: other",
            "c.yaml:1:10: this mesh is of project `fraud`, not `other`",
        ),
        (
            "topic: payments",
            "topic: paid",
            "source `payments` reads topic payments; another topic is another source",
        ),
    ] {
        let errors = said(&plan(&FRAUD.replacen(from, to, 1), &catalog, &["us"]).unwrap_err());
        assert!(errors.contains(expected), "{errors}");
    }
    let errors = said(&plan(FRAUD, &catalog, &["us.west"]).unwrap_err());
    assert!(errors.contains("`us.west` is not a region"), "{errors}");
    let more = FRAUD.replace("topic: payments", "topic: payments\n    partitions: 4");
    let mut catalog = catalog;
    apply(&more, &mut catalog, &["us"]);
    assert_eq!((catalog.sources()[0].partitions, catalog.live("us")[0].source.partitions), (4, 4));
    assert!(said(&plan(FRAUD, &catalog, &["us"]).unwrap_err()).contains("never taken away"));
}

#[test]
fn a_retired_version_comes_back_as_another_plan() {
    let mut catalog = applied(DEPARTURES, &["ewr", "jfk"]);
    let first = catalog.active("route_delays", 1)["ewr"].hash;
    take(&retire(&catalog, &reference("route_delays@v1"), &["ewr"]).unwrap(), &mut catalog);
    assert_eq!(catalog.active("route_delays", 1).len(), 1);
    assert!(catalog.plan(first).is_some(), "jfk folds it still");
    let mut back = catalog.clone();
    apply(DEPARTURES, &mut back, &["ewr", "jfk"]);
    let back = back.active("route_delays", 1);
    assert_eq!((back["ewr"].activation, back["jfk"].activation), (1, 0));
    take(&retire(&catalog, &reference("route_delays"), &[]).unwrap(), &mut catalog);
    assert!(catalog.active("route_delays", 1).is_empty() && catalog.plan(first).is_none());
    let text = DEPARTURES.replace("windows: [24h, 7d]}", "windows: [24h]}");
    apply(&text, &mut catalog, &["ewr", "jfk"]);
    let again = catalog.active("route_delays", 1);
    assert_eq!((again["ewr"].activation, again["jfk"].activation), (1, 1));
    assert_ne!(again["ewr"].hash, first);
    assert_eq!(again["ewr"].hash, again["jfk"].hash);
}

#[test]
fn what_is_read_is_not_retired() {
    let mut catalog = applied(FRAUD, &["us"]);
    let refused = retire(&catalog, &reference("card_velocity@v2"), &[]).unwrap_err();
    assert!(refused.to_string().contains("is read by on-demand view `payment_risk`"), "{refused}");
    let refused = retire(&catalog, &reference("payment_risk"), &[]).unwrap_err();
    assert!(refused.to_string().contains("is read by service `fraud_model`"), "{refused}");
    for name in ["fraud_model", "payment_risk", "card_velocity"] {
        take(&retire(&catalog, &reference(name), &[]).unwrap(), &mut catalog);
    }
    assert!(catalog.live("us").is_empty() && catalog.services().is_empty());
    assert_eq!(catalog.sources().len(), 1, "its topic stays");
    let gone = retire(&catalog, &reference("card_velocity"), &[]).unwrap_err();
    assert_eq!(gone, RetireError::NotActive("card_velocity".into()));
}

#[test]
fn of_unequal_bodies_the_smaller_hash_holds_and_somebody_is_told() {
    let rival = DEPARTURES.replace("max: dep_delay", "min: dep_delay");
    let (a, b) = (applied(DEPARTURES, &["ewr"]), applied(&rival, &["ewr"]));
    let both = merged(&a, &b);
    assert_eq!(seen(&both), seen(&merged(&b, &a)));
    assert_eq!(both.live("ewr").len(), a.live("ewr").len());
    let folds = |view: &str| {
        let named = format!("\"view\":\"{view}\"");
        let texts = both.entries().map(|(_, value)| std::str::from_utf8(value).unwrap());
        texts
            .filter(|text| text.contains("\"kind\":\"fold\"") && text.contains(&named))
            .collect::<Vec<_>>()
    };
    for plan in both.live("ewr") {
        // Entries come ordered by hash.
        let bodies = folds(&plan.view);
        assert_eq!(bodies.len(), 2);
        let least = plan.widths[0].specs.iter().any(|spec| spec.kind == lattice::Kind::Min);
        assert_eq!(least, bodies[0].contains("\"aggregate\":\"min\""), "{}", plan.view);
    }
    assert_eq!(both.warnings().len(), 4, "{:?}", both.warnings());
    assert!(both.warnings()[0].contains("applied with unequal bodies"), "{:?}", both.warnings());
}

#[test]
fn a_source_needs_no_view() {
    let text = FRAUD.split_once("feature_views:").unwrap().0;
    let mut catalog = Catalog::default();
    take(
        &changes(&compile(&[("c", text)]).unwrap(), &catalog, &["us"]).unwrap().entries,
        &mut catalog,
    );
    assert_eq!(&*catalog.sources()[0].topic, "payments");
    assert!(catalog.live("us").is_empty());
}
