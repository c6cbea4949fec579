//! Aggregates the naive way, over raw values, and strategies for what to aggregate. Shares no code
//! with what it checks.
#![allow(dead_code, unreachable_pub, reason = "not every test file uses all of it")]
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use std::collections::HashSet;

use lattice::{CellSpec, Kind, Origin, Stamp, TopicId, Type, Value};
use proptest::prelude::*;

pub const KINDS: [Kind; 13] = [
    Kind::Count,
    Kind::Sum,
    Kind::Mean,
    Kind::Min,
    Kind::Max,
    Kind::First,
    Kind::Last,
    Kind::Variance,
    Kind::Stddev,
    Kind::Distinct { error_bp: 100 },
    Kind::Quantile { q: 0.9 },
    Kind::Quantile { q: 0.0 },
    Kind::Share,
];

pub const TYPES: [Type; 5] = [Type::Bool, Type::Int, Type::Double, Type::String, Type::Timestamp];

/// Every aggregate over every type that it takes.
pub fn all_specs() -> Vec<CellSpec> {
    let pairs = KINDS.iter().flat_map(|kind| TYPES.map(|input| CellSpec { kind: *kind, input }));
    pairs.filter(|spec| spec.output().is_some()).collect()
}

#[derive(Clone, Debug)]
pub struct Event {
    /// Rank of the origin.
    pub origin: usize,
    pub at: Stamp,
    pub value: Value,
}

/// In the order of `Origin`.
pub fn origins() -> [Origin; 3] {
    [("eu", 0), ("eu", 1), ("us", 0)].map(|(region, partition)| Origin {
        region: region.into(),
        topic: TopicId([9; 16]),
        partition,
    })
}

/// Values of a type, whose squares are finite, a quarter of them null, with many repeats, and with edges.
pub fn value(of: Type) -> BoxedStrategy<Value> {
    let some = match of {
        Type::Bool => any::<bool>().prop_map(Value::Bool).boxed(),
        Type::Int => {
            prop_oneof![-20i64..20, -100_000i64..100_000, any::<i64>()].prop_map(Value::Int).boxed()
        }
        Type::Double => prop_oneof![
            (-20i32..20).prop_map(f64::from),
            -1e6..1e6f64,
            Just(-0.0),
            (-140..140i32).prop_map(|e| 10f64.powi(e)),
            (-140..140i32).prop_map(|e| -(10f64.powi(e))),
        ]
        .prop_map(Value::Float)
        .boxed(),
        Type::String => "[a-c]{0,2}|.{0,9}".prop_map(|s| Value::Text(s.into())).boxed(),
        Type::Timestamp => prop_oneof![0i64..9, any::<i64>()].prop_map(Value::Time).boxed(),
    };
    prop_oneof![3 => some, 1 => Just(Value::Null)].boxed()
}

/// Events of three origins over twenty seconds, so few instants that they tie; offsets count up in each.
pub fn events(of: Type, most: usize) -> impl Strategy<Value = Vec<Event>> {
    prop::collection::vec((0..3usize, 0i64..80, value(of)), 0..most).prop_map(|events| {
        let mut next = [0u64; 3];
        let stamp = |(origin, quarter, value): (usize, i64, Value)| {
            next[origin] += 1;
            Event {
                origin,
                at: Stamp { event_time_ms: quarter * 250, offset: next[origin] - 1 },
                value,
            }
        };
        events.into_iter().map(stamp).collect()
    })
}

/// What an aggregate must yield, and how far off a float may be.
#[derive(Debug)]
pub struct Expected {
    pub value: Value,
    pub within: f64,
}

impl Expected {
    fn exactly(value: Value) -> Self {
        Self { value, within: 0.0 }
    }

    pub fn is_met_by(&self, got: &Value) -> bool {
        match (&self.value, got) {
            (Value::Float(a), Value::Float(b)) if self.within > 0.0 => (a - b).abs() <= self.within,
            (a, b) => a == b,
        }
    }
}

fn number(value: &Value) -> f64 {
    match value {
        Value::Int(n) => *n as f64,
        Value::Float(x) => *x,
        other => panic!("{other:?} is no number"),
    }
}

