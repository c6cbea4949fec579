//! The features of a view's entities, as columns: panes of all origins combined, the windows cut.

use api::node::v1 as proto;
use api::v1::{FeatureColumn, FieldStatus};
use catalog::{Feature, Plan};
use lattice::cell::Header;
use lattice::combine::{Combiner, Want};
use lattice::{DecodeError, Value};

use crate::reader::ViewReader;

/// Reads the same features of one entity after the other.
pub(crate) struct Columns<'a> {
    plan: &'a Plan,
    features: Vec<&'a Feature>,
    widths: Vec<Width>,
    /// The values of the entity at hand.
    row: Vec<Value>,
    out: Vec<FeatureColumn>,
    /// Why values are INVALID, if some are.
    reasons: Vec<String>,
}

/// The features of one width.
struct Width {
    width_s: u32,
    /// Their places among all features.
    places: Vec<usize>,
    combiner: Combiner,
}

/// What holds of the features in one shard: why those that cannot be had cannot.
pub(crate) type Invalid = Vec<Option<String>>;

impl<'a> Columns<'a> {
    /// For these features of so many entities. The cut is the same in every shard; any of the
    /// view's readers knows it.
    pub(crate) fn new(
        any: &'a ViewReader<'_>,
        features: Vec<&'a Feature>,
        entities: usize,
    ) -> Self {
        let width = |(at, width): (usize, &catalog::Width)| {
            let places: Vec<usize> =
                (0..features.len()).filter(|place| features[*place].width == at).collect();
            let want = |place: &usize| Want {
                cell: features[*place].cell,
                cut: any.cut(features[*place]),
            };
            let wants: Vec<Want> = places.iter().map(want).collect();
            let combiner = Combiner::new(&width.specs, &wants);
            Width { width_s: width.width_s, places, combiner }
        };
        let widths = any.plan.widths.iter().enumerate().map(width).collect();
        let column = |_: &&Feature| FeatureColumn {
            values: Vec::with_capacity(entities),
            statuses: Vec::with_capacity(entities),
            event_timestamps_ms: Vec::with_capacity(entities),
        };
        let out = features.iter().map(column).collect();
        let reasons = vec![String::new(); features.len()];
        let row = vec![Value::Null; features.len()];
        Self { plan: &any.plan, row, features, widths, out, reasons }
    }

    /// The next entity, by the reader of its shard.
    pub(crate) fn push(
        &mut self,
        reader: &ViewReader<'_>,
        entity: &[u8],
        invalid: &Invalid,
    ) -> Result<(), DecodeError> {
        let mut seen: Option<Header> = None;
        self.row.fill(Value::Null);
        for Width { width_s, places, combiner } in &mut self.widths {
            // One without features tells only whether anything was ever seen.
            if places.is_empty() && seen.is_some() {
                continue;
            }
            let in_width = reader.panes(entity, *width_s, |panes| combiner.absorb(panes))?;
            combiner.take().for_each(|(at, value)| self.row[places[at]] = value);
            seen = later(seen, in_width);
        }
        let as_of_ms = reader.as_of_ms;
        let seen = seen.filter(|s| as_of_ms.is_none_or(|at_ms| s.first_event_ms < at_ms));
        let least_ms =
            as_of_ms.unwrap_or(reader.now_ms).saturating_sub(self.plan.ttl_ms.unwrap_or(0));
        let expired = |seen: &Header| self.plan.ttl_ms.is_some() && least_ms > seen.last_event_ms;
        let is_expired = seen.as_ref().is_some_and(expired);
        let event_time_ms = seen.map_or(0, |seen| seen.last_event_ms);
        for (at, (feature, column)) in self.features.iter().zip(&mut self.out).enumerate() {
            let (value, status) = match &invalid[at] {
                Some(reason) => {
                    self.reasons[at].clone_from(reason);
                    (Value::Null, FieldStatus::Invalid)
                }
                None if seen.is_none() => (Value::Null, FieldStatus::NotFound),
                None if is_expired => (Value::Null, FieldStatus::OutsideMaxAge),
                None => match reader
                    .or_empty(feature, std::mem::replace(&mut self.row[at], Value::Null))
                {
                    Value::Null => (Value::Null, FieldStatus::NullValue),
                    value => (value, FieldStatus::Present),
                },
            };
            column.values.push(value.into());
            column.statuses.push(status.into());
            column.event_timestamps_ms.push(event_time_ms);
        }
        Ok(())
    }

    /// Encoded, as they are passed on.
    pub(crate) fn finish(self) -> proto::ViewValues {
        proto::ViewValues {
            columns: self.out.iter().map(FeatureColumn::encoded).collect(),
            invalid_reasons: self.reasons,
            ..Default::default()
        }
    }
}

fn later(a: Option<Header>, b: Option<Header>) -> Option<Header> {
    match (a, b) {
        (Some(a), Some(b)) => Some(Header {
            events: a.events.max(b.events),
            first_event_ms: a.first_event_ms.min(b.first_event_ms),
            last_event_ms: a.last_event_ms.max(b.last_event_ms),
        }),
        (a, b) => a.or(b),
    }
}
