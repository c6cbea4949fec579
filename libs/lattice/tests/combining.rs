//! Combining panes yields what aggregating the raw events would.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod support;

use std::collections::BTreeMap;

use lattice::cell::{Cells, Header};
use lattice::combine::{Combined, Cut, PaneView, Want, combine};
use lattice::{CellSpec, Kind, Origin, Span, Stamp, Type, Value};
use proptest::prelude::*;
use support::{Event, all_specs, events, naive, origins};

type Panes = BTreeMap<(usize, Span), Vec<u8>>;

/// Panes of one width, each encoded and decoded between any two events.
fn panes(specs: &[CellSpec], events: &[Event], width_s: u32) -> Panes {
    let mut panes = Panes::new();
    for event in events {
        let span = Span::holding(event.at.event_time_ms, width_s);
        let pane = panes.entry((event.origin, span)).or_default();
        let mut cells = match pane.is_empty() {
            true => Cells::empty(specs),
            false => Cells::decode(specs, pane).unwrap(),
        };
        cells.count(event.at);
        (0..specs.len()).for_each(|i| cells.fold(i, event.value.as_input(), event.at));
        pane.clear();
        cells.encode(pane);
    }
    panes
}

fn read(specs: &[CellSpec], wants: &[Want], origins: &[Origin], panes: &Panes) -> Combined {
    let mut views = panes.iter().map(|((origin, span), cells)| PaneView {
        origin: &origins[*origin],
        span: *span,
        version: 1,
        cells,
    });
    combine(specs, wants, &mut views).unwrap()
}

fn cuts() -> impl Strategy<Value = Vec<Cut>> {
    let second = 0i64..20;
    let cut = (second, prop::option::of(0i64..22))
        .prop_map(|(from, until)| Cut { from_ms: from * 1000, until_ms: until.map(|s| s * 1000) });
    let all = Just(Cut { from_ms: i64::MIN, until_ms: None });
    prop::collection::vec(prop_oneof![2 => cut, 1 => all], 1..4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn combining_equals_aggregating_raw_events(
        (specs, events) in prop::sample::select(&support::TYPES[..]).prop_flat_map(|of| {
            let specs: Vec<_> = all_specs().into_iter().filter(|s| s.input == of).collect();
            (Just(specs), events(of, 80))
        }),
        cuts in cuts(),
        shuffled in any::<prop::sample::Index>(),
    ) {
        let mut wants: Vec<Want> = cuts
            .iter()
            .flat_map(|cut| (0..specs.len()).map(|cell| Want { cell, cut: *cut }))
            .collect();
        let turned = shuffled.index(wants.len());
        wants.rotate_left(turned);
        let combined = read(&specs, &wants, &origins(), &panes(&specs, &events, 1));
        for (want, got) in wants.iter().zip(&combined.values) {
            let Cut { from_ms, until_ms } = want.cut;
            let within: Vec<&Event> = events
                .iter()
                .filter(|e| e.at.event_time_ms >= from_ms)
                .filter(|e| until_ms.is_none_or(|until| e.at.event_time_ms < until))
                .collect();
            let expected = naive(specs[want.cell], &within);
            prop_assert!(
                expected.is_met_by(got),
                "{:?} in {:?}: {got:?}, not {expected:?}", specs[want.cell], want.cut
            );
        }
        let times = events.iter().map(|e| e.at.event_time_ms);
        let seen = times.clone().min().map(|first_event_ms| Header {
            events: events.len() as u64,
            first_event_ms,
            last_event_ms: times.max().unwrap(),
        });
        prop_assert_eq!(combined.seen, seen);
    }

    /// A pane alone is read as `Cells::value` reads it, and an unwindowed one as a windowed one.
    #[test]
    fn one_pane_of_all_time_is_its_own_value(events in events(Type::Double, 40)) {
        let specs: Vec<_> =
            all_specs().into_iter().filter(|s| s.input == Type::Double).collect();
        let events: Vec<_> = events.into_iter().filter(|e| e.origin == 0).collect();
        let panes = panes(&specs, &events, 0);
        let cut = Cut { from_ms: i64::MIN, until_ms: None };
        let wants: Vec<_> = (0..specs.len()).map(|cell| Want { cell, cut }).collect();
        let combined = read(&specs, &wants, &origins(), &panes);
        for pane in panes.values() {
            let cells = Cells::decode(&specs, pane).unwrap();
            for (index, value) in combined.values.iter().enumerate() {
                prop_assert_eq!(value, &cells.value(index));
            }
        }
    }

    /// Only what was wanted decides on a value: other wants beside it change nothing.
    #[test]
    fn wants_do_not_meet(events in events(Type::Int, 40), cuts in cuts()) {
        let specs: Vec<_> = all_specs().into_iter().filter(|s| s.input == Type::Int).collect();
        let panes = panes(&specs, &events, 1);
        let wants: Vec<Want> = cuts
            .iter()
            .flat_map(|cut| (0..specs.len()).map(|cell| Want { cell, cut: *cut }))
            .collect();
        let together = read(&specs, &wants, &origins(), &panes);
        for (want, value) in wants.iter().zip(together.values) {
            let alone = read(&specs, &[*want], &origins(), &panes);
            prop_assert_eq!(&alone.values[0], &value);
        }
    }
}

#[test]
fn nothing_yields_the_empty_values() {
    let kinds = [Kind::Count, Kind::Distinct { error_bp: 100 }, Kind::Sum, Kind::Last];
    let specs = kinds.map(|kind| CellSpec { kind, input: Type::Int });
    let cut = Cut { from_ms: 0, until_ms: None };
    let wants: Vec<_> = (0..5).map(|cell| Want { cell, cut }).collect();
    let combined = read(&specs, &wants, &origins(), &Panes::new());
    let expected = [Value::Int(0), Value::Int(0), Value::Null, Value::Null, Value::Null];
    assert_eq!(combined.values, expected);
    assert_eq!(combined.seen, None);
}

#[test]
fn ties_of_first_and_last_fall_to_region_partition_offset() {
    let specs = [Kind::First, Kind::Last].map(|kind| CellSpec { kind, input: Type::Int });
    let event = |origin, offset, n| Event {
        origin,
        at: Stamp { event_time_ms: 500, offset },
        value: Value::Int(n),
    };
    let events = [
        event(2, 1, 21),
        event(2, 2, 22),
        event(0, 8, 8),
        event(2, 0, 20),
        event(0, 9, 9),
        event(1, 0, 1),
    ];
    let cut = Cut { from_ms: 0, until_ms: None };
    let wants = [0, 1].map(|cell| Want { cell, cut });
    let combined = read(&specs, &wants, &origins(), &panes(&specs, &events, 1));
    assert_eq!(combined.values, [Value::Int(8), Value::Int(22)]);
}
