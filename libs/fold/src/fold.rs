//! The fold of some plans: an event, through the contract and the ids, to the panes of each plan.

use std::sync::Arc;

use bytes::Bytes;
use catalog::{Plan, Source};
use lattice::{Origin, Stamp};

use crate::contract::{Contract, Valid, Verdict};
use crate::ids::Ids;
use crate::panes::PaneTable;
use crate::plan::{self, At};
use crate::{Arrival, Counts, Draft, Outcome, Panes, PlanStart, Rejected};

/// The state of plans of one contract that stand at the same offset of one partition.
pub struct Fold {
    shards: u32,
    next: u64,
    contract: Contract,
    ids: Ids,
    plans: Vec<PlanStart>,
    /// Beside `plans`.
    tables: Vec<PaneTable>,
    rejected: Vec<Rejected>,
    counts: Counts,
}

impl Fold {
    /// A fold of `plans` (all of one source contract), at the lowest `next` among them. Plans
    /// that stand higher skip what they have.
    #[must_use]
    pub fn new(origin: Origin, shards: u32, source: Arc<Source>, plans: Vec<PlanStart>) -> Self {
        Self {
            next: plans.iter().map(|start| start.frontier.next).min().unwrap_or(0),
            ids: Ids::new(source.id_events, source.id_ms),
            contract: Contract::new(source),
            tables: plans.iter().map(|start| PaneTable::new(start, &origin)).collect(),
            plans,
            rejected: Vec::new(),
            counts: Counts::default(),
            shards,
        }
    }

    /// The contract that all its plans share; folds of one contract can be joined.
    #[must_use]
    pub fn contract(&self) -> [u8; 16] {
        self.contract.source().contract
    }

    /// The next offset to fold.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.next
    }

    /// The offset from which [`Fold::remember`] must be fed, up to `next`, before folding.
    #[must_use]
    pub fn remember_from(&self) -> u64 {
        match self.contract.source().id {
            Some(_) => self.next.saturating_sub(self.contract.source().id_events),
            None => self.next,
        }
    }

    /// Takes an event below `next` into the id window without folding it.
    pub fn remember(&mut self, event: Arrival<'_>) {
        let Ok(raws) = self.contract.read(event.value) else { return };
        if let Verdict::Valid(Valid { id: Some(id), .. }) =
            self.contract.check(&raws, event.appended_ms)
        {
            self.ids.see(id, event.offset, event.appended_ms);
        }
    }

    /// Folds the event at or above `next`. A gap in the offsets is passed over. An event below
    /// `next` has been folded: it is a repeat, and changes nothing, not even the counts.
    ///
    /// An event whose old pane cannot be decoded is rejected, and folded into the other panes.
    pub fn fold(&mut self, event: Arrival<'_>, panes: &dyn Panes) -> Outcome {
        if event.offset < self.next {
            return Outcome::Repeated;
        }
        let outcome = self.judge(event, panes);
        match &outcome {
            Outcome::Folded => self.counts.folded += 1,
            Outcome::Skipped => self.counts.skipped += 1,
            Outcome::Repeated => self.counts.repeated += 1,
            Outcome::Rejected(rule) => {
                self.counts.rejected += 1;
                self.rejected.push(Rejected {
                    offset: event.offset,
                    appended_ms: event.appended_ms,
                    rule: rule.clone(),
                    event: Bytes::copy_from_slice(event.value),
                });
            }
        }
        self.skip_to(event.offset.saturating_add(1));
        outcome
    }

    fn judge(&mut self, event: Arrival<'_>, panes: &dyn Panes) -> Outcome {
        let raws = match self.contract.read(event.value) {
            Ok(raws) => raws,
            Err(rule) => return Outcome::Rejected(rule),
        };
        let valid = match self.contract.check(&raws, event.appended_ms) {
            Verdict::Skipped => return Outcome::Skipped,
            Verdict::Broken(rule) => return Outcome::Rejected(rule),
            Verdict::Valid(valid) => valid,
        };
        let Arrival { offset, appended_ms, .. } = event;
        let repeated = valid.id.is_some_and(|id| self.ids.see(id, offset, appended_ms));
        // A repeat says what time it is too: the watermark must not depend on the id window.
        let reached_ms = valid.time_ms.saturating_sub(self.contract.source().disorder_ms);
        let at = At {
            stamp: Stamp { event_time_ms: valid.time_ms, offset },
            values: &valid.values,
            shards: self.shards,
        };
        let mut unreadable = None;
        for (start, table) in self.plans.iter_mut().zip(&mut self.tables) {
            if offset < start.frontier.next {
                continue;
            }
            start.watermark_ms = start.watermark_ms.max(reached_ms);
            if repeated {
                continue;
            }
            match plan::fold(start, table, &at, panes) {
                Ok(late) => self.counts.late += late,
                Err(e) => unreadable = Some(format!("{}: {e}", start.plan.reference())),
            }
        }
        match unreadable {
            Some(rule) => Outcome::Rejected(rule),
            None if repeated => Outcome::Repeated,
            None => Outcome::Folded,
        }
    }

    /// Moves `next` on past offsets at which there is nothing.
    pub fn skip_to(&mut self, next: u64) {
        self.next = self.next.max(next);
        for start in &mut self.plans {
            start.frontier.next = start.frontier.next.max(next);
        }
    }

    /// Takes what has changed since the last draft. Decoded panes stay in a bounded cache, so this
    /// is only right if the draft is committed; after an abort, drop the fold and start again.
    ///
    /// A shard whose floor is above `next` has no changed panes: nothing below a floor is folded.
    pub fn draft(&mut self) -> Draft {
        let mut panes = Vec::new();
        for (start, table) in self.plans.iter().zip(&mut self.tables) {
            table.draft(start.watermark_ms, &mut panes);
        }
        // Stable: every plan's are in order already, which that sort makes use of.
        panes.sort_by(|a, b| (a.shard, &a.key).cmp(&(b.shard, &b.key)));
        Draft {
            panes,
            rejected: std::mem::take(&mut self.rejected),
            counts: std::mem::take(&mut self.counts),
        }
    }

    /// Every plan with its frontier and watermark now, and its floors and gaps.
    #[must_use]
    pub fn plans(&self) -> &[PlanStart] {
        &self.plans
    }

    /// Takes in the plans of a fold of the same contract that has reached the same `next`.
    pub fn join(&mut self, other: Self) {
        self.plans.extend(other.plans);
        self.tables.extend(other.tables);
        self.rejected.extend(other.rejected);
        self.rejected.sort_by_key(|rejected| rejected.offset);
        self.rejected.dedup();
        self.counts.add(other.counts);
    }

    /// Forgets plans for which `keep` is false.
    pub fn retain(&mut self, keep: &dyn Fn(&Plan) -> bool) {
        let tables = std::mem::take(&mut self.tables);
        let (plans, tables) = std::mem::take(&mut self.plans)
            .into_iter()
            .zip(tables)
            .filter(|(start, _)| keep(&start.plan))
            .unzip();
        (self.plans, self.tables) = (plans, tables);
    }
}
