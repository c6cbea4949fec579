//! The catalogs of the examples, as they must come out.

mod common;

use catalog::{CellInput, Plan, STARTER};
use lattice::Type;

use common::{DEPARTURES, FRAUD, applied};

/// Name, window, pane width and type of every feature.
fn features(plan: &Plan) -> Vec<String> {
    let line = |f: &catalog::Feature| {
        let width_s = plan.widths[f.width].width_s;
        let cell = &plan.widths[f.width].cells[f.cell];
        let (kind, empty) = (f.kind, &f.empty);
        assert!(f.name.starts_with(&*cell.name));
        format!("{} {:?} by {width_s}s {kind:?} {empty:?}", f.name, f.window_ms)
    };
    plan.features.iter().map(line).collect()
}

#[test]
fn departures() {
    let catalog = applied(DEPARTURES, &["ewr", "jfk", "lga"]);
    assert_eq!(catalog.warnings(), &[] as &[String]);
    assert_eq!(catalog.shards(), Some(16));
    let live = catalog.live("jfk");
    let names: Vec<_> = live.iter().map(|plan| plan.reference()).collect();
    assert_eq!(
        names,
        ["airport_delays@v1", "carrier_delays@v1", "plane_delays@v1", "route_delays@v1"]
    );
    let day = 86_400_000i64;
    let plane = &live[2];
    let widths: Vec<_> = plane.widths.iter().map(|w| (w.width_s, w.cells.len())).collect();
    assert_eq!(widths, [(3_600, 7), (86_400, 7), (0, 1)]);
    assert_eq!(plane.retention(), [(3_600, 97 * day), (86_400, 120 * day)]);
    let cells: Vec<_> = plane.widths[0].cells.iter().map(|cell| &*cell.name).collect();
    assert_eq!(
        cells,
        ["delay", "delay_p90", "departures", "destinations", "late_share", "miles", "worst_delay"]
    );
    assert!(matches!(plane.widths[0].cells[2].input, CellInput::Event));
    assert!(
        matches!(&plane.widths[0].cells[4].input, CellInput::Expr(e) if e.text() == "dep_delay > 15")
    );
    assert_eq!(plane.features.len(), 7 * 3 + 1);
    let listed = features(plane);
    assert_eq!(listed[0], "departures_24h Some(86400000) by 3600s Int Int(0)");
    assert_eq!(listed[4], "delay_7d Some(604800000) by 3600s Double Null");
    assert_eq!(listed[8], "worst_delay_30d Some(2592000000) by 86400s Int Null");
    assert_eq!(listed[21], "last_destination None by 0s String Null");

    let source = &plane.source;
    let field = |name: &str| source.fields.iter().find(|f| &*f.name == name).unwrap();
    assert_eq!(&*source.fields[source.event_time].name, "departed_at");
    assert_eq!(source.disorder_ms, 7_200_000);
    assert_eq!(source.skip.as_ref().map(|e| e.text()), Some("departed_at == null"));
    assert_eq!((field("tailnum").kind, field("tailnum").nullable), (Type::String, true));
    assert_eq!(field("origin").one_of.len(), 3);
    assert_eq!(field("dep_delay").range, Some((-60.0, 1440.0)));
    assert_eq!(&*source.fields[plane.keys[0]].name, "tailnum");
    let route: Vec<_> = live[3].entity.join_keys.iter().map(|key| &**key).collect();
    assert_eq!(route, ["origin", "dest"]);
    // Plans of one contract share their source, and there is one topic for all.
    assert!(live.iter().all(|plan| std::sync::Arc::ptr_eq(&plan.source, source)));
    assert_eq!(catalog.sources().len(), 1);
    assert!(catalog.live("elsewhere").is_empty());
}

#[test]
fn fraud() {
    let catalog = applied(FRAUD, &["us"]);
    assert_eq!(catalog.warnings(), &[] as &[String]);
    let live = catalog.live("us");
    assert_eq!(live[0].reference(), "card_velocity@v2");
    assert_eq!(live[0].ttl_ms, Some(30 * 86_400_000));
    let widths: Vec<_> = live[0].widths.iter().map(|w| (w.width_s, w.cells.len())).collect();
    assert_eq!(widths, [(1, 2), (60, 3), (3_600, 3), (86_400, 3), (0, 1)]);
    assert_eq!(features(&live[0])[0], "payments_1m Some(60000) by 1s Int Int(0)");
    let risk = catalog.on_demand()["payment_risk"].as_ref().unwrap();
    let types: Vec<_> = risk.features.iter().map(|f| f.expr.result()).collect();
    assert_eq!(types, [Type::Double, Type::Double, Type::Bool]);
}

#[test]
fn the_starter_compiles() {
    assert_eq!(applied(STARTER, &["eu"]).warnings(), &[] as &[String]);
}

/// Every pane is named by these hashes. If this fails, deployed state is orphaned: find out what
/// changed, and raise `FOLD_SEMANTICS` only if the fold did.
#[test]
fn plan_hashes_are_frozen() {
    let hashes = |text: &str, region: &str| -> Vec<String> {
        let live = applied(text, &[region]).live(region);
        live.iter().map(|plan| format!("{} {}", plan.reference(), plan.hash)).collect()
    };
    assert_eq!(
        hashes(DEPARTURES, "jfk"),
        [
            "airport_delays@v1 5718cdd3396419bae9b949ff5fbca1a0",
            "carrier_delays@v1 862c36b1963f91724699baeb26ddba6c",
            "plane_delays@v1 7a7b0628425fc7573adfe012e5e15a42",
            "route_delays@v1 b146ad9844c713cbed201bca288438f9",
        ]
    );
    assert_eq!(hashes(FRAUD, "us"), ["card_velocity@v2 17073333c685cccc28d8d01e59e9a08e"]);
}
