//! What is known and proven of one (origin, shard, plan).

use lattice::{Digest, Frontier, Origin, PlanHash};

use crate::limits::Limits;
use crate::report::{Proven, State, StateView};

/// The panes of one origin and plan in one shard, as a set.
#[derive(Debug)]
pub(crate) struct Track {
    pub(crate) origin: Origin,
    /// From the newest progress, proven or not: a log's progress is genuine, its writers fenced.
    pub(crate) limits: Limits,
    /// Of the panes that are here.
    pub(crate) digest: Digest,
    /// How many they are.
    pub(crate) panes: u64,
    /// Numbers of its series.
    pub(crate) series: Vec<u32>,
    pub(crate) proven: Option<Proven>,
    /// The newest progress that did not agree, while it is not below the proven one.
    pub(crate) pending: Option<Proven>,
    /// Differs from the checkpoint.
    pub(crate) dirty: bool,
}

impl Track {
    pub(crate) fn new(origin: Origin) -> Self {
        Self {
            origin,
            limits: Limits::default(),
            digest: Digest::default(),
            panes: 0,
            series: Vec::new(),
            proven: None,
            pending: None,
            dirty: true,
        }
    }

    /// Whether more than this is proven, so that a progress that claims it is an old one again.
    pub(crate) fn is_past(&self, frontier: Frontier) -> bool {
        self.proven.as_ref().is_some_and(|proven| proven.progress.frontier > frontier)
    }

    /// Compares a claim that is not past with the panes that are here. True if the frontier or
    /// `complete_to` moved.
    pub(crate) fn settle(&mut self, claim: Proven) -> bool {
        self.dirty = true;
        let frontier = claim.progress.frontier;
        let newest = self.pending.as_ref().is_none_or(|old| old.progress.frontier <= frontier);
        if claim.progress.digest != self.digest {
            if newest {
                self.pending = Some(claim);
            }
            return false;
        }
        if newest {
            self.pending = None;
        }
        let Some(proven) = &mut self.proven else {
            self.proven = Some(claim);
            return true;
        };
        let moved =
            frontier > proven.progress.frontier || claim.complete_to_ms > proven.complete_to_ms;
        proven.complete_to_ms = proven.complete_to_ms.max(claim.complete_to_ms);
        proven.generation = proven.generation.max(claim.generation);
        proven.progress = claim.progress;
        moved
    }

    /// Settles the pending claim again if panes that came after it have made up for what lacked.
    pub(crate) fn settle_pending(&mut self) -> bool {
        match self.pending.take_if(|claim| claim.progress.digest == self.digest) {
            Some(claim) => self.settle(claim),
            None => false,
        }
    }

    pub(crate) fn view(&self, plan: PlanHash) -> StateView<'_> {
        let pending = self.pending.as_ref().map(|claim| &claim.progress);
        StateView { origin: &self.origin, plan, proven: self.proven.as_ref(), pending }
    }

    pub(crate) fn state(&self, plan: PlanHash) -> State {
        State {
            origin: self.origin.clone(),
            plan,
            proven: self.proven.clone(),
            pending: self.pending.as_ref().map(|claim| claim.progress.clone()),
            digest: self.digest,
            panes: self.panes,
        }
    }
}
