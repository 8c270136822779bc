//! What the books say of a day: what is listed and archived from the counters kept by day, the rest through indexes that
//! hold what is neither.
//!
//! The number of all recordings comes by another way than those of the states, so that it proves something that they add
//! up. A day is counted from the first of year 1, as [`Day`] does: no time lies before it, so that division rounds down. Must
//! not know: what is a gap.

use futures::TryStreamExt as _;
use sqlx::SqliteConnection;

use super::books::OPERATION;
use super::books::Pages;
use super::error::CatalogError;
use super::rows::Columns;
use crate::domain::clock::Timestamp;
use crate::domain::completeness::CLOCK_TOLERANCE;
use crate::domain::completeness::LONGEST_DUE;
use crate::domain::completeness::LONGEST_WAITING;
use crate::domain::day::Day;
use crate::domain::gone;
use crate::domain::state::State;

/// A number of recordings as a column gives it.
fn count(value: i64) -> Result<u64, CatalogError> {
    Columns::of_recording(0).count("count", value)
}

/// All recordings of each day, and what of them is archived and was re-read after that: from the counters kept by day.
pub(super) async fn add_counted(connection: &mut SqliteConnection, pages: &mut Pages) -> Result<(), CatalogError> {
    let rows = sqlx::query!(
        r#"-- catalog.counted_by_day
        SELECT workspace AS "workspace!: i64", day AS "day!: i64", listed AS "listed!: i64", archived AS "archived!: i64",
            bytes AS "bytes!: i64", re_read AS "re_read!: i64"
        FROM days WHERE listed > 0 OR archived > 0"#
    )
    .fetch_all(connection)
    .await
    .map_err(CatalogError::sql(OPERATION))?;
    for row in rows {
        let day = pages.day("days", row.workspace, row.day)?;
        day.listed = count(row.listed)?;
        day.archived = count(row.archived)?;
        day.bytes = count(row.bytes)?;
        day.re_read = count(row.re_read)?;
    }
    Ok(())
}

/// What is archived and was found wrong: it does not count as re-read. Comes after [`add_counted`].
pub(super) async fn add_unsound(connection: &mut SqliteConnection, pages: &mut Pages) -> Result<(), CatalogError> {
    let rows = sqlx::query!(
        r#"-- catalog.unsound_by_day
        SELECT r.workspace AS "workspace!: i64", (r.created_at + 62135596800000000) / 86400000000 AS "day!: i64",
            count(*) AS "unsound!: i64",
            sum(coalesce(r.verified_at > 0 AND r.verified_at >= r.archived_at, FALSE)) AS "re_read!: i64"
        FROM findings AS f CROSS JOIN recordings AS r ON r.seq = f.seq
        WHERE r.state = 'archived' GROUP BY 1, 2"#
    )
    .fetch_all(connection)
    .await
    .map_err(CatalogError::sql(OPERATION))?;
    for row in rows {
        let day = pages.day("recordings", row.workspace, row.day)?;
        day.unsound = count(row.unsound)?;
        day.re_read = day.re_read.saturating_sub(count(row.re_read)?);
    }
    Ok(())
}

