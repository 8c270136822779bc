//! Which archived recordings are to be re-read next.
//!
//! Must not know: how files are read, what is found.

use std::time::Duration;

use sqlx::SqliteConnection;

use super::error::CatalogError;
use super::read::CatalogReader;
use super::rows::Columns;
use super::rows::ids_parameter;
use super::rows::names_parameter;
use super::rows::rows_parameter;
use crate::domain::clock::Timestamp;
use crate::domain::digest::Sha256Digest;
use crate::domain::finding::FindingKind;
use crate::domain::ids::RecordingId;
use crate::domain::ids::WorkspaceName;
use crate::domain::key::StoreKey;
use crate::domain::recording::Status;
use crate::domain::recording::StatusClass;

const SELECT: &str = "choose what to re-read";

/// How long a full walk says what upstream lists.
const LATELY: Duration = Duration::from_secs(7 * 24 * 3600);

/// An archived recording, as it is to be re-read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRow {
    /// Where the body lies.
    pub key: StoreKey,
    /// Its length in bytes.
    pub size_bytes: u64,
    /// Its SHA-256.
    pub sha256: Sha256Digest,
    /// Whether upstream listed it as available in the last full walk that came to its end, and that was lately. What was not
    /// asked counts as not listed.
    pub listed: bool,
    /// What was found of it before, and not since found good.
    pub known: Option<FindingKind>,
    pub(super) seq: i64,
    read_at: i64,
}

/// Which archived recordings to re-read.
#[derive(Debug, Clone)]
pub enum VerifyChoice {
    /// All.
    All,
    /// Those that were not re-read since before this time, the longest first.
    LongestAgo(Timestamp),
    /// Those with a finding.
    Found,
    /// These.
    Ids(Vec<RecordingId>),
}

impl CatalogReader {
    /// Up to `limit` recordings of these workspaces, or of all where none is named, going on after a row where one is
    /// given. What upstream listed is judged at `now`.
    ///
    /// # Errors
    /// What SQLite says, or a damaged row.
    pub async fn to_verify(
        &self,
        choice: &VerifyChoice,
        workspaces: &[WorkspaceName],
        after: Option<&StoredRow>,
        limit: u32,
        now: Timestamp,
    ) -> Result<Vec<StoredRow>, CatalogError> {
        let names = (!workspaces.is_empty()).then(|| names_parameter(workspaces));
        let mut tx = self.pool().begin().await.map_err(CatalogError::sql(SELECT))?;
        let seqs = match choice {
            VerifyChoice::All => all(&mut tx, names.as_deref(), after, limit).await?,
            VerifyChoice::LongestAgo(before) => longest_ago(&mut tx, names.as_deref(), *before, after, limit).await?,
            VerifyChoice::Found => found(&mut tx, names.as_deref(), after, limit).await?,
            VerifyChoice::Ids(ids) => of_ids(&mut tx, names.as_deref(), ids, after, limit).await?,
        };
        stored_rows(&mut tx, &rows_parameter(&seqs), now).await
    }
}

/// The next archived rows by their keys.
async fn all(
    connection: &mut SqliteConnection,
    names: Option<&str>,
    after: Option<&StoredRow>,
    limit: u32,
) -> Result<Vec<i64>, CatalogError> {
    let after = after.map_or(0, |row| row.seq);
    sqlx::query_scalar!(
        r#"-- catalog.verify_all
        SELECT r.seq AS "seq!: i64" FROM recordings AS r NOT INDEXED
        WHERE r.seq > ?1 AND r.state = 'archived' AND (?2 IS NULL OR r.workspace IN (
            SELECT workspace FROM workspaces WHERE name IN (SELECT value FROM json_each(?2))))
        ORDER BY r.seq LIMIT ?3"#,
        after,
        names,
        limit
    )
    .fetch_all(connection)
    .await
    .map_err(CatalogError::sql(SELECT))
}

