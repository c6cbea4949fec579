//! `Store::apply` with its digest, staging a commit, and lending panes.

use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use lattice::delta::{pane_key, progress_key};
use lattice::{
    Digest, Frontier, Origin, Pane, PaneKey, PlanHash, PlanProgress, Progress, Span, TopicId,
};
use store::{Record, StagedPlan, Store};

const PLAN: PlanHash = PlanHash([7; 16]);
const BATCH: u64 = 1_500;
const ENTITIES: u64 = 5_000;
/// Key and value together are about 200 bytes.
const CELL_BYTES: usize = 116;
/// A store begins anew with so many batches, so that a long run measures what a short one does.
const BATCHES: u64 = 400;

/// A writer whose batches are half updates of its newest panes and half new panes.
struct Source {
    origin: Origin,
    next: u64,
    starts: Vec<i64>,
}

impl Source {
    fn new() -> Self {
        let origin = Origin { region: "jfk".into(), topic: TopicId([1; 16]), partition: 0 };
        Self { origin, next: 0, starts: vec![0; ENTITIES as usize] }
    }

    fn panes(&mut self) -> Vec<(Bytes, Bytes)> {
        (0..BATCH).map(|n| self.pane(n % 2 == 0)).collect()
    }

    fn pane(&mut self, new: bool) -> (Bytes, Bytes) {
        self.next += 1;
        // Spread over the entities, but the same in each run.
        let entity = (self.next.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) % ENTITIES;
        let start_ms = &mut self.starts[entity as usize];
        *start_ms += if new { 60_000 } else { 0 };
        let key = PaneKey {
            plan: PLAN,
            entity: format!("s\x06N{entity:05}").into(),
            span: Span { width_s: 60, start_ms: *start_ms },
            origin: self.origin.clone(),
        };
        let cells = vec![self.next as u8; CELL_BYTES].into();
        (pane_key(&key), Pane { version: self.next, cells }.encode())
    }

    fn claim(&self) -> PlanProgress {
        PlanProgress {
            plan: PLAN,
            frontier: Frontier { from: 0, next: self.next },
            watermark_ms: 0,
            retention: vec![(60, 1 << 40)],
            digest: Digest::default(),
            gaps: Vec::new(),
        }
    }

    /// A batch as it stands in the log.
    fn records(&mut self) -> Vec<Record> {
        let mut records: Vec<Record> =
            self.panes().into_iter().map(|(key, value)| (key, Some(value))).collect();
        let progress = Progress { complete_to_ms: 0, generation: 1, plans: vec![self.claim()] };
        records.push((progress_key(&self.origin), Some(progress.encode())));
        records
    }
}

fn apply(c: &mut Criterion) {
    let mut group = c.benchmark_group("store");
    group.throughput(Throughput::Elements(BATCH));
    group.bench_function("apply", |b| {
        b.iter_custom(|batches| {
            let (mut source, mut store) = (Source::new(), Store::new(1));
            let mut spent = Duration::ZERO;
            for batch in 0..batches {
                if batch % BATCHES == BATCHES - 1 {
                    (source, store) = (Source::new(), Store::new(1));
                }
                let records = source.records();
                let began = Instant::now();
                black_box(store.apply(0, &records));
                spent += began.elapsed();
            }
            spent
        });
    });
    let (mut source, store) = (Source::new(), Store::new(1));
    for _ in 0..100 {
        store.apply(0, &source.records());
    }
    let panes = source.panes();
    let plans = [StagedPlan { progress: source.claim() }];
    group.bench_function("stage", |b| {
        b.iter(|| store.stage(0, &source.origin, &plans, black_box(&panes)));
    });
    group.finish();
}

fn read(c: &mut Criterion) {
    let (mut source, store) = (Source::new(), Store::new(1));
    for _ in 0..400 {
        store.apply(0, &source.records());
    }
    let entity = b"s\x06N00042";
    let panes = store.read(0, PLAN, entity, 60, |panes| panes.count());
    let mut group = c.benchmark_group("store");
    group.throughput(Throughput::Elements(panes as u64));
    group.bench_function("read", |b| {
        b.iter(|| {
            store.read(0, PLAN, black_box(entity), 60, |panes| {
                panes.map(|pane| pane.cells.len()).sum::<usize>()
            })
        });
    });
    group.finish();
}

criterion_group!(benches, apply, read);
criterion_main!(benches);
