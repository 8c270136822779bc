//! What is printed: tables for people, JSON and CSV for programs, complaints for both.
//!
//! Text of foreign origin is made harmless for a terminal here. A closed stdout is not an error of the command.

use std::io;
use std::io::Write;

use serde::Serialize;

use crate::catalog::WorkspaceSummary;
use crate::domain::clock::Timestamp;
use crate::domain::redact::escape_in_json;
use crate::domain::redact::one_line;
use crate::domain::redact::printable_lines;
use crate::domain::state::State;
use crate::telemetry;

/// The longest cell of a table, in characters; what is longer is cut.
const LONGEST_CELL: usize = 100;

/// Says on stderr what is wrong.
pub(super) fn complain(text: &str) {
    drop(writeln!(
        io::stderr(),
        "birdkeep: {}",
        printable_lines(&telemetry::clean(text))
    ));
}

/// Prints a line to stdout. What a terminal would obey is escaped, whatever else was done to the text before.
///
/// # Errors
/// Stdout cannot be written, other than because nobody reads it any more.
pub(super) fn line(text: &str) -> anyhow::Result<()> {
    print(&one_line(text, usize::MAX))
}

fn print(text: &str) -> anyhow::Result<()> {
    match writeln!(io::stdout().lock(), "{text}") {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Prints one JSON object on one line to stdout.
///
/// # Errors
/// As [`line()`].
pub(super) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    print(&escape_in_json(&serde_json::to_string(value)?))
}

/// A table: columns as wide as their widest cell, numbers to the right.
pub(super) struct Table {
    header: Vec<&'static str>,
    right: Vec<bool>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these columns; a name that ends in `#` is a column of numbers.
    pub fn new(columns: &[&'static str]) -> Self {
        Self {
            header: columns.iter().map(|name| name.trim_end_matches('#')).collect(),
            right: columns.iter().map(|name| name.ends_with('#')).collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows
            .push(cells.into_iter().map(|cell| one_line(&cell, LONGEST_CELL)).collect());
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Prints the table, its header unless `continued`.
    ///
    /// # Errors
    /// As [`line()`].
    pub fn print(&self, continued: bool) -> anyhow::Result<()> {
        let mut widths: Vec<usize> = self.header.iter().map(|name| name.chars().count()).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        if !continued {
            line(&self.line_of(&widths, self.header.iter().copied()))?;
        }
        self.rows
            .iter()
            .try_for_each(|row| line(&self.line_of(&widths, row.iter().map(String::as_str))))
    }

    fn line_of<'a>(&self, widths: &[usize], cells: impl Iterator<Item = &'a str>) -> String {
        let mut text = String::new();
        for ((cell, width), right) in cells.zip(widths).zip(&self.right) {
            let padding = " ".repeat(width.saturating_sub(cell.chars().count()));
            if *right {
                text.push_str(&padding);
                text.push_str(cell);
            } else {
                text.push_str(cell);
                text.push_str(&padding);
            }
            text.push_str("  ");
        }
        text.trim_end().to_owned()
    }
}

/// How many recordings of a workspace are in a state.
pub(super) fn count(workspace: &WorkspaceSummary, state: State) -> u64 {
    workspace.counts.get(&state).copied().unwrap_or(0)
}

/// A value, or a dash where there is none.
pub(super) fn or_dash(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

/// A time for people: to the second.
pub(super) fn short_time(at: Timestamp) -> String {
    let (year, month, day, hour, minute, second) = at.civil();
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}Z")
}

/// A number of bytes for people.
pub(super) fn short_bytes(bytes: u64) -> String {
    bytesize::ByteSize(bytes).to_string()
}

/// A cell of RFC 4180. Text that a spreadsheet would take for a formula gets an apostrophe in front, except a plain
/// international number, which is harmless and must stay searchable.
pub(super) fn csv_cell(value: &serde_json::Value) -> String {
    let text = match value {
        serde_json::Value::Null => return String::new(),
        serde_json::Value::String(text) => one_line(text, usize::MAX),
        number => return number.to_string(),
    };
    let number = text
        .strip_prefix('+')
        .is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
    // The wide ones too: some spreadsheets take them for the narrow ones.
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '＝', '＋', '－', '＠']) && !number;
    let text = if formula { format!("'{text}") } else { text };
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_neither_breaks_nor_runs() {
        let cell = |text: &str| csv_cell(&serde_json::Value::from(text));
        assert_eq!(cell("plain"), "plain");
        assert_eq!(cell("a,\"b\""), "\"a,\"\"b\"\"\"");
        assert_eq!(cell("=HYPERLINK(1)"), "'=HYPERLINK(1)");
        assert_eq!(cell("+31970044"), "+31970044");
        assert_eq!(cell("+1+cmd|x"), "'+1+cmd|x");
        assert_eq!(cell("a\nb"), "a\\nb");
        assert_eq!(cell("＝1"), "'＝1");
        assert_eq!(cell("@SUM(1)"), "'@SUM(1)");
        assert_eq!(cell("\t=1"), "\\t=1");
        assert_eq!(csv_cell(&serde_json::Value::Null), "");
    }
}
