//! Walks that changed nothing and are not entered in the catalog for a while, so that an idle poll writes nothing.
//!
//! Whoever reads through this process's catalog is told of them all the same; another process reads what was entered, at
//! most [`ENTERED_EVERY`] old. An orderly end enters them. Must not know: how a walk is made.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use sqlx::SqliteConnection;

use super::error::CatalogError;
use super::open::Catalog;
use super::open::commit;
use super::rows::count_column;
use super::status::LastWalk;
use crate::domain::clock::Timestamp;
use crate::domain::report::WalkKind;
use crate::domain::report::WalkOutcome;
use crate::domain::report::WalkReport;

/// How old the entered end of a workspace's last walk may grow while polls find nothing new. What is told of a workspace
/// after a crash is as much too old at most, until its next poll.
pub(super) const ENTERED_EVERY: Duration = Duration::from_secs(5 * 60);

const OPERATION: &str = "enter the last walks";

/// Polls that came to their end and are not entered, by the keys of their workspaces.
#[derive(Default)]
pub(super) struct RecentWalks(Mutex<HashMap<i64, LastWalk>>);

impl RecentWalks {
    /// The last poll of a workspace, where it is not entered.
    pub(super) fn of(&self, workspace: i64) -> Option<LastWalk> {
        self.held().get(&workspace).cloned()
    }

    /// Keeps a poll in mind.
    pub(super) fn keep(&self, workspace: i64, walk: LastWalk) {
        self.held().insert(workspace, walk);
    }

    /// What is entered is newer.
    pub(super) fn forget(&self, workspace: i64) {
        self.held().remove(&workspace);
    }

    fn held(&self) -> MutexGuard<'_, HashMap<i64, LastWalk>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is entered of a workspace's walks.
struct Entered {
    kind: Option<String>,
    outcome: Option<String>,
    finished_at: Option<i64>,
    settled_until: Option<i64>,
    to_settle: Option<i64>,
}

impl Catalog {
    /// The walk, where it need not be entered yet: a poll to the end that says nothing of its workspace that is not
    /// entered, but that it is looked after.
    pub(super) async fn may_wait(
        &self,
        workspace: i64,
        report: &WalkReport,
        operation: &'static str,
    ) -> Result<Option<LastWalk>, CatalogError> {
        let outcome = report.outcome.to_text();
        if report.kind != WalkKind::Poll || report.outcome != WalkOutcome::Complete {
            return Ok(None);
        }
        let asked_at = report.asked_at.as_microseconds();
        let entered = sqlx::query_as!(
            Entered,
            r#"-- catalog.entered_walk
            SELECT last_walk_kind AS kind, last_walk_outcome AS outcome, last_walk_finished_at AS finished_at,
                settled_until, (SELECT max(created_at) FROM recordings AS r INDEXED BY recordings_by_workspace
                    WHERE r.workspace = ?1 AND r.created_at <= ?2) AS "to_settle?: i64"
            FROM workspaces WHERE workspace = ?1"#,
            workspace,
            asked_at
        )
        .fetch_one(self.read_pool())
        .await
        .map_err(CatalogError::sql(operation))?;
        let is_alike = entered.kind.as_deref() == Some(report.kind.as_str())
            && entered.outcome.as_deref() == Some(outcome.as_str())
            && (entered.to_settle.is_none() || entered.to_settle == entered.settled_until);
        let finished_at = report.finished_at;
        let is_recent = entered.finished_at.is_some_and(|at| {
            let oldest = finished_at.before(ENTERED_EVERY).as_microseconds();
            oldest < at && at <= finished_at.as_microseconds()
        });
        Ok((is_alike && is_recent).then_some(LastWalk {
            kind: report.kind,
            started_at: report.started_at,
            finished_at,
            outcome,
            listed: report.listed,
        }))
    }

    /// Enters the walks that were not entered yet.
    pub(super) async fn enter_recent_walks(&self) -> Result<(), CatalogError> {
        let walks: Vec<(i64, LastWalk)> = self.recent().held().drain().collect();
        if walks.is_empty() {
            return Ok(());
        }
        let mut tx = self.begin(OPERATION).await?;
        for (workspace, walk) in &walks {
            enter(&mut tx, *workspace, walk).await?;
        }
        commit(tx, OPERATION).await
    }
}

async fn enter(connection: &mut SqliteConnection, workspace: i64, walk: &LastWalk) -> Result<(), CatalogError> {
    let (kind, listed) = (walk.kind.as_str(), count_column(walk.listed));
    let (started_at, finished_at) = (walk.started_at.as_microseconds(), walk.finished_at.as_microseconds());
    sqlx::query!(
        "-- catalog.enter_walk
        UPDATE workspaces
        SET last_walk_kind = ?2, last_walk_started_at = ?3, last_walk_finished_at = ?4, last_walk_outcome = ?5,
            last_walk_listed = ?6, last_complete_walk_at = ?4
        WHERE workspace = ?1",
        workspace,
        kind,
        started_at,
        finished_at,
        walk.outcome,
        listed
    )
    .execute(connection)
    .await
    .map_err(CatalogError::sql(OPERATION))?;
    Ok(())
}

/// The end of the last walk that came to its end, the one that is not entered included.
pub(super) fn last_complete(entered: Option<Timestamp>, recent: Option<&LastWalk>) -> Option<Timestamp> {
    recent.map(|walk| walk.finished_at).or(entered)
}
