//! Records round trip, and a log may hold anything: no bytes make a decoder panic, and what it
//! accepts is the one form that would have been written.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use bytes::Bytes;
use lattice::cell::Cells;
use lattice::combine::{Cut, PaneView, Want, combine};
use lattice::delta::{RepairRequest, pane_key, progress_key, repair_record, run_record};
use lattice::shard::{decode_entity_key, entity_key};
use lattice::{
    CellSpec, Delta, Digest, Frontier, Gap, Kind, Origin, Pane, PaneKey, PlanHash, PlanProgress,
    Progress, Span, TopicId, Type, Value,
};
use proptest::prelude::*;

fn origin() -> impl Strategy<Value = Origin> {
    ("[a-z]{0,5}", any::<[u8; 16]>(), any::<u32>()).prop_map(|(region, topic, partition)| Origin {
        region: region.into(),
        topic: TopicId(topic),
        partition,
    })
}

fn key() -> impl Strategy<Value = PaneKey> {
    (any::<[u8; 16]>(), any::<Vec<u8>>(), any::<(u32, i64)>(), origin()).prop_map(
        |(plan, entity, (width_s, start_ms), origin)| PaneKey {
            plan: PlanHash(plan),
            entity: entity.into(),
            span: Span { width_s, start_ms },
            origin,
        },
    )
}

fn plan() -> impl Strategy<Value = PlanProgress> {
    let gap = any::<(u64, u64, i64, i64)>().prop_map(|(from, to, since_ms, until_ms)| Gap {
        from,
        to,
        since_ms,
        until_ms,
    });
    (
        any::<([u8; 16], u64, u64, i64, u128)>(),
        any::<Vec<(u32, i64)>>(),
        prop::collection::vec(gap, 0..3),
    )
        .prop_map(|((plan, from, next, watermark_ms, digest), retention, gaps)| PlanProgress {
            plan: PlanHash(plan),
            frontier: Frontier { from, next },
            watermark_ms,
            retention,
            digest: Digest(digest),
            gaps,
        })
}

fn progress() -> impl Strategy<Value = Progress> {
    (any::<(i64, u64)>(), prop::collection::vec(plan(), 0..4)).prop_map(
        |((complete_to_ms, generation), plans)| Progress { complete_to_ms, generation, plans },
    )
}

fn delta() -> impl Strategy<Value = Delta> {
    prop_oneof![
        (key(), any::<u64>(), any::<Vec<u8>>()).prop_map(|(key, version, cells)| {
            Delta::Pane(key, Pane { version, cells: cells.into() })
        }),
        key().prop_map(Delta::Gone),
        (origin(), progress()).prop_map(|(origin, progress)| Delta::Progress(origin, progress)),
        (origin(), any::<u64>()).prop_map(|(origin, serial)| Delta::Run(origin, serial)),
        (origin(), "[a-z]{0,5}", any::<u64>()).prop_map(|(origin, by, serial)| {
            Delta::Repair(RepairRequest { origin, by: by.into(), serial })
        }),
    ]
}

fn record(delta: &Delta) -> (Bytes, Option<Bytes>) {
    match delta {
        Delta::Pane(key, pane) => (pane_key(key), Some(pane.encode())),
        Delta::Gone(key) => (pane_key(key), None),
        Delta::Progress(origin, progress) => (progress_key(origin), Some(progress.encode())),
        Delta::Run(origin, serial) => {
            let (key, value) = run_record(origin, *serial);
            (key, Some(value))
        }
        Delta::Repair(request) => {
            let (key, value) = repair_record(request);
            (key, Some(value))
        }
    }
}

