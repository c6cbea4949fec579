//! Every rule of a contract, by what it lets through and by the line that it writes.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's helpers fail by panicking")]

mod support;

use std::sync::Arc;

use catalog::{Field, OnViolation, Plan, Source};
use expr::{Expr, Variable};
use fold::{Arrival, Fold, Outcome};
use lattice::{Type, Value};
use support::departures::{cell, plan_of, source};
use support::{DAY_MS, Memory, fold_of, origin};

/// 2013-01-01T10:00:00Z.
const TEN_MS: i64 = 1_357_034_400_000;

fn judge(fold: &mut Fold, event: &[u8]) -> Outcome {
    let event = Arrival { offset: fold.next(), appended_ms: TEN_MS, value: event };
    fold.fold(event, &Memory::default())
}

fn departures() -> Fold {
    fold_of(&origin("ewr"), &support::departures::plans(0))
}

/// A good departure, with `field` replaced by `value`.
fn with(field: &str, value: &str) -> String {
    let good = [
        ("event_id", r#""nyc13-1""#),
        ("departed_at", r#""2013-01-01T10:00:00Z""#),
        ("tailnum", r#""N14228""#),
        ("carrier", r#""UA""#),
        ("origin", r#""EWR""#),
        ("dest", r#""IAH""#),
        ("distance", "1400"),
        ("dep_delay", "2"),
    ];
    let pairs: Vec<_> = good
        .iter()
        .map(|(name, known)| (*name, if *name == field { value } else { *known }))
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!("{name:?}:{value}"))
        .collect();
    format!("{{{}}}", pairs.join(","))
}

#[test]
fn a_broken_rule_is_named_in_one_line() {
    let long = format!("\"{}\"", "é".repeat(100_000));
    let shown = format!("origin: \"{}\"… is not one of \"EWR\", \"JFK\", \"LGA\"", "é".repeat(40));
    let cases = [
        ("distance", "9000", "distance: 9000 is outside [0, 6000]"),
        ("distance", "-0.5", "distance: -0.5 is outside [0, 6000]"),
        ("distance", r#""far""#, r#"distance: "far" is not a double"#),
        ("distance", r#""NaN""#, r#"distance: "NaN" is not a double"#),
        ("distance", "null", "distance is missing or null"),
        ("dep_delay", "", "dep_delay is missing or null"),
        ("dep_delay", "1441", "dep_delay: 1441 is outside [-60, 1440]"),
        ("dep_delay", r#""1001""#, r#"dep_delay: "1001" is not an int"#),
        ("dep_delay", "5.5", "dep_delay: 5.5 is not an int"),
        ("dep_delay", "1e300", "dep_delay: 1e300 is not an int"),
        ("dep_delay", "1e-300", "dep_delay: 1e-300 is not an int"),
        ("dep_delay", "9223372036854775808", "dep_delay: 9.223372036854776e18 is not an int"),
        ("dep_delay", "true", "dep_delay: true is not an int"),
        ("dep_delay", "[1]", "dep_delay: an array or object is not an int"),
        ("carrier", "17", "carrier: 17 is not a string"),
        ("carrier", r#"{"code":"UA"}"#, "carrier: an array or object is not a string"),
        ("origin", r#""BOS""#, r#"origin: "BOS" is not one of "EWR", "JFK", "LGA""#),
        ("origin", r#""E\nWR""#, r#"origin: "E\nWR" is not one of "EWR", "JFK", "LGA""#),
        ("origin", &long, &shown),
        (
            "departed_at",
            r#""yesterday""#,
            "departed_at: \"yesterday\" is not a timestamp (write 2013-02-01T00:00:00Z, or \
             milliseconds)",
        ),
        (
            "departed_at",
            r#""2013-01-04T10:00:01Z""#,
            "departed_at is 3d ahead of its append time; max_ahead is 5m",
        ),
    ];
    for (field, value, rule) in cases {
        let outcome = judge(&mut departures(), with(field, value).as_bytes());
        let Outcome::Rejected(found) = outcome else { panic!("{field} {value}: {outcome:?}") };
        assert!(!found.contains('\n'), "{found}");
        assert_eq!(found, rule);
    }
}

#[test]
fn what_is_no_json_object_is_rejected() {
    let cases: [(&[u8], &str); 10] = [
        (b"", "the record has no value"),
        (b"{\"event_id\":\"\xff\"}", "not UTF-8 from byte 13 on"),
        (b"{\"event_id\":\"nyc", "not JSON: EOF while parsing a string at line 1 column 16"),
        (b"{\"distance\":NaN}", "not JSON: expected value at line 1 column 13"),
        (b"{\"distance\":1e999}", "not JSON: number out of range at line 1 column 17"),
        (b"{} {}", "not JSON: trailing characters at line 1 column 4"),
        (b"flight 17", "not JSON: expected ident at line 1 column 2"),
        (b"null", "not a JSON object"),
        (b"17", "not a JSON object"),
        (b"[{}]", "not a JSON object"),
    ];
    for (event, rule) in cases {
        assert_eq!(judge(&mut departures(), event), Outcome::Rejected(rule.to_owned()));
    }
}

#[test]
fn nesting_does_not_reach_the_stack() {
    let deep = 1_000_000;
    let bomb = format!("{}{}", "[".repeat(deep), "]".repeat(deep));
    let unknown = with("event_id", &format!("\"a\",\"unknown\":{bomb}"));
    assert_eq!(judge(&mut departures(), unknown.as_bytes()), Outcome::Folded);
    let known = judge(&mut departures(), with("carrier", &bomb).as_bytes());
    assert_eq!(known, Outcome::Rejected("carrier: an array or object is not a string".into()));
    let open = format!("{{\"carrier\":{}", "{\"a\":".repeat(deep));
    assert!(matches!(judge(&mut departures(), open.as_bytes()), Outcome::Rejected(_)));
}

#[test]
fn what_is_meant_well_is_taken() {
    let good = [
        ("dep_delay", "5.0"),
        ("dep_delay", "-6e1"),
        ("distance", "1400.25"),
        ("departed_at", "1357034400000"),
        ("departed_at", r#""2013-01-01T10:00:00""#),
        ("departed_at", r#""2013-01-01T11:00:00.25+01:00""#),
        ("departed_at", r#""2013-01-01T10:05:00Z""#),
        ("tailnum", "null"),
        ("tailnum", ""),
        ("carrier", r#""UA","extra":{"a":[1,"\ud83d\ude00"]}"#),
        ("carrier", r#""caf\u00e9""#),
    ];
    for (field, value) in good {
        assert_eq!(
            judge(&mut departures(), with(field, value).as_bytes()),
            Outcome::Folded,
            "{field} {value}"
        );
    }
}

#[test]
fn a_key_that_comes_twice_holds_last() {
    let twice = with("distance", "9000,\"distance\":10");
    assert_eq!(judge(&mut departures(), twice.as_bytes()), Outcome::Folded);
}

#[test]
fn skip_comes_before_the_contract_but_swallows_nothing_broken() {
    let cancelled = r#"{"departed_at":null,"carrier":17}"#;
    assert_eq!(judge(&mut departures(), cancelled.as_bytes()), Outcome::Skipped);
    assert_eq!(judge(&mut departures(), b"{}"), Outcome::Skipped);
    let broken = judge(&mut departures(), with("departed_at", r#""soon""#).as_bytes());
    assert!(matches!(broken, Outcome::Rejected(_)), "{broken:?}");
}

#[test]
fn an_event_without_its_time_is_rejected() {
    let plans = support::departures::plans(0);
    let source = Arc::new(Source { skip: None, ..source() });
    let plan = Arc::new(Plan { source, ..(*plans[1]).clone() });
    let mut fold = fold_of(&origin("ewr"), &[plan]);
    let outcome = judge(&mut fold, with("departed_at", "null").as_bytes());
    let rule = "departed_at: the event time is missing or null";
    assert_eq!(outcome, Outcome::Rejected(rule.to_owned()));
}

/// `on_violation: null` softens a bound, not a type.
#[test]
fn a_bound_may_be_softened_to_null() {
    let soft = |field: Field| Field { nullable: true, on_violation: OnViolation::Null, ..field };
    let mut source = source();
    source.id = None;
    source.fields[7] = soft(source.fields[7].clone());
    source.fields[5] =
        Field { one_of: vec![Value::Text("IAH".into())], ..soft(source.fields[5].clone()) };
    let cells = vec![cell("delay", lattice::Kind::Sum, Type::Int, 7)];
    let plan = Arc::new(plan_of(&Arc::new(source), "soft", vec![5], 0, DAY_MS, cells));
    let mut fold = fold_of(&origin("ewr"), &[plan]);
    for event in [with("dep_delay", "9000"), with("dep_delay", "7"), with("dest", r#""LAX""#)] {
        assert_eq!(judge(&mut fold, event.as_bytes()), Outcome::Folded, "{event}");
    }
    let typed = judge(&mut fold, with("dep_delay", r#""7""#).as_bytes());
    assert_eq!(typed, Outcome::Rejected("dep_delay: \"7\" is not an int".into()));
    // LAX was taken as null, and a null key is no entity.
    let draft = fold.draft();
    assert_eq!(draft.panes.len(), 1);
    let specs = [lattice::CellSpec { kind: lattice::Kind::Sum, input: Type::Int }];
    let cells = lattice::cell::Cells::decode(&specs, &draft.panes[0].pane.cells).unwrap();
    assert_eq!((cells.header().events, cells.value(0)), (2, Value::Int(7)));
}

#[test]
fn filters_and_null_keys_leave_an_event_out_of_one_plan_only() {
    let variables = [Variable { name: "carrier".into(), kind: Type::String, nullable: false }];
    let mut plans = support::departures::plans(0);
    let mut narrow = (*plans[1]).clone();
    // Fields are seen in the order of the source: the carrier is the fourth.
    let fields: Vec<Variable> = narrow
        .source
        .fields
        .iter()
        .map(|f| Variable { name: f.name.clone(), kind: f.kind, nullable: f.nullable })
        .collect();
    assert_eq!(fields[3], variables[0]);
    narrow.filter = Some(Expr::check(r#"carrier == "B6""#, &fields).unwrap());
    plans[1] = Arc::new(narrow);
    let mut fold = fold_of(&origin("ewr"), &plans);
    assert_eq!(judge(&mut fold, with("tailnum", "null").as_bytes()), Outcome::Folded);
    let mut views: Vec<_> = fold.draft().panes.into_iter().map(|c| c.key.plan.0[0]).collect();
    views.dedup();
    views.sort_unstable();
    views.dedup();
    assert_eq!(views, [2, 3]);
}
