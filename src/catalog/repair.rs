//! Repairs: entered before anything is moved on the disk, and ended after.
//!
//! Must not know: how files are moved.

use super::error::CatalogError;
use super::open::Catalog;
use super::open::commit;
use super::read::CatalogReader;
use super::rows::Columns;
use super::rows::workspace_name;
use super::to_verify::StoredRow;
use crate::domain::clock::Timestamp;
use crate::domain::digest::Sha256Digest;
use crate::domain::finding::Finding;
use crate::domain::finding::FindingKind;
use crate::domain::ids::RecordingId;
use crate::domain::ids::WorkspaceName;
use crate::domain::key::StoreKey;
use crate::domain::state::Event;
use crate::domain::state::State;
use crate::domain::state::after;

const OPERATION: &str = "enter a repair";

/// A repair that was begun. Ends in [`Catalog::finish_repair`] or [`Catalog::abandon_repair`].
#[derive(Debug, Clone)]
#[must_use = "a repair that was begun must be ended"]
#[expect(clippy::struct_field_names, reason = "the key is named as its column is")]
pub struct Repair {
    /// Where the body lay.
    pub key: StoreKey,
    /// What was found.
    pub kind: FindingKind,
    /// The folder that what stood there is kept in, relative to the archive.
    pub kept_path: String,
    repair: i64,
    seq: i64,
}

/// A repair that was made, as an operator sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepairEntry {
    /// When it began.
    pub begun_at: Timestamp,
    /// When it ended; `None` where a crash came first.
    pub finished_at: Option<Timestamp>,
    /// What was found.
    pub finding: Finding,
    /// Where the body lay, relative to the archive.
    pub path: String,
    /// What the row said of it.
    pub size_bytes: u64,
    /// What the row said of it.
    pub sha256: Sha256Digest,
    /// The folder that what stood there is kept in, relative to the archive.
    pub kept_path: String,
}

impl Catalog {
    /// Enters that this recording is about to be repaired: nothing is moved that was not written down first.
    ///
    /// # Errors
    /// What SQLite says. Then nothing may be moved.
    pub async fn begin_repair(
        &self,
        row: &StoredRow,
        finding: &Finding,
        kept_path: &str,
    ) -> Result<Repair, CatalogError> {
        let now = self.clock.now().as_microseconds();
        let (kind, detail, path) = (finding.kind.as_str(), finding.detail.as_str(), row.key.to_string());
        let mut tx = self.begin(OPERATION).await?;
        let done = sqlx::query!(
            "-- catalog.begin_repair
            INSERT INTO repairs (seq, begun_at, kind, detail, path, size_bytes, sha256, kept_path)
            SELECT seq, ?2, ?3, ?4, ?5, size_bytes, sha256, ?6 FROM recordings WHERE seq = ?1 AND state = 'archived'",
            row.seq,
            now,
            kind,
            detail,
            path,
            kept_path
        )
        .execute(&mut *tx)
        .await
        .map_err(CatalogError::sql(OPERATION))?;
        if done.rows_affected() != 1 {
            return Err(CatalogError::Sql {
                operation: OPERATION,
                source: sqlx::Error::RowNotFound,
            });
        }
        commit(tx, OPERATION).await?;
        Ok(Repair {
            key: row.key.clone(),
            kind: finding.kind,
            kept_path: kept_path.to_owned(),
            repair: done.last_insert_rowid(),
            seq: row.seq,
        })
    }

    /// Ends a repair whose files were moved: the recording is due, or where only its sidecar was wrong, that is to be
    /// written anew.
    ///
    /// # Errors
    /// What SQLite says. Then the repair is ended at the next start.
    pub async fn finish_repair(&self, repair: &Repair) -> Result<(), CatalogError> {
        let now = self.clock.now().as_microseconds();
        let mut tx = self.begin(OPERATION).await?;
        match (repair.kind, after(Some(State::Archived), Event::LostLocally)) {
            (FindingKind::Sidecar, _) => sqlx::query!(
                "-- catalog.sidecar_lost
                UPDATE recordings SET sidecar_revision = NULL WHERE seq = ?1",
                repair.seq
            )
            .execute(&mut *tx),
            (_, Some(due)) => {
                let due = due.as_str();
                sqlx::query!(
                    "-- catalog.lost_locally
                    UPDATE recordings
                    SET state = ?2, attempts = 0, not_before = 0, path = NULL, size_bytes = NULL, sha256 = NULL,
                        content_type = NULL, etag = NULL, archived_at = NULL, remark = NULL, verified_at = NULL,
                        sidecar_revision = NULL, last_error = 'its file was ' || (SELECT kind FROM repairs WHERE repair = ?3)
                    WHERE seq = ?1 AND state = 'archived'",
                    repair.seq,
                    due,
                    repair.repair
                )
                .execute(&mut *tx)
            }
            (_, None) => return Ok(()),
        }
        .await
        .map_err(CatalogError::sql(OPERATION))?;
        sqlx::query!(
            "-- catalog.drop_finding
            DELETE FROM findings WHERE seq = ?1",
            repair.seq
        )
        .execute(&mut *tx)
        .await
        .map_err(CatalogError::sql(OPERATION))?;
        sqlx::query!(
            "-- catalog.finish_repair
            UPDATE repairs SET finished_at = ?2 WHERE repair = ?1",
            repair.repair,
            now
        )
        .execute(&mut *tx)
        .await
        .map_err(CatalogError::sql(OPERATION))?;
        commit(tx, OPERATION).await
    }