fn less(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Bool(a), Value::Bool(b)) => a < b,
        (Value::Int(a), Value::Int(b)) | (Value::Time(a), Value::Time(b)) => a < b,
        (Value::Float(a), Value::Float(b)) => a.total_cmp(b).is_lt(),
        (Value::Text(a), Value::Text(b)) => a < b,
        _ => false,
    }
}

/// The aggregate of these events, all at once.
pub fn naive(spec: CellSpec, events: &[&Event]) -> Expected {
    let held: Vec<&Event> = events.iter().copied().filter(|e| !e.value.is_null()).collect();
    if let Kind::Share = spec.kind {
        let hits = held.iter().filter(|e| e.value == Value::Bool(true)).count();
        let share = Value::Float(hits as f64 / events.len() as f64);
        return Expected::exactly(if events.is_empty() { Value::Null } else { share });
    }
    match spec.kind {
        Kind::Count => return Expected::exactly(Value::Int(held.len() as i64)),
        Kind::Distinct { .. } => {
            let zero =
                |text: String| if text == "Float(-0.0)" { "Float(0.0)".into() } else { text };
            let set: HashSet<String> =
                held.iter().map(|e| zero(format!("{:?}", e.value))).collect();
            return Expected::exactly(Value::Int(set.len() as i64));
        }
        _ if held.is_empty() => return Expected::exactly(Value::Null),
        _ => {}
    }
    let values: Vec<&Value> = held.iter().map(|e| &e.value).collect();
    let order = |e: &&&Event| (e.at.event_time_ms, e.origin, e.at.offset);
    let pick = |a: &'static str| match a {
        "min" => values.iter().fold(values[0], |a, b| if less(b, a) { b } else { a }).clone(),
        "max" => values.iter().fold(values[0], |a, b| if less(a, b) { b } else { a }).clone(),
        "first" => held.iter().min_by_key(order).unwrap().value.clone(),
        _ => held.iter().max_by_key(order).unwrap().value.clone(),
    };
    match spec.kind {
        Kind::Min => Expected::exactly(pick("min")),
        Kind::Max => Expected::exactly(pick("max")),
        Kind::First => Expected::exactly(pick("first")),
        Kind::Last => Expected::exactly(pick("last")),
        _ => numeric(spec, &values),
    }
}

fn numeric(spec: CellSpec, values: &[&Value]) -> Expected {
    let numbers: Vec<f64> = values.iter().map(|v| number(v)).collect();
    let n = numbers.len() as f64;
    let scale = numbers.iter().map(|x| x.abs()).fold(0.0, f64::max);
    let exact: Option<i128> = values
        .iter()
        .map(|v| if let Value::Int(n) = v { Some(i128::from(*n)) } else { None })
        .sum();
    let total = exact.map_or_else(|| numbers.iter().sum(), |n| n as f64);
    let mean = total / n;
    let variance = numbers.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
    match (spec.kind, exact) {
        (Kind::Sum, Some(exact)) => {
            let clamped = exact.max(i64::MIN.into()).min(i64::MAX.into());
            Expected::exactly(Value::Int(clamped.try_into().unwrap()))
        }
        (Kind::Sum, None) => {
            Expected { value: Value::Float(total), within: n * scale * 1e-14 + f64::MIN_POSITIVE }
        }
        (Kind::Mean, _) => {
            Expected { value: Value::Float(mean), within: scale * 1e-13 + f64::MIN_POSITIVE }
        }
        (Kind::Variance, _) => Expected {
            value: Value::Float(variance),
            within: scale * scale * 1e-12 + f64::MIN_POSITIVE,
        },
        (Kind::Stddev, _) => Expected {
            value: Value::Float(variance.sqrt()),
            within: scale * 1e-6 + f64::MIN_POSITIVE,
        },
        (Kind::Quantile { q }, _) => {
            let mut sorted = numbers;
            sorted.sort_by(f64::total_cmp);
            let value = sorted[(q * (n - 1.0)).floor() as usize];
            Expected {
                value: Value::Float(value),
                within: value.abs() * 0.010_000_001 + f64::MIN_POSITIVE,
            }
        }
        (other, _) => panic!("{other:?} is not of numbers"),
    }
}
