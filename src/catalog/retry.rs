//! An operator's wish to try again: short writes that another process may ask for while the daemon runs.
//!
//! Must not know: who asks.

use std::collections::HashSet;

use sqlx::SqliteConnection;

use super::error::CatalogError;
use super::open::Catalog;
use super::open::commit;
use super::rows::Columns;
use super::rows::names_parameter;
use crate::domain::ids::RecordingId;
use crate::domain::ids::WorkspaceName;
use crate::domain::state::Event;
use crate::domain::state::State;
use crate::domain::state::after;

const OPERATION: &str = "make recordings due again";

/// What became of a wish to try again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RetryReport {
    /// Recordings that are due now and were not before.
    pub retried: u64,
    /// Those that need no other try.
    pub already_archived: Vec<RecordingId>,
    /// Those the catalog does not know.
    pub not_known: Vec<RecordingId>,
    /// Those that are due already, being fetched, or not available yet.
    pub untouched: Vec<RecordingId>,
}

/// What a wish did to one recording.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Did {
    Retried,
    AlreadyArchived,
    Untouched,
}

impl Catalog {
    /// Makes these recordings due now: given-up and gone ones with no attempts counted, due ones without their wait.
    /// Only of the given workspaces, or where there is no choice, of all.
    ///
    /// # Errors
    /// What SQLite says. Then nothing is changed.
    pub async fn retry(
        &self,
        ids: &[RecordingId],
        workspaces: Option<&[WorkspaceName]>,
    ) -> Result<RetryReport, CatalogError> {
        let (names, now) = (workspaces.map(names_parameter), self.clock.now().as_microseconds());
        let mut report = RetryReport::default();
        let mut asked = HashSet::new();
        let mut tx = self.begin(OPERATION).await?;
        for id in ids.iter().filter(|id| asked.insert(**id)) {
            let done = retry_id(&mut tx, id, names.as_deref(), now).await?;
            let retried = done.iter().filter(|did| **did == Did::Retried).count();
            report.retried += u64::try_from(retried).unwrap_or(u64::MAX);
            if done.is_empty() {
                report.not_known.push(*id);
            } else if retried == 0 && done.contains(&Did::Untouched) {
                report.untouched.push(*id);
            } else if retried == 0 {
                report.already_archived.push(*id);
            }
        }
        commit(tx, OPERATION).await?;
        Ok(report)
    }

    /// [`Catalog::retry`] for every recording that it would change. Returns counts only.
    ///
    /// # Errors
    /// What SQLite says. Then nothing is changed.
    pub async fn retry_all(&self, workspaces: Option<&[WorkspaceName]>) -> Result<RetryReport, CatalogError> {
        let (names, now) = (workspaces.map(names_parameter), self.clock.now().as_microseconds());
        let failed = CatalogError::sql;
        let mut retried = 0;
        let mut tx = self.begin(OPERATION).await?;
        if let Some(next) = after(Some(State::Gone), Event::Retried) {
            let next = next.as_str();
            let done = sqlx::query!(
                "-- catalog.retry_gone
                UPDATE recordings INDEXED BY recordings_gone SET state = ?1, attempts = 0, not_before = 0
                WHERE state = 'gone' AND workspace IN (SELECT workspace FROM workspaces
                    WHERE ?2 IS NULL OR name IN (SELECT value FROM json_each(?2)))",
                next,
                names
            );
            retried += done.execute(&mut *tx).await.map_err(failed(OPERATION))?.rows_affected();
        }
        if let Some(next) = after(Some(State::GivenUp), Event::Retried) {
            let next = next.as_str();
            let done = sqlx::query!(
                "-- catalog.retry_given_up
                UPDATE recordings INDEXED BY recordings_given_up SET state = ?1, attempts = 0, not_before = 0
                WHERE state = 'given_up' AND workspace IN (SELECT workspace FROM workspaces
                    WHERE ?2 IS NULL OR name IN (SELECT value FROM json_each(?2)))",
                next,
                names
            );
            retried += done.execute(&mut *tx).await.map_err(failed(OPERATION))?.rows_affected();
        }
        let waits = sqlx::query!(
            "-- catalog.retry_waits
            UPDATE recordings INDEXED BY recordings_due SET not_before = 0
            WHERE state = 'due' AND not_before > ?1 AND workspace IN (SELECT workspace FROM workspaces
                WHERE ?2 IS NULL OR name IN (SELECT value FROM json_each(?2)))",
            now,
            names
        );
        retried += waits
            .execute(&mut *tx)
            .await
            .map_err(failed(OPERATION))?
            .rows_affected();
        commit(tx, OPERATION).await?;
        Ok(RetryReport {
            retried,
            ..RetryReport::default()
        })
    }
}

/// What was done to each recording with this id: several workspaces may each know one.
async fn retry_id(
    connection: &mut SqliteConnection,
    id: &RecordingId,
    names: Option<&str>,
    now: i64,
) -> Result<Vec<Did>, CatalogError> {
    let id = id.as_bytes().as_slice();
    let rows = sqlx::query!(
        r#"-- catalog.retry_candidates
        SELECT r.seq AS "seq!: i64", r.state AS "state!: String", r.not_before AS "not_before!: i64"
        FROM workspaces AS w CROSS JOIN recordings AS r ON r.workspace = w.workspace AND r.id = ?1
        WHERE ?2 IS NULL OR w.name IN (SELECT value FROM json_each(?2))"#,
        id,
        names
    )
    .fetch_all(&mut *connection)
    .await
    .map_err(CatalogError::sql(OPERATION))?;
    let mut done = Vec::with_capacity(rows.len());
    for row in rows {
        let state = Columns::of_recording(row.seq).state("state", &row.state)?;
        let waits = state == State::Due && row.not_before > now;
        done.push(match after(Some(state), Event::Retried) {
            Some(next) if next != state || waits => {
                retry_row(connection, row.seq, next, next != state).await?;
                Did::Retried
            }
            _ if state == State::Archived => Did::AlreadyArchived,
            _ => Did::Untouched,
        });
    }
    Ok(done)
}

async fn retry_row(
    connection: &mut SqliteConnection,
    seq: i64,
    state: State,
    forget_attempts: bool,
) -> Result<(), CatalogError> {
    let state = state.as_str();
    sqlx::query!(
        "-- catalog.retry
        UPDATE recordings
        SET state = ?2, not_before = 0, attempts = CASE WHEN ?3 THEN 0 ELSE attempts END
        WHERE seq = ?1",
        seq,
        state,
        forget_attempts
    )
    .execute(connection)
    .await
    .map_err(CatalogError::sql(OPERATION))?;
    Ok(())
}
