//! What a run that died, or a clock that was wrong, left behind; and when something will be due.
//!
//! Must not know: who sweeps, or how often.

use std::time::Duration;

use super::error::CatalogError;
use super::open::Catalog;
use super::open::commit;
use super::rows::Columns;
use super::rows::names_parameter;
use super::rows::not_before_column;
use super::settle::Held;
use super::settle::UnfinishedRow;
use super::settle::end_unfinished;
use crate::domain::clock::Timestamp;
use crate::domain::ids::WorkspaceName;
use crate::domain::recording::Status;
use crate::domain::state::State;
use crate::domain::state::after;

impl Catalog {
    /// Gives back every claim of another run. Only the process that holds the archive may ask for this: then no other
    /// run is alive. Returns how many.
    ///
    /// # Errors
    /// What SQLite says. Then none is given back.
    pub async fn reclaim(&self) -> Result<u64, CatalogError> {
        const OPERATION: &str = "reclaim what another run held";
        let mut tx = self.begin(OPERATION).await?;
        let rows = sqlx::query!(
            r#"-- catalog.claims_of_others
            SELECT seq AS "seq!: i64", status AS "status!: String", claimed_by AS "claimed_by!: i64",
                claimed_from AS "claimed_from!: String"
            FROM recordings INDEXED BY recordings_claimed
            WHERE state = 'claimed' AND claimed_by <> ?1"#,
            self.run_id
        )
        .fetch_all(&mut *tx)
        .await
        .map_err(CatalogError::sql(OPERATION))?;
        let mut given_back = Vec::with_capacity(rows.len());
        for row in rows {
            let listed = Status::from_upstream(&row.status).class();
            let from = Columns::of_recording(row.seq).state("claimed_from", &row.claimed_from)?;
            if let Some(state) = after(Some(State::Claimed), Held { listed, from }.released()) {
                given_back.push(UnfinishedRow::given_back(row.seq, row.claimed_by, state.as_str()));
            }
        }
        end_unfinished(&mut tx, &given_back, OPERATION).await?;
        commit(tx, OPERATION).await?;
        Ok(u64::try_from(given_back.len()).unwrap_or(u64::MAX))
    }

    /// Makes recordings due now that are told to wait until more than `longest` after `now`: a clock that was wrong
    /// told them so. Returns how many.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn heal_waits(&self, now: Timestamp, longest: Duration) -> Result<u64, CatalogError> {
        const OPERATION: &str = "heal waits";
        let (limit, now) = (not_before_column(now.after(longest)), not_before_column(now));
        let mut tx = self.begin(OPERATION).await?;
        let due = sqlx::query!(
            "-- catalog.heal_due
            UPDATE recordings INDEXED BY recordings_due SET not_before = ?1
            WHERE workspace IN (SELECT workspace FROM workspaces) AND state = 'due' AND not_before > ?2",
            now,
            limit
        )
        .execute(&mut *tx)
        .await
        .map_err(CatalogError::sql(OPERATION))?;
        let given_up = sqlx::query!(
            "-- catalog.heal_given_up
            UPDATE recordings INDEXED BY recordings_given_up SET not_before = ?1
            WHERE workspace IN (SELECT workspace FROM workspaces) AND state = 'given_up' AND not_before > ?2",
            now,
            limit
        )
        .execute(&mut *tx)
        .await
        .map_err(CatalogError::sql(OPERATION))?;
        commit(tx, OPERATION).await?;
        Ok(due.rows_affected() + given_up.rows_affected())
    }

    /// When the next recording of these workspaces may be claimed by [`Catalog::claim_due`]; a time that has passed
    /// where one may be now.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn next_due_at(&self, workspaces: &[WorkspaceName]) -> Result<Option<Timestamp>, CatalogError> {
        let names = names_parameter(workspaces);
        let next = sqlx::query_scalar!(
            r#"-- catalog.next_due_at
            SELECT min(at) AS "at?: i64" FROM (
                SELECT (SELECT d.not_before FROM recordings AS d INDEXED BY recordings_due
                    WHERE d.workspace = w.workspace AND d.state = 'due' ORDER BY d.not_before LIMIT 1) AS at
                FROM workspaces AS w WHERE w.name IN (SELECT value FROM json_each(?1))
                UNION ALL
                SELECT (SELECT g.not_before FROM recordings AS g INDEXED BY recordings_given_up
                    WHERE g.workspace = w.workspace AND g.state = 'given_up'
                        AND g.last_seen_at >= coalesce(w.last_full_walk_started_at, g.last_seen_at)
                    ORDER BY g.not_before LIMIT 1) AS at
                FROM workspaces AS w WHERE w.name IN (SELECT value FROM json_each(?1))
            )"#,
            names
        )
        .fetch_one(self.read_pool())
        .await
        .map_err(CatalogError::sql("look for what is due next"))?;
        Columns::of_recording(0).optional_time("not_before", next)
    }
}