    /// Takes back the entry of a repair that moved nothing.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn abandon_repair(&self, repair: &Repair) -> Result<(), CatalogError> {
        let mut tx = self.begin(OPERATION).await?;
        sqlx::query!(
            "-- catalog.abandon_repair
            DELETE FROM repairs WHERE repair = ?1 AND finished_at IS NULL",
            repair.repair
        )
        .execute(&mut *tx)
        .await
        .map_err(CatalogError::sql(OPERATION))?;
        commit(tx, OPERATION).await
    }
}

impl CatalogReader {
    /// Repairs that were begun and not ended, as a crash leaves them.
    ///
    /// # Errors
    /// What SQLite says, or a damaged row.
    pub async fn unfinished_repairs(&self) -> Result<Vec<Repair>, CatalogError> {
        let rows = sqlx::query!(
            r#"-- catalog.unfinished_repairs
            SELECT repair AS "repair!: i64", seq AS "seq!: i64", kind AS "kind!: String", path AS "path!: String",
                kept_path AS "kept_path!: String"
            FROM repairs INDEXED BY repairs_unfinished WHERE finished_at IS NULL ORDER BY seq"#
        )
        .fetch_all(self.pool())
        .await
        .map_err(CatalogError::sql("read repairs"))?;
        rows.into_iter()
            .map(|row| {
                let columns = Columns {
                    table: "repairs",
                    row: row.repair,
                };
                Ok(Repair {
                    key: columns.key("path", &row.path)?,
                    kind: columns.finding("kind", &row.kind)?,
                    kept_path: row.kept_path,
                    repair: row.repair,
                    seq: row.seq,
                })
            })
            .collect()
    }

    /// The repairs of the recordings with this id, oldest first.
    ///
    /// # Errors
    /// What SQLite says, or a damaged row.
    pub async fn repairs_of(&self, id: &RecordingId) -> Result<Vec<(WorkspaceName, RepairEntry)>, CatalogError> {
        let id = id.as_bytes().as_slice();
        let rows = sqlx::query!(
            r#"-- catalog.repairs_of
            SELECT p.repair AS "repair!: i64", p.begun_at AS "begun_at!: i64", p.finished_at AS "finished_at?: i64",
                w.name AS "workspace!: String", p.kind AS "kind!: String", p.detail AS "detail!: String", p.path AS "path!: String",
                p.size_bytes AS "size_bytes!: i64", p.sha256 AS "sha256!: Vec<u8>", p.kept_path AS "kept_path!: String"
            FROM workspaces AS w
            CROSS JOIN recordings AS r ON r.workspace = w.workspace AND r.id = ?1
            CROSS JOIN repairs AS p ON p.seq = r.seq"#,
            id
        )
        .fetch_all(self.pool())
        .await
        .map_err(CatalogError::sql("read repairs"))?;
        rows.into_iter()
            .map(|row| {
                let columns = Columns {
                    table: "repairs",
                    row: row.repair,
                };
                let entry = RepairEntry {
                    begun_at: columns.time("begun_at", row.begun_at)?,
                    finished_at: columns.optional_time("finished_at", row.finished_at)?,
                    finding: Finding::new(columns.finding("kind", &row.kind)?, row.detail),
                    path: row.path,
                    size_bytes: columns.count("size_bytes", row.size_bytes)?,
                    sha256: columns.sha256("sha256", &row.sha256)?,
                    kept_path: row.kept_path,
                };
                Ok((workspace_name(row.repair, &row.workspace)?, entry))
            })
            .collect()
    }
}
