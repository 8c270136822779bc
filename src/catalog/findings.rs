//! Which findings are new since an earlier look.
//!
//! Must not know: how files are read, who is told.

use super::error::CatalogError;
use super::read::CatalogReader;
use super::rows::Columns;
use crate::domain::clock::Timestamp;
use crate::domain::ids::RecordingId;

const OPERATION: &str = "look for new findings";

/// Findings, and those of them that are new since a time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewFindings {
    /// All recordings with a finding.
    pub all: u64,
    /// Those that were found since.
    pub new: u64,
    /// When the last one was found.
    pub newest_at: Option<Timestamp>,
    /// Some of the new ones.
    pub recordings: Vec<RecordingId>,
}

impl CatalogReader {
    /// What was found after this time, at any time where there is none; `limit` of them by their ids.
    ///
    /// # Errors
    /// What SQLite says, or a damaged row.
    pub async fn findings_after(&self, after: Option<Timestamp>, limit: u32) -> Result<NewFindings, CatalogError> {
        let after = after.map_or(i64::MIN, Timestamp::as_microseconds);
        let mut tx = self.pool().begin().await.map_err(CatalogError::sql(OPERATION))?;
        let counted = sqlx::query!(
            r#"-- catalog.count_findings_after
            SELECT count(*) AS "all!: i64", coalesce(sum(first_found_at > ?1), 0) AS "new!: i64",
                max(first_found_at) AS "newest_at?: i64"
            FROM findings AS f"#,
            after
        )
        .fetch_one(&mut *tx)
        .await
        .map_err(CatalogError::sql(OPERATION))?;
        let columns = Columns {
            table: "findings",
            row: 0,
        };
        let mut found = NewFindings {
            all: columns.count("seq", counted.all)?,
            new: columns.count("seq", counted.new)?,
            newest_at: columns.optional_time("first_found_at", counted.newest_at)?,
            recordings: Vec::new(),
        };
        if found.new > 0 {
            let rows = sqlx::query!(
                r#"-- catalog.findings_after
                SELECT r.seq AS "seq!: i64", r.id AS "id!: Vec<u8>"
                FROM findings AS f CROSS JOIN recordings AS r ON r.seq = f.seq
                WHERE f.first_found_at > ?1 LIMIT ?2"#,
                after,
                limit
            )
            .fetch_all(&mut *tx)
            .await
            .map_err(CatalogError::sql(OPERATION))?;
            let ids = rows
                .into_iter()
                .map(|row| Columns::of_recording(row.seq).id("id", &row.id));
            found.recordings = ids.collect::<Result<_, _>>()?;
        }
        Ok(found)
    }
}
