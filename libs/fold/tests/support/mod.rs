//! The departures catalog as plans, written out by hand so that no test of the fold hangs on the
//! catalog's parser; and panes in memory.
#![allow(dead_code, unreachable_pub, reason = "every test file and the bench take what they need")]

pub mod departures;

use std::collections::BTreeMap;
use std::sync::Arc;

use catalog::{Field, OnViolation, Plan};
use fold::{Arrival, Changed, Draft, Fold, Panes, PlanStart};
use lattice::progress::NO_WATERMARK;
use lattice::{Frontier, Origin, Pane, PaneKey, TopicId, Type};

pub const SHARDS: u32 = 16;

pub const MINUTE_MS: i64 = 60_000;
pub const HOUR_MS: i64 = 60 * MINUTE_MS;
pub const DAY_MS: i64 = 24 * HOUR_MS;

/// What a store would hold.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Memory(pub BTreeMap<PaneKey, Pane>);

impl Panes for Memory {
    fn pane(&self, _: u32, key: &PaneKey) -> Option<Pane> {
        self.0.get(key).cloned()
    }
}

impl Memory {
    pub fn apply(&mut self, draft: &Draft) {
        for Changed { key, pane, .. } in &draft.panes {
            self.0.insert(key.clone(), pane.clone());
        }
    }
}

pub fn origin(region: &str) -> Origin {
    Origin { region: region.into(), topic: TopicId([7; 16]), partition: 0 }
}

pub fn start(plan: &Arc<Plan>) -> PlanStart {
    PlanStart {
        plan: plan.clone(),
        frontier: Frontier::default(),
        watermark_ms: NO_WATERMARK,
        floors: vec![0; SHARDS as usize],
        gaps: Vec::new(),
    }
}

pub fn fold_of(origin: &Origin, plans: &[Arc<Plan>]) -> Fold {
    let starts = plans.iter().map(start).collect();
    Fold::new(origin.clone(), SHARDS, plans[0].source.clone(), starts)
}

pub fn arrival(offset: u64, appended_ms: i64, event: &str) -> Arrival<'_> {
    Arrival { offset, appended_ms, value: event.as_bytes() }
}

pub fn field(name: &str, kind: Type) -> Field {
    Field {
        name: name.into(),
        kind,
        nullable: false,
        range: None,
        one_of: Vec::new(),
        on_violation: OnViolation::DeadLetter,
    }
}
