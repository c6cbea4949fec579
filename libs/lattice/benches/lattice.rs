//! The two hot paths: an event folded into a pane that is read back and written again, and a busy
//! carrier's features combined from the panes of three regions.

#![allow(missing_docs, clippy::unwrap_used)]

use std::hint::black_box;
use std::ops::Range;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use lattice::cell::Cells;
use lattice::combine::{Cut, PaneView, Want, combine};
use lattice::delta::pane_key;
use lattice::{
    CellSpec, Digest, Input, Kind, Origin, Pane, PaneKey, PlanHash, Span, Stamp, TopicId, Type,
};

const HOUR_MS: i64 = 3_600_000;
const START_MS: i64 = 1_359_000_000_000 / HOUR_MS * HOUR_MS;
/// B6 departs from JFK five times an hour.
const EVENTS_PER_HOUR: u64 = 5;

/// The windowed cells of `carrier_delays` in `examples/departures`, and its last destination.
fn specs() -> Vec<CellSpec> {
    [
        (Kind::Count, Type::Bool),
        (Kind::Mean, Type::Int),
        (Kind::Max, Type::Int),
        (Kind::Quantile { q: 0.9 }, Type::Int),
        (Kind::Share, Type::Bool),
        (Kind::Sum, Type::Double),
        (Kind::Distinct { error_bp: 100 }, Type::String),
        (Kind::Last, Type::String),
    ]
    .map(|(kind, input)| CellSpec { kind, input })
    .to_vec()
}

/// Departures as they come: most a few minutes early, a few very late, ten destinations.
fn fold_event(cells: &mut Cells, n: u64, event_time_ms: i64) {
    let delay = match n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58 {
        n @ 0..40 => n as i64 / 4 - 8,
        n => (n as i64 - 38) * 7,
    };
    let airports = ["BOS", "MCO", "FLL", "LAX", "BUF", "SFO", "TPA", "PBI", "SJU", "ROC"];
    let dest = Input::Text(airports[(n * n % 10) as usize]);
    let inputs = [
        Input::Bool(true),
        Input::Int(delay),
        Input::Int(delay),
        Input::Int(delay),
        Input::Bool(delay > 15),
        Input::Float(200.0 + (n * 37 % 2400) as f64),
        dest,
        dest,
    ];
    let at = Stamp { event_time_ms, offset: n };
    cells.count(at);
    for (index, input) in inputs.into_iter().enumerate() {
        cells.fold(index, input, at);
    }
}

fn pane_bytes(specs: &[CellSpec], start_ms: i64, hours: u64, seed: u64) -> Vec<u8> {
    let mut cells = Cells::empty(specs);
    for n in 0..EVENTS_PER_HOUR * hours {
        fold_event(&mut cells, seed * 1000 + n, start_ms + n as i64 * 600_000);
    }
    let mut out = Vec::new();
    cells.encode(&mut out);
    out
}

fn origin(region: &str) -> Origin {
    Origin { region: region.into(), topic: TopicId([7; 16]), partition: 0 }
}

fn fold(c: &mut Criterion) {
    let specs = specs();
    let before = pane_bytes(&specs, START_MS, 1, 1);
    let key = PaneKey {
        plan: PlanHash([1; 16]),
        entity: Bytes::from_static(b"s\x02B6"),
        span: Span { width_s: 3600, start_ms: START_MS },
        origin: origin("jfk"),
    };
    let key = pane_key(&key);
    let mut group = c.benchmark_group("fold");
    group.throughput(Throughput::Elements(1));
    group.bench_function("decode+fold+encode of 8 cells", |b| {
        let mut out = Vec::with_capacity(256);
        b.iter(|| {
            let mut cells = Cells::decode(&specs, black_box(&before)).unwrap();
            fold_event(&mut cells, 99, START_MS + 59 * 60_000);
            out.clear();
            cells.encode(&mut out);
            black_box(out.len())
        });
    });
    group.bench_function("the same, a pane and its digest", |b| {
        let mut scratch = Vec::new();
        b.iter(|| {
            let mut cells = Cells::decode(&specs, black_box(&before)).unwrap();
            fold_event(&mut cells, 99, START_MS + 59 * 60_000);
            let mut out = Vec::with_capacity(before.len() + 16);
            cells.encode(&mut out);
            let value = Pane { version: 100, cells: out.into() }.encode();
            black_box(Digest::of(&key, &value, &mut scratch))
        });
    });
    group.bench_function("one event into 8 cells", |b| {
        let mut cells = Cells::decode(&specs, &before).unwrap();
        let mut n = 0;
        b.iter(|| {
            n += 1;
            fold_event(&mut cells, n, START_MS);
        });
    });
    group.finish();
}

/// Seven features over 24 h and 7 d from hourly panes, over 30 d from daily ones, and the last
/// destination of all time.
fn combine_windows(c: &mut Criterion) {
    let specs = specs();
    let origins = [origin("ewr"), origin("jfk"), origin("lga")];
    let panes = |width_s: u32, count: i64| -> Vec<(usize, Span, Vec<u8>)> {
        let width_ms = i64::from(width_s) * 1000;
        let end_ms = START_MS / width_ms * width_ms;
        (0..origins.len())
            .flat_map(|o| (0..count).map(move |i| (o, end_ms - (count - i) * width_ms)))
            .map(|(o, start_ms)| {
                let seed = (start_ms / width_ms) as u64 * 3 + o as u64;
                (
                    o,
                    Span { width_s, start_ms },
                    pane_bytes(&specs, start_ms, u64::from(width_s) / 3600, seed),
                )
            })
            .collect()
    };
    let (hourly, daily) = (panes(3600, 168), panes(86_400, 30));
    let of_all_time: Vec<_> = daily.iter().step_by(30).cloned().collect();
    let wants = |days: i64, cells: Range<usize>| {
        let cut = Cut { from_ms: START_MS - days * 24 * HOUR_MS, until_ms: None };
        cells.map(move |cell| Want { cell, cut })
    };
    let by_hour: Vec<_> = wants(1, 0..7).chain(wants(7, 0..7)).collect();
    let by_day: Vec<_> = wants(31, 0..7).collect();
    let last: Vec<_> = wants(100, 7..8).collect();
    let read = |wants: &[Want], panes: &[(usize, Span, Vec<u8>)]| {
        let mut views = panes.iter().map(|(o, span, cells)| PaneView {
            origin: &origins[*o],
            span: *span,
            version: 1,
            cells,
        });
        combine(&specs, wants, &mut views).unwrap()
    };
    let mut group = c.benchmark_group("combine");
    group.throughput(Throughput::Elements(22));
    group.bench_function("22 values of 24 h, 7 d, 30 d and ever, 597 panes of 3 origins", |b| {
        b.iter(|| {
            black_box(read(&by_hour, &hourly));
            black_box(read(&by_day, &daily));
            black_box(read(&last, &of_all_time));
        });
    });
    group.throughput(Throughput::Elements(hourly.len() as u64));
    for (cell, spec) in specs.iter().enumerate() {
        let want = [Want { cell, cut: Cut { from_ms: i64::MIN, until_ms: None } }];
        group.bench_function(format!("7 d of one cell: {:?}", spec.kind), |b| {
            b.iter(|| black_box(read(&want, &hourly)));
        });
    }
    group.finish();
}

criterion_group!(benches, fold, combine_windows);
criterion_main!(benches);
