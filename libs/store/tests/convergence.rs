//! Whatever a log does on the way, a frontier is never false and never regresses, and when
//! everything has come, everything is proven. Against a naive owner.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use lattice::{Delta, Frontier, Origin, PaneKeyRef, PlanHash, Progress, Series, delta};
use proptest::prelude::*;
use store::{Checkpoints, MemoryCheckpoints, Record, StagedPlan, Store};
use support::model::{Owner, PLANS, Panes};

/// What the owners do.
#[derive(Clone, Debug)]
enum Write {
    Event { owner: usize, entity: u8, at_ms: i64 },
    Commit { owner: usize },
    Restart { owner: usize, plan: usize },
    Run { owner: usize },
}

fn write() -> impl Strategy<Value = Write> {
    let owner = 0..2_usize;
    prop_oneof![
        12 => (owner.clone(), 0..4_u8, 0..1500_i64)
            .prop_map(|(owner, entity, at)| Write::Event { owner, entity, at_ms: at * 1000 }),
        6 => owner.clone().prop_map(|owner| Write::Commit { owner }),
        1 => (owner.clone(), 0..2_usize).prop_map(|(owner, plan)| Write::Restart { owner, plan }),
        1 => owner.prop_map(|owner| Write::Run { owner }),
    ]
}

/// What the log does with what they wrote, and what happens to the replica.
#[derive(Clone, Debug)]
enum Happen {
    Deliver(usize),
    Reversed(usize),
    Skip(usize),
    Rewind(usize),
    Resurrect(usize),
    Compact,
    Save,
    FailSave,
    Crash,
}

fn happen() -> impl Strategy<Value = Happen> {
    prop_oneof![
        10 => (1..12_usize).prop_map(Happen::Deliver),
        2 => (2..8_usize).prop_map(Happen::Reversed),
        2 => (1..6_usize).prop_map(Happen::Skip),
        2 => (1..30_usize).prop_map(Happen::Rewind),
        3 => (0..1000_usize).prop_map(Happen::Resurrect),
        1 => Just(Happen::Compact),
        2 => Just(Happen::Save),
        1 => Just(Happen::FailSave),
        1 => Just(Happen::Crash),
    ]
}

/// The owners, and the log that they have written.
fn run_owners(writes: Vec<Write>) -> (Vec<Owner>, Vec<Record>) {
    let origins = [support::origin("jfk", 0), support::origin("ewr", 1)];
    let (mut owners, mut log) = (origins.map(Owner::new).to_vec(), Vec::new());
    for write in writes {
        match write {
            Write::Event { owner, entity, at_ms } => owners[owner].event(entity, at_ms),
            Write::Restart { owner, plan } => owners[owner].restart(plan),
            Write::Run { owner } => {
                // A run does not come in the middle of a commit.
                let commit = owners[owner].commit();
                log.extend(owners[owner].records(commit));
                log.extend(owners[owner].run());
            }
            Write::Commit { owner } => {
                let commit = owners[owner].commit();
                log.extend(owners[owner].records(commit));
            }
        }
    }
    for owner in &mut owners {
        let commit = owner.commit();
        log.extend(owner.records(commit));
    }
    (owners, log)
}

/// A store that is watched.
struct Replica {
    owners: Vec<Owner>,
    store: Store,
    frontiers: BTreeMap<(Origin, PlanHash), Frontier>,
    /// All records that have come, for what is expired by the newest progress among them.
    newest: BTreeMap<(Origin, PlanHash), (Frontier, i64)>,
}

impl Replica {
    fn apply(&mut self, records: &[Record]) {
        for (key, value) in records {
            if let Ok(Delta::Progress(origin, progress)) = Delta::decode(key, value.as_ref()) {
                self.see(&origin, &progress);
            }
        }
        let applied = self.store.apply(0, records);
        assert_eq!((applied.undecodable, applied.forked), (0, 0));
        self.check();
        if let Some((key, value)) = records.last()
            && let Ok(Delta::Progress(origin, progress)) = Delta::decode(key, value.as_ref())
        {
            self.check_exact(&origin, &progress);
        }
    }

    fn see(&mut self, origin: &Origin, progress: &Progress) {
        for plan in &progress.plans {
            let seen = (plan.frontier, plan.watermark_ms);
            let newest = self.newest.entry((origin.clone(), plan.plan)).or_insert(seen);
            *newest = (*newest).max(seen);
        }
    }

    fn owner(&self, origin: &Origin) -> &Owner {
        self.owners.iter().find(|owner| owner.origin == *origin).unwrap()
    }

