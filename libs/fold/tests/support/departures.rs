//! `examples/departures`: the catalog, and January's events.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use catalog::{Cell, CellInput, Entity, Feature, Field, Plan, Source, Width};
use expr::{Expr, Variable};
use flate2::read::GzDecoder;
use lattice::{CellSpec, Kind, PlanHash, Type, Value};

use super::{DAY_MS, HOUR_MS, MINUTE_MS, field};

pub const AIRPORTS: [&str; 3] = ["ewr", "jfk", "lga"];

/// After all of January, so that no event is ahead of it.
pub const APPENDED_MS: i64 = 1_362_096_000_000;

const DEP_DELAY: usize = 7;
const DISTANCE: usize = 6;
const DEST: usize = 5;

/// The events of an airport's file, one JSON object each.
pub fn events(airport: &str) -> Vec<String> {
    let file = format!("../../examples/departures/data/{airport}.jsonl.gz");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let mut text = String::new();
    GzDecoder::new(std::fs::File::open(path).unwrap()).read_to_string(&mut text).unwrap();
    text.lines().map(str::to_owned).collect()
}

fn variables(fields: &[Field]) -> Vec<Variable> {
    let variable =
        |f: &Field| Variable { name: f.name.clone(), kind: f.kind, nullable: f.nullable };
    fields.iter().map(variable).collect()
}

pub fn source() -> Source {
    let airports = ["EWR", "JFK", "LGA"].map(|name| Value::Text(name.into()));
    let fields = vec![
        field("event_id", Type::String),
        Field { nullable: true, ..field("departed_at", Type::Timestamp) },
        Field { nullable: true, ..field("tailnum", Type::String) },
        field("carrier", Type::String),
        Field { one_of: airports.into(), ..field("origin", Type::String) },
        field("dest", Type::String),
        Field { range: Some((0.0, 6000.0)), ..field("distance", Type::Double) },
        Field { range: Some((-60.0, 1440.0)), ..field("dep_delay", Type::Int) },
    ];
    Source {
        name: "departures".into(),
        topic: "departures".into(),
        format: catalog::Format::Json,
        contract: [1; 16],
        event_time: 1,
        id: Some(0),
        id_events: 1_000_000,
        id_ms: DAY_MS,
        disorder_ms: 2 * HOUR_MS,
        max_ahead_ms: 5 * MINUTE_MS,
        skip: Some(Expr::check("departed_at == null", &variables(&fields)).unwrap()),
        partitions: 1,
        retention_ms: 7 * DAY_MS,
        retention_bytes: 1 << 30,
        fields,
    }
}

/// The four views: (name, join keys' fields, windows as (ms, pane width in seconds)).
pub fn plans(history_ms: i64) -> Vec<Arc<Plan>> {
    let source = Arc::new(source());
    let long = [(DAY_MS, 3600), (7 * DAY_MS, 3600), (30 * DAY_MS, 86_400)];
    let short = [(HOUR_MS, 60), (DAY_MS, 3600)];
    [
        ("plane_delays", vec![2], &long[..]),
        ("carrier_delays", vec![3], &long[..]),
        ("airport_delays", vec![4], &short[..]),
        ("route_delays", vec![4, 5], &long[..2]),
    ]
    .into_iter()
    .enumerate()
    .map(|(i, (view, keys, windows))| {
        let (widths, features) = features(&source, windows, history_ms);
        let plan = plan_of(&source, view, keys, 0, 0, Vec::new());
        Arc::new(Plan { hash: PlanHash([i as u8; 16]), history_ms, widths, features, ..plan })
    })
    .collect()
}

/// A cell that folds in a field.
pub fn cell(name: &str, kind: Kind, input: Type, field: usize) -> Cell {
    let spec = CellSpec { kind, input };
    Cell { name: name.into(), spec, input: CellInput::Field(field), filter: None }
}

fn cells(source: &Source) -> Vec<Cell> {
    let late = Expr::check("dep_delay > 15", &variables(&source.fields)).unwrap();
    let departures = cell("departures", Kind::Count, Type::Bool, 0);
    let late_share = cell("late_share", Kind::Share, Type::Bool, 0);
    vec![
        Cell { input: CellInput::Event, ..departures },
        cell("delay", Kind::Mean, Type::Int, DEP_DELAY),
        cell("worst_delay", Kind::Max, Type::Int, DEP_DELAY),
        cell("delay_p90", Kind::Quantile { q: 0.9 }, Type::Int, DEP_DELAY),
        Cell { input: CellInput::Expr(late), ..late_share },
        cell("miles", Kind::Sum, Type::Double, DISTANCE),
        cell("destinations", Kind::Distinct { error_bp: 100 }, Type::String, DEST),
    ]
}

/// A plan of one width and no features: enough to fold.
pub fn plan_of(
    source: &Arc<Source>,
    view: &str,
    keys: Vec<usize>,
    width_s: u32,
    retention_ms: i64,
    cells: Vec<Cell>,
) -> Plan {
    Plan {
        hash: PlanHash([0xaa; 16]),
        view: view.into(),
        version: 1,
        activation: 0,
        source: source.clone(),
        entity: Entity {
            name: view.into(),
            join_keys: keys.iter().map(|k| source.fields[*k].name.clone()).collect(),
        },
        keys,
        filter: None,
        history_ms: 0,
        ttl_ms: None,
        widths: vec![width(width_s, retention_ms, cells)],
        features: Vec::new(),
    }
}

fn width(width_s: u32, retention_ms: i64, cells: Vec<Cell>) -> Width {
    let specs = cells.iter().map(|cell| cell.spec).collect();
    Width { width_s, retention_ms, cells, specs }
}

fn features(
    source: &Source,
    windows: &[(i64, u32)],
    history_ms: i64,
) -> (Vec<Width>, Vec<Feature>) {
    let mut widths: Vec<Width> = Vec::new();
    let mut features = Vec::new();
    for (window_ms, width_s) in windows {
        let retention_ms = window_ms + history_ms;
        if widths.last().is_none_or(|last| last.width_s != *width_s) {
            widths.push(width(*width_s, retention_ms, cells(source)));
        }
        let index = widths.len() - 1;
        widths[index].retention_ms = retention_ms;
        for (cell, definition) in widths[index].cells.iter().enumerate() {
            let kind = definition.spec.output().unwrap();
            let counts = matches!(definition.spec.kind, Kind::Count | Kind::Distinct { .. });
            features.push(Feature {
                name: format!("{}_{}", definition.name, clock::format_duration(*window_ms)).into(),
                window_ms: Some(*window_ms),
                width: index,
                cell,
                kind,
                empty: if counts { Value::Int(0) } else { Value::Null },
            });
        }
    }
    let last = cell("last_destination", Kind::Last, Type::String, DEST);
    features.push(Feature {
        name: last.name.clone(),
        window_ms: None,
        width: widths.len(),
        cell: 0,
        kind: Type::String,
        empty: Value::Null,
    });
    widths.push(width(0, 0, vec![last]));
    (widths, features)
}
