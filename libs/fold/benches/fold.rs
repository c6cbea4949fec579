//! The departures catalog on one core: JSON to encoded deltas and their digests, in commits of 200.

#[path = "../tests/support/mod.rs"]
mod support;

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use catalog::Plan;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use fold::Panes;
use lattice::{Digest, Pane, PaneKey, delta};
use support::departures::{AIRPORTS, APPENDED_MS, events, plans};
use support::{DAY_MS, arrival, fold_of, origin};

const COMMIT: usize = 200;

#[derive(Default)]
struct Table(HashMap<PaneKey, Pane, foldhash::fast::FixedState>);

impl Panes for Table {
    fn pane(&self, _: u32, key: &PaneKey) -> Option<Pane> {
        self.0.get(key).cloned()
    }
}

/// Folds all events, and returns the time that a node's folding core would spend: putting the panes
/// where a pane that the fold has let go is read again is the store's work, and not timed.
fn replay(plans: &[Arc<Plan>], events: &[String]) -> Duration {
    let (mut fold, mut table) = (fold_of(&origin("ewr"), plans), Table::default());
    let (mut digest, mut scratch) = (Digest::default(), Vec::new());
    let mut spent = Duration::ZERO;
    for (commit, events) in events.chunks(COMMIT).enumerate() {
        let began = Instant::now();
        for (i, event) in events.iter().enumerate() {
            fold.fold(arrival((commit * COMMIT + i) as u64, APPENDED_MS, event), &table);
        }
        let draft = fold.draft();
        let mut records = Vec::with_capacity(draft.panes.len());
        for changed in &draft.panes {
            let (key, value) = (delta::pane_key(&changed.key), changed.pane.encode());
            digest.add(Digest::of(&key, &value, &mut scratch));
            records.push((key, value));
        }
        spent += began.elapsed();
        table.0.extend(draft.panes.into_iter().map(|changed| (changed.key, changed.pane)));
        black_box(records);
    }
    black_box(digest);
    spent
}

fn bench(c: &mut Criterion) {
    let mut all: Vec<String> = AIRPORTS.into_iter().flat_map(events).collect();
    all.sort_by_cached_key(|event| {
        let event: serde_json::Value = serde_json::from_str(event).unwrap();
        event["scheduled_at"].as_str().unwrap().to_owned()
    });
    let plans = plans(90 * DAY_MS);
    let mut group = c.benchmark_group("fold");
    group.throughput(Throughput::Elements(all.len() as u64));
    group.sample_size(20);
    group.bench_function("departures", |b| {
        b.iter_custom(|times| (0..times).map(|_| replay(&plans, &all)).sum());
    });
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
