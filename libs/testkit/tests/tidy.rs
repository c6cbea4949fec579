//! The house's style, as far as a test can hold it.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

const MAX_LINES: usize = 600;

/// Where a rule does not hold, and why.
const EXEMPT: [(&str, Rule, &str); 7] = [
    ("libs/clock/", Rule::Clock, "is the seam itself"),
    ("libs/testkit/", Rule::Panic, "fails tests by panicking"),
    ("chaos-tests/", Rule::Panic, "are tests"),
    ("chaos-tests/cluster/", Rule::Clock, "waits for real processes"),
    ("services/gateway/", Rule::Select, "never runs in the simulator"),
    ("services/meridian/", Rule::Select, "never runs in the simulator"),
    ("services/meridian/", Rule::Clock, "times what a person watches"),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// A module says why it exists.
    Head,
    /// A file can be read in one go.
    Length,
    /// Time and randomness come from `clock`.
    Clock,
    /// Every test runs. Those in comments would not: `make test` spares rustdoc a look at each crate.
    Ignored,
    /// Nothing panics outside tests.
    Panic,
    /// A random choice between ready branches cannot be replayed.
    Select,
    /// No path of somebody's machine.
    Path,
}

/// Written in two parts, so that this file does not break its own rules.
const CLOCKS: [&str; 5] = [
    concat!("SystemTime", "::now"),
    concat!("Instant", "::now"),
    concat!("rand", "::random"),
    concat!("rand", "::rng()"),
    concat!("thread", "_rng("),
];
const PANICS: [&str; 5] = [
    concat!(".unw", "rap()"),
    concat!(".exp", "ect(\""),
    concat!("pan", "ic!("),
    concat!("to", "do!("),
    concat!("unimple", "mented!("),
];
const PATHS: [&str; 4] =
    [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/"), concat!("/Us", "ers/")];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_owned()
}

fn files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Whether the whole file is test code.
fn is_test(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    parts.iter().any(|part| ["tests", "benches", "tests.rs"].contains(part))
}

/// Each line's code without its comment, and whether it stands in a `#[cfg(test)]` item.
fn lines(text: &str) -> Vec<(&str, bool)> {
    let mut until: Option<String> = None;
    let mut pending = false;
    let mut lines = Vec::new();
    for line in text.lines() {
        let indent = &line[..line.len() - line.trim_start().len()];
        let code = line.split("//").next().unwrap_or("");
        pending |= code.trim_start().starts_with("#[cfg(test)]");
        let in_test = pending || until.is_some();
        if until.as_deref().is_some_and(|end| line == end) {
            until = None;
        } else if pending && !code.trim_start().starts_with("#[") && !code.trim().is_empty() {
            pending = false;
            if code.trim_end().ends_with('{') {
                until = Some(format!("{indent}}}"));
            }
        }
        lines.push((code, in_test));
    }
    lines
}

/// The rules that a file breaks, with the line.
fn broken(path: &str, text: &str) -> Vec<(Rule, usize)> {
    let mut found = Vec::new();
    if !text.starts_with("//!") {
        found.push((Rule::Head, 1));
    }
    let count = text.lines().count();
    if count > MAX_LINES {
        found.push((Rule::Length, count));
    }
    let code = lines(text);
    let has = |code: &str, any: &[&str]| any.iter().any(|needle| code.contains(needle));
    for (at, (code_line, in_test)) in code.iter().enumerate() {
        let production = !in_test && !is_test(path);
        let mut breaks = |rule, holds: bool| {
            if !holds {
                found.push((rule, at + 1));
            }
        };
        breaks(Rule::Clock, !production || !has(code_line, &CLOCKS));
        breaks(Rule::Panic, !production || !has(code_line, &PANICS));
        let next = code.get(at + 1).map_or("", |(next, _)| next);
        let random = code_line.contains("select! {") && !next.contains("biased;");
        breaks(Rule::Select, !production || !random);
        breaks(Rule::Ignored, !has(code_line, &[concat!("#[ig", "nore")]));
    }
    for (at, line) in text.lines().enumerate() {
        if has(line, &PATHS) {
            found.push((Rule::Path, at + 1));
        }
        let comment = ["///", "//!"].iter().find_map(|mark| line.trim_start().strip_prefix(mark));
        if comment.is_some_and(|comment| comment.trim_start().starts_with("```")) {
            found.push((Rule::Ignored, at + 1));
        }
    }
    let exempt = |rule: Rule| EXEMPT.iter().any(|(at, of, _)| *of == rule && path.starts_with(at));
    found.retain(|(rule, _)| !exempt(*rule));
    found
}

#[test]
fn every_file_is_tidy() {
    let root = root();
    let mut paths = Vec::new();
    ["libs", "services", "chaos-tests"].iter().for_each(|dir| files(&root.join(dir), &mut paths));
    paths.sort();
    assert!(paths.len() > 50, "the workspace is there");
    let mut report = String::new();
    for path in paths {
        // Others may be at work: a file that has just gone is none of this test's business.
        let Ok(text) = fs::read_to_string(&path) else { continue };
        let path = path.strip_prefix(&root).unwrap().to_str().unwrap();
        for (rule, line) in broken(path, &text) {
            report += &format!("{path}:{line}: {rule:?}\n");
        }
    }
    assert!(report.is_empty(), "\n{report}");
}

#[test]
fn each_rule_is_noticed() {
    let rules = |path: &str, text: &str| -> Vec<Rule> {
        broken(path, text).into_iter().map(|(rule, _)| rule).collect()
    };
    let path = "libs/x/src/lib.rs";
    assert_eq!(rules(path, "//! Why.\n"), []);
    assert_eq!(rules(path, "fn f() {}\n"), [Rule::Head]);
    assert_eq!(rules(path, &format!("//! Why.\n{}", "\n".repeat(600))), [Rule::Length]);
    for needle in CLOCKS {
        assert_eq!(rules(path, &format!("//! W.\n{needle}")), [Rule::Clock]);
        assert_eq!(rules("libs/clock/src/lib.rs", &format!("//! W.\n{needle}")), []);
    }
    for needle in PANICS {
        let in_test = format!("//! W.\n#[cfg(test)]\nmod tests {{\n    {needle}\n}}\n");
        assert_eq!(rules(path, &format!("//! W.\n{needle}")), [Rule::Panic]);
        assert_eq!(rules(path, &format!("//! W.\n/// {needle}")), []);
        assert_eq!(rules("libs/x/tests/y.rs", &format!("//! W.\n{needle}")), []);
        assert_eq!(rules(path, &in_test), []);
        assert_eq!(rules(path, &format!("{in_test}{needle}")), [Rule::Panic]);
    }
    assert_eq!(rules(path, concat!("//! W.\n#[ig", "nore]")), [Rule::Ignored]);
    assert_eq!(rules(path, "//! W.\n    /// ```\n"), [Rule::Ignored]);
    assert_eq!(rules(path, "//! W.\ntokio::select! {\n    x"), [Rule::Select]);
    assert_eq!(rules(path, "//! W.\ntokio::select! {\n    biased;\n"), []);
    for needle in PATHS {
        assert_eq!(rules(path, &format!("//! W.\n// {needle}")), [Rule::Path]);
    }
}