fn spoil(bytes: &Bytes, at: &prop::sample::Index, byte: u8, cut: bool) -> Bytes {
    let mut spoilt = bytes.to_vec();
    if !spoilt.is_empty() {
        let at = at.index(spoilt.len());
        spoilt[at] = byte;
        if cut {
            spoilt.truncate(at);
        }
    }
    spoilt.into()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn records_round_trip(delta in delta()) {
        let (key, value) = record(&delta);
        prop_assert_eq!(Delta::decode(&key, value.as_ref()), Ok(delta));
    }

    #[test]
    fn different_panes_have_different_keys(a in key(), b in key()) {
        prop_assert_eq!(pane_key(&a) == pane_key(&b), a == b);
    }

    #[test]
    fn spoilt_records_are_refused_or_canonical(
        delta in delta(),
        at in any::<[prop::sample::Index; 2]>(),
        bytes in any::<[u8; 2]>(),
        cut in any::<[bool; 2]>(),
    ) {
        let (key, value) = record(&delta);
        let key = spoil(&key, &at[0], bytes[0], cut[0]);
        let value = value.map(|value| spoil(&value, &at[1], bytes[1], cut[1]));
        if let Ok(read) = Delta::decode(&key, value.as_ref()) {
            prop_assert_eq!(record(&read), (key, value));
        }
    }

    #[test]
    fn bytes_left_over_are_refused(delta in delta(), more in 0u8..) {
        let longer = |bytes: &Bytes| Bytes::from([bytes, &[more][..]].concat());
        let (key, value) = record(&delta);
        if !matches!(delta, Delta::Pane(..) | Delta::Gone(_)) {
            prop_assert!(Delta::decode(&longer(&key), value.as_ref()).is_err());
            prop_assert!(Delta::decode(&key, value.as_ref().map(longer).as_ref()).is_err());
        }
    }

    #[test]
    fn any_bytes_decode_or_fail(
        tag in prop::sample::select(&b"pgrs\x01\x00"[..]),
        key in any::<Vec<u8>>(),
        value in any::<Vec<u8>>(),
    ) {
        let key = Bytes::from([&[tag], &key[..]].concat());
        let value = Bytes::from([&[1, 1], &value[..]].concat());
        let _ = Delta::decode(&key, Some(&value));
        let _ = Delta::decode(&key, None);
        let _ = Progress::decode(&value);
        let _ = Pane::decode(&value);
        let _ = decode_entity_key(&key);
    }

    /// Cells of every kind that are well framed and hold anything.
    #[test]
    fn any_cells_combine_or_fail(
        contents in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 16),
        junk in any::<Vec<u8>>(),
    ) {
        let kinds = [
            Kind::Count, Kind::Sum, Kind::Mean, Kind::Max, Kind::Last, Kind::Variance,
            Kind::Distinct { error_bp: 5000 }, Kind::Quantile { q: 0.3 },
        ];
        let cut = Cut { from_ms: i64::MIN, until_ms: None };
        let origin = Origin { region: "eu".into(), topic: TopicId([0; 16]), partition: 0 };
        for (kind, content) in kinds.iter().zip(&contents) {
            for input in [Type::Int, Type::Double, Type::String] {
                let specs = [CellSpec { kind: *kind, input }];
                let mut framed = vec![1, 1, 0, 0, content.len() as u8];
                framed.extend_from_slice(content);
                for cells in [&framed, &junk] {
                    let _ = Cells::decode(&specs, cells);
                    let view = PaneView { origin: &origin, span: Span::ALL, version: 1, cells };
                    let want = [Want { cell: 0, cut }];
                    let _ = combine(&specs, &want, &mut [view, view, view].into_iter());
                }
            }
        }
    }

    #[test]
    fn entity_keys_round_trip(
        values in prop::collection::vec(
            prop_oneof![
                any::<i64>().prop_map(Value::Int),
                any::<i64>().prop_map(Value::Time),
                any::<bool>().prop_map(Value::Bool),
                any::<String>().prop_map(|text| Value::Text(text.into())),
            ],
            0..4,
        ),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let key = entity_key(&values).unwrap();
        prop_assert_eq!(&decode_entity_key(&key).unwrap(), &values);
        let spoilt = spoil(&key, &at, byte, false);
        if let Ok(values) = decode_entity_key(&spoilt) {
            prop_assert_eq!(entity_key(&values).unwrap(), spoilt);
        }
    }

    /// Every instant is in exactly one span of a width.
    #[test]
    fn spans_tile_time(at_ms in -1i64 << 50..1 << 50, width_s in 1u32..=31_536_000) {
        let span = Span::holding(at_ms, width_s);
        prop_assert!(span.start_ms <= at_ms && at_ms < span.end_ms());
        prop_assert_eq!(span.start_ms % (i64::from(width_s) * 1000), 0);
        prop_assert_eq!(Span::holding(span.end_ms(), width_s).start_ms, span.end_ms());
    }
}
