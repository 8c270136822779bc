//! Where a poll begins, and how a walk ended.
//!
//! Only a complete walk moves what later polls build on. Must not know: how a listing is asked for.

use std::time::Duration;

use super::error::CatalogError;
use super::open::Catalog;
use super::open::commit;
use super::rows::Columns;
use super::rows::count_column;
use super::rows::damaged;
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

/// What a poll has to look at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PollPlan {
    /// List from here on; `None`: from the beginning.
    pub start_at: Option<Timestamp>,
    /// Recordings further back that are not final upstream, to be read one by one; those seen longest ago.
    pub recheck: Vec<RecordingId>,
}

const PLAN: &str = "plan a poll";
const FINISH: &str = "keep how a walk ended";

impl Catalog {
    /// Plans a poll: from what is settled, or from the oldest recording that is not final, less `overlap`. For one that
    /// is not final it reaches back over `reach_rows` rows at most; older ones are to be read one by one, at most
    /// `recheck_limit` of them. `now` is upstream's time: what claims to be newer does not count as seen.
    ///
    /// # Errors
    /// The catalog cannot be read.
    pub async fn plan_poll(
        &self,
        workspace: &WorkspaceName,
        now: Timestamp,
        overlap: Duration,
        reach_rows: u32,
        recheck_limit: u32,
    ) -> Result<PollPlan, CatalogError> {
        let mut connection = self.read_pool().acquire().await.map_err(CatalogError::sql(PLAN))?;
        let key = workspace_key(&mut connection, workspace, PLAN).await?;
        let settled_until = sqlx::query_scalar!(
            "-- catalog.settled_until\nSELECT settled_until FROM workspaces WHERE workspace = ?1",
            key
        )
        .fetch_one(&mut *connection)
        .await
        .map_err(CatalogError::sql(PLAN))?;
        let Some(settled_until) = settled_until else {
            return Ok(PollPlan::default());
        };
        let reach = i64::from(reach_rows.max(1)) - 1;
        let floor = sqlx::query_scalar!(
            "-- catalog.poll_floor
            SELECT created_at FROM recordings WHERE workspace = ?1 ORDER BY created_at DESC LIMIT 1 OFFSET ?2",
            key,
            reach
        )
        .fetch_optional(&mut *connection)
        .await
        .map_err(CatalogError::sql(PLAN))?
        .unwrap_or(i64::MIN);
        let oldest_open = sqlx::query_scalar!(
            "-- catalog.oldest_waiting
            SELECT created_at FROM recordings WHERE workspace = ?1 AND state = 'waiting' AND created_at >= ?2
            ORDER BY created_at LIMIT 1",
            key,
            floor
        )
        .fetch_optional(&mut *connection)
        .await
        .map_err(CatalogError::sql(PLAN))?;
        let from = settled_until
            .min(now.as_microseconds())
            .min(oldest_open.unwrap_or(i64::MAX));
        let from = Timestamp::from_microseconds(from).map_err(|_| damaged("workspaces", "settled_until", key))?;
        let (start_at, limit) = (from.before(overlap), i64::from(recheck_limit));
        let before = start_at.as_microseconds();
        let recheck = sqlx::query!(
            "-- catalog.waiting_further_back
            SELECT seq, id FROM recordings WHERE workspace = ?1 AND state = 'waiting' AND created_at < ?2
            ORDER BY last_seen_at LIMIT ?3",
            key,
            before,
            limit
        )
        .fetch_all(&mut *connection)
        .await
        .map_err(CatalogError::sql(PLAN))?
        .into_iter()
        .map(|row| Columns::of_recording(row.seq).id("id", &row.id))
        .collect::<Result<_, _>>()?;
        Ok(PollPlan {
            start_at: Some(start_at),
            recheck,
        })
    }