async fn longest_ago(
    connection: &mut SqliteConnection,
    names: Option<&str>,
    before: Timestamp,
    after: Option<&StoredRow>,
    limit: u32,
) -> Result<Vec<i64>, CatalogError> {
    let before = before.as_microseconds();
    let (at, seq) = after.map_or((i64::MIN, 0), |row| (row.read_at, row.seq));
    sqlx::query_scalar!(
        r#"-- catalog.verify_longest_ago
        SELECT r.seq AS "seq!: i64" FROM recordings AS r INDEXED BY recordings_to_verify
        WHERE r.state = 'archived' AND coalesce(r.verified_at, r.archived_at) < ?1
            AND (coalesce(r.verified_at, r.archived_at), r.seq) > (?2, ?3)
            AND (?4 IS NULL OR r.workspace IN (
                SELECT workspace FROM workspaces WHERE name IN (SELECT value FROM json_each(?4))))
        ORDER BY coalesce(r.verified_at, r.archived_at), r.seq LIMIT ?5"#,
        before,
        at,
        seq,
        names,
        limit
    )
    .fetch_all(connection)
    .await
    .map_err(CatalogError::sql(SELECT))
}

async fn found(
    connection: &mut SqliteConnection,
    names: Option<&str>,
    after: Option<&StoredRow>,
    limit: u32,
) -> Result<Vec<i64>, CatalogError> {
    let after = after.map_or(0, |row| row.seq);
    sqlx::query_scalar!(
        r#"-- catalog.verify_found
        SELECT f.seq AS "seq!: i64"
        FROM findings AS f CROSS JOIN recordings AS r ON r.seq = f.seq
        WHERE f.seq > ?1 AND r.state = 'archived' AND (?2 IS NULL OR r.workspace IN (
            SELECT workspace FROM workspaces WHERE name IN (SELECT value FROM json_each(?2))))
        ORDER BY f.seq LIMIT ?3"#,
        after,
        names,
        limit
    )
    .fetch_all(connection)
    .await
    .map_err(CatalogError::sql(SELECT))
}

async fn of_ids(
    connection: &mut SqliteConnection,
    names: Option<&str>,
    ids: &[RecordingId],
    after: Option<&StoredRow>,
    limit: u32,
) -> Result<Vec<i64>, CatalogError> {
    let (ids, after) = (ids_parameter(ids), after.map_or(0, |row| row.seq));
    let mut seqs = sqlx::query_scalar!(
        r#"-- catalog.verify_ids
        SELECT r.seq AS "seq!: i64"
        FROM json_each(?1) AS wanted
        CROSS JOIN workspaces AS w
        CROSS JOIN recordings AS r ON r.workspace = w.workspace AND r.id = unhex(wanted.value)
        WHERE r.seq > ?2 AND r.state = 'archived'
            AND (?3 IS NULL OR w.name IN (SELECT value FROM json_each(?3)))"#,
        ids,
        after,
        names
    )
    .fetch_all(connection)
    .await
    .map_err(CatalogError::sql(SELECT))?;
    seqs.sort_unstable();
    seqs.dedup();
    seqs.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(seqs)
}

/// The rows with these keys, in this order.
async fn stored_rows(
    connection: &mut SqliteConnection,
    seqs: &str,
    now: Timestamp,
) -> Result<Vec<StoredRow>, CatalogError> {
    let lately = now.before(LATELY).as_microseconds();
    let rows = sqlx::query!(
        r#"-- catalog.stored_rows
        SELECT r.seq AS "seq!: i64", r.path AS "path!: String", r.size_bytes AS "size_bytes!: i64",
            r.sha256 AS "sha256!: Vec<u8>", r.status AS "status!: String",
            coalesce(r.verified_at, r.archived_at) AS "read_at!: i64", f.kind AS "kind?: String",
            coalesce(r.last_seen_at >= w.last_full_walk_started_at AND w.last_full_walk_started_at > ?2, 0)
                AS "listed!: bool"
        FROM json_each(?1) AS wanted
        CROSS JOIN recordings AS r ON r.seq = wanted.value
        CROSS JOIN workspaces AS w ON w.workspace = r.workspace
        LEFT JOIN findings AS f ON f.seq = r.seq"#,
        seqs,
        lately
    )
    .fetch_all(connection)
    .await
    .map_err(CatalogError::sql(SELECT))?;
    rows.into_iter()
        .map(|row| {
            let columns = Columns::of_recording(row.seq);
            let available = Status::from_upstream(&row.status).class() == StatusClass::Available;
            Ok(StoredRow {
                key: columns.key("path", &row.path)?,
                size_bytes: columns.count("size_bytes", row.size_bytes)?,
                sha256: columns.sha256("sha256", &row.sha256)?,
                listed: row.listed && available,
                known: row.kind.map(|kind| columns.finding("kind", &kind)).transpose()?,
                seq: row.seq,
                read_at: row.read_at,
            })
        })
        .collect()
}
