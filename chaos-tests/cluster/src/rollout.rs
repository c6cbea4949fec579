//! A definition that is rolled out region by region: old and new are served meanwhile, then the old
//! one is retired.

use std::collections::BTreeMap;

use checkers::flights::REGIONS;
use serde_json::{Value, json};
use testkit::within;

use crate::Mesh;
use crate::mesh::{PATIENCE, nodes};

const PLANE: &str = "N608JB";
const AS_OF: &str = "2013-02-01T00:00:00Z";

/// Departures in 30 days, of the events of these regions, as each gateway answers, once all say that
/// the answer is of all regions, or not, as it should be.
fn departures(mesh: &Mesh, view: &str, of: &[&str], complete: bool) -> i64 {
    let excluded: Vec<_> = REGIONS.iter().filter(|region| !of.contains(region)).collect();
    let body = json!({
        "features": [format!("{view}:departures_30d")],
        "entities": {"tailnum": [PLANE]},
        "mesh": {"as_of": AS_OF, "exclude_regions": excluded},
    });
    let answers = REGIONS.map(|region| {
        let mut count = None;
        // On a busy machine a part is heard of late now and then.
        let said = within(PATIENCE, || {
            let (status, answer) =
                mesh.post(region, "/get-online-features", &body).expect("an answer");
            assert_eq!(status, 200, "{view} from {region}: {answer}");
            count = answer["results"][1]["values"][0].as_i64();
            answer["mesh"]["complete"] == complete
        });
        assert!(said, "{view} from {region}: complete is not {complete}");
        count.expect("a count")
    });
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{view}: {answers:?}");
    answers[0]
}

/// Whether a region's v2 has folded as far as its v1, as every node sees it: any may be asked.
fn caught_up(mesh: &Mesh, of: &[&str]) -> bool {
    let nexts = |node: &Value, region: &str, view: &str| -> Option<BTreeMap<String, u64>> {
        let origins = node["origins"].as_array()?.iter();
        let origins = origins.filter(|o| o["region"] == *region && o["view"] == *view);
        let next = |origin: &Value| {
            let proven = origin["proven_shards"] == node["shards"];
            proven.then(|| Some((origin["partition"].to_string(), origin["next"].as_u64()?)))?
        };
        origins.map(next).collect()
    };
    let sees = |node: &Value| {
        of.iter().all(|region| {
            let [old, new] =
                ["v1", "v2"].map(|v| nexts(node, region, &format!("plane_delays@{v}")));
            old.as_ref().is_some_and(|old| !old.is_empty()) && old == new
        })
    };
    REGIONS.iter().all(|seen_from| {
        mesh.status(seen_from).is_some_and(|status| nodes(&status).into_iter().all(sees))
    })
}

/// Rolls the next version of a view out in a mesh that has all events and is equal, then retires the
/// old one.
pub fn old_and_new_are_served_while_a_view_goes_from_region_to_region(mesh: &mut Mesh) {
    let old = |of: &[&str]| departures(mesh, "plane_delays@v1", of, of.len() == REGIONS.len());
    let parts = REGIONS.map(|region| old(&[region]));
    let all = old(&REGIONS);
    assert_eq!(parts.iter().sum::<i64>(), all);
    assert!(parts.iter().all(|part| *part > 0), "{parts:?}");

    // Another fold of the same values.
    let changed = "entity: plane\n    version: 2\n    where: dep_delay > -1000";
    let catalog = mesh.catalog_with("entity: plane", changed);
    let mut sum = 0;
    for (at, region) in REGIONS.into_iter().enumerate() {
        mesh.run(&["apply", &catalog, "--region", region]);
        let done = &REGIONS[..=at];
        mesh.wait_until("the new version has caught up", |mesh| caught_up(mesh, done));
        sum += parts[at];
        let new = departures(mesh, "plane_delays@v2", &REGIONS, at == 2);
        assert_eq!(new, sum, "the new one is of the regions that have it");
        assert_eq!(departures(mesh, "plane_delays@v1", &REGIONS, true), all);
        // Who names no version is not given the new one before it is everywhere.
        assert_eq!(departures(mesh, "plane_delays", &REGIONS, true), all);
    }
    let refused = mesh.refused(&["retire", "plane_delays@v1", "--region", "sfo"]);
    assert!(refused.contains("'sfo'"), "{refused}");
    mesh.run(&["retire", "plane_delays@v1", "--region", "ewr"]);
    assert_eq!(departures(mesh, "plane_delays@v1", &REGIONS, false), all - parts[0]);
    assert_eq!(departures(mesh, "plane_delays", &REGIONS, true), all);
    mesh.wait_until_equal();
    mesh.run(&["retire", "plane_delays@v1"]);
    let body =
        json!({"features": ["plane_delays@v1:departures_30d"], "entities": {"tailnum": [PLANE]}});
    mesh.wait_until("the old version is gone", |mesh| {
        REGIONS.iter().all(|region| {
            mesh.post(region, "/get-online-features", &body).is_some_and(|answer| answer.0 == 404)
        })
    });
    assert_eq!(departures(mesh, "plane_delays", &REGIONS, true), all);
    mesh.wait_until_equal();
}
