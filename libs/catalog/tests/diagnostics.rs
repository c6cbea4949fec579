//! Bad catalogs: what is said, and where.

mod common;

use catalog::{Catalog, MAX_FILE_BYTES, compile};
use proptest::prelude::*;

use common::{DEPARTURES, FRAUD, applied, plan, said};

const BASE: &str = "\
project: p
entities:
  card: {join_key: card_id}
sources:
  pay:
    topic: pay
    event_time: at
    id: pid
    fields:
      pid: string
      card_id: string?
      amount: {type: double, range: [0, 100]}
      n: int
      at: timestamp
feature_views:
  v:
    entity: card
    source: pay
    windows: [1h, 24h]
    features:
      total: {sum: amount}
      seen: {count: \"*\"}
on_demand_feature_views:
  risk:
    request: {limit: double}
    inputs: [v]
    features:
      over: total_1h > limit
feature_services:
  model: [v, risk]
";

/// What is said of [`BASE`] with one line written differently.
fn without(line: &str, other: &str) -> String {
    assert_eq!(BASE.matches(line).count(), 1, "{line}");
    let text = BASE.replace(line, other);
    said(&plan(&text, &Catalog::default(), &["us"]).expect_err(other))
}

#[test]
fn the_base_is_sound() {
    applied(BASE, &["us"]);
}

#[test]
fn every_refusal_names_the_thing_the_place_and_the_way_out() {
    let cases = [
        ("project: p", "project: [", "c.yaml:1:10: expected string scalar"),
        ("project: p", "projekt: p", "c.yaml:1:1: unknown field `projekt`, expected one of"),
        ("project: p", "project: p\nshards: 0", "c.yaml:2:9: 0 shards; use 1 to 1024"),
        ("project: p", "project: p\nentities: {}", "duplicate mapping key `entities`"),
        ("  card: {join_key: card_id}", "  card: {}", "c.yaml:3:3: `card` needs `join_key`"),
        (
            "  card: {join_key: card_id}",
            "  card: {join_key: who}",
            "c.yaml:16:3: the join key `who` is no field of `pay`",
        ),
        (
            "  card: {join_key: card_id}",
            "  card: {join_key: amount}",
            "c.yaml:16:3: the join key `amount` is a double",
        ),
        (
            "  card: {join_key: card_id}",
            "  card: {join_keys: [pid, pid]}",
            "c.yaml:3:27: `pid` is listed twice",
        ),
        (
            "  card: {join_key: card_id}",
            "  ca__rd: {join_key: card_id}",
            "c.yaml:3:3: `ca__rd` is not a name",
        ),
        (
            "    topic: pay",
            "    topic: mesh-deltas-x",
            "c.yaml:6:12: `mesh-deltas-x` is a name that the mesh keeps",
        ),
        ("    topic: pay", "    topic: \"a b\"", "c.yaml:6:12: `a b` is not a topic"),
        (
            "    topic: pay",
            "    format: avro",
            "c.yaml:6:13: `avro` is no format that this version reads; write json",
        ),
        (
            "    event_time: at",
            "    event_time: n",
            "c.yaml:7:17: `event_time: n` must be a field of type timestamp",
        ),
        ("    event_time: at", "    # none", "c.yaml:5:3: `pay` lacks `event_time`"),
        (
            "    id: pid",
            "    id: amount",
            "c.yaml:8:9: `id: amount` must be a field of type string or int",
        ),
        ("    id: pid", "    skip: amount", "c.yaml:8:11: the condition is a double"),
        ("    id: pid", "    skip: n > 'x'", "c.yaml:8:13: `>` between number and string"),
        (
            "    id: pid",
            "    skip: \"n > 1 && speed > 2\"",
            "c.yaml:8:21: `speed` is unknown; known: amount, at,",
        ),
        ("    id: pid", "    disorder: soon", "c.yaml:8:15: 'soon' is not a duration"),
        (
            "    id: pid",
            "    id: pid\n    retention: {time: 1h}",
            "c.yaml:9:23: events leave the topic after 1h, but ids",
        ),
        ("    id: pid", "    partitions: 0", "c.yaml:8:17: 0 partitions"),
        ("    id: pid", "    partitions: many", "c.yaml:8:17: invalid u32"),
        ("    id: pid", "    retention: {bytes: 1kB}", "c.yaml:8:24: `1kB` is not a size"),
        ("    id: pid", "    id_window: {events: 0}", "c.yaml:8:25: 0 events"),
        ("      n: int", "      n: integer", "c.yaml:13:10: `integer` is not a type"),
        ("      n: int", "      n: {in: [1]}", "c.yaml:13:7: `n` lacks `type`"),
        (
            "      n: int",
            "      n: {type: int, in: [one]}",
            "c.yaml:13:27: \"one\" is not a whole number",
        ),
        (
            "      n: int",
            "      n: {type: string, range: [1, 2]}",
            "c.yaml:13:32: a string has no range",
        ),
        (
            "      n: int",
            "      n: {type: int, range: [2, 1]}",
            "c.yaml:13:29: a range is [least, greatest]",
        ),
        ("      n: int", "      n: {type: double, range: [.nan, 1]}", "c.yaml:13:32: a range is"),
        (
            "      n: int",
            "      n: {type: int, on_violation: null}",
            "`n` cannot become null; write `type: int?`",
        ),
        (
            "      n: int",
            "      n: {type: int, on_violation: shrug}",
            "c.yaml:13:36: `shrug` is no choice",
        ),
        (
            "    entity: card",
            "    entity: user",
            "c.yaml:17:13: `user` is no entity of this catalog; it has card",
        ),
        (
            "    source: pay",
            "    source: paid",
            "c.yaml:18:13: `paid` is no source of this catalog; it has pay",
        ),
        ("    source: pay", "    version: 0\n    source: pay", "c.yaml:18:14: versions begin at 1"),
        (
            "    windows: [1h, 24h]",
            "    windows: [1h, 366d]",
            "c.yaml:19:19: a window of 366d is not allowed",
        ),
        (
            "    windows: [1h, 24h]",
            "    windows: [1h, 60m]",
            "c.yaml:19:19: the window 60m is listed twice",
        ),
        (
            "    windows: [1h, 24h]",
            "    windows: [31535999s]",
            "c.yaml:19:15: the window 31535999s takes",
        ),
        (
            "    windows: [1h, 24h]",
            "    windows: [1h]\n    resolution: 7s",
            "c.yaml:19:15: the resolution 7s does not divide",
        ),
        ("    windows: [1h, 24h]", "    # none", "c.yaml:21:7: `total` lacks `windows`"),
        ("    windows: [1h, 24h]", "    windows: []", "c.yaml:19:14: `total` has no window"),
        ("    windows: [1h, 24h]", "    windows: 1h", "c.yaml:19:14: expected sequence"),
        ("      total: {sum: amount}", "      total: {}", "c.yaml:21:7: `total` has no aggregate"),
        (
            "      total: {sum: amount}",
            "      total: {sum: amount, mean: n}",
            "c.yaml:21:34: `total` has two aggregates",
        ),
        (
            "      total: {sum: amount}",
            "      total: {sum: pid}",
            "c.yaml:21:20: `pid` is a string, which this aggregate",
        ),
        (
            "      total: {sum: amount}",
            "      total: {sum: amuont}",
            "c.yaml:21:20: `amuont` is no field of `pay`",
        ),
        (
            "      total: {sum: amount}",
            "      total: {sum: \"*\"}",
            "c.yaml:21:20: `*` is for `count`",
        ),
        (
            "      total: {sum: amount}",
            "      total: {quantile: amount}",
            "c.yaml:21:7: `total` lacks `q`",
        ),
        (
            "      total: {sum: amount}",
            "      total: {quantile: amount, q: 2}",
            "c.yaml:21:36: q is 2",
        ),
        (
            "      total: {sum: amount}",
            "      total: {sum: amount, q: 0.5}",
            "c.yaml:21:31: `q` belongs to",
        ),
        (
            "      total: {sum: amount}",
            "      total: {distinct: n, error: 1}",
            "c.yaml:21:35: `1` is no error bound",
        ),
        (
            "      total: {sum: amount}",
            "      total: {share: amount}",
            "c.yaml:21:22: the condition is a double",
        ),
        (
            "      total: {sum: amount}",
            "      total: {sum: amount, empty: none}",
            "c.yaml:21:35: `empty` must be a double",
        ),
        (
            "      total: {sum: amount}",
            "      total: {sum: amount}\n      total_1h: {sum: n, windows: [all]}",
            "`total_1h` is the name of two columns",
        ),
        (
            "      total: {sum: amount}",
            "      card_id: {sum: n, windows: [all]}",
            "`card_id` is the name of two columns",
        ),
        (
            "    request: {limit: double}",
            "    request: {limit: number}",
            "c.yaml:25:22: `number` is not a type",
        ),
        (
            "    request: {limit: double}",
            "    request: {total_1h: double}",
            "c.yaml:26:14: `total_1h` comes from two places",
        ),
        ("    inputs: [v]", "    inputs: [w]", "c.yaml:26:14: `w` is unknown"),
        ("    inputs: [v]", "    inputs: [v@v7]", "c.yaml:26:14: `v@v7` is not an active view"),
        (
            "    inputs: [v]",
            "    inputs: [\"v:total_1h\"]",
            "c.yaml:26:14: `v@v1:total_1h` is no input",
        ),
        (
            "    inputs: [v]",
            "    inputs: [risk]",
            "c.yaml:26:14: on-demand views feed each other: risk -> risk",
        ),
        (
            "      over: total_1h > limit",
            "      over: total_2h > limit",
            "c.yaml:28:13: `total_2h` is unknown",
        ),
        ("  model: [v, risk]", "  model: [v, w]", "c.yaml:30:14: feature view `w` does not exist"),
        (
            "  model: [v, risk]",
            "  model: [\"v:total_2h\"]",
            "c.yaml:30:11: `v` has no feature `total_2h`; it has total_1h",
        ),
        ("  model: [v, risk]", "  model: [\"v@2\"]", "c.yaml:30:11: `v@2` is no reference"),
        ("  model: [v, risk]", "  model: []", "c.yaml:30:10: `model` reads nothing"),
        ("  model: [v, risk]", "  model: [v, v]", "c.yaml:30:3: features of one name: v__"),
    ];
    let mut wrong = Vec::new();
    for (line, other, expected) in cases {
        let found = without(line, other);
        if !found.contains(expected) {
            wrong.push(format!("{other}\n  said: {found}\n  not:  {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn circles_of_views_are_named() {
    let circle =
        "  a: {inputs: [b], features: {x: \"true\"}}\n  b: {inputs: [a], features: {y: \"x\"}}\n";
    let found = without("feature_services:\n", &format!("{circle}feature_services:\n"));
    assert!(
        found.contains("on-demand views feed each other: a -> b -> a; break the circle"),
        "{found}"
    );
}

#[test]
fn several_errors_are_said_at_once() {
    let text = BASE.replace("sum: amount", "sum: amuont").replace("n: int", "n: integer");
    let text = text.replace("inputs: [v]", "inputs: []");
    let errors = plan(&text, &Catalog::default(), &["us"]).unwrap_err();
    assert!(errors.len() >= 2, "{}", said(&errors));
}

#[test]
fn spans_cover_what_is_wrong() {
    let text = BASE.replace("entity: card", "entity: usér");
    let errors = plan(&text, &Catalog::default(), &["us"]).unwrap_err();
    assert_eq!(&text[errors[0].place.span.clone()], "usér");
}

/// What comes in through `<<` is said where it was written.
#[test]
fn merged_keys_keep_their_place() {
    let text = DEPARTURES.replace("sum: distance", "sum: tailnum");
    let line = 1 + text.lines().position(|line| line.contains("sum: tailnum")).unwrap();
    let errors = plan(&text, &Catalog::default(), &["ewr"]).unwrap_err();
    assert_eq!(errors.len(), 4);
    assert!(errors.iter().all(|error| error.place.line == line), "{}", said(&errors));
}

#[test]
fn files_are_read_as_one() {
    let (entities, rest) = BASE.split_once("sources:\n").unwrap();
    let rest = format!("sources:\n{rest}");
    compile(&[("a.yaml", entities), ("b.yaml", &rest)]).unwrap();
    let errors = compile(&[("a.yaml", BASE), ("b.yaml", BASE)]).unwrap_err();
    assert!(said(&errors).contains("b.yaml:3:3: `card` is defined at a.yaml:3 already"));
    let errors = compile(&[("a.yaml", BASE), ("b.yaml", "project: q\n")]).unwrap_err();
    assert!(said(&errors).contains("b.yaml:1:10: `project` is another one at a.yaml:1"));
}

#[test]
fn anchors_cannot_blow_up() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for i in 1..12 {
        let refs = vec![format!("*a{}", i - 1); 10].join(", ");
        bomb += &format!("a{i}: &a{i} [{refs}]\n");
    }
    assert!(compile(&[("bomb.yaml", &bomb)]).is_err());
    let nested = format!("feature_services:\n  {}", bomb.replace('\n', "\n  "));
    assert!(said(&compile(&[("bomb.yaml", &nested)]).unwrap_err()).starts_with("bomb.yaml:"));
    let own = "entities: &a {x: *a}\n";
    assert!(compile(&[("own.yaml", own)]).is_err());
    let deep = "[".repeat(100_000);
    assert!(compile(&[("deep.yaml", &deep)]).is_err());
    let large = " ".repeat(MAX_FILE_BYTES + 1);
    assert!(said(&compile(&[("large.yaml", &large)]).unwrap_err()).contains("larger than"));
}

proptest! {
    #[test]
    fn arbitrary_text_never_panics(text in any::<String>()) {
        let _ = plan(&text, &Catalog::default(), &["us"]);
    }

    /// Catalogs with a stretch replaced: most still parse as YAML.
    #[test]
    fn mangled_catalogs_never_panic(
        fraud in any::<bool>(),
        from in 0.0f64..1.0,
        len in 0usize..12,
        with in "[a-z0-9 :@*&<>\\[\\]{}'\"?.,é\n-]{0,8}",
    ) {
        let text = if fraud { FRAUD } else { DEPARTURES };
        let chars: Vec<char> = text.chars().collect();
        let from = (from * chars.len() as f64) as usize;
        let to = (from + len).min(chars.len());
        let mangled: String =
            chars[..from].iter().copied().chain(with.chars()).chain(chars[to..].iter().copied()).collect();
        if let Err(errors) = plan(&mangled, &Catalog::default(), &["us"]) {
            for error in errors {
                prop_assert!(!error.message.is_empty() && !error.message.contains('\n'), "{error}");
                prop_assert!(mangled.get(error.place.span.clone()).is_some(), "{error}");
            }
        }
    }
}
