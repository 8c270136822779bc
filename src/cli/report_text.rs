//! A statement of completeness for people: what is printed and kept.

use anyhow::Result;

use super::output::Table;
use super::output::line;
use super::output::or_dash;
use super::output::short_bytes;
use super::output::short_time;
use super::report::Stated;
use super::report::Statement;
use crate::app::Counted;
use crate::domain::completeness::DayCounts;
use crate::domain::completeness::Period;
use crate::domain::completeness::WalkEvidence;

/// Prints a statement.
///
/// # Errors
/// Stdout cannot be written.
pub(super) fn print(statement: &Statement) -> Result<()> {
    line("Completeness of an archive of call recordings")?;
    line("")?;
    line(&format!(
        "archive     {} in {}",
        statement.archive.archive_id, statement.dir
    ))?;
    line(&format!(
        "catalog     made {}",
        short_time(statement.archive.created_at)
    ))?;
    line(&format!(
        "stated at   {} by birdkeep {}",
        short_time(statement.stated_at),
        env!("CARGO_PKG_VERSION")
    ))?;
    line(&format!("period      {}", period(statement.period)))?;
    for stated in &statement.workspaces {
        print_workspace(stated, statement.period)?;
    }
    line("")?;
    print_verdict(statement)
}

fn period(period: Period) -> String {
    let bounds = match (period.since, period.until) {
        (None, None) => "all days",
        (Some(since), None) => &format!("{since} and later"),
        (None, Some(until)) => &format!("before {until}"),
        (Some(since), Some(until)) => &format!("{since} and later, before {until}"),
    };
    format!("{bounds}; a recording belongs to the day of its createdAt, in UTC")
}

fn print_workspace(stated: &Stated, period: Period) -> Result<()> {
    let book = &stated.book;
    line("")?;
    let configured = if stated.is_configured {
        ""
    } else {
        ", not configured any more"
    };
    line(&format!("Workspace {} ({}{configured})", book.name, book.id))?;
    print_walks(&book.walks)?;
    line(&witness(stated))?;
    let total = book.total(period);
    let mut table = Table::new(&[
        "day",
        "listed#",
        "archived#",
        "re_read#",
        "unsound#",
        "waiting#",
        "due#",
        "gone#",
        "given_up#",
        "set_aside#",
        "late#",
        "unexplained#",
        "size#",
    ]);
    for (day, counts) in book.days_of(period) {
        table.row(row(day.to_string(), counts));
    }
    if table.is_empty() {
        return line("no recordings");
    }
    table.row(row("total".to_owned(), &total));
    table.print(false)?;
    print_parts(&total)?;
    let open = book.open_sums();
    line(&if open.is_empty() {
        "listed = archived + waiting + due + gone + given_up on each day, and the catalog's counters say the same"
            .to_owned()
    } else {
        format!("THE SUMS DO NOT CLOSE: {}", open.join("; "))
    })
}

fn row(first: String, counts: &DayCounts) -> impl Iterator<Item = String> {
    let numbers = [
        counts.listed,
        counts.archived,
        counts.re_read,
        counts.unsound,
        counts.waiting,
        counts.due + counts.claimed,
        counts.gone.sum(),
        counts.given_up,
        counts.set_aside + counts.set_aside_unlisted,
        counts.late,
        counts.unexplained(),
    ];
    let numbers = numbers.map(|number| number.to_string());
    [first].into_iter().chain(numbers).chain([short_bytes(counts.bytes)])
}

/// The parts of what the table shows as one number, where there is something to tell apart.
fn print_parts(total: &DayCounts) -> Result<()> {
    let tell = |what: &str, parts: &[(u64, &str)]| {
        let parts: Vec<String> = parts
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, name)| format!("{count} {name}"))
            .collect();
        if parts.is_empty() {
            return Ok(());
        }
        line(&format!("{what}: {}", parts.join(", ")))
    };
    let gone = total.gone;
    tell(
        "gone",
        &[
            (gone.absent, "absent"),
            (gone.failed, "failed"),
            (gone.deleted, "deleted at Bird before they could be fetched"),
            (gone.other, "for another reason"),
        ],
    )?;
    tell(
        "due",
        &[
            ((total.due - total.due_tried.min(total.due)), "not tried yet"),
            (total.due_tried, "tried before"),
            (total.claimed, "being fetched"),
        ],
    )?;
    tell(
        "set aside",
        &[
            (total.set_aside, "listed to this day"),
            (total.set_aside_unlisted, "not listed any more"),
        ],
    )?;
    tell(
        "unexplained",
        &[
            (total.vanished, "not listed any more"),
            (total.untried, "due for more than a day and never tried"),
            (total.stuck, "waiting for more than a week"),
        ],
    )
}

fn print_walks(walks: &WalkEvidence) -> Result<()> {
    let Some(began) = walks.last_full_started_at else {
        return line("Bird's list was never read to its end");
    };
    line(&format!(
        "Bird's list was last read in whole from {} to {}: {} items",
        short_time(began),
        or_dash(walks.last_full_finished_at.map(short_time)),
        or_dash(walks.last_full_listed)
    ))?;
    if let Some(since) = walks.last_full_since {
        line(&format!(
            "Bird was not asked for what was created before {} (sync.since)",
            short_time(since)
        ))?;
    }
    line(&format!(
        "Bird's list was last read as far as new recordings go at {}",
        or_dash(walks.last_complete_at.map(short_time))
    ))
}

fn witness(stated: &Stated) -> String {
    let known = stated.book.with_media();
    match &stated.witness {
        Err(why) => format!("Bird's own counter, a second witness: {why}"),
        Ok(Counted { counter, .. }) => {
            let compared = match counter.cmp(&known) {
                std::cmp::Ordering::Equal => "as many as birdkeep knows with media".to_owned(),
                std::cmp::Ordering::Greater => {
                    format!(
                        "{} more than the {known} that birdkeep knows with media",
                        counter - known
                    )
                }
                std::cmp::Ordering::Less => {
                    format!(
                        "{} fewer than the {known} that birdkeep knows with media",
                        known - counter
                    )
                }
            };
            format!("Bird's own counter, a second witness: {counter}, {compared} (what it counts is undocumented)")
        }
    }
}

fn print_verdict(statement: &Statement) -> Result<()> {
    let mut total = DayCounts::default();
    for stated in &statement.workspaces {
        total += stated.book.total(statement.period);
    }
    let summary = format!(
        "Listed: {}. Archived: {}, of them re-read since and found good: {}. Without media at Bird: {}. Deleted at Bird \
         before they could be fetched: {}. Still to come: {}. Given up: {}.",
        total.listed,
        total.archived,
        total.re_read,
        total.gone.sum() - total.gone.deleted,
        total.gone.deleted,
        total.waiting + total.due + total.claimed,
        total.given_up
    );
    if statement.is_complete() {
        line(&format!("COMPLETE as far as Bird's list was read. {summary}"))?;
    } else {
        line(&format!("NOT COMPLETE. {summary}"))?;
    }
    for (workspace, gap) in statement.all_gaps() {
        line(&match workspace {
            Some(workspace) => format!("- {workspace}: {}", gap.text),
            None => format!("- {}", gap.text),
        })?;
    }
    for stated in statement.workspaces.iter().filter(|stated| !stated.is_configured) {
        let walked = stated.book.walks.last_full_started_at.map(short_time);
        line(&format!(
            "Not judged: how {} was listed, which is not configured any more. Its list was last read in whole from {} on",
            stated.book.name,
            or_dash(walked)
        ))?;
    }
    Ok(())
}
