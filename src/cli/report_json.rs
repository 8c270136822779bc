//! A statement of completeness for programs: one JSON object, or CSV. Names here are stable.

use serde::Serialize;

use super::output;
use super::report::Stated;
use super::report::Statement;
use crate::app::Counted;
use crate::domain::clock::Timestamp;
use crate::domain::completeness::DayCounts;
use crate::domain::completeness::Gap;
use crate::domain::day::Day;
use crate::domain::ids::WorkspaceName;

#[derive(Serialize)]
struct Whole<'a> {
    archive: Archive<'a>,
    stated_at: Timestamp,
    version: &'static str,
    since: Option<Day>,
    until: Option<Day>,
    workspaces: Vec<Workspace<'a>>,
    gaps: Vec<ShownGap<'a>>,
    complete: bool,
}

#[derive(Serialize)]
struct Archive<'a> {
    id: &'a str,
    dir: &'a str,
    catalog_created_at: Timestamp,
}

#[derive(Serialize)]
struct Workspace<'a> {
    name: &'a str,
    id: &'a str,
    configured: bool,
    walks: Walks,
    days: Vec<DayRow>,
    total: Counts,
    sums_close: bool,
    witness: Witness<'a>,
}

#[derive(Serialize)]
#[expect(clippy::struct_field_names, reason = "the names stand in JSON")]
struct Walks {
    last_complete_at: Option<Timestamp>,
    last_full_started_at: Option<Timestamp>,
    last_full_finished_at: Option<Timestamp>,
    last_full_listed: Option<u64>,
    last_full_since: Option<Timestamp>,
}

#[derive(Serialize)]
struct DayRow {
    day: Day,
    #[serde(flatten)]
    counts: Counts,
}

#[derive(Serialize)]
struct Witness<'a> {
    counter: Option<u64>,
    counted_at: Option<Timestamp>,
    known_with_media: u64,
    difference: Option<i64>,
    note: Option<&'a str>,
}

#[derive(Serialize)]
struct ShownGap<'a> {
    workspace: Option<&'a str>,
    kind: &'static str,
    count: Option<u64>,
    text: &'a str,
}

/// The numbers of a day, in the order of the columns of CSV.
#[derive(Serialize)]
struct Counts {
    listed: u64,
    archived: u64,
    bytes: u64,
    re_read: u64,
    unsound: u64,
    waiting: u64,
    due: u64,
    due_tried: u64,
    claimed: u64,
    gone_absent: u64,
    gone_failed: u64,
    gone_deleted: u64,
    gone_other: u64,
    given_up: u64,
    set_aside: u64,
    set_aside_unlisted: u64,
    late: u64,
    vanished: u64,
    untried: u64,
    stuck: u64,
}

impl Counts {
    const COLUMNS: [&'static str; 20] = [
        "listed",
        "archived",
        "bytes",
        "re_read",
        "unsound",
        "waiting",
        "due",
        "due_tried",
        "claimed",
        "gone_absent",
        "gone_failed",
        "gone_deleted",
        "gone_other",
        "given_up",
        "set_aside",
        "set_aside_unlisted",
        "late",
        "vanished",
        "untried",
        "stuck",
    ];

    const fn new(counts: &DayCounts) -> Self {
        Self {
            listed: counts.listed,
            archived: counts.archived,
            bytes: counts.bytes,
            re_read: counts.re_read,
            unsound: counts.unsound,
            waiting: counts.waiting,
            due: counts.due,
            due_tried: counts.due_tried,
            claimed: counts.claimed,
            gone_absent: counts.gone.absent,
            gone_failed: counts.gone.failed,
            gone_deleted: counts.gone.deleted,
            gone_other: counts.gone.other,
            given_up: counts.given_up,
            set_aside: counts.set_aside,
            set_aside_unlisted: counts.set_aside_unlisted,
            late: counts.late,
            vanished: counts.vanished,
            untried: counts.untried,
            stuck: counts.stuck,
        }
    }
}

/// Prints a statement as one JSON object.
///
/// # Errors
/// Stdout cannot be written.
pub(super) fn print(statement: &Statement) -> anyhow::Result<()> {
    output::json(&Whole {
        archive: Archive {
            id: &statement.archive.archive_id,
            dir: &statement.dir,
            catalog_created_at: statement.archive.created_at,
        },
        stated_at: statement.stated_at,
        version: env!("CARGO_PKG_VERSION"),
        since: statement.period.since,
        until: statement.period.until,
        workspaces: statement
            .workspaces
            .iter()
            .map(|stated| workspace(stated, statement))
            .collect(),
        gaps: statement.all_gaps().map(shown_gap).collect(),
        complete: statement.is_complete(),
    })
}

fn workspace<'a>(stated: &'a Stated, statement: &Statement) -> Workspace<'a> {
    let (book, period) = (&stated.book, statement.period);
    let days = book.days_of(period).map(|(day, counts)| DayRow {
        day,
        counts: Counts::new(counts),
    });
    Workspace {
        name: book.name.as_str(),
        id: book.id.as_str(),
        configured: stated.is_configured,
        walks: Walks {
            last_complete_at: book.walks.last_complete_at,
            last_full_started_at: book.walks.last_full_started_at,
            last_full_finished_at: book.walks.last_full_finished_at,
            last_full_listed: book.walks.last_full_listed,
            last_full_since: book.walks.last_full_since,
        },
        days: days.collect(),
        total: Counts::new(&book.total(period)),
        sums_close: book.open_sums().is_empty(),
        witness: witness(stated),
    }
}

fn witness(stated: &Stated) -> Witness<'_> {
    let known_with_media = stated.book.with_media();
    match &stated.witness {
        Ok(Counted { counter, counted_at }) => Witness {
            counter: Some(*counter),
            counted_at: *counted_at,
            known_with_media,
            difference: i64::try_from(i128::from(*counter) - i128::from(known_with_media)).ok(),
            note: None,
        },
        Err(why) => Witness {
            counter: None,
            counted_at: None,
            known_with_media,
            difference: None,
            note: Some(why),
        },
    }
}

fn shown_gap<'a>((workspace, gap): (Option<&'a WorkspaceName>, &'a Gap)) -> ShownGap<'a> {
    ShownGap {
        workspace: workspace.map(WorkspaceName::as_str),
        kind: gap.kind.as_str(),
        count: gap.count,
        text: &gap.text,
    }
}

/// Prints a statement's days as CSV, a row a workspace and day. What has no day is said on stderr.
///
/// # Errors
/// Stdout cannot be written.
pub(super) fn print_csv(statement: &Statement) -> anyhow::Result<()> {
    output::line(&format!("workspace,day,{}", Counts::COLUMNS.join(",")))?;
    for stated in &statement.workspaces {
        for (day, counts) in stated.book.days_of(statement.period) {
            let serde_json::Value::Object(members) = serde_json::to_value(Counts::new(counts))? else {
                continue;
            };
            let first = [stated.book.name.as_str().into(), day.to_string().into()];
            let cells: Vec<String> = first
                .iter()
                .chain(Counts::COLUMNS.iter().map(|name| &members[*name]))
                .map(output::csv_cell)
                .collect();
            output::line(&cells.join(","))?;
        }
    }
    for (workspace, gap) in statement.all_gaps() {
        output::complain(&match workspace {
            Some(workspace) => format!("{workspace}: {}", gap.text),
            None => gap.text.clone(),
        });
    }
    Ok(())
}