    fn held(&self, origin: &Origin, plan: PlanHash) -> Panes {
        let records = self.store.records(0, origin).into_iter();
        records.filter(|(key, _)| delta::read_pane_key(key).unwrap().plan() == Ok(plan)).collect()
    }

    /// No digest is wrong, no frontier false, none has regressed.
    fn check(&mut self) {
        for state in self.store.states(0) {
            let held = self.held(&state.origin, state.plan);
            let pairs: Vec<_> = held.clone().into_iter().collect();
            assert_eq!((state.digest, state.panes), (support::digest(&pairs), pairs.len() as u64));
            let id = (state.origin.clone(), state.plan);
            if let Some((Frontier { next, .. }, _)) = self.newest.get(&id) {
                let back = pairs
                    .iter()
                    .find(|(key, value)| version(value) <= *next && !self.lives(&id, key, value));
                assert_eq!(back, None, "came back to life in {id:?}");
            }
            let Some(proven) = state.proven else { continue };
            let frontier = proven.progress.frontier;
            let before = self.frontiers.insert(id.clone(), frontier).unwrap_or_default();
            assert!(before <= frontier, "{id:?} fell from {before:?} to {frontier:?}");
            let owned = &self.owner(&state.origin).history[&(state.plan, frontier)];
            for (key, value) in owned.iter().filter(|(key, value)| self.lives(&id, key, value)) {
                let held = held.get(key).unwrap_or_else(|| panic!("{id:?} lacks {key:?}"));
                assert!(held >= value, "{id:?} has an older {key:?}");
            }
        }
    }

    /// Whether the newest progress that came leaves the pane alive.
    fn lives(&self, id: &(Origin, PlanHash), key: &Bytes, value: &Bytes) -> bool {
        let (frontier, watermark_ms) = self.newest[id];
        let PaneKeyRef { series, start_ms, .. } = delta::read_pane_key(key).unwrap();
        let width_s = Series::decode(series).unwrap().width_s;
        let retention = support::RETENTION.iter().find(|(width, _)| *width == width_s);
        let ends = retention.map(|(_, kept_ms)| start_ms + i64::from(width_s) * 1000 + kept_ms);
        version(value) > frontier.from && ends.is_none_or(|ends| ends > watermark_ms)
    }

    /// A progress that has just been proven: the panes are exactly the owner's.
    fn check_exact(&self, origin: &Origin, progress: &Progress) {
        for plan in &progress.plans {
            let state = self.store.state(0, origin, plan.plan).unwrap();
            let proven = state.proven.map(|proven| proven.progress.frontier);
            if proven == Some(plan.frontier) && state.pending.is_none() {
                let owned = &self.owner(origin).history[&(plan.plan, plan.frontier)];
                assert_eq!(&self.held(origin, plan.plan), owned);
            }
        }
    }
}

fn version(value: &Bytes) -> u64 {
    u64::from_be_bytes(value[..8].try_into().unwrap())
}

/// Only the newest record of each key is left, in its place.
fn compact(log: &[Record]) -> Vec<Record> {
    let mut seen = BTreeSet::new();
    let mut left: Vec<_> =
        log.iter().rev().filter(|(key, _)| seen.insert(key.clone())).cloned().collect();
    left.reverse();
    left
}

/// What was saved: positions are the saver's own, and here kept beside.
struct Saved {
    checkpoints: MemoryCheckpoints,
    at: usize,
    frontiers: BTreeMap<(Origin, PlanHash), Frontier>,
    newest: BTreeMap<(Origin, PlanHash), (Frontier, i64)>,
    states: Vec<store::State>,
    records: Vec<(Bytes, Bytes)>,
}

impl Saved {
    fn save(&mut self, replica: &Replica, at: usize, failing: bool) {
        let changes = replica.store.take_changes();
        self.checkpoints.fail_saves(failing);
        if wait(self.checkpoints.save(changes.clone())).is_err() {
            replica.store.untake(changes);
            return;
        }
        assert!(replica.store.take_changes().is_empty(), "all changes were taken");
        self.at = at;
        self.frontiers = replica.frontiers.clone();
        self.newest = replica.newest.clone();
        self.states = sorted_states(&replica.store);
        self.records = all_records(&replica.store);
    }

    /// A process that starts again has exactly what was saved.
    fn crash(&self, replica: &mut Replica) -> usize {
        let store = Store::new(1);
        store.load(wait(self.checkpoints.load()).unwrap()).unwrap();
        assert_eq!(sorted_states(&store), self.states);
        assert_eq!(all_records(&store), self.records);
        assert!(store.take_changes().is_empty(), "nothing has changed since it was saved");
        replica.store = store;
        replica.frontiers = self.frontiers.clone();
        replica.newest = self.newest.clone();
        replica.check();
        self.at
    }
}

