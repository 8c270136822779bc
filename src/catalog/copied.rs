//! A catalog that is a restored copy: when it was copied, what it says is archived, and the end of being a copy.
//!
//! Must not know: how files are looked at.

use super::error::CatalogError;
use super::found::note_finding;
use super::open::Catalog;
use super::open::commit;
use super::read::CatalogReader;
use super::rows::Columns;
use super::rows::hex;
use crate::domain::clock::Timestamp;
use crate::domain::digest::Sha256Digest;
use crate::domain::finding::Finding;
use crate::domain::ids::RecordingRef;
use crate::domain::key::StoreKey;

const OPERATION: &str = "be reconciled with the archive";

/// What a row says of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchivedBody {
    /// Where it lies.
    pub key: StoreKey,
    /// Its length in bytes.
    pub size_bytes: u64,
    /// Its SHA-256.
    pub sha256: Sha256Digest,
    seq: i64,
}

impl CatalogReader {
    /// When this catalog was copied by a backup; `None` where it is no copy, or has been reconciled since.
    ///
    /// # Errors
    /// What SQLite says, or a damaged row.
    pub async fn copied_at(&self) -> Result<Option<Timestamp>, CatalogError> {
        let copied_at = sqlx::query_scalar!(
            r#"-- catalog.copied_at
            SELECT copied_at AS "copied_at?: i64" FROM archive"#
        )
        .fetch_one(self.pool())
        .await
        .map_err(CatalogError::sql(OPERATION))?;
        let columns = Columns {
            table: "archive",
            row: 1,
        };
        columns.optional_time("copied_at", copied_at)
    }

    /// What a recording's row says of its body; `None` where there is no such row or it is not archived.
    ///
    /// # Errors
    /// What SQLite says, or a damaged row.
    pub async fn archived_body(&self, recording: &RecordingRef) -> Result<Option<ArchivedBody>, CatalogError> {
        let (workspace, id) = (recording.workspace.as_str(), hex(&recording.id));
        let row = sqlx::query!(
            r#"-- catalog.archived_body
            SELECT r.seq AS "seq!: i64", r.path AS "path!: String", r.size_bytes AS "size_bytes!: i64",
                r.sha256 AS "sha256!: Vec<u8>"
            FROM workspaces AS w CROSS JOIN recordings AS r ON r.workspace = w.workspace AND r.id = unhex(?2)
            WHERE w.name = ?1 AND r.state = 'archived'"#,
            workspace,
            id
        )
        .fetch_optional(self.pool())
        .await
        .map_err(CatalogError::sql(OPERATION))?;
        row.map(|row| body(row.seq, &row.path, row.size_bytes, &row.sha256))
            .transpose()
    }

    /// Up to `limit` archived bodies, going on after one where it is given.
    ///
    /// # Errors
    /// What SQLite says, or a damaged row.
    pub async fn archived_bodies(
        &self,
        after: Option<&ArchivedBody>,
        limit: u32,
    ) -> Result<Vec<ArchivedBody>, CatalogError> {
        let (after, limit) = (after.map_or(0, |body| body.seq), i64::from(limit));
        let rows = sqlx::query!(
            r#"-- catalog.archived_bodies
            SELECT seq AS "seq!: i64", path AS "path!: String", size_bytes AS "size_bytes!: i64",
                sha256 AS "sha256!: Vec<u8>"
            FROM recordings NOT INDEXED WHERE seq > ?1 AND state = 'archived' ORDER BY seq LIMIT ?2"#,
            after,
            limit
        )
        .fetch_all(self.pool())
        .await
        .map_err(CatalogError::sql(OPERATION))?;
        rows.into_iter()
            .map(|row| body(row.seq, &row.path, row.size_bytes, &row.sha256))
            .collect()
    }
}

fn body(seq: i64, path: &str, size_bytes: i64, sha256: &[u8]) -> Result<ArchivedBody, CatalogError> {
    let columns = Columns::of_recording(seq);
    Ok(ArchivedBody {
        key: columns.key("path", path)?,
        size_bytes: columns.count("size_bytes", size_bytes)?,
        sha256: columns.sha256("sha256", sha256)?,
        seq,
    })
}

impl Catalog {
    /// Notes what is wrong with archived bodies. With `reconciled`, the catalog is no copy any more from then on.
    ///
    /// # Errors
    /// What SQLite says. Then nothing is noted.
    pub async fn note_unsound(&self, found: &[(ArchivedBody, Finding)], reconciled: bool) -> Result<(), CatalogError> {
        let now = self.clock.now().as_microseconds();
        let mut tx = self.begin(OPERATION).await?;
        for (body, finding) in found {
            note_finding(&mut tx, body.seq, finding, now).await?;
        }
        if reconciled {
            sqlx::query!(
                "-- catalog.end_being_a_copy
                UPDATE archive SET copied_at = NULL"
            )
            .execute(&mut *tx)
            .await
            .map_err(CatalogError::sql(OPERATION))?;
        }
        commit(tx, OPERATION).await
    }
}