/// What is neither archived nor gone: by state, and what of it lasts too long.
pub(super) async fn add_open(
    connection: &mut SqliteConnection,
    pages: &mut Pages,
    now: Timestamp,
) -> Result<(), CatalogError> {
    // What was first listed in the future was listed by a wrong clock: nobody knows for how long it is open.
    let (late_before, stuck_before, wrong_after) = (
        now.before(LONGEST_DUE).as_microseconds(),
        now.before(LONGEST_WAITING).as_microseconds(),
        now.after(CLOCK_TOLERANCE).as_microseconds(),
    );
    let rows = sqlx::query!(
        r#"-- catalog.open_by_day
        SELECT unfinished.workspace AS "workspace!: i64", unfinished.day AS "day!: i64", unfinished.state AS "state!: String",
            count(*) AS "count!: i64", sum(unfinished.tried) AS "tried!: i64", sum(unfinished.vanished) AS "vanished!: i64",
            sum(unfinished.old AND NOT unfinished.vanished AND unfinished.tried) AS "old_tried!: i64",
            sum(unfinished.old AND NOT unfinished.vanished AND NOT unfinished.tried) AS "old_untried!: i64"
        FROM (
            SELECT r.workspace AS workspace, (r.created_at + 62135596800000000) / 86400000000 AS day, r.state AS state,
                FALSE AS tried, r.first_seen_at NOT BETWEEN ?2 AND ?3 AS old,
                coalesce(r.last_seen_at < w.last_full_walk_started_at AND r.created_at >= coalesce(w.last_full_walk_since, r.created_at), FALSE) AS vanished
            FROM workspaces AS w CROSS JOIN recordings AS r INDEXED BY recordings_waiting ON r.workspace = w.workspace
            WHERE r.state = 'waiting'
            UNION ALL
            SELECT r.workspace, (r.created_at + 62135596800000000) / 86400000000, r.state,
                r.attempts > 0 OR r.last_error IS NOT NULL, r.first_seen_at NOT BETWEEN ?1 AND ?3, coalesce(r.last_seen_at < w.last_full_walk_started_at AND r.created_at >= coalesce(w.last_full_walk_since, r.created_at), FALSE)
            FROM workspaces AS w CROSS JOIN recordings AS r INDEXED BY recordings_due ON r.workspace = w.workspace
            WHERE r.state = 'due'
            UNION ALL
            SELECT r.workspace, (r.created_at + 62135596800000000) / 86400000000, r.state,
                r.attempts > 0 OR r.last_error IS NOT NULL, r.first_seen_at NOT BETWEEN ?1 AND ?3, coalesce(r.last_seen_at < w.last_full_walk_started_at AND r.created_at >= coalesce(w.last_full_walk_since, r.created_at), FALSE)
            FROM workspaces AS w CROSS JOIN recordings AS r INDEXED BY recordings_claimed ON r.workspace = w.workspace
            WHERE r.state = 'claimed'
            UNION ALL
            SELECT r.workspace, (r.created_at + 62135596800000000) / 86400000000, r.state, TRUE, FALSE, FALSE
            FROM workspaces AS w CROSS JOIN recordings AS r INDEXED BY recordings_given_up ON r.workspace = w.workspace
            WHERE r.state = 'given_up'
        ) AS unfinished GROUP BY unfinished.workspace, unfinished.day, unfinished.state"#,
        late_before,
        stuck_before,
        wrong_after
    )
    .fetch_all(connection)
    .await
    .map_err(CatalogError::sql(OPERATION))?;
    for row in rows {
        let state = Columns::of_recording(0).state("state", &row.state)?;
        let day = pages.day("recordings", row.workspace, row.day)?;
        let all = count(row.count)?;
        day.vanished += count(row.vanished)?;
        match state {
            State::Waiting => {
                day.waiting = all;
                day.stuck = count(row.old_untried)?;
            }
            State::GivenUp => day.given_up = all,
            State::Due | State::Claimed => {
                if state == State::Due {
                    day.due = all;
                    day.due_tried = count(row.tried)?;
                } else {
                    day.claimed = all;
                }
                day.late += count(row.old_tried)?;
                day.untried += count(row.old_untried)?;
            }
            State::Archived | State::Gone => {}
        }
    }
    Ok(())
}

