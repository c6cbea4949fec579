//! What a pane costs beyond its cells. A test binary of its own, for its allocator.

mod support;

use peak_alloc::PeakAlloc;
use store::{Record, Store};
use support::{key, origin, record};

#[global_allocator]
static ALLOCATED: PeakAlloc = PeakAlloc;

const CELLS: usize = 100;

/// Bytes a pane beyond its cells; interned keys and the tables that find them are in it.
fn overhead(entities: u64, panes_each: u64) -> f64 {
    let origins = [origin("ewr", 0), origin("jfk", 0), origin("lga", 0)];
    let cells = "c".repeat(CELLS);
    let before = ALLOCATED.current_usage();
    let store = Store::new(1);
    let mut version = 0;
    for start in 0..panes_each as i64 {
        for entity in 0..entities {
            version += 1;
            let origin = &origins[(version % 3) as usize];
            let entity = format!("s\x06N{entity:05}");
            let pane = support::pane(origin, &entity, 60, start * 60_000, version, &cells);
            let batch: [Record; 1] = [record(&pane)];
            store.apply(0, &batch);
        }
    }
    assert!(store.pane(0, &key(&origins[1], "s\x06N00000", 60, 0)).is_some());
    // A checkpoint has been taken: lists of changes are not kept.
    drop(store.take_changes());
    let spent = ALLOCATED.current_usage() - before;
    drop(store);
    spent as f64 / version as f64 - CELLS as f64
}

#[test]
fn a_pane_costs_at_most_48_bytes_beyond_its_cells_where_entities_have_many() {
    let (many, few) = (overhead(500, 200), overhead(20_000, 5));
    println!("bytes a pane beyond its cells: {many:.1} at 200 an entity, {few:.1} at 5");
    assert!(many <= 48.0, "{many}");
    assert!(few <= 80.0, "{few}");
}
