//! Compares what the mesh answers over HTTP with what SQL says.

use checkers::flights::REGIONS;
use checkers::oracle::difference;
use checkers::{Expected, Key, Oracle};
use serde_json::{Value, json};

use testkit::within;

use crate::mesh::{Mesh, PATIENCE};

/// Ten instants that are edges of every pane width.
pub const INSTANTS: [&str; 10] = [
    "2013-01-02T00:00:00Z",
    "2013-01-03T00:00:00Z",
    "2013-01-06T00:00:00Z",
    "2013-01-09T00:00:00Z",
    "2013-01-12T00:00:00Z",
    "2013-01-17T00:00:00Z",
    "2013-01-22T00:00:00Z",
    "2013-01-27T00:00:00Z",
    "2013-01-31T00:00:00Z",
    "2013-02-02T00:00:00Z",
];

/// Rows of one request.
const PAGE: usize = 200;
const FEATURES: [&str; 7] =
    ["departures", "delay", "worst_delay", "delay_p90", "late_share", "miles", "destinations"];

/// A window, by name and in hours.
type Window = (&'static str, u32);

/// A view, its key, and its windows.
const VIEWS: [(&str, Key, &[Window]); 3] = [
    ("plane_delays", Key::Plane, &[("24h", 24), ("7d", 168), ("30d", 720)]),
    ("carrier_delays", Key::Carrier, &[("24h", 24), ("7d", 168), ("30d", 720)]),
    ("airport_delays", Key::Airport, &[("1h", 1), ("24h", 24)]),
];

/// After all of January: its longest windows hold every event.
pub const END: &str = INSTANTS[9];

/// Every plane, carrier and airport, every feature, at every instant, from every region. How many
/// values were compared.
pub fn compare_all(mesh: &Mesh, oracle: &Oracle) -> usize {
    compare_at(mesh, oracle, &INSTANTS)
}

/// The same at these of the instants.
pub fn compare_at(mesh: &Mesh, oracle: &Oracle, instants: &[&str]) -> usize {
    let mut compared = 0;
    for &as_of in instants {
        for (view, key, windows) in VIEWS {
            let everyone: Vec<String> = oracle.known(key, "2014-01-01").into_iter().collect();
            let known = oracle.known(key, as_of);
            let windows: Vec<_> = windows
                .iter()
                .map(|(name, hours)| (*name, oracle.window(key, as_of, *hours)))
                .collect();
            for region in REGIONS {
                let features: Vec<String> = windows
                    .iter()
                    .flat_map(|(w, _)| FEATURES.map(|f| format!("{view}:{f}_{w}")))
                    .collect();
                let answer = read(mesh, region, key, &everyone, &features, Some(as_of));
                for (row, entity) in everyone.iter().enumerate() {
                    for (window, expected) in &windows {
                        let expected = expected.get(entity).cloned().unwrap_or_default();
                        let seen = known.contains(entity);
                        let place = format!("{entity} in {window} before {as_of}, from {region}");
                        compared += compare(&answer, row, window, seen, &expected, &place);
                    }
                }
            }
        }
    }
    compared
}

/// `last_destination` without a cut: one of the tied values, and the same one in all regions.
pub fn compare_last(mesh: &Mesh, oracle: &Oracle) -> usize {
    let mut compared = 0;
    for (view, key, _) in VIEWS {
        let last = oracle.last_destinations(key);
        let everyone: Vec<String> = last.keys().cloned().collect();
        let features = [format!("{view}:last_destination")];
        let answers = REGIONS.map(|region| read(mesh, region, key, &everyone, &features, None));
        for (row, (entity, allowed)) in last.iter().enumerate() {
            let values = answers.each_ref().map(|answer| cell(answer, "last_destination", row).1);
            let value = values[0].as_str().unwrap_or_default();
            assert!(
                allowed.contains(value),
                "{entity}: last_destination {value}, not of {allowed:?}"
            );
            assert!(values.iter().all(|v| v == &values[0]), "{entity}: {values:?} in {REGIONS:?}");
            compared += 1;
        }
    }
    compared
}

/// Reads all entities, as many at once as a caller would.
fn read(
    mesh: &Mesh,
    region: &str,
    key: Key,
    entities: &[String],
    features: &[String],
    as_of: Option<&str>,
) -> Value {
    let options = as_of.map_or(json!({}), |at| json!({ "as_of": at }));
    let mut pages = entities.chunks(PAGE).map(|page| {
        let mut entity_columns = json!({});
        entity_columns[key.column()] = json!(page);
        let body = json!({ "entities": entity_columns, "features": features, "mesh": options });
        let mut answer = Value::Null;
        // On a busy machine a part is heard of late now and then.
        let complete = within(PATIENCE, || {
            let answered = mesh.post(region, "/get-online-features", &body).expect("an answer");
            assert_eq!(answered.0, 200, "{region}: {}", answered.1);
            answer = answered.1;
            answer["mesh"]["complete"] == true
        });
        assert!(complete, "{region}: {}", answer["mesh"]);
        answer
    });
    let mut whole = pages.next().expect("an entity");
    for page in pages {
        append(&mut whole, page);
    }
    whole
}

/// Puts a page's rows below those that are there.
fn append(whole: &mut Value, mut page: Value) {
    let columns = whole["results"].as_array_mut().expect("columns");
    for (into, from) in columns.iter_mut().zip(page["results"].as_array_mut().expect("columns")) {
        for part in ["values", "statuses"] {
            into[part]
                .as_array_mut()
                .expect("rows")
                .append(from[part].as_array_mut().expect("rows"));
        }
    }
}

/// The status and the value of a feature in a row.
fn cell<'a>(answer: &'a Value, feature: &str, row: usize) -> (&'a str, &'a Value) {
    let names = answer["metadata"]["feature_names"].as_array().expect("names");
    let column = names.iter().position(|name| name == feature).expect("the feature");
    let column = &answer["results"][column];
    (column["statuses"][row].as_str().unwrap_or_default(), &column["values"][row])
}

fn compare(
    answer: &Value,
    row: usize,
    window: &str,
    seen: bool,
    expected: &Expected,
    place: &str,
) -> usize {
    for name in FEATURES {
        let (status, value) = cell(answer, &format!("{name}_{window}"), row);
        if seen {
            let difference = difference(name, value, expected);
            assert!(difference.is_none(), "{place}: {}", difference.unwrap_or_default());
            assert_ne!(status, "NOT_FOUND", "{place}: {name}");
        } else {
            assert_eq!((status, value), ("NOT_FOUND", &Value::Null), "{place}: {name}");
        }
    }
    FEATURES.len()
}
