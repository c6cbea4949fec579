//! The laws of cells: commit boundaries are invisible, bytes are canonical, small states are small.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod support;

use lattice::cell::Cells;
use lattice::{CellSpec, Input, Kind, Stamp, Type, Value};
use proptest::prelude::*;
use support::{Event, all_specs, events};

fn fold(cells: &mut Cells, specs: &[CellSpec], event: &Event) {
    cells.count(event.at);
    for index in 0..specs.len() {
        cells.fold(index, event.value.as_input(), event.at);
    }
}

fn bytes(cells: &Cells) -> Vec<u8> {
    let mut out = Vec::new();
    cells.encode(&mut out);
    out
}

fn specs_of(input: Type) -> Vec<CellSpec> {
    all_specs().into_iter().filter(|spec| spec.input == input).collect()
}

fn typed_events(most: usize) -> impl Strategy<Value = (Type, Vec<Event>)> {
    prop::sample::select(&support::TYPES[..])
        .prop_flat_map(move |of| events(of, most).prop_map(move |events| (of, events)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// `enc(fold(dec(enc s), e)) == enc(fold(s, e))`, with a commit after any of the events.
    #[test]
    fn commits_leave_no_trace(
        (of, events) in typed_events(120),
        commits in prop::collection::vec(any::<bool>(), 120),
    ) {
        let specs = specs_of(of);
        let mut at_once = Cells::empty(&specs);
        let mut committed = Cells::empty(&specs);
        for (event, commit) in events.iter().zip(commits) {
            fold(&mut at_once, &specs, event);
            fold(&mut committed, &specs, event);
            if commit {
                committed = Cells::decode(&specs, &bytes(&committed)).unwrap();
            }
        }
        prop_assert_eq!(bytes(&at_once), bytes(&committed));
    }

    #[test]
    fn what_is_written_can_be_read((of, events) in typed_events(60)) {
        let specs = specs_of(of);
        let mut cells = Cells::empty(&specs);
        events.iter().for_each(|event| fold(&mut cells, &specs, event));
        let read = Cells::decode(&specs, &bytes(&cells)).unwrap();
        prop_assert_eq!(bytes(&read), bytes(&cells));
        let header = read.header();
        let times = events.iter().map(|e| e.at.event_time_ms);
        prop_assert_eq!(header.events, events.len() as u64);
        prop_assert_eq!(header.first_event_ms, times.clone().min().unwrap_or(0));
        prop_assert_eq!(header.last_event_ms, times.max().unwrap_or(0));
    }

    /// Whatever is accepted is in the one form that would be written.
    #[test]
    fn what_is_not_canonical_is_refused(
        (of, events) in typed_events(20),
        cuts in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        keep in any::<prop::sample::Index>(),
    ) {
        let specs = specs_of(of);
        let mut cells = Cells::empty(&specs);
        events.iter().for_each(|event| fold(&mut cells, &specs, event));
        let mut spoilt = bytes(&cells);
        for (at, byte) in cuts {
            let at = at.index(spoilt.len());
            spoilt[at] = byte;
        }
        if keep.index(3) == 0 {
            spoilt.truncate(keep.index(spoilt.len()));
        }
        if let Ok(read) = Cells::decode(&specs, &spoilt) {
            prop_assert_eq!(bytes(&read), spoilt);
            (0..specs.len()).for_each(|index| drop(read.value(index)));
        }
    }

    /// Folding nulls, values of another type and NaN changes nothing but `share` and the header.
    #[test]
    fn nulls_change_only_share((of, events) in typed_events(30)) {
        let specs = specs_of(of);
        let mut cells = Cells::empty(&specs);
        let mut without = Cells::empty(&specs);
        for event in &events {
            fold(&mut cells, &specs, event);
            without.count(event.at);
            for (index, spec) in specs.iter().enumerate() {
                let stranger = match of {
                    Type::Double => Input::Float(f64::NAN),
                    _ => Input::Float(1.0),
                };
                without.fold(index, stranger, event.at);
                if !event.value.is_null() || spec.kind == Kind::Share {
                    without.fold(index, event.value.as_input(), event.at);
                }
            }
        }
        prop_assert_eq!(bytes(&cells), bytes(&without));
    }
}

/// The same law where sketches change their form: past the longest list of a distinct count, past
/// the greatest number of buckets.
#[test]
fn commits_leave_no_trace_in_large_sketches() {
    let specs = [
        CellSpec { kind: Kind::Distinct { error_bp: 1000 }, input: Type::Double },
        CellSpec { kind: Kind::Quantile { q: 0.5 }, input: Type::Double },
    ];
    let mut at_once = Cells::empty(&specs);
    let mut committed = Cells::empty(&specs);
    for n in 0..6000u64 {
        let at = Stamp { event_time_ms: n as i64, offset: n };
        let exponent = (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as i32 % 300;
        let value = Value::Float((n + 1) as f64 * 10f64.powi(exponent));
        let event = Event { origin: 0, at, value };
        fold(&mut at_once, &specs, &event);
        fold(&mut committed, &specs, &event);
        committed = Cells::decode(&specs, &bytes(&committed)).unwrap();
    }
    assert_eq!(bytes(&at_once), bytes(&committed));
    assert!(bytes(&at_once).len() < 2048 * 4 + 1024, "sketches are bounded");
}

#[test]
fn small_states_are_small() {
    let at = Stamp { event_time_ms: 0, offset: 0 };
    let cell = |kind, input: Input<'_>, times| {
        let specs = [CellSpec { kind, input: input.kind().unwrap() }];
        let mut cells = Cells::empty(&specs);
        let empty = bytes(&cells).len();
        (0..times).for_each(|_| cells.fold(0, input, at));
        bytes(&cells).len() - empty
    };
    assert_eq!(cell(Kind::Count, Input::Text("x"), 3), 1);
    assert_eq!(cell(Kind::Sum, Input::Int(-20), 3), 1);
    assert_eq!(cell(Kind::Sum, Input::Float(1400.0), 1), 4);
    assert_eq!(cell(Kind::Mean, Input::Int(9), 3), 2);
    assert_eq!(cell(Kind::Quantile { q: 0.5 }, Input::Int(9), 1), 3);
    assert_eq!(cell(Kind::Quantile { q: 0.5 }, Input::Int(9), 3), 4);
    assert_eq!(cell(Kind::Distinct { error_bp: 100 }, Input::Text("BOS"), 3), 5);
    assert_eq!(cell(Kind::Share, Input::Bool(true), 3), 2);
}

#[test]
fn a_pane_of_a_newer_format_is_refused() {
    let error = Cells::decode(&[], &[2, 0]).unwrap_err();
    assert_eq!(error.to_string(), "pane format 2 is unknown to this version");
}

#[test]
fn a_list_of_marks_is_in_order_and_without_repeats() {
    let specs = [CellSpec { kind: Kind::Distinct { error_bp: 100 }, input: Type::Int }];
    let pane = |marks: [u8; 2]| {
        let marks = marks.map(|mark| [mark, 0, 0, 0, 0]);
        [&[1, 0, 10], marks.concat().as_slice()].concat()
    };
    assert!(Cells::decode(&specs, &pane([1, 2])).is_ok());
    for marks in [[2, 1], [1, 1]] {
        let error = Cells::decode(&specs, &pane(marks)).unwrap_err();
        assert_eq!(error.to_string(), "a distinct count is not in canonical form");
    }
}

#[test]
fn aggregates_refuse_inputs_that_they_cannot_take() {
    let output = |kind, input| CellSpec { kind, input }.output();
    assert_eq!(output(Kind::Sum, Type::String), None);
    assert_eq!(output(Kind::Share, Type::Int), None);
    assert_eq!(output(Kind::Quantile { q: 0.5 }, Type::Timestamp), None);
    assert_eq!(output(Kind::Sum, Type::Int), Some(Type::Int));
    assert_eq!(output(Kind::Mean, Type::Int), Some(Type::Double));
    assert_eq!(output(Kind::Max, Type::Timestamp), Some(Type::Timestamp));
    assert_eq!(output(Kind::Distinct { error_bp: 100 }, Type::String), Some(Type::Int));
}
