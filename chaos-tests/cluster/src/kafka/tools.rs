//! What kcat and Kafka's own tools read of a mesh that is equal, against what was sent to it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ::kafka::{Lag, Seen, Tools};
use checkers::Broken;
use lattice::delta::{Delta, claim_of};
use testkit::within;

use super::{DELTAS, LETTERS, SOURCE};
use crate::Mesh;

/// The nodes' group.
const GROUP: &str = "nyc-departures";
/// How many records of a delta topic Kafka's own consumer reads, of many more.
const SOME: usize = 500;
/// Progress is noted once a second, and a tool takes as long to start.
const PATIENCE: Duration = Duration::from_secs(60);

/// In `region`'s cluster: events and dead letters as they were sent, its own deltas and those of
/// another region, both as far as the events that they are of, and no lag.
pub fn read_what_was_sent(
    mesh: &Mesh,
    [region, other]: [&str; 2],
    sent: &[String],
    broken: &[Broken],
) {
    let tools = mesh.tools(region);
    let events = tools.kcat(SOURCE);
    are_events(&tools, &events, sent);
    are_letters(&tools, &events, broken);
    are_deltas(&tools, DELTAS, region, &ends(&events));
    let of_other = ends(&mesh.tools(other).kcat(SOURCE));
    are_deltas(&tools, &format!("{other}.{DELTAS}"), other, &of_other);
    nothing_lags(&tools, &ends(&events));
    println!("kcat and Kafka's own tools read {} events of {region}", events.len());
}

fn text(value: &Seen) -> &str {
    let value = value.value.as_deref().expect("a value");
    std::str::from_utf8(value).expect("text")
}

/// Where each partition ends, if its last record is not a marker.
fn ends(records: &[Seen]) -> BTreeMap<u32, u64> {
    let mut ends = BTreeMap::new();
    for Seen { partition, offset, .. } in records {
        let end = ends.entry(*partition).or_insert(0);
        *end = (offset + 1).max(*end);
    }
    ends
}

/// Each line that was sent, without a key; one that was sent again may be there again.
fn are_events(tools: &Tools, events: &[Seen], sent: &[String]) {
    let seen: BTreeSet<&str> = events.iter().map(text).collect();
    assert_eq!(seen, sent.iter().map(String::as_str).collect());
    assert!(events.iter().all(|event| event.key.is_none() && event.headers.is_empty()));
    let mut said = tools.console(SOURCE, &[], events.len());
    said.sort_unstable();
    let mut seen: Vec<&str> = events.iter().map(text).collect();
    seen.sort_unstable();
    assert_eq!(said, seen);
}

/// One for each broken line, with the rule and when it came, under a key that ends with the event's
/// offset in the source's partition of the same number.
fn are_letters(tools: &Tools, events: &[Seen], broken: &[Broken]) {
    let events: BTreeMap<_, _> = events.iter().map(|e| ((e.partition, e.offset), e)).collect();
    let letters = tools.kcat(LETTERS);
    let mut rules = BTreeMap::new();
    let mut shown = Vec::new();
    for letter in &letters {
        let offset = letter.key.as_ref().and_then(|key| key.last_chunk()).expect("a key");
        let event = events[&(letter.partition, u64::from_be_bytes(*offset))];
        assert_eq!(text(letter), text(event));
        let (rule, at_ms) = letter.headers.rsplit_once(",appended_ms=").expect("two headers");
        let rule = rule.strip_prefix("rule=").expect("the rule first");
        assert_eq!(at_ms, event.at_ms.to_string(), "{letter:?}");
        rules.insert(text(letter), rule);
        shown.push(format!("rule:{rule},appended_ms:{at_ms}\t{}", text(letter)));
    }
    let lines: BTreeSet<&str> = broken.iter().map(|broken| &*broken.line).collect();
    assert_eq!(rules.keys().copied().collect::<BTreeSet<_>>(), lines);
    for Broken { line, rule } in broken {
        assert!(rules[&**line].contains(rule), "'{}' of {line}, expected {rule}", rules[&**line]);
    }
    let mut said = tools.console(LETTERS, &["print.headers=true"], letters.len());
    said.sort_unstable();
    shown.sort_unstable();
    assert_eq!(said, shown);
}

/// Panes and progress of a region, the last of which is where its source's partitions end.
fn are_deltas(tools: &Tools, topic: &str, region: &str, ends: &BTreeMap<u32, u64>) {
    let records = tools.kcat(topic);
    let (mut panes, mut folded) = (0, BTreeMap::new());
    for Seen { key, value, .. } in &records {
        let key = key.as_ref().expect("each delta has a key");
        if claim_of(key, value.as_ref()).is_some() {
            continue;
        }
        match Delta::decode(key, value.as_ref()).expect("a delta") {
            Delta::Pane(..) => panes += 1,
            Delta::Progress(origin, progress) if &*origin.region == region => {
                let next = progress.plans.iter().map(|plan| plan.frontier.next).max();
                let known: &mut u64 = folded.entry(origin.partition).or_default();
                *known = next.unwrap_or(0).max(*known);
            }
            _ => {}
        }
    }
    assert!(panes > 0, "{topic}: no panes in {} records", records.len());
    assert_eq!(&folded, ends, "{topic}");
    // Values are not text, and may hold ends of lines.
    let only_places = ["print.value=false", "print.partition=true", "print.offset=true"];
    let said = tools.console(topic, &only_places, SOME);
    let places = records.iter().map(|r| format!("Partition:{}\tOffset:{}", r.partition, r.offset));
    let places: BTreeSet<String> = places.collect();
    assert_eq!(said.len(), SOME, "{topic}");
    said.iter().for_each(|place| assert!(places.contains(place), "{topic}: {place}"));
}

/// All is folded, and the group of the nodes says so.
fn nothing_lags(tools: &Tools, ends: &BTreeMap<u32, u64>) {
    let none = |(partition, end): (&u32, &u64)| Lag {
        partition: *partition,
        offset: *end,
        end: *end,
        lag: 0,
    };
    let expected: Vec<Lag> = ends.iter().map(none).collect();
    let mut said = Vec::new();
    let seen = within(PATIENCE, || {
        said = tools.lag(GROUP);
        said == expected
    });
    assert!(seen, "{said:?}, expected {expected:?}");
}
