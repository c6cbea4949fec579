//! The aggregate of a feature: exactly one key, with the parameters that belong to it.

use expr::Variable;
use lattice::{CellSpec, Type};
use serde_saphyr::Spanned;

use super::scalars::{Checker, type_name};
use crate::aggregates::{Aggregate, Feature, KEYS};
use crate::definitions::{Contract, Folded};

/// A checked aggregate.
pub(crate) struct Checked {
    pub(crate) aggregate: Aggregate,
    pub(crate) input: Folded,
    pub(crate) kind: Type,
    pub(crate) q: Option<f64>,
}

impl Checked {
    pub(crate) fn spec(&self) -> CellSpec {
        CellSpec { kind: self.aggregate.kind(self.q), input: self.kind }
    }

    /// Whether an empty window is 0 rather than null.
    pub(crate) fn counts(&self) -> bool {
        matches!(self.aggregate, Aggregate::Count | Aggregate::Distinct { .. })
    }
}

pub(crate) fn check(
    checker: &mut Checker<'_>,
    name: &Spanned<String>,
    feature: &Feature,
    contract: &Contract,
    variables: &[Variable],
) -> Option<Checked> {
    let mut given = feature.aggregates();
    let Some((aggregate, at)) = given.next() else {
        let keys = KEYS.join(", ");
        checker.error(name, format!("`{}` has no aggregate; give it one of {keys}", name.value));
        return None;
    };
    if let Some((_, second)) = given.next() {
        let message = format!("`{}` has two aggregates; make two features of it", name.value);
        checker.error(second, message);
        return None;
    }
    let aggregate = error_bound(checker, feature, aggregate)?;
    let q = rank(checker, name, feature, aggregate)?;
    let (input, kind) = input(checker, at, aggregate, contract, variables)?;
    let checked = Checked { aggregate, input, kind, q };
    if checked.spec().output().is_none() {
        let message =
            format!("`{}` is a {}, which this aggregate does not take", at.value, type_name(kind));
        checker.error(at, message);
        return None;
    }
    Some(checked)
}

fn error_bound(
    checker: &mut Checker<'_>,
    feature: &Feature,
    aggregate: Aggregate,
) -> Option<Aggregate> {
    let Some(at) = &feature.error else { return Some(aggregate) };
    if !matches!(aggregate, Aggregate::Distinct { .. }) {
        checker.error(at, "`error` belongs to `distinct`");
        return None;
    }
    let percent = at.value.strip_suffix('%').and_then(|text| text.trim_end().parse::<f64>().ok());
    match percent {
        Some(percent) if (0.4..=26.0).contains(&percent) => {
            Some(Aggregate::Distinct { error_bp: (percent * 100.0).round() as u32 })
        }
        _ => {
            checker.error(at, format!("`{}` is no error bound; use 0.4% to 26%", at.value));
            None
        }
    }
}

/// `q`, which a quantile must have and nothing else may. The outer `None` is an error.
fn rank(
    checker: &mut Checker<'_>,
    name: &Spanned<String>,
    feature: &Feature,
    aggregate: Aggregate,
) -> Option<Option<f64>> {
    match (&feature.q, aggregate) {
        (Some(q), Aggregate::Quantile) if (0.0..=1.0).contains(&q.value) => Some(Some(q.value)),
        (Some(q), Aggregate::Quantile) => {
            checker.error(q, format!("q is {}; use 0 to 1", q.value));
            None
        }
        (None, Aggregate::Quantile) => checker.required(name, None::<&()>, "q").map(|()| None),
        (Some(q), _) => {
            checker.error(q, "`q` belongs to `quantile`");
            None
        }
        (None, _) => Some(None),
    }
}

fn input(
    checker: &mut Checker<'_>,
    at: &Spanned<String>,
    aggregate: Aggregate,
    contract: &Contract,
    variables: &[Variable],
) -> Option<(Folded, Type)> {
    if aggregate == Aggregate::Share {
        return Some((Folded::Expr(checker.condition(at, variables)?), Type::Bool));
    }
    if at.value == "*" {
        if aggregate == Aggregate::Count {
            return Some((Folded::Event, Type::Bool));
        }
        checker.error(at, "`*` is for `count`; name a field");
        return None;
    }
    let field = contract.fields.iter().find(|field| field.name == at.value);
    let Some(field) = field else {
        let names: Vec<_> = contract.fields.iter().map(|field| field.name.as_str()).collect();
        let message = format!(
            "`{}` is no field of `{}`, which has {}",
            at.value,
            contract.source,
            names.join(", ")
        );
        checker.error(at, message);
        return None;
    };
    Some((Folded::Field(field.name.clone()), field.kind))
}
