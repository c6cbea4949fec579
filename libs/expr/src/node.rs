//! The typed tree and its evaluation. Strings stay borrowed, from the values or from the tree.

use std::cmp::Ordering;

use lattice::{Input, Value};

/// A typed expression. The checker has seen to it that the operands fit.
pub(crate) enum Node {
    Literal(Value),
    Variable(usize),
    Not(Box<Node>),
    And(Box<Node>, Box<Node>),
    Or(Box<Node>, Box<Node>),
    Equal(Box<Node>, Box<Node>),
    Unequal(Box<Node>, Box<Node>),
    Compare(Comparison, Box<Node>, Box<Node>),
    In(Box<Node>, Vec<Value>),
    If(Box<Node>, Box<Node>, Box<Node>),
    Unary(fn(f64) -> f64, Box<Node>),
    Arithmetic(fn(f64, f64) -> f64, Box<Node>, Box<Node>),
    Test(fn(&str, &str) -> bool, Box<Node>, Box<Node>),
    Size(Box<Node>),
}

#[derive(Clone, Copy)]
pub(crate) enum Comparison {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparison {
    fn holds(self, order: Ordering) -> bool {
        match self {
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
        }
    }
}

impl Node {
    pub(crate) fn eval<'a>(&'a self, values: &[Input<'a>]) -> Input<'a> {
        match self {
            Self::Literal(value) => value.as_input(),
            Self::Variable(index) => match values.get(*index) {
                Some(Input::Int(n)) => Input::Float(*n as f64),
                Some(Input::Float(x)) => finite(*x),
                Some(value) => *value,
                None => Input::Null,
            },
            Self::Not(a) => truth(a.truth(values).map(|a| !a)),
            Self::And(a, b) => truth(and(a.truth(values), || b.truth(values))),
            Self::Or(a, b) => {
                let neither = and(a.truth(values).map(|a| !a), || b.truth(values).map(|b| !b));
                truth(neither.map(|neither| !neither))
            }
            Self::Equal(a, b) => Input::Bool(a.eval(values) == b.eval(values)),
            Self::Unequal(a, b) => Input::Bool(a.eval(values) != b.eval(values)),
            Self::Compare(comparison, a, b) => {
                let order = order(a.eval(values), b.eval(values));
                truth(order.map(|order| comparison.holds(order)))
            }
            Self::In(a, list) => match a.eval(values) {
                Input::Null => Input::Null,
                value => Input::Bool(list.iter().any(|item| item.as_input() == value)),
            },
            Self::If(condition, a, b) => match condition.truth(values) {
                Some(true) => a.eval(values),
                Some(false) => b.eval(values),
                None => Input::Null,
            },
            Self::Unary(f, a) => a.number(values).map_or(Input::Null, |a| finite(f(a))),
            Self::Arithmetic(f, a, b) => match (a.number(values), b.number(values)) {
                (Some(a), Some(b)) => finite(f(a, b)),
                _ => Input::Null,
            },
            Self::Test(f, a, b) => match (a.eval(values), b.eval(values)) {
                (Input::Text(a), Input::Text(b)) => Input::Bool(f(a, b)),
                _ => Input::Null,
            },
            Self::Size(a) => match a.eval(values) {
                Input::Text(text) => Input::Float(text.chars().count() as f64),
                _ => Input::Null,
            },
        }
    }

    fn truth(&self, values: &[Input<'_>]) -> Option<bool> {
        match self.eval(values) {
            Input::Bool(b) => Some(b),
            _ => None,
        }
    }

    fn number(&self, values: &[Input<'_>]) -> Option<f64> {
        match self.eval(values) {
            Input::Float(x) => Some(x),
            _ => None,
        }
    }
}

/// Kleene's: false decides, then null does.
fn and(a: Option<bool>, b: impl FnOnce() -> Option<bool>) -> Option<bool> {
    if a == Some(false) {
        return a;
    }
    match b() {
        Some(true) => a,
        Some(false) => Some(false),
        None => None,
    }
}

fn order(a: Input<'_>, b: Input<'_>) -> Option<Ordering> {
    match (a, b) {
        (Input::Float(a), Input::Float(b)) => a.partial_cmp(&b),
        (Input::Text(a), Input::Text(b)) => Some(a.cmp(b)),
        (Input::Time(a), Input::Time(b)) => Some(a.cmp(&b)),
        (Input::Bool(a), Input::Bool(b)) => Some(a.cmp(&b)),
        _ => None,
    }
}

fn truth<'a>(value: Option<bool>) -> Input<'a> {
    value.map_or(Input::Null, Input::Bool)
}

fn finite<'a>(x: f64) -> Input<'a> {
    if x.is_finite() { Input::Float(x) } else { Input::Null }
}
