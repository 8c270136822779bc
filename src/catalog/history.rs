//! What sidecars know: taken into the catalog where a body was there before its row, and given back to sidecars that
//! hold older metadata than the catalog.
//!
//! Must not know: files, how a sidecar is written.

use sqlx::SqliteConnection;

use super::error::CatalogError;
use super::open::Catalog;
use super::open::commit;
use super::read::CatalogReader;
use super::rows::Columns;
use super::rows::rows_parameter;
use super::rows::workspace_id;
use super::settle::OPERATION;
use super::show::versions_of;
use crate::domain::recording::History;
use crate::domain::recording::MOST_METADATA_VERSIONS;
use crate::domain::report::EarlierSidecar;
use crate::domain::report::StoredObject;

/// A sidecar that holds older metadata than the catalog, or of which that is not known, and what it should hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaleSidecar {
    /// The body beside it, as the row says.
    pub object: StoredObject,
    /// The object as received, without links.
    pub metadata: String,
    /// What is known besides, its versions included.
    pub history: History,
    seq: i64,
    revision: i64,
}

/// Takes over what a sidecar knew that was there before: an earlier first sight, and metadata that is not the row's.
pub(super) async fn import(
    connection: &mut SqliteConnection,
    seq: i64,
    earlier: &EarlierSidecar,
    now: i64,
) -> Result<(), CatalogError> {
    if let Some(history) = &earlier.history {
        let first_seen_at = history.first_seen_at.as_microseconds();
        sqlx::query!(
            "-- catalog.seen_earlier
            UPDATE recordings SET first_seen_at = ?2 WHERE seq = ?1 AND first_seen_at > ?2",
            seq,
            first_seen_at
        )
        .execute(&mut *connection)
        .await
        .map_err(CatalogError::sql(OPERATION))?;
        for version in &history.versions {
            keep_version(
                connection,
                seq,
                version.superseded_at.as_microseconds(),
                &version.metadata,
            )
            .await?;
        }
    }
    keep_version(connection, seq, now, &earlier.metadata).await
}

/// Keeps metadata that is neither the row's nor that of a version.
async fn keep_version(
    connection: &mut SqliteConnection,
    seq: i64,
    superseded_at: i64,
    metadata: &str,
) -> Result<(), CatalogError> {
    sqlx::query!(
        "-- catalog.import_version
        INSERT INTO metadata_versions (seq, superseded_at, metadata)
        SELECT ?1, ?2, ?3
        WHERE NOT EXISTS (SELECT 1 FROM recordings WHERE seq = ?1 AND metadata = ?3)
            AND NOT EXISTS (SELECT 1 FROM metadata_versions WHERE seq = ?1 AND metadata = ?3)
            AND (SELECT count(*) FROM metadata_versions WHERE seq = ?1) < ?4",
        seq,
        superseded_at,
        metadata,
        MOST_METADATA_VERSIONS
    )
    .execute(connection)
    .await
    .map_err(CatalogError::sql(OPERATION))?;
    Ok(())
}

impl CatalogReader {
    /// Up to `limit` archived recordings whose sidecars should be written again, going on after a row where one is
    /// given. Most of the time there are none.
    ///
    /// # Errors
    /// What SQLite says, or a damaged row.
    pub async fn stale_sidecars(
        &self,
        after: Option<&StaleSidecar>,
        limit: u32,
    ) -> Result<Vec<StaleSidecar>, CatalogError> {
        const OPERATION: &str = "look for sidecars that are out of date";
        let (after, limit) = (after.map_or(0, |stale| stale.seq), i64::from(limit));
        let mut tx = self.pool().begin().await.map_err(CatalogError::sql(OPERATION))?;
        let seqs: Vec<i64> = sqlx::query_scalar!(
            r#"-- catalog.stale_sidecars
            SELECT seq AS "seq!: i64" FROM recordings INDEXED BY recordings_stale_sidecar
            WHERE state = 'archived' AND sidecar_revision IS NOT revision AND seq > ?1
            ORDER BY seq LIMIT ?2"#,
            after,
            limit
        )
        .fetch_all(&mut *tx)
        .await
        .map_err(CatalogError::sql(OPERATION))?;
        let mut stale = sidecar_rows(&mut tx, &rows_parameter(&seqs), OPERATION).await?;
        for sidecar in &mut stale {
            sidecar.history.versions = versions_of(&mut tx, sidecar.seq).await?;
        }
        Ok(stale)
    }
}

async fn sidecar_rows(
    connection: &mut SqliteConnection,
    seqs: &str,
    operation: &'static str,
) -> Result<Vec<StaleSidecar>, CatalogError> {
    let rows = sqlx::query!(
        r#"-- catalog.sidecar_rows
        SELECT r.seq AS "seq!: i64", w.workspace AS "workspace!: i64", w.id AS "workspace_id!: String",
            r.created_at AS "created_at!: i64", r.first_seen_at AS "first_seen_at!: i64", r.attempts AS "attempts!: i64",
            r.metadata AS "metadata!: String", r.revision AS "revision!: i64", r.path AS "path!: String",
            r.size_bytes AS "size_bytes!: i64", r.sha256 AS "sha256!: Vec<u8>", r.archived_at AS "archived_at!: i64",
            r.content_type AS "content_type?: String", r.etag AS "etag?: String", r.remark AS "remark?: String"
        FROM json_each(?1) AS wanted
        CROSS JOIN recordings AS r ON r.seq = wanted.value
        CROSS JOIN workspaces AS w ON w.workspace = r.workspace"#,
        seqs
    )
    .fetch_all(connection)
    .await
    .map_err(CatalogError::sql(operation))?;
    rows.into_iter()
        .map(|row| {
            let columns = Columns::of_recording(row.seq);
            Ok(StaleSidecar {
                object: StoredObject {
                    key: columns.key("path", &row.path)?,
                    size_bytes: columns.count("size_bytes", row.size_bytes)?,
                    sha256: columns.sha256("sha256", &row.sha256)?,
                    content_type: row.content_type,
                    etag: row.etag,
                    archived_at: columns.time("archived_at", row.archived_at)?,
                    remark: row.remark,
                    earlier: None,
                },
                history: History {
                    workspace_id: workspace_id(row.workspace, &row.workspace_id)?,
                    created_at: columns.time("created_at", row.created_at)?,
                    first_seen_at: columns.time("first_seen_at", row.first_seen_at)?,
                    attempts: columns.attempts(row.attempts)?,
                    versions: Vec::new(),
                },
                metadata: row.metadata,
                seq: row.seq,
                revision: row.revision,
            })
        })
        .collect()
}

impl Catalog {
    /// Notes that these sidecars hold what they were given. One whose recording has changed since stays out of date.
    ///
    /// # Errors
    /// What SQLite says. Then none is noted.
    pub async fn note_sidecars(&self, written: &[StaleSidecar]) -> Result<(), CatalogError> {
        const OPERATION: &str = "note that sidecars were written";
        let rows: Vec<_> = written.iter().map(|sidecar| (sidecar.seq, sidecar.revision)).collect();
        let rows = rows_parameter(&rows);
        let mut tx = self.begin(OPERATION).await?;
        sqlx::query!(
            "-- catalog.note_sidecars
            UPDATE recordings NOT INDEXED SET sidecar_revision = written.value ->> 1
            FROM json_each(?1) AS written
            WHERE recordings.seq = written.value ->> 0 AND recordings.state = 'archived'",
            rows
        )
        .execute(&mut *tx)
        .await
        .map_err(CatalogError::sql(OPERATION))?;
        commit(tx, OPERATION).await
    }
}
