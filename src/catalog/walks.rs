//! From where a poll lists, and how the last walk over a workspace ended.
//!
//! Must not know: how a listing is read.

use std::time::Duration;

use sqlx::SqliteConnection;

use super::error::CatalogError;
use super::open::Catalog;
use super::open::commit;
use super::rows::Columns;
use super::rows::count_column;
use super::set_aside;
use super::workspaces::workspace_key;
use crate::domain::clock::Timestamp;
use crate::domain::ids::RecordingId;
use crate::domain::ids::WorkspaceName;
use crate::domain::recording::StatusClass;
use crate::domain::report::WalkKind;
use crate::domain::report::WalkOutcome;
use crate::domain::report::WalkReport;
use crate::domain::state::Event;
use crate::domain::state::State;
use crate::domain::state::after;

/// What a poll is to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PollPlan {
    /// List what was created from here on; everything where nothing was ever listed.
    pub start_at: Option<Timestamp>,
    /// Unsettled recordings from before, and such as the last whole walk did not list, to be read one by one, the least
    /// recently seen first.
    pub recheck: Vec<RecordingId>,
}

/// A walk over everything that reached its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FullWalk {
    /// When it began.
    pub started_at: Timestamp,
    /// What was created before this it did not ask for.
    pub since: Option<Timestamp>,
}

const PLAN: &str = "plan a poll";

impl Catalog {
    /// Plans a poll: from what the last complete walk settled, or from the oldest unsettled recording among the
    /// `reach_rows` newest, whichever is earlier, minus `overlap`. At most `recheck_limit` unsettled ones from before
    /// that are to be read one by one.
    ///
    /// A walk that did not reach its end settles nothing, whatever it listed: what it did not come to may be older
    /// than what it saw. A recording dated after `now`, which is upstream's time, moves nothing either.
    ///
    /// # Errors
    /// The workspace is not registered, or what SQLite says.
    pub async fn plan_poll(
        &self,
        workspace: &WorkspaceName,
        now: Timestamp,
        overlap: Duration,
        reach_rows: u32,
        recheck_limit: u32,
    ) -> Result<PollPlan, CatalogError> {
        let mut tx = self.read_pool().begin().await.map_err(CatalogError::sql(PLAN))?;
        let key = workspace_key(&mut tx, workspace, PLAN).await?;
        let bounds = bounds(&mut tx, key, now.as_microseconds(), i64::from(reach_rows).max(1) - 1).await?;
        let Some(settled_until) = bounds.settled_until else {
            return Ok(PollPlan {
                start_at: None,
                recheck: Vec::new(),
            });
        };
        let columns = Columns {
            table: "workspaces",
            row: key,
        };
        let settled_until = columns.time("settled_until", settled_until)?.min(now);
        let unsettled = columns.optional_time("created_at", bounds.oldest_unsettled)?;
        let start_at = unsettled
            .map_or(settled_until, |oldest| oldest.min(settled_until))
            .before(overlap);
        let recheck = unsettled_before(&mut tx, key, start_at.as_microseconds(), i64::from(recheck_limit)).await?;
        Ok(PollPlan {
            start_at: Some(start_at),
            recheck,
        })
    }

    /// The last full walk that reached its end.
    ///
    /// # Errors
    /// The workspace is not registered, or what SQLite says.
    pub async fn last_full_walk(&self, workspace: &WorkspaceName) -> Result<Option<FullWalk>, CatalogError> {
        let name = workspace.as_str();
        let row = sqlx::query!(
            r#"-- catalog.last_full_walk
            SELECT workspace AS "workspace!: i64", last_full_walk_started_at AS "started_at?: i64",
                last_full_walk_since AS "since?: i64"
            FROM workspaces WHERE name = ?1"#,
            name
        )
        .fetch_optional(self.read_pool())
        .await
        .map_err(CatalogError::sql("read the last full walk"))?
        .ok_or_else(|| CatalogError::UnknownWorkspace {
            name: workspace.clone(),
        })?;
        let columns = Columns {
            table: "workspaces",
            row: row.workspace,
        };
        let since = columns.optional_time("last_full_walk_since", row.since)?;
        let started_at = columns.optional_time("last_full_walk_started_at", row.started_at)?;
        Ok(started_at.map(|started_at| FullWalk { started_at, since }))
    }