fn sorted_states(store: &Store) -> Vec<store::State> {
    let mut states = store.states(0);
    states.sort_by_key(|state| (state.plan, state.origin.clone()));
    states
}

fn all_records(store: &Store) -> Vec<(Bytes, Bytes)> {
    let origins: BTreeSet<_> = store.states(0).into_iter().map(|state| state.origin).collect();
    let mut records: Vec<_> = origins.iter().flat_map(|origin| store.records(0, origin)).collect();
    records.sort();
    records
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_frontier_is_false_and_in_the_end_everything_is_proven(
        writes in prop::collection::vec(write(), 1..120),
        happenings in prop::collection::vec(happen(), 0..60),
        chunk in 1..40_usize,
    ) {
        let (owners, whole) = run_owners(writes);
        let mut log = whole.clone();
        let mut replica = Replica {
            owners,
            store: Store::new(1),
            frontiers: BTreeMap::new(),
            newest: BTreeMap::new(),
        };
        let mut saved = Saved {
            checkpoints: MemoryCheckpoints::default(),
            at: 0,
            frontiers: BTreeMap::new(),
            newest: BTreeMap::new(),
            states: Vec::new(),
            records: Vec::new(),
        };
        let mut at = 0;
        for happening in happenings {
            let ahead = |n: usize| (at + n).min(log.len());
            match happening {
                Happen::Deliver(n) => {
                    replica.apply(&log[at..ahead(n)]);
                    at = ahead(n);
                }
                Happen::Reversed(n) => {
                    let records: Vec<_> = log[at..ahead(n)].iter().rev().cloned().collect();
                    replica.apply(&records);
                    at = ahead(n);
                }
                Happen::Skip(n) => at = ahead(n),
                Happen::Rewind(n) => at = at.saturating_sub(n),
                Happen::Resurrect(n) => replica.apply(&whole[n % whole.len()..][..1]),
                Happen::Compact => {
                    let tail = log.split_off(at);
                    log = compact(&log);
                    at = log.len();
                    log.extend(tail);
                    saved.at = saved.at.min(at);
                }
                Happen::Save => saved.save(&replica, at, false),
                Happen::FailSave => saved.save(&replica, at, true),
                Happen::Crash => at = saved.crash(&mut replica).min(log.len()),
            }
        }
        for records in log.chunks(chunk) {
            replica.apply(records);
        }
        for owner in &replica.owners {
            for (plan, fold) in PLANS.iter().zip(&owner.folds) {
                let state = replica.store.state(0, &owner.origin, *plan).unwrap();
                let newest = owner.history.keys().filter(|(p, _)| p == plan).max().unwrap().1;
                prop_assert_eq!(state.proven.unwrap().progress.frontier, newest);
                prop_assert_eq!(state.pending, None);
                prop_assert_eq!(replica.held(&owner.origin, *plan), fold.panes());
            }
        }
    }

    #[test]
    fn what_is_staged_is_what_applying_does(writes in prop::collection::vec(write(), 1..120)) {
        let (mut owner, store) = (Owner::new(support::origin("jfk", 0)), Store::new(1));
        for write in writes {
            match write {
                Write::Event { entity, at_ms, .. } => owner.event(entity, at_ms),
                Write::Restart { plan, .. } => owner.restart(plan),
                Write::Commit { .. } | Write::Run { .. } => {
                    let commit = owner.commit();
                    let plans: Vec<_> = commit.progress.plans.clone();
                    let staged: Vec<_> =
                        plans.iter().map(|p| StagedPlan { progress: p.clone() }).collect();
                    let before = (sorted_states(&store), all_records(&store));
                    let staged = store.stage(0, &owner.origin, &staged, &commit.panes);
                    prop_assert_eq!(&before, &(sorted_states(&store), all_records(&store)));
                    let digests: Vec<_> = plans.iter().map(|plan| plan.digest).collect();
                    prop_assert_eq!(staged.digests, digests);
                    // A null for each that the owner let go, and for none that is live.
                    let held: BTreeSet<_> = before.1.into_iter().map(|(key, _)| key).collect();
                    let gone: BTreeSet<_> = staged.gone.into_iter().collect();
                    prop_assert!(gone.is_subset(&held));
                    let applied = store.apply(0, &owner.records(commit));
                    prop_assert!(applied.unproven.is_empty());
                    let live: BTreeSet<_> =
                        all_records(&store).into_iter().map(|(key, _)| key).collect();
                    prop_assert_eq!(held.difference(&live).cloned().collect::<BTreeSet<_>>(), gone);
                }
            }
        }
    }
}
