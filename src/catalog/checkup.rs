//! A look at a catalog that asks whether it is sound and how fast it grows, within a time, and leaves no trace.
//!
//! Must not know: what is good enough.

use std::path::Path;
use std::time::Duration;
use std::time::Instant;

use sqlx::Sqlite;
use sqlx::pool::PoolConnection;
use sqlx::sqlite::SqlitePool;

use super::error::CatalogError;
use super::error::INTERRUPT;
use super::error::primary_code;
use super::open::absolute;
use super::open::reader_pool;
use super::preflight::Found;
use super::preflight::examine_as_it_lies;
use super::preflight::known_schema;
use super::preflight::size_bytes;
use super::read::CatalogReader;
use crate::domain::clock::Timestamp;

/// How many steps SQLite takes between two looks at the time: some ten thousandths of a second.
const STEPS: i32 = 10_000;

/// A catalog that this program may open.
pub struct Checkup {
    /// The archive it belongs to.
    pub archive_id: String,
    /// Its schema.
    pub schema: i64,
    /// Whether that is the one this program needs; otherwise the daemon brings it up to date when it starts.
    pub is_current: bool,
    /// The size of its file, without its log.
    pub size_bytes: u64,
    /// Reads it.
    pub reader: CatalogReader,
}

/// What a look for damage came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QuickCheck {
    /// Every page was read and is sound.
    Sound,
    /// What is wrong.
    Damaged(String),
    /// The time was over before the end; what was read is sound.
    OutOfTime,
}

/// What is archived of calls that began since a time. A backlog of older ones is none of it: it does not come again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Growth {
    /// Recordings.
    pub recordings: u64,
    /// Their bytes.
    pub bytes: u64,
    /// When the first of them was created.
    pub first_at: Option<Timestamp>,
}

impl Checkup {
    /// Looks at the catalog at `path`; `None` where there is none, or an empty one. Where no other process has it open
    /// (`in_use`) and it has no log, the file alone is read, so that no companion files are made that its owner could
    /// not use.
    ///
    /// # Errors
    /// As [`CatalogReader::open`], but for a schema that is not up to date.
    pub async fn open(path: &Path, in_use: bool) -> Result<Option<Self>, CatalogError> {
        let path = absolute(path)?;
        let Found::Catalog {
            schema,
            archive_id,
            options,
        } = examine_as_it_lies(&path, in_use).await?
        else {
            return Ok(None);
        };
        Ok(Some(Self {
            archive_id,
            schema,
            is_current: schema == known_schema(),
            size_bytes: size_bytes(&path),
            reader: CatalogReader::of_pool(reader_pool(*options)),
        }))
    }
}

impl CatalogReader {
    /// Reads the database page by page and looks for damage, for at most so long.
    ///
    /// # Errors
    /// What SQLite says, other than that it is damaged.
    pub async fn quick_check(&self, within: Duration) -> Result<QuickCheck, CatalogError> {
        let mut connection = bounded(self.pool(), within).await?;
        let verdict = sqlx::query_scalar::<_, String>("PRAGMA quick_check(1)")
            .fetch_one(&mut *connection)
            .await;
        match verdict {
            Ok(verdict) if verdict == "ok" => Ok(QuickCheck::Sound),
            Ok(verdict) => Ok(QuickCheck::Damaged(verdict)),
            Err(error) if primary_code(&error) == Some(INTERRUPT) => Ok(QuickCheck::OutOfTime),
            Err(source) => {
                let error = CatalogError::Sql {
                    operation: "be checked",
                    source,
                };
                if error.is_corrupt() {
                    return Ok(QuickCheck::Damaged(crate::domain::explain::chain(&error)));
                }
                Err(error)
            }
        }
    }

    /// What is archived of what was created since a time; `None` where that cannot be counted within this time.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn growth_since(&self, since: Timestamp, within: Duration) -> Result<Option<Growth>, CatalogError> {
        const OPERATION: &str = "sum up what was archived";
        let mut connection = bounded(self.pool(), within).await?;
        let since = since.as_microseconds();
        let row = sqlx::query!(
            r#"-- catalog.growth_since
            WITH parts AS (
                SELECT archived AS recordings, bytes AS bytes FROM days
                WHERE day > (?1 + 62135596800000000) / 86400000000
                UNION ALL
                SELECT count(*), sum(r.size_bytes) FROM recordings AS r INDEXED BY recordings_by_state
                WHERE r.state = 'archived' AND r.created_at >= ?1
                    AND r.created_at < ((?1 + 62135596800000000) / 86400000000 + 1) * 86400000000 - 62135596800000000
            )
            SELECT sum(recordings) AS "recordings!: i64", coalesce(sum(bytes), 0) AS "bytes!: i64",
                (SELECT min(f.created_at) FROM recordings AS f INDEXED BY recordings_by_state
                    WHERE f.state = 'archived' AND f.created_at >= ?1) AS "first_at?: i64"
            FROM parts"#,
            since
        )
        .fetch_one(&mut *connection)
        .await;
        let row = match row {
            Ok(row) => row,
            Err(error) if primary_code(&error) == Some(INTERRUPT) => return Ok(None),
            Err(source) => {
                return Err(CatalogError::Sql {
                    operation: OPERATION,
                    source,
                });
            }
        };
        Ok(Some(Growth {
            recordings: row.recordings.unsigned_abs(),
            bytes: row.bytes.unsigned_abs(),
            first_at: row.first_at.and_then(|at| Timestamp::from_microseconds(at).ok()),
        }))
    }
}

/// A connection whose statements SQLite ends by itself once the time is over. It is closed after use, not shared.
async fn bounded(pool: &SqlitePool, within: Duration) -> Result<PoolConnection<Sqlite>, CatalogError> {
    const OPERATION: &str = "be read";
    let mut connection = pool.acquire().await.map_err(CatalogError::sql(OPERATION))?;
    connection.close_on_drop();
    let until = Instant::now() + within;
    connection
        .lock_handle()
        .await
        .map_err(CatalogError::sql(OPERATION))?
        .set_progress_handler(STEPS, move || Instant::now() < until);
    Ok(connection)
}
