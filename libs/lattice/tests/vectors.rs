//! Frozen bytes of everything that is persisted. A change here is a change of format: regions of
//! two versions would no longer agree on a digest. Do not edit a vector; give the format a number.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use bytes::Bytes;
use lattice::cell::Cells;
use lattice::delta::{RepairRequest, pane_key, progress_key, repair_record, run_record};
use lattice::progress::NO_WATERMARK;
use lattice::shard::entity_key;
use lattice::{
    CellSpec, Delta, Digest, Frontier, Gap, Input, Kind, Origin, Pane, PaneKey, PlanHash,
    PlanProgress, Progress, Span, Stamp, TopicId, Value,
};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Long bytes are frozen by their length and their digest.
fn frozen(bytes: &[u8]) -> String {
    match bytes.len() {
        ..=96 => hex(bytes),
        n => format!("{n} bytes, {}", Digest::of(&[], bytes, &mut Vec::new())),
    }
}

fn check(cases: &[(&str, Vec<u8>, &str)]) {
    let wrong: Vec<String> = cases
        .iter()
        .filter(|(_, bytes, expected)| frozen(bytes) != *expected)
        .map(|(name, bytes, _)| format!("{name}: {}", frozen(bytes)))
        .collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// The bytes of one cell, without the pane around it.
fn cell(kind: Kind, inputs: &[Input<'_>]) -> Vec<u8> {
    let input = inputs.iter().find_map(|input| input.kind()).unwrap();
    let specs = [CellSpec { kind, input }];
    let mut cells = Cells::empty(&specs);
    for (i, input) in inputs.iter().enumerate() {
        let at = Stamp { event_time_ms: 1_359_000_000_000 + i as i64 * 1000, offset: i as u64 };
        cells.fold(0, *input, at);
    }
    let mut out = Vec::new();
    cells.encode(&mut out);
    assert_eq!(Cells::decode(&specs, &out), Ok(cells));
    let prefix = 2 + usize::from(out.len() > 0x82) + usize::from(out.len() > 0x4004);
    out.split_off(prefix + 1)
}

const FEW: [Input<'static>; 4] = [Input::Int(-7), Input::Int(300), Input::Null, Input::Int(15)];

fn ints(n: i64) -> Vec<Input<'static>> {
    (0..n).map(|i| Input::Int((i * 7919) % 100_003 - 20_000)).collect()
}

fn floats(n: i64) -> Vec<Input<'static>> {
    (0..n).map(|i| Input::Float(((i * 7919) % 100_003 - 20_000) as f64 / 3.0)).collect()
}

#[test]
fn cells_of_numbers() {
    check(&[
        ("count, few", cell(Kind::Count, &FEW), "03"),
        ("count, many", cell(Kind::Count, &ints(5000)), "8827"),
        ("sum, few", cell(Kind::Sum, &FEW), "e804"),
        ("sum, many", cell(Kind::Sum, &ints(5000)), "80adff8e01"),
        ("sum beyond 64 bits", cell(Kind::Sum, &[Input::Int(i64::MIN); 3]), "ffffffffffffffffff05"),
        ("sum of floats, one", cell(Kind::Sum, &[Input::Float(1400.0)]), "034095e0"),
        ("sum of floats, many", cell(Kind::Sum, &floats(5000)), "084187d51e00000001"),
        ("sum, zero", cell(Kind::Sum, &[Input::Float(0.0)]), "00"),
        ("sum, minus zero", cell(Kind::Sum, &[Input::Float(-0.0)]), "0180"),
        ("mean, few", cell(Kind::Mean, &FEW), "03e804"),
        ("mean of floats, many", cell(Kind::Mean, &floats(5000)), "8827084187d51e00000001"),
        ("variance, few", cell(Kind::Variance, &FEW), "03084059aaaaaaaaaaaa0840eca39555555555"),
        (
            "stddev, many",
            cell(Kind::Stddev, &floats(5000)),
            "88270840c3860902de00da08425af1eb9b29f8c6",
        ),
        ("share", cell(Kind::Share, &[Input::Bool(true), Input::Null, Input::Bool(false)]), "0103"),
    ]);
}

#[test]
fn cells_of_single_values() {
    let texts = [Input::Text("BOS"), Input::Text("éa"), Input::Text("")];
    let times = [Input::Time(1_359_000_000_000), Input::Time(-1)];
    check(&[
        ("min", cell(Kind::Min, &FEW), "0d"),
        ("max", cell(Kind::Max, &FEW), "d804"),
        ("max of floats", cell(Kind::Max, &floats(5000)), "0840da095555555555"),
        ("max of texts", cell(Kind::Max, &texts), "03c3a961"),
        ("min of texts, empty", cell(Kind::Min, &texts), "00"),
        ("max of times", cell(Kind::Max, &times), "80d8b2ab8d4f"),
        ("min of bools", cell(Kind::Min, &[Input::Bool(true)]), "01"),
        ("first", cell(Kind::First, &texts), "80d8b2ab8d4f0003424f53"),
        ("last", cell(Kind::Last, &FEW), "f086b3ab8d4f031e"),
    ]);
}

#[test]
fn cells_of_sketches() {
    let distinct = Kind::Distinct { error_bp: 100 };
    let quantile = Kind::Quantile { q: 0.9 };
    let wide: Vec<Input<'_>> = (0..3000).map(|i| Input::Float(1.021f64.powi(i) - 2.0)).collect();
    let edges = [0.0, -0.0, 1.0, f64::MAX, f64::MIN, 5e-324].map(Input::Float);
    check(&[
        ("distinct, one text", cell(distinct, &[Input::Text("BOS")]), "05ca3fa097"),
        ("distinct, one int", cell(distinct, &[Input::Int(5)]), "5c8a5d3831"),
        ("distinct, one float", cell(distinct, &[Input::Float(5.0)]), "93bc8d1dc0"),
        ("distinct, one bool", cell(distinct, &[Input::Bool(true)]), "0e08a51c85"),
        ("distinct, one time", cell(distinct, &[Input::Time(5)]), "bc3b5eba2d"),
        ("distinct, few", cell(distinct, &FEW), "18d058357e8108b74a218b132c574a"),
        (
            "distinct, longest list",
            cell(distinct, &ints(4095)),
            "20475 bytes, 941a4b04124b4bdba92d1bc11070736c",
        ),
        (
            "distinct, registers",
            cell(distinct, &ints(20_000)),
            "20480 bytes, 762c799f5ec444c15ec9b62f9043374d",
        ),
        (
            "distinct at 10 %",
            cell(Kind::Distinct { error_bp: 1000 }, &ints(20_000)),
            "640 bytes, 4e6fbb18076327fe5be9c591eacd2fb0",
        ),
        ("quantile, one", cell(quantile, &[Input::Int(9)]), "86ba0d"),
        ("quantile, few", cell(quantile, &FEW), "96a904a49109ac02"),
        (
            "quantile, many",
            cell(quantile, &ints(20_000)),
            "1095 bytes, dc9e2dc6adfece9a275c4236a31b7ca8",
        ),
        ("quantile, edges", cell(quantile, &edges), "1aa9f10800a001c8c504c0aa04"),
        (
            "quantile, collapsed",
            cell(quantile, &wide),
            "2052 bytes, 0f63ee9f0fec659711e91ecce914b97d",
        ),
    ]);
}

#[test]
fn panes_content() {
    let specs =
        [Kind::Count, Kind::Max].map(|kind| CellSpec { kind, input: FEW[0].kind().unwrap() });
    let mut cells = Cells::empty(&specs);
    let mut empty = Vec::new();
    cells.encode(&mut empty);
    for (i, input) in FEW.iter().enumerate() {
        let at = Stamp { event_time_ms: 1_359_000_000_000 - i as i64 * 500, offset: i as u64 };
        cells.count(at);
        (0..2).for_each(|index| cells.fold(index, *input, at));
    }
    let mut some = Vec::new();
    cells.encode(&mut some);
    let pane = Pane { version: 4, cells: some.clone().into() }.encode();
    assert_eq!(Pane::decode(&pane), Ok(Pane { version: 4, cells: some.clone().into() }));
    check(&[
        ("empty", empty, "01000000"),
        ("header and two cells", some, "0104c8c0b2ab8d4fdc0b010302d804"),
        ("pane", pane.to_vec(), "00000000000000040104c8c0b2ab8d4fdc0b010302d804"),
    ]);
}

fn origin() -> Origin {
    Origin {
        region: "jfk".into(),
        topic: TopicId(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff_u128.to_be_bytes()),
        partition: 3,
    }
}

fn record(key: &Bytes, value: &Bytes) -> Delta {
    Delta::decode(key, Some(value)).unwrap()
}

#[test]
fn records_of_a_delta_topic() {
    let values = [Value::Text("JFK".into()), Value::Int(-7), Value::Bool(true), Value::Time(9)];
    let key = PaneKey {
        plan: PlanHash([0xab; 16]),
        entity: entity_key(&values).unwrap(),
        span: Span { width_s: 3600, start_ms: 1_359_000_000_000 },
        origin: origin(),
    };
    let request = RepairRequest { origin: origin(), by: "lga".into(), serial: 7 };
    let (repair_key, repair_value) = repair_record(&request);
    assert_eq!(record(&repair_key, &repair_value), Delta::Repair(request));
    let (run_key, run_value) = run_record(&origin(), 7);
    assert_eq!(record(&run_key, &run_value), Delta::Run(origin(), 7));
    check(&[
        (
            "pane's key",
            pane_key(&key).to_vec(),
            "70abababababababababababababababab036a666b00112233445566778899aabbccddeeff0000000300000e100000013c6ab6560073034a464b690d62017412",
        ),
        (
            "progress's key",
            progress_key(&origin()).to_vec(),
            "67036a666b00112233445566778899aabbccddeeff00000003",
        ),
        (
            "repair's key",
            repair_key.to_vec(),
            "72036c6761036a666b00112233445566778899aabbccddeeff00000003",
        ),
        ("repair's value", repair_value.to_vec(), "0000000000000007"),
        ("run's key", run_key.to_vec(), "73036a666b00112233445566778899aabbccddeeff00000003"),
        ("run's value", run_value.to_vec(), "0000000000000007"),
    ]);
    let digest = Digest::of(b"key", b"value", &mut Vec::new());
    assert_eq!(digest.to_string(), "117b58c9b333465d74b3555489959b92", "digest");
}

#[test]
fn progress_records() {
    let plan = |first: u8, watermark_ms, gaps| PlanProgress {
        plan: PlanHash([first; 16]),
        frontier: Frontier { from: 5, next: 1000 },
        watermark_ms,
        retention: vec![(3600, 86_400_000)],
        digest: Digest(0xfeed << 100),
        gaps,
    };
    let gap = Gap { from: 10, to: 20, since_ms: -5, until_ms: 1_359_000_000_000 };
    let none = Progress { complete_to_ms: 0, generation: 0, plans: vec![] };
    let fresh = Progress { plans: vec![plan(1, NO_WATERMARK, vec![])], ..none.clone() };
    let full = Progress {
        complete_to_ms: 1_359_000_000_000,
        generation: 300,
        plans: vec![plan(1, 1_358_990_000_000, vec![]), plan(2, -1, vec![gap])],
    };
    for progress in [&none, &fresh, &full] {
        assert_eq!(Progress::decode(&progress.encode()).as_ref(), Ok(progress));
    }
    check(&[
        ("no plans", none.encode().to_vec(), "0101000000"),
        (
            "before the first event",
            fresh.encode().to_vec(),
            "01010000010101010101010101010101010101010105e807ffffffffffffffffff0101901c80f0b252000feed000000000000000000000000000",
        ),
        ("full", full.encode().to_vec(), "113 bytes, 66b81659bb875b41cdc7bd72f4288436"),
    ]);
}
