//! List items that could not be understood: kept by the digest of their text, until they are understood or gone.
//!
//! Must not know: why an item is not understood.

use std::collections::HashSet;

use sha2::Digest as _;
use sha2::Sha256;
use sqlx::SqliteConnection;

use super::error::CatalogError;
use super::read::CatalogReader;
use super::rows::Columns;
use super::rows::names_parameter;
use super::rows::workspace_name;
use super::upsert::Moment;
use super::upsert::OPERATION;
use crate::domain::clock::Timestamp;
use crate::domain::ids::RecordingId;
use crate::domain::ids::WorkspaceName;
use crate::domain::recording::SetAside;

/// A list item that is not understood to this day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAsideRow {
    /// The workspace that listed it.
    pub workspace: WorkspaceName,
    /// Its id, where at least that could be read.
    pub id: Option<RecordingId>,
    /// Why it was not understood.
    pub reason: String,
    /// Its text, as the lister cut and blanked it.
    pub raw: String,
    /// When it was first listed.
    pub first_seen_at: Timestamp,
    /// When it was last listed, exact to how often an unchanged row is touched.
    pub last_seen_at: Timestamp,
}

impl CatalogReader {
    /// What is set aside and not resolved, the most recently listed first, of these workspaces or, where none is
    /// named, of all.
    ///
    /// # Errors
    /// What SQLite says, or a damaged row.
    pub async fn set_aside(&self, workspaces: &[WorkspaceName], limit: u32) -> Result<Vec<SetAsideRow>, CatalogError> {
        let (any, names, limit) = (workspaces.is_empty(), names_parameter(workspaces), i64::from(limit));
        let rows = sqlx::query!(
            r#"-- catalog.set_aside
            SELECT s.rowid AS "row!: i64", w.name AS "name!: String", s.recording_id AS "id?: Vec<u8>",
                s.reason AS "reason!: String", s.raw AS "raw!: String", s.first_seen_at AS "first_seen_at!: i64",
                s.last_seen_at AS "last_seen_at!: i64"
            FROM set_aside AS s INDEXED BY set_aside_newest CROSS JOIN workspaces AS w ON w.workspace = s.workspace
            WHERE (?1 OR w.name IN (SELECT value FROM json_each(?2))) AND s.resolved_at IS NULL
            ORDER BY s.last_seen_at DESC, s.rowid DESC LIMIT ?3"#,
            any,
            names,
            limit
        )
        .fetch_all(self.pool())
        .await
        .map_err(CatalogError::sql("read what is set aside"))?;
        rows.into_iter()
            .map(|row| {
                let columns = Columns {
                    table: "set_aside",
                    row: row.row,
                };
                Ok(SetAsideRow {
                    workspace: workspace_name(row.row, &row.name)?,
                    id: row.id.map(|id| columns.id("recording_id", &id)).transpose()?,
                    reason: row.reason,
                    raw: row.raw,
                    first_seen_at: columns.time("first_seen_at", row.first_seen_at)?,
                    last_seen_at: columns.time("last_seen_at", row.last_seen_at)?,
                })
            })
            .collect()
    }
}

/// Enters the items of a page, each once, and returns how many. A row that is as it was is left as it is.
pub(super) async fn upsert(
    connection: &mut SqliteConnection,
    moment: Moment,
    items: &[SetAside],
) -> Result<u64, CatalogError> {
    let mut entered = HashSet::new();
    for item in items {
        let fingerprint = Sha256::digest(item.raw.as_bytes());
        if !entered.insert(fingerprint) {
            continue;
        }
        let fingerprint = fingerprint.as_slice();
        let id = item.id.as_ref().map(|id| id.as_bytes().as_slice());
        sqlx::query!(
            "-- catalog.set_item_aside
            INSERT INTO set_aside (workspace, fingerprint, raw, reason, recording_id, first_seen_at, last_seen_at)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
            ON CONFLICT (workspace, fingerprint) DO UPDATE
            SET reason = excluded.reason, recording_id = excluded.recording_id, last_seen_at = excluded.last_seen_at,
                resolved_at = NULL
            WHERE resolved_at IS NOT NULL OR last_seen_at < ?8 OR last_seen_at > excluded.last_seen_at
                OR reason <> excluded.reason OR recording_id IS NOT excluded.recording_id",
            moment.workspace,
            fingerprint,
            item.raw,
            item.reason,
            id,
            moment.now,
            moment.seen_at,
            moment.touch_before
        )
        .execute(&mut *connection)
        .await
        .map_err(CatalogError::sql(OPERATION))?;
    }
    Ok(u64::try_from(entered.len()).unwrap_or(u64::MAX))
}

/// Resolves the items whose id is among those understood now.
pub(super) async fn resolve_understood(
    connection: &mut SqliteConnection,
    moment: Moment,
    ids: &str,
) -> Result<(), CatalogError> {
    sqlx::query!(
        "-- catalog.resolve_understood
        UPDATE set_aside SET resolved_at = ?2
        WHERE workspace = ?1 AND resolved_at IS NULL
            AND recording_id IN (SELECT unhex(value) FROM json_each(?3))",
        moment.workspace,
        moment.now,
        ids
    )
    .execute(connection)
    .await
    .map_err(CatalogError::sql(OPERATION))?;
    Ok(())
}

/// Resolves the items that a whole walk did not list any more: those last seen before it began or, by a clock that was
/// wrong, after it ended.
pub(super) async fn resolve_unlisted(
    connection: &mut SqliteConnection,
    workspace: i64,
    now: i64,
    (began_at, ended_at): (i64, i64),
    operation: &'static str,
) -> Result<(), CatalogError> {
    sqlx::query!(
        "-- catalog.resolve_unlisted
        UPDATE set_aside SET resolved_at = ?2
        WHERE workspace = ?1 AND resolved_at IS NULL AND (last_seen_at < ?3 OR last_seen_at > ?4)",
        workspace,
        now,
        began_at,
        ended_at
    )
    .execute(connection)
    .await
    .map_err(CatalogError::sql(operation))?;
    Ok(())
}