    /// Stores how a walk ended. A complete one settles what was created before it began, by upstream's clock; a complete
    /// full one also resolves what is set aside and was not listed by it. A poll to the end that settles nothing new is
    /// only kept in mind for some minutes after another one was stored: this catalog and its readers tell of it, an
    /// orderly end stores it, and a crash loses nothing but the time that it was made.
    ///
    /// # Errors
    /// The workspace is not registered, or what SQLite says.
    pub async fn finish_walk(&self, workspace: &WorkspaceName, report: &WalkReport) -> Result<(), CatalogError> {
        const OPERATION: &str = "store the end of a walk";
        let now = self.clock.now().as_microseconds();
        let mut reading = self.read_pool().acquire().await.map_err(CatalogError::sql(OPERATION))?;
        let key = workspace_key(&mut reading, workspace, OPERATION).await?;
        drop(reading);
        if let Some(walk) = self.may_wait(key, report, OPERATION).await? {
            self.recent().keep(key, walk);
            return Ok(());
        }
        let recent = self.recent().of(key).map(|walk| walk.finished_at.as_microseconds());
        let mut tx = self.begin(OPERATION).await?;
        let complete = report.outcome == WalkOutcome::Complete;
        let complete_full = complete && report.kind == WalkKind::Full;
        let (kind, outcome, listed) = (
            report.kind.as_str(),
            report.outcome.to_text(),
            count_column(report.listed),
        );
        let (started_at, finished_at, asked_at, since) = (
            report.started_at.as_microseconds(),
            report.finished_at.as_microseconds(),
            report.asked_at.as_microseconds(),
            report.since.map(Timestamp::as_microseconds),
        );
        sqlx::query!(
            "-- catalog.finish_walk
            UPDATE workspaces
            SET last_walk_kind = ?2, last_walk_started_at = ?3, last_walk_finished_at = ?4, last_walk_outcome = ?5,
                last_walk_listed = ?6,
                last_complete_walk_at = CASE WHEN ?7 THEN ?4 ELSE coalesce(?11, last_complete_walk_at) END,
                last_full_walk_started_at = CASE WHEN ?8 THEN ?3 ELSE last_full_walk_started_at END,
                last_full_walk_finished_at = CASE WHEN ?8 THEN ?4 ELSE last_full_walk_finished_at END,
                last_full_walk_listed = CASE WHEN ?8 THEN ?6 ELSE last_full_walk_listed END,
                last_full_walk_since = CASE WHEN ?8 THEN ?10 ELSE last_full_walk_since END,
                settled_until = CASE WHEN ?7 THEN coalesce(
                    (SELECT max(created_at) FROM recordings WHERE workspace = ?1 AND created_at <= ?9),
                    settled_until) ELSE settled_until END
            WHERE workspace = ?1",
            key,
            kind,
            started_at,
            finished_at,
            outcome,
            listed,
            complete,
            complete_full,
            asked_at,
            since,
            recent
        )
        .execute(&mut *tx)
        .await
        .map_err(CatalogError::sql(OPERATION))?;
        if complete_full {
            set_aside::resolve_unlisted(&mut tx, key, now, (started_at, finished_at), OPERATION).await?;
        }
        commit(tx, OPERATION).await?;
        self.recent().forget(key);
        Ok(())
    }

    /// Notes that upstream no longer knows a recording that had no media yet: it is gone, with this reason. A recording
    /// in any other state is left as it is.
    ///
    /// # Errors
    /// The workspace is not registered, or what SQLite says.
    pub async fn note_deleted(
        &self,
        workspace: &WorkspaceName,
        id: RecordingId,
        reason: &str,
    ) -> Result<(), CatalogError> {
        const OPERATION: &str = "note a deleted recording";
        let Some(gone) = after(Some(State::Waiting), Event::Listed(StatusClass::NoMedia)) else {
            return Ok(());
        };
        let (gone, waiting, id) = (gone.as_str(), State::Waiting.as_str(), id.as_bytes().as_slice());
        let mut tx = self.begin(OPERATION).await?;
        let key = workspace_key(&mut tx, workspace, OPERATION).await?;
        sqlx::query!(
            "-- catalog.note_deleted
            UPDATE recordings SET state = ?4, last_error = ?5 WHERE workspace = ?1 AND id = ?2 AND state = ?3",
            key,
            id,
            waiting,
            gone,
            reason
        )
        .execute(&mut *tx)
        .await
        .map_err(CatalogError::sql(OPERATION))?;
        commit(tx, OPERATION).await
    }
}

/// The times a poll's start is made of.
struct Bounds {
    settled_until: Option<i64>,
    oldest_unsettled: Option<i64>,
}

async fn bounds(
    connection: &mut SqliteConnection,
    workspace: i64,
    now: i64,
    before_reach: i64,
) -> Result<Bounds, CatalogError> {
    sqlx::query_as!(
        Bounds,
        r#"-- catalog.poll_bounds
        SELECT settled_until AS "settled_until?: i64",
            (SELECT min(created_at) FROM recordings INDEXED BY recordings_waiting
                WHERE workspace = ?1 AND state = 'waiting' AND created_at >= coalesce(
                    (SELECT created_at FROM recordings WHERE workspace = ?1 AND created_at <= ?2
                        ORDER BY created_at DESC LIMIT 1 OFFSET ?3), -9223372036854775807))
                AS "oldest_unsettled?: i64"
        FROM workspaces WHERE workspace = ?1"#,
        workspace,
        now,
        before_reach
    )
    .fetch_one(connection)
    .await
    .map_err(CatalogError::sql(PLAN))
}

/// Unsettled recordings that a poll from `start_at` on will not list: those from before, and those that the last whole
/// walk did not list, which may have been deleted.
async fn unsettled_before(
    connection: &mut SqliteConnection,
    workspace: i64,
    start_at: i64,
    limit: i64,
) -> Result<Vec<RecordingId>, CatalogError> {
    let rows = sqlx::query!(
        r#"-- catalog.unsettled_before
        SELECT seq AS "seq!: i64", id AS "id!: Vec<u8>"
        FROM recordings INDEXED BY recordings_waiting_unseen
        WHERE workspace = ?1 AND state = 'waiting'
            AND (created_at < ?2 OR last_seen_at <
                (SELECT last_full_walk_started_at FROM workspaces WHERE workspace = ?1))
        ORDER BY last_seen_at LIMIT ?3"#,
        workspace,
        start_at,
        limit
    )
    .fetch_all(connection)
    .await
    .map_err(CatalogError::sql(PLAN))?;
    rows.iter()
        .map(|row| Columns::of_recording(row.seq).id("id", &row.id))
        .collect()
}
