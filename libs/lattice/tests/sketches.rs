//! What the sketches promise, measured on seeded sets.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use lattice::cell::Cells;
use lattice::combine::{Cut, PaneView, Want, combine};
use lattice::{CellSpec, Input, Kind, Origin, Span, Stamp, TopicId, Type, Value};

/// SplitMix64 (Steele, Lea, Flood, 2014): distinct for distinct `n`, and looks random.
fn mix(n: u64) -> u64 {
    let z = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

const AT: Stamp = Stamp { event_time_ms: 0, offset: 0 };

/// Values dealt out to three panes, every tenth to two of them, then combined.
fn combined(spec: CellSpec, values: impl Iterator<Item = Value>) -> Value {
    let mut panes: Vec<Cells> = (0..3).map(|_| Cells::empty(&[spec])).collect();
    for (i, value) in values.enumerate() {
        panes[i % 3].fold(0, value.as_input(), AT);
        if i % 10 == 0 {
            panes[(i + 1) % 3].fold(0, value.as_input(), AT);
        }
    }
    let encoded: Vec<Vec<u8>> = panes
        .iter()
        .map(|pane| {
            let mut out = Vec::new();
            pane.encode(&mut out);
            out
        })
        .collect();
    let origin = Origin { region: "eu".into(), topic: TopicId([0; 16]), partition: 0 };
    let mut views = encoded.iter().map(|cells| PaneView {
        origin: &origin,
        span: Span::ALL,
        version: 1,
        cells,
    });
    let cut = Cut { from_ms: i64::MIN, until_ms: None };
    combine(&[spec], &[Want { cell: 0, cut }], &mut views).unwrap().values.remove(0)
}

fn count(value: Value) -> f64 {
    match value {
        Value::Int(n) => n as f64,
        other => panic!("{other:?} is no count"),
    }
}

fn error_of(spec: CellSpec, n: u64, seed: u64) -> f64 {
    let values = (0..n).map(|i| Value::Int(mix(seed << 32 | i) as i64));
    (count(combined(spec, values)) / n as f64 - 1.0).abs()
}

const ONE_PERCENT: CellSpec = CellSpec { kind: Kind::Distinct { error_bp: 100 }, input: Type::Int };

#[test]
fn distinct_is_within_two_percent() {
    for (n, seeds) in [(1000, 20), (10_000, 20), (100_000, 10), (1_000_000, 3)] {
        for seed in 0..seeds {
            let error = error_of(ONE_PERCENT, n, seed);
            assert!(error < 0.02, "{n} values, seed {seed}: off by {error}");
        }
    }
}

/// The declared error is one standard error.
#[test]
fn distinct_has_the_declared_standard_error() {
    for error_bp in [30, 100, 300, 1000] {
        let spec = CellSpec { kind: Kind::Distinct { error_bp }, input: Type::Int };
        let squares = (100..140).map(|seed| error_of(spec, 60_000, seed).powi(2));
        let rms = (squares.sum::<f64>() / 40.0).sqrt();
        assert!(rms < f64::from(error_bp) / 1e4, "{error_bp} bp declared, {rms} measured");
    }
}

#[test]
fn distinct_is_exact_while_small() {
    for error_bp in [0, 100, 325, u32::MAX] {
        for n in [0, 1, 2, 50, 100, 127] {
            let spec = CellSpec { kind: Kind::Distinct { error_bp }, input: Type::Int };
            assert_eq!(error_of(spec, n.max(1), n), 0.0, "{n} values at {error_bp} bp");
        }
    }
    for n in [1000, 4095] {
        assert_eq!(error_of(ONE_PERCENT, n, n), 0.0, "{n} values at 1 %");
    }
}

/// Every type has its own marks; equal values have equal ones.
#[test]
fn distinct_tells_values_apart_as_equality_does() {
    let of = |input, inputs: &[Input<'_>]| {
        let mut cells = Cells::empty(&[CellSpec { kind: Kind::Distinct { error_bp: 100 }, input }]);
        inputs.iter().for_each(|value| cells.fold(0, *value, AT));
        cells.value(0)
    };
    let zeros = [Input::Float(0.0), Input::Float(-0.0)];
    assert_eq!(of(Type::Double, &zeros), Value::Int(1));
    let texts = [Input::Text(""), Input::Text("a"), Input::Text("a"), Input::Text("b")];
    assert_eq!(of(Type::String, &texts), Value::Int(3));
    assert_eq!(of(Type::Bool, &[Input::Bool(true), Input::Bool(false)]), Value::Int(2));
}

fn quantile_of(q: f64, values: &[f64]) -> f64 {
    let spec = CellSpec { kind: Kind::Quantile { q }, input: Type::Double };
    let mut cells = Cells::empty(&[spec]);
    values.iter().for_each(|x| cells.fold(0, Input::Float(*x), AT));
    match cells.value(0) {
        Value::Float(x) => x,
        other => panic!("{other:?} is no quantile"),
    }
}

#[test]
fn quantiles_are_within_one_percent() {
    let uniform = |i: u64| (mix(i) >> 11) as f64 / (1u64 << 53) as f64;
    let sets: [(&str, Vec<f64>); 5] = [
        ("uniform", (0..20_000).map(|i| uniform(i) * 1e4).collect()),
        ("negative and zero", (0..20_000).map(|i| (uniform(i) * 60.0).floor() - 30.0).collect()),
        ("heavy tail", (0..20_000).map(|i| 1.0 / (1.0 - uniform(i)).powi(3)).collect()),
        ("tiny to huge", (0..20_000).map(|i| 10f64.powf(uniform(i) * 16.0 - 8.0)).collect()),
        ("one", vec![-17.0]),
    ];
    for (name, values) in sets {
        let mut sorted = values.clone();
        sorted.sort_by(f64::total_cmp);
        for q in [0.0, 0.01, 0.25, 0.5, 0.9, 0.99, 0.999, 1.0] {
            let exact = sorted[(q * (sorted.len() - 1) as f64).floor() as usize];
            let got = quantile_of(q, &values);
            let within = exact.abs() * 0.010_000_001;
            assert!((got - exact).abs() <= within, "{name}, q {q}: {got}, not {exact}");
        }
    }
}

#[test]
fn quantiles_hold_at_the_ends_of_floats() {
    for x in [f64::MAX, f64::MIN, f64::MIN_POSITIVE, -f64::MIN_POSITIVE, 1.0, -1.0, 0.99, 1.01] {
        let got = quantile_of(0.5, &[x]);
        assert!((got - x).abs() <= x.abs() * 0.010_000_001, "{got}, not {x}");
    }
    for x in [f64::INFINITY, f64::NEG_INFINITY, 5e-324, -5e-324] {
        assert!(quantile_of(0.5, &[x]).is_finite(), "{x}");
    }
}

/// Buckets are bounded; only the lowest values lose their place.
#[test]
fn quantiles_collapse_from_below() {
    let values: Vec<f64> = (0..5000).map(|i| 1.021f64.powi(i)).collect();
    let got = quantile_of(0.9, &values);
    let exact = values[(0.9 * 4999.0) as usize];
    assert!((got - exact).abs() <= exact * 0.010_000_001, "{got}, not {exact}");
}
