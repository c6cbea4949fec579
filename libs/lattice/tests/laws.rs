//! Lattice laws of everything that replicas merge, and of the digest that compares them.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;

use bytes::Bytes;
use crdts::CvRDT;
use lattice::pane::Forked;
use lattice::{Digest, Frontier, Origin, Pane, PaneKey, PlanHash, Span, TopicId};
use proptest::prelude::*;

/// Few versions and few contents, so that they meet.
fn pane() -> impl Strategy<Value = Pane> {
    (0u64..4, prop::collection::vec(0u8..3, 0..3))
        .prop_map(|(version, cells)| Pane { version, cells: cells.into() })
}

fn frontier() -> impl Strategy<Value = Frontier> {
    (0u64..4, 0u64..4).prop_map(|(from, next)| Frontier { from, next })
}

fn key() -> impl Strategy<Value = PaneKey> {
    (0u8..2, prop::sample::select(vec!["a", "ab"]), 0i64..2, 0u32..2).prop_map(
        |(plan, entity, hour, partition)| PaneKey {
            plan: PlanHash([plan; 16]),
            entity: Bytes::from_static(entity.as_bytes()),
            span: Span { width_s: 3600, start_ms: hour * 3_600_000 },
            origin: Origin { region: "eu".into(), topic: TopicId([1; 16]), partition },
        },
    )
}

/// A replica's set of panes, merged pane by pane as it applies records.
type Set = BTreeMap<PaneKey, Pane>;

fn apply(set: &mut Set, (key, pane): (PaneKey, Pane)) {
    match set.get_mut(&key) {
        Some(held) => held.merge(pane),
        None => drop(set.insert(key, pane)),
    }
}

fn joined<T: CvRDT + Clone>(a: &T, b: &T) -> T {
    let mut a = a.clone();
    a.merge(b.clone());
    a
}

proptest! {
    #[test]
    fn pane_is_a_lattice(a in pane(), b in pane(), c in pane()) {
        prop_assert_eq!(joined(&a, &b), joined(&b, &a));
        prop_assert_eq!(joined(&joined(&a, &b), &c), joined(&a, &joined(&b, &c)));
        prop_assert_eq!(&joined(&a, &a), &a);
        let join = joined(&a, &b);
        prop_assert!(!a.supersedes(&join) && !b.supersedes(&join));
        prop_assert!(join.version == a.version.max(b.version));
        prop_assert!(join == a || join == b);
    }

    #[test]
    fn a_fork_is_told(a in pane(), b in pane()) {
        let forked = a.version == b.version && a.cells != b.cells;
        let told = a.validate_merge(&b) == Err(Forked { version: a.version });
        prop_assert_eq!(told, forked);
    }

    #[test]
    fn frontier_is_a_lattice(a in frontier(), b in frontier(), c in frontier()) {
        prop_assert_eq!(joined(&a, &b), joined(&b, &a));
        prop_assert_eq!(joined(&joined(&a, &b), &c), joined(&a, &joined(&b, &c)));
        prop_assert_eq!(joined(&a, &a), a);
        prop_assert!(joined(&a, &b) >= a && joined(&a, &b) >= b);
    }

    /// Lost order, replays and doubled records change nothing: any two replicas that got the same
    /// records hold the same panes.
    #[test]
    fn sets_converge_whatever_the_order(
        records in prop::collection::vec((key(), pane()), 0..40).prop_flat_map(|records| {
            let again = prop::sample::subsequence(records.clone(), 0..=records.len());
            (Just(records), again)
        }).prop_flat_map(|(records, again)| {
            let doubled: Vec<_> = records.iter().chain(&again).cloned().collect();
            (Just(records), Just(doubled).prop_shuffle())
        }),
    ) {
        let (records, shuffled) = records;
        let (mut one, mut other) = (Set::new(), Set::new());
        for record in records {
            let before = one.get(&record.0).cloned();
            apply(&mut one, record.clone());
            prop_assert!(before.is_none_or(|before| !before.supersedes(&one[&record.0])));
        }
        shuffled.into_iter().for_each(|record| apply(&mut other, record));
        prop_assert_eq!(one, other);
    }

    #[test]
    fn digest_is_a_sum(
        members in prop::collection::vec(any::<(Vec<u8>, Vec<u8>)>(), 1..20)
            .prop_flat_map(|members| (Just(members.clone()), Just(members).prop_shuffle())),
        gone in any::<prop::sample::Index>(),
    ) {
        let mut scratch = Vec::new();
        let (members, shuffled) = members;
        let mut of = |(key, value): &(Vec<u8>, Vec<u8>)| Digest::of(key, value, &mut scratch);
        let (mut one, mut other) = (Digest::default(), Digest::default());
        members.iter().for_each(|member| one.add(of(member)));
        shuffled.iter().for_each(|member| other.add(of(member)));
        prop_assert_eq!(one, other);
        let gone = gone.index(members.len());
        one.remove(of(&members[gone]));
        let mut without = Digest::default();
        let rest = members.iter().enumerate().filter(|(i, _)| *i != gone);
        rest.for_each(|(_, member)| without.add(of(member)));
        prop_assert_eq!(one, without);
        prop_assert_ne!(one, other);
    }

    /// What is key and what is value shows in the digest.
    #[test]
    fn digest_tells_key_from_value(bytes in prop::collection::vec(any::<u8>(), 1..30)) {
        let mut scratch = Vec::new();
        let of = |at: usize, scratch: &mut Vec<u8>| {
            Digest::of(&bytes[..at], &bytes[at..], scratch)
        };
        prop_assert_ne!(of(0, &mut scratch), of(bytes.len(), &mut scratch));
        prop_assert_eq!(of(0, &mut scratch), of(0, &mut Vec::new()));
    }
}
