//! The read side: connections that cannot write, in this process or in one beside the daemon.
//!
//! Must not know: who reads, or how what is read is shown.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use sqlx::Row as _;
use sqlx::sqlite::SqlitePool;

use super::error::CatalogError;
use super::error::Refusal;
use super::open::absolute;
use super::open::check_schema;
use super::open::reader_pool;
use super::preflight::Found;
use super::preflight::examine;
use super::preflight::refused;
use super::recent_walks::RecentWalks;
use super::rows::Columns;
use super::rows::ids_parameter;
use super::rows::names_parameter;
use super::rows::not_before_column;
use crate::domain::clock::Timestamp;
use crate::domain::day::Day;
use crate::domain::ids::RecordingId;
use crate::domain::ids::WorkspaceName;
use crate::domain::state::State;

/// Reads the catalog, and cannot write to it. Clones share their connections.
#[derive(Clone)]
pub struct CatalogReader {
    pool: SqlitePool,
    recent: Arc<RecentWalks>,
}

impl CatalogReader {
    /// Opens a catalog that another process may be writing. Makes no file where there is none.
    ///
    /// # Errors
    /// [`CatalogError::File`] where there is none, [`CatalogError::Refused`] where it cannot be read as a catalog, or
    /// what SQLite says.
    pub async fn open(path: &Path) -> Result<Self, CatalogError> {
        let path = absolute(path)?;
        match examine(&path, false).await? {
            Found::Nothing => {
                let source = io::Error::from(io::ErrorKind::NotFound);
                Err(CatalogError::File {
                    operation: "open",
                    path,
                    source,
                })
            }
            Found::Empty => Err(refused(&path, Refusal::Empty)),
            Found::Catalog { schema, options, .. } => {
                check_schema(&path, schema)?;
                Ok(Self::of_pool(reader_pool(*options)))
            }
        }
    }

    /// Reads through connections that were opened otherwise.
    pub(super) fn of_pool(pool: SqlitePool) -> Self {
        Self {
            pool,
            recent: Arc::default(),
        }
    }

    /// The walks that this process has not entered.
    pub(super) fn recent(&self) -> &RecentWalks {
        &self.recent
    }

    pub(super) const fn pool(&self) -> &SqlitePool {
        &self.pool
    }

    /// Closes the connections, once those in use have come back.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// The states of those of the given recordings that are known.
    ///
    /// # Errors
    /// What SQLite says, or a damaged row.
    pub async fn states_of(
        &self,
        workspace: &WorkspaceName,
        ids: &[RecordingId],
    ) -> Result<HashMap<RecordingId, State>, CatalogError> {
        let (ids, name) = (ids_parameter(ids), workspace.as_str());
        let rows = sqlx::query!(
            r#"-- catalog.states_of
            SELECT r.seq AS "seq!: i64", r.id AS "id!: Vec<u8>", r.state AS "state!: String"
            FROM json_each(?1) AS wanted
            CROSS JOIN recordings AS r
                ON r.workspace = (SELECT workspace FROM workspaces WHERE name = ?2) AND r.id = unhex(wanted.value)"#,
            ids,
            name
        )
        .fetch_all(&self.pool)
        .await
        .map_err(CatalogError::sql("read states"))?;
        rows.iter()
            .map(|row| {
                let columns = Columns::of_recording(row.seq);
                Ok((columns.id("id", &row.id)?, columns.state("state", &row.state)?))
            })
            .collect()
    }

    /// How many recordings of these workspaces may be claimed at `now`.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn due_now(&self, workspaces: &[WorkspaceName], now: Timestamp) -> Result<u64, CatalogError> {
        let (names, now) = (names_parameter(workspaces), not_before_column(now));
        let count = sqlx::query_scalar!(
            r#"-- catalog.due_now
            SELECT coalesce(sum(
                (SELECT count(*) FROM recordings AS d INDEXED BY recordings_due
                    WHERE d.workspace = w.workspace AND d.state = 'due' AND d.not_before <= ?2)
                + (SELECT count(*) FROM recordings AS g INDEXED BY recordings_given_up
                    WHERE g.workspace = w.workspace AND g.state = 'given_up' AND g.not_before <= ?2
                        AND g.last_seen_at >= coalesce(w.last_full_walk_started_at, g.last_seen_at))
            ), 0) AS "count!: i64"
            FROM workspaces AS w WHERE w.name IN (SELECT value FROM json_each(?1))"#,
            names,
            now
        )
        .fetch_one(&self.pool)
        .await
        .map_err(CatalogError::sql("count what is due"))?;
        Columns::of_recording(0).count("seq", count)
    }

    /// Reads the whole database and checks every rule that it states about itself. Returns what is wrong, one line
    /// each, the first hundred; nothing where all is well. Costs time in proportion to the size.
    ///
    /// # Errors
    /// What SQLite says, where it is too damaged to be checked.
    pub async fn integrity(&self) -> Result<Vec<String>, CatalogError> {
        const OPERATION: &str = "be checked";
        let mut faults: Vec<String> = sqlx::query_scalar("PRAGMA integrity_check(100)")
            .fetch_all(&self.pool)
            .await
            .map_err(CatalogError::sql(OPERATION))?;
        faults.retain(|line| line != "ok");
        let strays = sqlx::query("PRAGMA foreign_key_check")
            .fetch_all(&self.pool)
            .await
            .map_err(CatalogError::sql(OPERATION))?;
        for stray in strays {
            let table: String = stray.try_get(0).map_err(CatalogError::sql(OPERATION))?;
            let row: Option<i64> = stray.try_get(1).map_err(CatalogError::sql(OPERATION))?;
            let parent: String = stray.try_get(2).map_err(CatalogError::sql(OPERATION))?;
            let row = row.map_or_else(|| "without a key".to_owned(), |row| row.to_string());
            faults.push(format!("table {table}, row {row}: refers to no row of {parent}"));
        }
        let miscounted = sqlx::query!(
            r#"-- catalog.miscounted_days
            WITH
                counted AS (
                    SELECT workspace, (created_at + 62135596800000000) / 86400000000 AS day, count(*) AS listed,
                        sum(state = 'waiting') AS waiting, sum(state = 'due') AS due, sum(state = 'claimed') AS claimed,
                        sum(state = 'archived') AS archived, sum(state = 'gone') AS gone,
                        sum(state = 'given_up') AS given_up, sum(coalesce(size_bytes, 0)) AS bytes,
                        sum(coalesce(verified_at > 0 AND verified_at >= archived_at, FALSE)) AS re_read
                    FROM recordings AS every_row GROUP BY 1, 2
                ),
                kept AS (
                    SELECT * FROM days
                    WHERE listed + waiting + due + claimed + archived + gone + given_up + bytes + re_read > 0
                )
            SELECT workspace AS "workspace!: i64", day AS "day!: i64" FROM (SELECT * FROM counted EXCEPT SELECT * FROM kept)
            UNION
            SELECT workspace, day FROM (SELECT * FROM kept EXCEPT SELECT * FROM counted)
            UNION
            SELECT workspace, day FROM kept WHERE day NOT IN (SELECT day FROM dates)
            LIMIT 100"#
        )
        .fetch_all(&self.pool)
        .await
        .map_err(CatalogError::sql(OPERATION))?;
        for row in miscounted {
            let day = Day::from_number(row.day).map_or_else(|_| row.day.to_string(), |day| day.to_string());
            faults.push(format!(
                "the counters of {day} are not what workspace {} has",
                row.workspace
            ));
        }
        Ok(faults)
    }
}
