//! What was re-read of what is archived, what was found, and how it all stands.
//!
//! Must not know: how files are read.

use std::collections::BTreeMap;
use std::collections::HashMap;

use super::error::CatalogError;
use super::open::Catalog;
use super::open::commit;
use super::read::CatalogReader;
use super::rows::Columns;
use super::rows::count_column;
use super::rows::ids_parameter;
use super::rows::rows_parameter;
use super::to_verify::StoredRow;
use crate::domain::clock::Timestamp;
use crate::domain::finding::FINDING_KINDS;
use crate::domain::finding::Finding;
use crate::domain::finding::FindingKind;
use crate::domain::ids::RecordingId;
use crate::domain::ids::WorkspaceName;
use crate::domain::state::State;

const NOTE: &str = "note what was re-read";

/// What re-reading a recording brought; `None`: it is as it should be.
pub type Reading = (StoredRow, Option<Finding>);

/// One time that bodies were re-read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verification {
    /// What was to be re-read: `all`, `found`, `ids`, or a part such as `1/30`.
    pub scope: String,
    /// Whether the daemon did it by itself.
    pub by_daemon: bool,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended; `None` where it was cut short or still goes on.
    pub finished_at: Option<Timestamp>,
    /// Recordings re-read.
    pub checked: u64,
    /// Recordings with a finding.
    pub unsound: u64,
    /// Files that no row names; `None` where they were not looked for.
    pub unknown_files: Option<u64>,
}

/// How sound the archive is known to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Soundness {
    /// The last time that bodies were re-read.
    pub last: Option<Verification>,
    /// Recordings with a finding, by its kind; every kind is there.
    pub findings: BTreeMap<FindingKind, u64>,
    /// Since when every body was re-read, or archived.
    pub all_read_since: Option<Timestamp>,
}

/// The key of a verification under way.
#[derive(Debug, Clone, Copy)]
pub struct VerificationKey(i64);

impl CatalogReader {
    /// Where each of these recordings lies, and in which state it is; those that are not known are not there.
    ///
    /// # Errors
    /// What SQLite says, or a damaged row.
    pub async fn places_of(
        &self,
        workspace: &WorkspaceName,
        ids: &[RecordingId],
    ) -> Result<HashMap<RecordingId, (State, Option<String>)>, CatalogError> {
        let (ids, name) = (ids_parameter(ids), workspace.as_str());
        let rows = sqlx::query!(
            r#"-- catalog.places_of
            SELECT r.seq AS "seq!: i64", r.id AS "id!: Vec<u8>", r.state AS "state!: String", r.path AS "path?: String"
            FROM json_each(?1) AS wanted
            CROSS JOIN recordings AS r
                ON r.workspace = (SELECT workspace FROM workspaces WHERE name = ?2) AND r.id = unhex(wanted.value)"#,
            ids,
            name
        )
        .fetch_all(self.pool())
        .await
        .map_err(CatalogError::sql("look for who names a file"))?;
        rows.into_iter()
            .map(|row| {
                let columns = Columns::of_recording(row.seq);
                let place = (columns.state("state", &row.state)?, row.path);
                Ok((columns.id("id", &row.id)?, place))
            })
            .collect()
    }

    /// When a verification of this scope last began that the daemon made.
    ///
    /// # Errors
    /// What SQLite says, or a damaged row.
    pub async fn last_by_daemon(&self) -> Result<Option<Verification>, CatalogError> {
        let last = sqlx::query_as!(
            VerificationRow,
            "-- catalog.last_by_daemon
            SELECT verification, scope, by_daemon, started_at, finished_at, checked, unsound, unknown_files
            FROM verifications WHERE by_daemon = 1 ORDER BY verification DESC LIMIT 1"
        )
        .fetch_optional(self.pool())
        .await
        .map_err(CatalogError::sql("read what was verified"))?;
        last.map(VerificationRow::into_verification).transpose()
    }

