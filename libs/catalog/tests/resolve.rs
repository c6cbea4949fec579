//! Requests for features, as the gateway makes them.

mod common;

use catalog::{Ask, Catalog, ColumnSource, ResolveError, Resolved, resolve};
use lattice::{Input, Type, Value};

use common::{DEPARTURES, FRAUD, applied, apply};

fn ask(catalog: &Catalog, features: &[&str], full_names: bool) -> Result<Resolved, ResolveError> {
    let features: Vec<String> = features.iter().map(|text| (*text).to_owned()).collect();
    resolve(catalog, &Ask { service: None, features: &features, full_names }, &|_, _| true)
}

fn service(catalog: &Catalog, name: &str, full_names: bool) -> Result<Resolved, ResolveError> {
    resolve(catalog, &Ask { service: Some(name), features: &[], full_names }, &|_, _| true)
}

fn shorts(resolved: &Resolved) -> Vec<&str> {
    resolved.columns.iter().map(|column| &*column.short).collect()
}

#[test]
fn columns_come_in_the_order_of_the_request() {
    let catalog = applied(DEPARTURES, &["ewr"]);
    let features =
        ["airport_delays:delay_1h", "plane_delays:miles_7d", "airport_delays:departures_1h"];
    let resolved = ask(&catalog, &features, false).unwrap();
    assert_eq!(shorts(&resolved), ["delay_1h", "miles_7d", "departures_1h"]);
    assert_eq!(&*resolved.columns[1].full, "plane_delays__miles_7d");
    let keys: Vec<_> = resolved.join_keys.iter().map(|key| (&*key.name, key.kind)).collect();
    assert_eq!(keys, [("origin", Type::String), ("tailnum", Type::String)]);
    assert_eq!(resolved.views.len(), 2);
    assert_eq!(resolved.columns[2].source, ColumnSource::View { view: 0, position: 1 });
    let read = &resolved.views[0];
    assert_eq!(&*read.plan.features[read.features[1]].name, "departures_1h");
    assert_eq!(resolved.views[1].keys, [1]);
}

#[test]
fn a_service_with_equal_short_names_wants_full_ones() {
    let catalog = applied(DEPARTURES, &["ewr"]);
    let resolved = service(&catalog, "departure_model", true).unwrap();
    assert_eq!(resolved.columns.len(), 22 + 22 + 1);
    let Err(ResolveError::Collision { names }) = service(&catalog, "departure_model", false) else {
        panic!("no collision")
    };
    assert!(names.contains(&"delay_24h".to_owned()) && !names.contains(&"delay_1h".to_owned()));
    let composite = ask(&catalog, &["route_delays"], false).unwrap();
    assert_eq!(composite.views[0].keys, [0, 1]);
}

#[test]
fn on_demand_views_bring_their_inputs() {
    let catalog = applied(FRAUD, &["us"]);
    let resolved =
        ask(&catalog, &["payment_risk:new_device", "payment_risk:burst"], false).unwrap();
    assert_eq!(shorts(&resolved), ["new_device", "burst"]);
    let request: Vec<_> = resolved.request.iter().map(|field| (&*field.name, field.kind)).collect();
    assert_eq!(request, [("device_id", Type::String)]);
    let read = &resolved.views[0];
    let features: Vec<_> = read.features.iter().map(|f| &*read.plan.features[*f].name).collect();
    assert_eq!(features, ["last_device", "payments_1h", "payments_24h"]);

    let computed = &resolved.on_demand[0];
    let from_view = [Input::Text("phone"), Input::Int(3), Input::Int(12)];
    let inputs: Vec<Input<'_>> = computed
        .inputs
        .iter()
        .map(|source| match source {
            None => Input::Null,
            Some(ColumnSource::View { position, .. }) => from_view[*position],
            Some(ColumnSource::Request { .. }) => Input::Text("tablet"),
            Some(other) => panic!("{other:?}"),
        })
        .collect();
    let values: Vec<Value> = computed.features.iter().map(|(_, expr)| expr.eval(&inputs)).collect();
    assert_eq!(values, [Value::Bool(true), Value::Float(0.25)]);

    let model = service(&catalog, "fraud_model", false).unwrap();
    assert_eq!(model.columns.len(), 4 + 4 + 3 + 1 + 3);
    assert_eq!(&*model.columns[0].full, "card_velocity__payments_1m");
    assert_eq!(&*model.columns[14].full, "payment_risk__new_device");
    assert_eq!(model.columns[14].kind, Type::Bool);
}

#[test]
fn on_demand_views_read_each_other() {
    let chain = "  worse:\n    inputs: [payment_risk]\n    features: {worst: \"burst > 0.5 && new_device\"}\n";
    let text = FRAUD.replace("feature_services:", &format!("{chain}feature_services:"));
    let resolved = ask(&applied(&text, &["us"]), &["worse"], false).unwrap();
    let order: Vec<_> = resolved.on_demand.iter().map(|read| &*read.name).collect();
    assert_eq!(order, ["payment_risk", "worse"]);
    let sources: Vec<_> = resolved.on_demand[1].inputs.iter().flatten().collect();
    assert_eq!(sources.len(), 2);
    assert_eq!(resolved.columns[0].source, ColumnSource::OnDemand { view: 1, position: 0 });
}

#[test]
fn an_unqualified_view_is_the_newest_that_is_covered() {
    let mut catalog = applied(FRAUD, &["us"]);
    let next = FRAUD.replace("version: 2", "version: 3").replace("mean: amount", "max: amount");
    apply(&next, &mut catalog, &["us"]);
    let version = |covered: &dyn Fn(&str, u32) -> bool| {
        let features = ["card_velocity:payments_1h".to_owned()];
        let ask = Ask { service: None, features: &features, full_names: false };
        resolve(&catalog, &ask, covered).unwrap().views[0].plan.version
    };
    assert_eq!(version(&|_, _| true), 3);
    assert_eq!(version(&|_, version| version == 2), 2);
    assert_eq!(version(&|_, _| false), 3);
    let both = ["card_velocity@v2:payments_1h", "card_velocity@v3:payments_1h"];
    assert!(matches!(ask(&catalog, &both, false), Err(ResolveError::Collision { .. })));
    let resolved = ask(&catalog, &both, true).unwrap();
    assert_eq!(&*resolved.columns[1].full, "card_velocity@v3__payments_1h");
    assert_eq!(resolved.views.len(), 2);
}

#[test]
fn what_is_not_there_is_named() {
    let catalog = applied(FRAUD, &["us"]);
    let cases = [
        (
            "nope:x",
            "feature view `nope` does not exist or is not active; `meridian plan` lists what is",
        ),
        (
            "card_velocity@v9:x",
            "feature view `card_velocity@v9:x` does not exist or is not active; `meridian plan` lists what is",
        ),
        (
            "payment_risk:x",
            "`payment_risk` has no feature `x`; it has burst, amount_vs_avg, new_device",
        ),
        ("a:b:c", "`a:b:c` is no reference; write view, view:feature or view@v2:feature"),
    ];
    for (reference, message) in cases {
        assert_eq!(ask(&catalog, &[reference], false).unwrap_err().to_string(), message);
    }
    assert_eq!(ask(&catalog, &[], false).unwrap_err(), ResolveError::Nothing);
    assert_eq!(
        service(&catalog, "m", false).unwrap_err(),
        ResolveError::ServiceNotFound("m".into())
    );
    let twice = ["payment_risk:burst", "payment_risk:burst"];
    assert!(matches!(ask(&catalog, &twice, true), Err(ResolveError::Collision { .. })));
}