/// What is gone, by the few kinds of reasons that there are.
pub(super) async fn add_gone(connection: &mut SqliteConnection, pages: &mut Pages) -> Result<(), CatalogError> {
    let (no_media, no_longer_known, not_found) = (gone::NO_MEDIA, gone::NO_LONGER_KNOWN, gone::NOT_FOUND);
    let (absent, failed) = (gone::ABSENT, gone::FAILED);
    let rows = sqlx::query!(
        r#"-- catalog.gone_by_day
        SELECT r.workspace AS "workspace!: i64", (r.created_at + 62135596800000000) / 86400000000 AS "day!: i64",
            CASE
                WHEN r.status IN (?4, ?5) THEN r.status
                WHEN r.last_error = ?1 || ?4 THEN ?4
                WHEN r.last_error = ?1 || ?5 THEN ?5
                WHEN instr(r.last_error, ?2) OR instr(r.last_error, ?3) THEN 'deleted'
                ELSE 'other'
            END AS "why!: String",
            count(*) AS "count!: i64"
        FROM workspaces AS w CROSS JOIN recordings AS r INDEXED BY recordings_gone ON r.workspace = w.workspace
        WHERE r.state = 'gone' GROUP BY 1, 2, 3"#,
        no_media,
        no_longer_known,
        not_found,
        absent,
        failed
    )
    .fetch_all(connection)
    .await
    .map_err(CatalogError::sql(OPERATION))?;
    for row in rows {
        let counted = count(row.count)?;
        let gone = &mut pages.day("recordings", row.workspace, row.day)?.gone;
        match row.why.as_str() {
            gone::ABSENT => gone.absent += counted,
            gone::FAILED => gone.failed += counted,
            "deleted" => gone.deleted += counted,
            _ => gone.other += counted,
        }
    }
    Ok(())
}

/// What is not understood to this day: by the day it says itself where that can be read, else by the day it was first
/// listed. One by one, since there may be as many as there are recordings.
pub(super) async fn add_set_aside(connection: &mut SqliteConnection, pages: &mut Pages) -> Result<(), CatalogError> {
    let mut rows = sqlx::query!(
        r#"-- catalog.set_aside_by_day
        SELECT s.workspace AS "workspace!: i64", s.first_seen_at AS "first_seen_at!: i64",
            CASE WHEN json_valid(s.raw) THEN substr(s.raw ->> '$.createdAt', 1, 64) END AS "created_at?: String"
        FROM workspaces AS w CROSS JOIN set_aside AS s INDEXED BY set_aside_open ON s.workspace = w.workspace
        WHERE s.resolved_at IS NULL"#
    )
    .fetch(connection);
    while let Some(row) = rows.try_next().await.map_err(CatalogError::sql(OPERATION))? {
        let said = row.created_at.and_then(|text| text.parse::<Timestamp>().ok());
        let columns = Columns {
            table: "set_aside",
            row: row.workspace,
        };
        let at = match said.filter(|at| !at.is_unset()) {
            Some(at) => at,
            None => columns.time("first_seen_at", row.first_seen_at)?,
        };
        pages.day_of("set_aside", row.workspace, Day::of(at))?.set_aside += 1;
    }
    Ok(())
}

/// What was set aside, was never understood, and is not listed any more, each id once: by the day it was first listed.
/// Those of which not even the id could be read cannot be told from those that were understood later.
pub(super) async fn add_unlisted(connection: &mut SqliteConnection, pages: &mut Pages) -> Result<(), CatalogError> {
    let rows = sqlx::query!(
        r#"-- catalog.set_aside_and_unlisted
        SELECT unlisted.workspace AS "workspace!: i64", (unlisted.at + 62135596800000000) / 86400000000 AS "day!: i64",
            count(*) AS "count!: i64"
        FROM (
            SELECT s.workspace AS workspace, min(s.first_seen_at) AS at
            FROM workspaces AS w CROSS JOIN set_aside AS s ON s.workspace = w.workspace
            WHERE s.recording_id IS NOT NULL
                AND NOT EXISTS (SELECT 1 FROM recordings AS r WHERE r.workspace = s.workspace AND r.id = s.recording_id)
            GROUP BY s.workspace, s.recording_id
            HAVING count(*) = count(s.resolved_at)
        ) AS unlisted GROUP BY 1, 2"#
    )
    .fetch_all(connection)
    .await
    .map_err(CatalogError::sql(OPERATION))?;
    for row in rows {
        pages.day("set_aside", row.workspace, row.day)?.set_aside_unlisted = count(row.count)?;
    }
    Ok(())
}