    /// How sound the archive is known to be, all at one moment.
    ///
    /// # Errors
    /// What SQLite says, or a damaged row.
    pub async fn soundness(&self) -> Result<Soundness, CatalogError> {
        const OPERATION: &str = "read what was verified";
        let mut tx = self.pool().begin().await.map_err(CatalogError::sql(OPERATION))?;
        let last = sqlx::query_as!(
            VerificationRow,
            "-- catalog.last_verification
            SELECT verification, scope, by_daemon, started_at, finished_at, checked, unsound, unknown_files
            FROM verifications ORDER BY verification DESC LIMIT 1"
        )
        .fetch_optional(&mut *tx)
        .await
        .map_err(CatalogError::sql(OPERATION))?;
        let counted = sqlx::query!(
            r#"-- catalog.count_findings
            SELECT kind AS "kind!: String", count(*) AS "count!: i64" FROM findings AS f GROUP BY kind"#
        )
        .fetch_all(&mut *tx)
        .await
        .map_err(CatalogError::sql(OPERATION))?;
        let since = sqlx::query_scalar!(
            r#"-- catalog.all_read_since
            SELECT coalesce(verified_at, archived_at) AS "at?: i64" FROM recordings INDEXED BY recordings_to_verify
            WHERE state = 'archived' ORDER BY coalesce(verified_at, archived_at) LIMIT 1"#
        )
        .fetch_optional(&mut *tx)
        .await
        .map_err(CatalogError::sql(OPERATION))?;
        let mut findings: BTreeMap<FindingKind, u64> = FINDING_KINDS.into_iter().map(|kind| (kind, 0)).collect();
        let columns = Columns {
            table: "findings",
            row: 0,
        };
        for row in counted {
            findings.insert(columns.finding("kind", &row.kind)?, columns.count("kind", row.count)?);
        }
        Ok(Soundness {
            last: last.map(VerificationRow::into_verification).transpose()?,
            findings,
            all_read_since: Columns::of_recording(0)
                .optional_time("verified_at", since.flatten().filter(|since| *since > 0))?,
        })
    }
}