    /// When the last full walk that reached the end of the list began.
    ///
    /// # Errors
    /// The catalog cannot be read.
    pub async fn last_full_walk(&self, workspace: &WorkspaceName) -> Result<Option<Timestamp>, CatalogError> {
        const OPERATION: &str = "tell the last full walk";
        let name = workspace.as_str();
        let row = sqlx::query!(
            "-- catalog.last_full_walk\nSELECT workspace, last_full_walk_started_at FROM workspaces WHERE name = ?1",
            name
        )
        .fetch_optional(self.read_pool())
        .await
        .map_err(CatalogError::sql(OPERATION))?
        .ok_or_else(|| CatalogError::UnknownWorkspace {
            name: workspace.clone(),
        })?;
        Columns {
            table: "workspaces",
            row: row.workspace,
        }
        .optional_time("last_full_walk_started_at", row.last_full_walk_started_at)
    }

    /// Keeps how a walk ended. A complete one settles what was listed before it; a complete full one also tells which
    /// recordings and set-aside items upstream no longer lists.
    ///
    /// # Errors
    /// The catalog cannot be written.
    pub async fn finish_walk(&self, workspace: &WorkspaceName, report: &WalkReport) -> Result<(), CatalogError> {
        let mut tx = self.begin(FINISH).await?;
        let key = workspace_key(&mut tx, workspace, FINISH).await?;
        let (kind, outcome) = (report.kind.as_str(), report.outcome.to_text());
        let (started_at, finished_at) = (
            report.started_at.as_microseconds(),
            report.finished_at.as_microseconds(),
        );
        let listed = count_column(report.listed);
        let complete = report.outcome == WalkOutcome::Complete;
        let complete_full = complete && report.kind == WalkKind::Full;
        sqlx::query!(
            "-- catalog.finish_walk
            UPDATE workspaces
            SET last_walk_kind = ?2, last_walk_started_at = ?3, last_walk_finished_at = ?4, last_walk_outcome = ?5,
                last_walk_listed = ?6,
                last_complete_walk_at = CASE WHEN ?7 THEN ?4 ELSE last_complete_walk_at END,
                last_full_walk_started_at = CASE WHEN ?8 THEN ?3 ELSE last_full_walk_started_at END
            WHERE workspace = ?1",
            key,
            kind,
            started_at,
            finished_at,
            outcome,
            listed,
            complete,
            complete_full
        )
        .execute(&mut *tx)
        .await
        .map_err(CatalogError::sql(FINISH))?;
        if complete {
            // Newer than this machine's clock or upstream's can say: an odd date must not settle the future. A day's
            // tolerance, as this machine's clock may be behind.
            let newest_believed = report.finished_at.after(Duration::from_secs(86_400)).as_microseconds();
            sqlx::query!(
                "-- catalog.settle_walk
                UPDATE workspaces
                SET settled_until = coalesce(
                    (SELECT max(created_at) FROM recordings WHERE workspace = ?1 AND created_at <= ?2), settled_until)
                WHERE workspace = ?1",
                key,
                newest_believed
            )
            .execute(&mut *tx)
            .await
            .map_err(CatalogError::sql(FINISH))?;
        }
        if complete_full {
            sqlx::query!(
                "-- catalog.resolve_unlisted
                UPDATE set_aside SET resolved_at = ?3
                WHERE workspace = ?1 AND resolved_at IS NULL AND last_seen_at < ?2",
                key,
                started_at,
                finished_at
            )
            .execute(&mut *tx)
            .await
            .map_err(CatalogError::sql(FINISH))?;
        }
        commit(tx, FINISH).await
    }

    /// Notes that upstream no longer knows a recording that was never available: it is gone, with this reason.
    /// Recordings in any other state are left alone.
    ///
    /// # Errors
    /// The catalog cannot be written.
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
        let (gone, waiting) = (gone.as_str(), State::Waiting.as_str());
        let mut tx = self.begin(OPERATION).await?;
        let key = workspace_key(&mut tx, workspace, OPERATION).await?;
        let id = id.as_bytes().as_slice();
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
