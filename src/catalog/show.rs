//! One recording, all that is known.
//!
//! Must not know: how it is shown.

use sqlx::SqliteConnection;

use super::error::CatalogError;
use super::list::ListedRow;
use super::list::RecordingRow;
use super::read::CatalogReader;
use super::rows::Columns;
use crate::domain::clock::Timestamp;
use crate::domain::finding::Finding;
use crate::domain::ids::RecordingId;
use crate::domain::recording::MetadataVersion;

const OPERATION: &str = "show a recording";

/// One recording, all that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordingDetail {
    /// What a list shows too.
    pub row: RecordingRow,
    /// Upstream's format, verbatim.
    pub format: String,
    /// The object as received, without links.
    pub metadata: String,
    /// When it was first listed.
    pub first_seen_at: Timestamp,
    /// When it was last listed, exact to how often an unchanged row is touched.
    pub last_seen_at: Timestamp,
    /// Left alone until then, where it is told to wait.
    pub not_before: Option<Timestamp>,
    /// The media host's `Content-Type`, where it is archived.
    pub content_type: Option<String>,
    /// The media host's `ETag`, where it is archived.
    pub etag: Option<String>,
    /// Something an operator may want to look at.
    pub remark: Option<String>,
    /// When its body was last re-read.
    pub verified_at: Option<Timestamp>,
    /// What re-reading found wrong, where it was not found good since.
    pub finding: Option<Finding>,
    /// Metadata as it was before upstream changed it after archiving, oldest first.
    pub metadata_versions: Vec<MetadataVersion>,
}

impl CatalogReader {
    /// The recordings with this id: none, one, or one in each of several workspaces.
    ///
    /// # Errors
    /// What SQLite says, or a damaged row.
    pub async fn show(&self, id: &RecordingId) -> Result<Vec<RecordingDetail>, CatalogError> {
        let mut tx = self.pool().begin().await.map_err(CatalogError::sql(OPERATION))?;
        let mut details = Vec::new();
        for detail in details_of(&mut tx, id).await? {
            let metadata_versions = versions_of(&mut tx, detail.row.seq()).await?;
            details.push(RecordingDetail {
                metadata_versions,
                ..detail
            });
        }
        Ok(details)
    }
}

async fn details_of(connection: &mut SqliteConnection, id: &RecordingId) -> Result<Vec<RecordingDetail>, CatalogError> {
    let id = id.as_bytes().as_slice();
    let rows = sqlx::query!(
        r#"-- catalog.show
        SELECT r.seq AS "seq!: i64", w.name AS "workspace!: String", r.id AS "id!: Vec<u8>", r.state AS "state!: String",
            r.status AS "status!: String", r.created_at AS "created_at!: i64", r.direction AS "direction?: String",
            r.caller AS "caller?: String", r.callee AS "callee?: String", r.duration_seconds AS "duration_seconds?: i64",
            r.format AS "format!: String", r.metadata AS "metadata!: String", r.first_seen_at AS "first_seen_at!: i64",
            r.last_seen_at AS "last_seen_at!: i64", r.attempts AS "attempts!: i64", r.not_before AS "not_before!: i64",
            r.last_error AS "last_error?: String", r.path AS "path?: String", r.size_bytes AS "size_bytes?: i64",
            r.sha256 AS "sha256?: Vec<u8>", r.content_type AS "content_type?: String", r.etag AS "etag?: String",
            r.archived_at AS "archived_at?: i64", r.remark AS "remark?: String", r.verified_at AS "verified_at?: i64",
            f.kind AS "finding?: String", f.detail AS "detail?: String"
        FROM workspaces AS w CROSS JOIN recordings AS r ON r.workspace = w.workspace AND r.id = ?1
        LEFT JOIN findings AS f ON f.seq = r.seq
        ORDER BY w.name"#,
        id
    )
    .fetch_all(connection)
    .await
    .map_err(CatalogError::sql(OPERATION))?;
    rows.into_iter()
        .map(|row| {
            let columns = Columns::of_recording(row.seq);
            let waits = (row.not_before > 0).then_some(row.not_before);
            let listed = ListedRow {
                seq: row.seq,
                workspace: row.workspace,
                id: row.id,
                state: row.state,
                status: row.status,
                created_at: row.created_at,
                direction: row.direction,
                caller: row.caller,
                callee: row.callee,
                duration_seconds: row.duration_seconds,
                path: row.path,
                size_bytes: row.size_bytes,
                sha256: row.sha256,
                archived_at: row.archived_at,
                attempts: row.attempts,
                last_error: row.last_error,
            };
            Ok(RecordingDetail {
                row: listed.into_row()?,
                format: row.format,
                metadata: row.metadata,
                first_seen_at: columns.time("first_seen_at", row.first_seen_at)?,
                last_seen_at: columns.time("last_seen_at", row.last_seen_at)?,
                not_before: columns.optional_time("not_before", waits)?,
                content_type: row.content_type,
                etag: row.etag,
                remark: row.remark,
                verified_at: columns.optional_time("verified_at", row.verified_at.filter(|at| *at > 0))?,
                finding: match (row.finding, row.detail) {
                    (Some(kind), Some(detail)) => Some(Finding::new(columns.finding("kind", &kind)?, detail)),
                    _ => None,
                },
                metadata_versions: Vec::new(),
            })
        })
        .collect()
}

pub(super) async fn versions_of(
    connection: &mut SqliteConnection,
    seq: i64,
) -> Result<Vec<MetadataVersion>, CatalogError> {
    let rows = sqlx::query!(
        "-- catalog.metadata_versions
        SELECT version, superseded_at, metadata FROM metadata_versions WHERE seq = ?1 ORDER BY superseded_at, version",
        seq
    )
    .fetch_all(connection)
    .await
    .map_err(CatalogError::sql(OPERATION))?;
    rows.into_iter()
        .map(|row| {
            let columns = Columns {
                table: "metadata_versions",
                row: row.version,
            };
            Ok(MetadataVersion {
                superseded_at: columns.time("superseded_at", row.superseded_at)?,
                metadata: row.metadata,
            })
        })
        .collect()
}