impl Catalog {
    /// Enters a verification that begins now.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn begin_verification(&self, scope: &str, by_daemon: bool) -> Result<VerificationKey, CatalogError> {
        let now = self.clock.now().as_microseconds();
        let mut tx = self.begin(NOTE).await?;
        let done = sqlx::query!(
            "-- catalog.begin_verification
            INSERT INTO verifications (scope, by_daemon, started_at) VALUES (?1, ?2, ?3)",
            scope,
            by_daemon,
            now
        )
        .execute(&mut *tx)
        .await
        .map_err(CatalogError::sql(NOTE))?;
        commit(tx, NOTE).await?;
        Ok(VerificationKey(done.last_insert_rowid()))
    }

    /// Notes what re-reading these recordings brought, one row each. What is no longer archived, or archived anew, since it
    /// was chosen is left alone.
    ///
    /// # Errors
    /// What SQLite says. Then nothing is noted.
    pub async fn note_readings(
        &self,
        VerificationKey(verification): VerificationKey,
        readings: &[Reading],
    ) -> Result<(), CatalogError> {
        let rows: Vec<_> = readings
            .iter()
            .map(|(row, finding)| {
                let (kind, detail) = match finding {
                    Some(finding) => (Some(finding.kind.as_str()), Some(finding.detail.as_str())),
                    None => (None, None),
                };
                (row.seq, row.sha256.to_string(), kind, detail)
            })
            .collect();
        let (rows, now) = (rows_parameter(&rows), self.clock.now().as_microseconds());
        let unsound = readings.iter().filter(|(_, finding)| finding.is_some()).count();
        let (checked, unsound) = (count_column(readings.len() as u64), count_column(unsound as u64));
        let bytes = count_column(readings.iter().map(|(row, _)| row.size_bytes).sum());
        let mut tx = self.begin(NOTE).await?;
        sqlx::query!(
            "-- catalog.note_verified
            UPDATE recordings NOT INDEXED SET verified_at = ?2
            FROM json_each(?1) AS wanted
            WHERE recordings.seq = wanted.value ->> 0 AND recordings.state = 'archived'
                AND recordings.sha256 = unhex(wanted.value ->> 1)",
            rows,
            now
        )
        .execute(&mut *tx)
        .await
        .map_err(CatalogError::sql(NOTE))?;
        sqlx::query!(
            "-- catalog.drop_findings
            DELETE FROM findings
            WHERE seq IN (SELECT wanted.value ->> 0 FROM json_each(?1) AS wanted WHERE wanted.value ->> 2 IS NULL)",
            rows
        )
        .execute(&mut *tx)
        .await
        .map_err(CatalogError::sql(NOTE))?;
        sqlx::query!(
            "-- catalog.note_findings
            INSERT INTO findings (seq, kind, detail, first_found_at, last_found_at)
            SELECT r.seq, wanted.value ->> 2, wanted.value ->> 3, ?2, ?2
            FROM json_each(?1) AS wanted
            CROSS JOIN recordings AS r ON r.seq = wanted.value ->> 0
            WHERE wanted.value ->> 2 IS NOT NULL AND r.state = 'archived' AND r.sha256 = unhex(wanted.value ->> 1)
            ON CONFLICT (seq) DO UPDATE
            SET first_found_at = CASE WHEN kind = excluded.kind THEN first_found_at ELSE excluded.first_found_at END,
                kind = excluded.kind, detail = excluded.detail, last_found_at = excluded.last_found_at",
            rows,
            now
        )
        .execute(&mut *tx)
        .await
        .map_err(CatalogError::sql(NOTE))?;
        sqlx::query!(
            "-- catalog.count_verified
            UPDATE verifications SET checked = checked + ?2, bytes = bytes + ?3, unsound = unsound + ?4
            WHERE verification = ?1",
            verification,
            checked,
            bytes,
            unsound
        )
        .execute(&mut *tx)
        .await
        .map_err(CatalogError::sql(NOTE))?;
        commit(tx, NOTE).await
    }

    /// Makes those the first to be re-read that claim to have been read or archived after `now`: a clock that was wrong said
    /// so, and they would be left out until it is right. Returns how many.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn heal_readings(&self, now: Timestamp) -> Result<u64, CatalogError> {
        let now = now.as_microseconds();
        let mut tx = self.begin(NOTE).await?;
        let done = sqlx::query!(
            "-- catalog.heal_readings
            UPDATE recordings INDEXED BY recordings_to_verify SET verified_at = 0
            WHERE state = 'archived' AND coalesce(verified_at, archived_at) > ?1",
            now
        )
        .execute(&mut *tx)
        .await
        .map_err(CatalogError::sql(NOTE))?;
        commit(tx, NOTE).await?;
        Ok(done.rows_affected())
    }

    /// Notes that a verification came to its end.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn finish_verification(
        &self,
        VerificationKey(verification): VerificationKey,
        unknown_files: Option<u64>,
    ) -> Result<(), CatalogError> {
        let (now, unknown_files) = (self.clock.now().as_microseconds(), unknown_files.map(count_column));
        let mut tx = self.begin(NOTE).await?;
        sqlx::query!(
            "-- catalog.finish_verification
            UPDATE verifications SET finished_at = ?2, unknown_files = ?3 WHERE verification = ?1",
            verification,
            now,
            unknown_files
        )
        .execute(&mut *tx)
        .await
        .map_err(CatalogError::sql(NOTE))?;
        commit(tx, NOTE).await
    }
}

struct VerificationRow {
    verification: i64,
    scope: String,
    by_daemon: i64,
    started_at: i64,
    finished_at: Option<i64>,
    checked: i64,
    unsound: i64,
    unknown_files: Option<i64>,
}

impl VerificationRow {
    fn into_verification(self) -> Result<Verification, CatalogError> {
        let columns = Columns {
            table: "verifications",
            row: self.verification,
        };
        let unknown_files = self.unknown_files.map(|count| columns.count("unknown_files", count));
        Ok(Verification {
            scope: self.scope,
            by_daemon: self.by_daemon != 0,
            started_at: columns.time("started_at", self.started_at)?,
            finished_at: columns.optional_time("finished_at", self.finished_at)?,
            checked: columns.count("checked", self.checked)?,
            unsound: columns.count("unsound", self.unsound)?,
            unknown_files: unknown_files.transpose()?,
        })
    }
}
