//! Three regions' folds, and the features as a reader combines them.

use std::collections::BTreeMap;
use std::sync::Arc;

use catalog::{Feature, Plan};
use fold::Outcome;
use lattice::combine::{Cut, PaneView, Want, combine};
use lattice::key::floor_ms;
use lattice::shard::decode_entity_key;
use lattice::{Origin, Pane, PaneKey, Value};

use crate::sql::{Oracle, Row};
use crate::support::departures::APPENDED_MS;
use crate::support::{Memory, arrival, fold_of, origin};

pub(crate) struct Regions {
    plans: Vec<Arc<Plan>>,
    panes: Memory,
}

impl Regions {
    pub(crate) fn new(plans: Vec<Arc<Plan>>) -> Self {
        Self { plans, panes: Memory::default() }
    }

    /// Folds the events of one region.
    pub(crate) fn replay(
        &mut self,
        region: &str,
        events: &[String],
        commit: usize,
    ) -> Vec<Outcome> {
        let mut fold = fold_of(&origin(region), &self.plans);
        let mut outcomes = Vec::new();
        for (offset, event) in (0..).zip(events) {
            outcomes.push(fold.fold(arrival(offset, APPENDED_MS, event), &self.panes));
            if outcomes.len() % commit == 0 {
                self.panes.apply(&fold.draft());
            }
        }
        self.panes.apply(&fold.draft());
        outcomes
    }

    pub(crate) fn views(&self) -> Vec<View<'_>> {
        self.plans.iter().map(|plan| View::new(plan, &self.panes)).collect()
    }
}

/// Panes by width, each list ordered by (origin, span).
type Widths<'a> = BTreeMap<u32, Vec<(&'a PaneKey, &'a Pane)>>;

/// The panes of one plan by entity.
pub(crate) struct View<'a> {
    plan: &'a Plan,
    entities: BTreeMap<String, Widths<'a>>,
}

impl<'a> View<'a> {
    fn new(plan: &'a Plan, panes: &'a Memory) -> Self {
        let mut entities: BTreeMap<String, Widths<'a>> = BTreeMap::new();
        for (key, pane) in panes.0.iter().filter(|(key, _)| key.plan == plan.hash) {
            let widths = entities.entry(name_of(key)).or_default();
            widths.entry(key.span.width_s).or_default().push((key, pane));
        }
        let by_origin = |(key, _): &(&PaneKey, &Pane)| -> (Origin, i64) {
            (key.origin.clone(), key.span.start_ms)
        };
        entities.values_mut().flat_map(BTreeMap::values_mut).for_each(|p| p.sort_by_key(by_origin));
        Self { plan, entities }
    }

    fn value(&self, entity: &str, feature: &Feature, cut: Cut) -> Value {
        let width = &self.plan.widths[feature.width];
        let panes = self.entities[entity].get(&width.width_s).map_or(&[][..], Vec::as_slice);
        let mut panes = panes.iter().map(|(key, pane)| PaneView {
            origin: &key.origin,
            span: key.span,
            version: pane.version,
            cells: &pane.cells,
        });
        let want = Want { cell: feature.cell, cut };
        combine(&width.specs, &[want], &mut panes).unwrap().values.remove(0)
    }

    /// Compares every windowed feature of every entity; how many values.
    pub(crate) fn check_windows(&self, oracle: &Oracle, as_of_ms: i64) -> usize {
        let mut compared = 0;
        let mut expected: BTreeMap<i64, BTreeMap<String, Row>> = BTreeMap::new();
        for feature in &self.plan.features {
            let Some(window_ms) = feature.window_ms else { continue };
            let until_ms = floor_ms(as_of_ms, self.plan.widths[feature.width].width_s);
            let cut = Cut { from_ms: until_ms - window_ms, until_ms: Some(until_ms) };
            let rows = expected
                .entry(window_ms)
                .or_insert_with(|| oracle.window(self.plan, cut.from_ms, until_ms));
            let unknown = rows.keys().find(|key| !self.entities.contains_key(*key));
            assert_eq!(unknown, None, "SQL has an entity that the fold has not");
            for entity in self.entities.keys() {
                let value = self.value(entity, feature, cut);
                let cell = &self.plan.widths[feature.width].cells[feature.cell].name;
                agree(&value, cell, rows.get(entity)).unwrap_or_else(|why| {
                    panic!("{} of {entity} at {as_of_ms}: {why}", feature.name)
                });
                compared += 1;
            }
        }
        compared
    }

    /// Compares `last_destination` of every entity; how many values.
    pub(crate) fn check_last(&self, oracle: &Oracle) -> usize {
        let feature =
            self.plan.features.iter().find(|feature| feature.window_ms.is_none()).unwrap();
        let expected = oracle.last(self.plan);
        assert!(expected.keys().eq(self.entities.keys()), "not the same entities");
        for (entity, places) in &expected {
            let cut = Cut { from_ms: i64::MIN, until_ms: None };
            match self.value(entity, feature, cut) {
                Value::Text(place) => assert!(places.contains(&*place), "{entity}: {place}"),
                value => panic!("{entity}: {value:?}"),
            }
        }
        expected.len()
    }
}

fn name_of(key: &PaneKey) -> String {
    let part = |value: &Value| match value {
        Value::Text(text) => text.to_string(),
        value => panic!("{value:?} is no key of the departures"),
    };
    let values = decode_entity_key(&key.entity).unwrap();
    values.iter().map(part).collect::<Vec<_>>().join("/")
}

fn agree(value: &Value, cell: &str, row: Option<&Row>) -> Result<(), String> {
    let Some(row) = row else {
        let empty = match cell {
            "departures" | "destinations" => Value::Int(0),
            _ => Value::Null,
        };
        return (*value == empty).then_some(()).ok_or_else(|| format!("{value:?}, not empty"));
    };
    let exactly = |expected: Value| (expected.clone(), *value == expected);
    let within = |expected: f64, error: f64| {
        let near = matches!(value, Value::Float(x) if (x - expected).abs() <= error);
        (Value::Float(expected), near)
    };
    let (expected, agrees) = match cell {
        "departures" => exactly(Value::Int(row.departures)),
        "destinations" if row.destinations <= 100 => exactly(Value::Int(row.destinations)),
        "worst_delay" => exactly(Value::Int(row.worst_delay)),
        "miles" => exactly(Value::Float(row.miles)),
        "delay" => within(row.delay, 1e-9),
        "late_share" => within(row.late_share, 1e-9),
        // A value at the edge of its bucket is off by all of the 1 %, and by a float's rounding.
        "delay_p90" => within(row.delay_p90, row.delay_p90.abs() * (0.01 + 1e-12)),
        other => return Err(format!("nothing compares {other}")),
    };
    if agrees { Ok(()) } else { Err(format!("{value:?}, but SQL says {expected:?}")) }
}
