//! The only place that writes to standard output and standard error.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use comfy_table::{LineStyle, Table, TableStyle};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use miette::{GraphicalReportHandler, GraphicalTheme};

use crate::error::CliError;

/// A line under the head, and nothing else.
const STYLE: TableStyle =
    TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// Prints one line. A reader that has gone away (`| head`) is no failure.
pub(crate) fn line(text: impl AsRef<str>) {
    let _gone = writeln!(std::io::stdout().lock(), "{}", text.as_ref());
}

/// Prints one line of trouble, to standard error.
pub(crate) fn trouble(text: impl AsRef<str>) {
    let _gone = writeln!(std::io::stderr().lock(), "{}", text.as_ref());
}

/// Prints why a command failed: a line each, then, for what is wrong in a catalog, its text.
pub(crate) fn failure(error: &CliError) {
    trouble(render(error, std::io::stderr().is_terminal()));
}

fn render(error: &CliError, fancy: bool) -> String {
    let CliError::Catalog(errors) = error else { return format!("error: {error}") };
    let theme = if fancy { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    let handler = GraphicalReportHandler::new_themed(theme);
    let mut text = String::new();
    for error in errors.each() {
        let mut snippet = String::new();
        let _never_fails = handler.render_report(&mut snippet, error);
        text.push_str(&format!("error: {error}\n"));
        // Above the frame the handler says again, over several lines, what is wrong.
        for line in snippet.lines().skip_while(|line| !line.contains('╭')) {
            text.push_str(line);
            text.push('\n');
        }
    }
    text.truncate(text.trim_end().len());
    text
}

/// Prints a value as indented JSON.
pub(crate) fn json(value: &serde_json::Value) {
    line(format!("{value:#}"));
}

/// An empty table with a head, in the one style of all commands.
pub(crate) fn table<'a>(head: impl IntoIterator<Item = &'a str>) -> Table {
    let mut table = Table::new();
    let head: Vec<&str> = head.into_iter().collect();
    table.load_style(STYLE).set_header(head);
    table
}

/// Aligns a column to the right, as numbers are read.
pub(crate) fn right(table: &mut Table, columns: &[usize]) {
    for index in columns {
        if let Some(column) = table.column_mut(*index) {
            column.set_cell_alignment(comfy_table::CellAlignment::Right);
        }
    }
}

/// A spinner with a message, drawn only on a terminal.
pub(crate) fn spinner(message: impl Into<String>) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, target());
    bar.set_style(ProgressStyle::default_spinner());
    bar.set_message(message.into());
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

/// A bar over a known amount, drawn only on a terminal. `template` is indicatif's.
pub(crate) fn bar(total: Option<u64>, template: &str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(total, target());
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("━━╌"));
    }
    bar
}

fn target() -> ProgressDrawTarget {
    if std::io::stderr().is_terminal() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    }
}

/// `27004` as `27,004`.
pub(crate) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// An age as people say it: `84 ms`, `1.2 s`, `3 min`.
pub(crate) fn age(ms: i64) -> String {
    match ms {
        ..1_000 => format!("{ms} ms"),
        1_000..60_000 => format!("{:.1} s", ms as f64 / 1_000.0),
        60_000..3_600_000 => format!("{} min", ms / 60_000),
        3_600_000..86_400_000 => format!("{} h", ms / 3_600_000),
        _ => format!("{} d", ms / 86_400_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapt::catalog;

    #[test]
    fn what_is_wrong_in_a_catalog_is_a_line_and_its_text() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.yaml");
        std::fs::write(&path, "project: x\nentities:\n  a: {join_keyy: b}\n").unwrap();
        let error = catalog::compile(dir.path()).unwrap_err();
        let text = render(&error, false).replace(&path.display().to_string(), "c.yaml");
        let expected = [
            "error: c.yaml:3:7: unknown field `join_keyy`, expected one of join_key, join_keys",
            "   ╭─[c.yaml:3:7]",
            " 2 │ entities:",
            " 3 │   a: {join_keyy: b}",
            "   ·       ─────────",
            "   ╰────",
        ];
        assert_eq!(text.lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn counts_are_grouped_by_thousands() {
        assert_eq!(
            [0, 999, 1_000, 27_004, 1_234_567].map(count),
            ["0", "999", "1,000", "27,004", "1,234,567"]
        );
    }

    #[test]
    fn ages_are_short() {
        assert_eq!(
            [84, 1_234, 180_000, 7_200_000, 172_800_000].map(age),
            ["84 ms", "1.2 s", "3 min", "2 h", "2 d"]
        );
    }
}
