//! `birdkeep list`: recordings, newest first. Reads page by page, so that a million rows take no more memory than ten.

use anyhow::Context;
use anyhow::Result;
use clap::Args;
use clap::ValueEnum;
use serde::Serialize;

use super::Outcome;
use super::output;
use super::output::Table;
use super::output::or_dash;
use super::output::short_bytes;
use super::output::short_time;
use crate::app::ArchiveView;
use crate::catalog::ListFilter;
use crate::catalog::RecordingRow;
use crate::config::Config;
use crate::domain::clock::Timestamp;
use crate::domain::ids::WorkspaceName;
use crate::domain::state::State;

/// Rows read at a time.
const PAGE_ROWS: u32 = 500;

/// What to list, and how.
#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// Only recordings in this state; may be given several times
    #[arg(long, value_name = "STATE")]
    state: Vec<State>,

    /// Only recordings with this status upstream; may be given several times
    #[arg(long, value_name = "STATUS")]
    status: Vec<String>,

    /// Only this direction (incoming, outgoing)
    #[arg(long, value_name = "DIRECTION")]
    direction: Vec<String>,

    /// Only calls from or to this number; spelling does not matter, the last digits will do (five at least)
    #[arg(long, value_name = "NUMBER")]
    number: Option<String>,

    /// Only recordings created at or after this time (RFC 3339, or a date: its beginning in UTC)
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<Timestamp>,

    /// Only recordings created before this time
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<Timestamp>,

    /// At most so many
    #[arg(long, value_name = "N")]
    limit: Option<u64>,

    /// How to print them
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    format: ListFormat,
}

/// How a list is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ListFormat {
    /// For people.
    Table,
    /// One JSON object a line.
    Json,
    /// RFC 4180, with a header.
    Csv,
}

fn time(text: &str) -> Result<Timestamp, String> {
    text.parse()
        .or_else(|_| format!("{text}T00:00:00Z").parse())
        .map_err(|_| "neither an RFC 3339 time such as 2026-01-31T08:00:00Z nor a date such as 2026-01-31".to_owned())
}

/// The columns of JSON and CSV, in this order.
#[derive(Serialize)]
struct Row<'a> {
    workspace: &'a str,
    id: String,
    state: &'static str,
    status: &'a str,
    created_at: Timestamp,
    direction: Option<&'a str>,
    from: Option<&'a str>,
    to: Option<&'a str>,
    duration_seconds: Option<i64>,
    path: Option<&'a str>,
    size_bytes: Option<u64>,
    sha256: Option<String>,
    archived_at: Option<Timestamp>,
    attempts: u32,
    last_error: Option<&'a str>,
}

impl<'a> Row<'a> {
    fn new(row: &'a RecordingRow) -> Self {
        Self {
            workspace: row.workspace.as_str(),
            id: row.id.to_string(),
            state: row.state.as_str(),
            status: &row.status,
            created_at: row.created_at,
            direction: row.direction.as_deref(),
            from: row.from.as_deref(),
            to: row.to.as_deref(),
            duration_seconds: row.duration_seconds,
            path: row.path.as_deref(),
            size_bytes: row.size_bytes,
            sha256: row.sha256.map(|digest| digest.to_string()),
            archived_at: row.archived_at,
            attempts: row.attempts,
            last_error: row.last_error.as_deref(),
        }
    }
}

pub(super) async fn run(config: &Config, workspaces: Vec<WorkspaceName>, args: ListArgs) -> Result<Outcome> {
    if args
        .number
        .as_deref()
        .is_some_and(|number| number.chars().filter(char::is_ascii_digit).count() == 0)
    {
        output::complain("--number needs digits");
        return Ok(Outcome::Usage);
    }
    let view = ArchiveView::open(config).await?;
    let filter = ListFilter {
        workspaces,
        states: args.state,
        statuses: args.status,
        directions: args.direction,
        number: args.number,
        since: args.since,
        until: args.until,
    };
    let mut left = args.limit.unwrap_or(u64::MAX);
    let mut after = None;
    let mut first = true;
    while left > 0 || first {
        let limit = u32::try_from(left.min(u64::from(PAGE_ROWS))).unwrap_or(PAGE_ROWS);
        let rows = view
            .reader
            .list_page(&filter, after, limit)
            .await
            .context("cannot read the catalog")?;
        print(&rows, args.format, first)?;
        first = false;
        left -= rows.len() as u64;
        match rows.last() {
            Some(last) if rows.len() as u64 == u64::from(limit) => after = Some(last.cursor()),
            _ => break,
        }
    }
    Ok(Outcome::Well)
}

fn print(rows: &[RecordingRow], format: ListFormat, first: bool) -> Result<()> {
    match format {
        ListFormat::Json => rows.iter().try_for_each(|row| output::json(&Row::new(row))),
        ListFormat::Csv => print_csv(rows, first),
        ListFormat::Table => print_table(rows, first),
    }
}

fn print_table(rows: &[RecordingRow], first: bool) -> Result<()> {
    let mut table = Table::new(&[
        "created",
        "workspace",
        "id",
        "state",
        "direction",
        "from",
        "to",
        "seconds#",
        "size#",
        "note",
    ]);
    for row in rows {
        let note = row.last_error.as_deref().unwrap_or_default();
        table.row([
            short_time(row.created_at),
            row.workspace.to_string(),
            row.id.to_string(),
            row.state.to_string(),
            or_dash(row.direction.as_deref()),
            or_dash(row.from.as_deref()),
            or_dash(row.to.as_deref()),
            or_dash(row.duration_seconds),
            or_dash(row.size_bytes.map(short_bytes)),
            note.to_owned(),
        ]);
    }
    if table.is_empty() && first {
        return output::line("no recordings match");
    }
    table.print(!first)
}

fn print_csv(rows: &[RecordingRow], first: bool) -> Result<()> {
    for (at, row) in rows.iter().enumerate() {
        let serde_json::Value::Object(members) = serde_json::to_value(Row::new(row))? else {
            continue;
        };
        let order = Row::COLUMNS;
        if first && at == 0 {
            output::line(&order.join(","))?;
        }
        let cells: Vec<String> = order.iter().map(|name| output::csv_cell(&members[*name])).collect();
        output::line(&cells.join(","))?;
    }
    if first && rows.is_empty() {
        output::line(&Row::COLUMNS.join(","))?;
    }
    Ok(())
}

impl Row<'_> {
    const COLUMNS: [&'static str; 15] = [
        "workspace",
        "id",
        "state",
        "status",
        "created_at",
        "direction",
        "from",
        "to",
        "duration_seconds",
        "path",
        "size_bytes",
        "sha256",
        "archived_at",
        "attempts",
        "last_error",
    ];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_times_are_taken() {
        assert_eq!(time("2026-01-31"), time("2026-01-31T00:00:00Z"));
        assert!(time("yesterday").is_err());
    }
}
