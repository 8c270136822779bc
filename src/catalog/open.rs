//! Opens and closes the catalog: the file and its mode, the connections and their settings, the schema.
//!
//! Must not know: what the tables are used for.

use std::fs;
use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use sqlx::Connection as _;
use sqlx::Sqlite;
use sqlx::Transaction;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::sqlite::SqliteJournalMode;
use sqlx::sqlite::SqlitePool;
use sqlx::sqlite::SqlitePoolOptions;
use sqlx::sqlite::SqliteSynchronous;

use super::error::CatalogError;
use super::error::Refusal;
use super::preflight::BUSY_TIMEOUT;
use super::preflight::Found;
use super::preflight::MIGRATIONS;
use super::preflight::beside;
use super::preflight::examine;
use super::preflight::known_schema;
use super::preflight::refused;
use super::read::CatalogReader;
use super::recent_walks::RecentWalks;
use crate::domain::clock::SharedClock;

/// How many connections read at the same time.
const READERS: u32 = 4;

/// How long a call waits for the one writing connection: several waits for another process's lock.
const WRITER_TIMEOUT: Duration = Duration::from_mins(1);

/// The oldest SQLite whose write-ahead log is sound when one connection writes while another checkpoints.
const OLDEST_SQLITE: (u32, u32, u32) = (3, 51, 3);

/// What a catalog is opened with.
#[derive(Clone)]
pub struct CatalogOptions {
    /// Where the database is.
    pub path: PathBuf,
    /// The archive it belongs to. A catalog of another archive is refused.
    pub archive_id: String,
    /// Whether the archive holds recordings. If so, a missing or empty catalog is refused rather than made.
    pub recordings_exist: bool,
    /// Mode 0640 instead of 0600.
    pub group_readable: bool,
    /// Tells the time of what is written.
    pub clock: SharedClock,
    /// Names this run: claims of any other run are taken back by [`Catalog::reclaim`]. Drawn at random.
    pub run_id: i64,
}

/// The catalog, opened for writing. Only the process that holds the archive has one. Clones share its connections.
#[derive(Clone)]
pub struct Catalog {
    writer: SqlitePool,
    reader: CatalogReader,
    pub(super) clock: SharedClock,
    pub(super) run_id: i64,
    /// Which workspace comes first at the next claim.
    pub(super) turn: Arc<AtomicUsize>,
}

impl Catalog {
    /// Opens the catalog, makes it where there is none and no recordings exist, and brings its schema up to date.
    ///
    /// # Errors
    /// [`CatalogError::Refused`] where it is missing or empty although recordings exist, damaged, of a newer schema, or
    /// of another archive or program; it is then left byte for byte as it was. Otherwise what the system or SQLite says.
    pub async fn open(options: CatalogOptions) -> Result<Self, CatalogError> {
        let path = absolute(&options.path)?;
        match examine(&path, true).await? {
            Found::Nothing if options.recordings_exist => return Err(refused(&path, Refusal::Missing)),
            Found::Nothing => create(&path)?,
            Found::Empty if options.recordings_exist => return Err(refused(&path, Refusal::Empty)),
            Found::Empty => {}
            Found::Catalog { archive_id, .. } => check_archive(&path, archive_id, &options.archive_id)?,
        }
        set_mode(&path, if options.group_readable { 0o640 } else { 0o600 })?;
        let writer = connect_writer(&path).await?;
        check_connection(&path, &writer).await?;
        MIGRATIONS
            .run(&writer)
            .await
            .map_err(|source| CatalogError::Migrate { source })?;
        drop_statistics(&writer).await?;
        Self::with(&path, writer, options).await
    }

    /// The id of the archive that the catalog at `path` belongs to; `None` where there is no catalog. Changes nothing.
    ///
    /// # Errors
    /// As [`Catalog::open`], where what stands there is no catalog that this program may open.
    pub async fn archive_of(path: &Path) -> Result<Option<String>, CatalogError> {
        Ok(match examine(&absolute(path)?, false).await? {
            Found::Nothing | Found::Empty => None,
            Found::Catalog { archive_id, .. } => Some(archive_id),
        })
    }

    /// Opens a catalog that another process may be writing, for short writes such as [`Catalog::retry`]: it is neither
    /// made nor migrated nor checked whole.
    ///
    /// # Errors
    /// As [`Catalog::open`], and [`Refusal::Older`] where the schema is not up to date. A missing or empty one is
    /// refused whether recordings exist or not.
    pub async fn open_beside_writer(options: CatalogOptions) -> Result<Self, CatalogError> {
        let path = absolute(&options.path)?;
        match examine(&path, false).await? {
            Found::Nothing => return Err(refused(&path, Refusal::Missing)),
            Found::Empty => return Err(refused(&path, Refusal::Empty)),
            Found::Catalog { schema, archive_id, .. } => {
                check_archive(&path, archive_id, &options.archive_id)?;
                check_schema(&path, schema)?;
            }
        }
        let writer = connect_writer(&path).await?;
        check_connection(&path, &writer).await?;
        Self::with(&path, writer, options).await
    }

    async fn with(path: &Path, writer: SqlitePool, options: CatalogOptions) -> Result<Self, CatalogError> {
        let now = options.clock.now().as_microseconds();
        let catalog = Self {
            writer,
            reader: CatalogReader::of_pool(reader_pool(
                SqliteConnectOptions::new()
                    .filename(path)
                    .read_only(true)
                    .busy_timeout(BUSY_TIMEOUT),
            )),
            clock: options.clock,
            run_id: options.run_id,
            turn: Arc::default(),
        };
        let mut tx = catalog.begin("begin").await?;
        sqlx::query!(
            "-- catalog.name_archive
            INSERT INTO archive (one, archive_id, created_at) VALUES (1, ?1, ?2) ON CONFLICT DO NOTHING",
            options.archive_id,
            now
        )
        .execute(&mut *tx)
        .await
        .map_err(CatalogError::sql("name its archive"))?;
        commit(tx, "name its archive").await?;
        Ok(catalog)
    }

    /// Gives up syncs: after a power cut, the last commits or the whole catalog may be gone. For measuring what syncs cost,
    /// and for nothing else.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn without_syncs(&self) -> Result<(), CatalogError> {
        let given_up = sqlx::query("PRAGMA synchronous = OFF").execute(&self.writer).await;
        given_up.map_err(CatalogError::sql("give up syncs")).map(drop)
    }

    /// The read side, for as many holders as needed.
    #[must_use]
    pub fn reader(&self) -> CatalogReader {
        self.reader.clone()
    }

    /// Stores the last walks, folds the write-ahead log into the file and closes every connection, once those in use
    /// have come back.
    ///
    /// # Errors
    /// The walks could not be stored, which loses only the times at which nothing was new, or the log could not be
    /// folded in, which loses nothing: the next one to open the catalog reads it.
    pub async fn close(self) -> Result<(), CatalogError> {
        let entered = self.enter_recent_walks().await;
        self.reader.close().await;
        let folded = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)")
            .execute(&self.writer)
            .await;
        self.writer.close().await;
        folded.map_err(CatalogError::sql("fold in its log"))?;
        entered
    }

    /// Reads the whole catalog and checks every page, index and reference.
    ///
    /// # Errors
    /// [`Refusal::Damaged`], or what SQLite says.
    pub(super) async fn check_whole(&self) -> Result<(), CatalogError> {
        const OPERATION: &str = "be checked whole";
        let verdict: String = sqlx::query_scalar("PRAGMA integrity_check(1)")
            .fetch_one(&self.writer)
            .await
            .map_err(CatalogError::sql(OPERATION))?;
        let dangling = sqlx::query("PRAGMA foreign_key_check")
            .fetch_optional(&self.writer)
            .await
            .map_err(CatalogError::sql(OPERATION))?;
        let detail = match dangling {
            None if verdict == "ok" => return Ok(()),
            None => verdict,
            Some(_) => "a row refers to one that is not there".to_owned(),
        };
        let path = self.writer.connect_options().get_filename().to_owned();
        Err(refused(&path, Refusal::Damaged { detail }))
    }

    /// Begins a transaction that holds the write lock from the start: one that reads first and locks later can fail
    /// at once, without waiting for its turn.
    pub(super) async fn begin(&self, operation: &'static str) -> Result<Transaction<'static, Sqlite>, CatalogError> {
        self.begin_with("PRAGMA temp_store = FILE; BEGIN IMMEDIATE", operation)
            .await
    }

    /// [`Catalog::begin`] for statements that change a page's worth of rows at most. What SQLite keeps to undo one of them
    /// half-way then stays in memory: in a file, it is half of all that is written.
    pub(super) async fn begin_small(
        &self,
        operation: &'static str,
    ) -> Result<Transaction<'static, Sqlite>, CatalogError> {
        self.begin_with("PRAGMA temp_store = MEMORY; BEGIN IMMEDIATE", operation)
            .await
    }

    async fn begin_with(
        &self,
        statement: &'static str,
        operation: &'static str,
    ) -> Result<Transaction<'static, Sqlite>, CatalogError> {
        self.writer
            .begin_with(statement)
            .await
            .map_err(CatalogError::sql(operation))
    }

    pub(super) const fn read_pool(&self) -> &SqlitePool {
        self.reader.pool()
    }

    pub(super) fn recent(&self) -> &RecentWalks {
        self.reader.recent()
    }
}

/// Commits, naming the operation where that fails.
pub(super) async fn commit(tx: Transaction<'_, Sqlite>, operation: &'static str) -> Result<(), CatalogError> {
    tx.commit().await.map_err(CatalogError::sql(operation))
}

/// The connections that read, opened when first needed.
pub(super) fn reader_pool(options: SqliteConnectOptions) -> SqlitePool {
    SqlitePoolOptions::new()
        .max_connections(READERS)
        .connect_lazy_with(options)
}

/// SQLite takes a relative name that begins with `file:` for an address.
pub(super) fn absolute(path: &Path) -> Result<PathBuf, CatalogError> {
    std::path::absolute(path).map_err(|source| CatalogError::File {
        operation: "find",
        path: path.to_owned(),
        source,
    })
}

/// Refuses a schema other than the one this program needs.
pub(super) fn check_schema(path: &Path, found: i64) -> Result<(), CatalogError> {
    let known = known_schema();
    if found < known {
        return Err(refused(path, Refusal::Older { found, known }));
    }
    Ok(())
}

fn check_archive(path: &Path, found: String, expected: &str) -> Result<(), CatalogError> {
    if found == expected {
        return Ok(());
    }
    Err(refused(
        path,
        Refusal::OtherArchive {
            found,
            expected: expected.to_owned(),
        },
    ))
}

async fn connect_writer(path: &Path) -> Result<SqlitePool, CatalogError> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .journal_mode(SqliteJournalMode::Wal)
        // In WAL mode anything less may lose the last commits when power fails.
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(BUSY_TIMEOUT)
        // A page's rows then come over without its thread and ours waking each other in between.
        .row_buffer_size(128)
        // A backfill then folds its log in every 16 MiB, and gives back what a long reader made it grow beyond 64 MiB.
        .pragma("wal_autocheckpoint", "4096")
        .pragma("journal_size_limit", "67108864");
    SqlitePoolOptions::new()
        .max_connections(1)
        .acquire_timeout(WRITER_TIMEOUT)
        .idle_timeout(None)
        .max_lifetime(None)
        // After a full disk SQLite may end a transaction by itself, which sqlx does not notice: such a connection can
        // never begin another one and is replaced.
        .before_acquire(|connection, _| Box::pin(async move { Ok(!connection.is_in_transaction()) }))
        .connect_with(options)
        .await
        .map_err(CatalogError::sql("be opened"))
}

/// Checks what the settings cannot promise.
async fn check_connection(path: &Path, writer: &SqlitePool) -> Result<(), CatalogError> {
    let mode: String = sqlx::query_scalar("PRAGMA journal_mode")
        .fetch_one(writer)
        .await
        .map_err(CatalogError::sql("be opened"))?;
    let version: String = sqlx::query_scalar("-- catalog.sqlite_version\nSELECT sqlite_version()")
        .fetch_one(writer)
        .await
        .map_err(CatalogError::sql("be opened"))?;
    if mode != "wal" {
        return Err(refused(path, Refusal::NoWriteAheadLog { mode }));
    }
    if version_of(&version).is_none_or(|version| version < OLDEST_SQLITE) {
        return Err(refused(path, Refusal::SqliteTooOld { version }));
    }
    Ok(())
}

/// Statistics of what the tables hold are taken once and believed for ever: taken of a small catalog, they make it look
/// best to read a large one from end to end. Each statement is written for the indexes that it is to use.
async fn drop_statistics(writer: &SqlitePool) -> Result<(), CatalogError> {
    sqlx::raw_sql("DROP TABLE IF EXISTS sqlite_stat1; DROP TABLE IF EXISTS sqlite_stat4")
        .execute(writer)
        .await
        .map_err(CatalogError::sql("drop its statistics"))
        .map(drop)
}

fn version_of(text: &str) -> Option<(u32, u32, u32)> {
    let mut parts = text.split('.').map(str::parse::<u32>);
    Some((parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?))
}

/// Makes the file, so that it is private from its first moment and no link is followed.
fn create(path: &Path) -> Result<(), CatalogError> {
    let failed = |operation| {
        move |source| CatalogError::File {
            operation,
            path: path.to_owned(),
            source,
        }
    };
    File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .custom_flags(nofollow())
        .open(path)
        .map_err(failed("make"))?;
    let folder = path.parent().unwrap_or(Path::new("/"));
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(failed("sync the folder of"))
}

fn nofollow() -> i32 {
    i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or(0)
}

/// Sets the mode of the file and its companions, by name: see [`super::preflight`] for why they are not opened.
fn set_mode(path: &Path, mode: u32) -> Result<(), CatalogError> {
    for file in [path.to_owned(), beside(path, "-wal"), beside(path, "-shm")] {
        let set = fs::symlink_metadata(&file).and_then(|found| {
            if found.is_file() && found.permissions().mode() & 0o7777 != mode {
                fs::set_permissions(&file, fs::Permissions::from_mode(mode))?;
            }
            Ok(())
        });
        match set {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => {
                return Err(CatalogError::File {
                    operation: "set the mode of",
                    path: file,
                    source,
                });
            }
            Ok(()) => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::clock::SystemClock;

    async fn catalog(dir: &tempfile::TempDir) -> Catalog {
        let options = CatalogOptions {
            path: dir.path().join("catalog.sqlite"),
            archive_id: "a".to_owned(),
            recordings_exist: false,
            group_readable: false,
            clock: Arc::new(SystemClock),
            run_id: 1,
        };
        Catalog::open(options).await.unwrap()
    }

    #[tokio::test]
    async fn the_writer_is_durable_and_checks_references() {
        let dir = tempfile::tempdir().unwrap();
        let catalog = catalog(&dir).await;
        for (pragma, expected) in [
            ("PRAGMA synchronous", 2),
            ("PRAGMA foreign_keys", 1),
            ("PRAGMA busy_timeout", 10_000),
            ("PRAGMA user_version", known_schema()),
        ] {
            let value: i64 = sqlx::query_scalar(pragma).fetch_one(&catalog.writer).await.unwrap();
            assert_eq!(value, expected, "{pragma}");
        }
        assert_eq!(catalog.writer.options().get_max_connections(), 1);
        let write = sqlx::query("DELETE FROM archive").execute(catalog.read_pool()).await;
        assert!(write.is_err(), "the read side can write");
    }

    #[tokio::test]
    async fn the_writer_recovers_when_sqlite_ends_a_transaction_by_itself() {
        let dir = tempfile::tempdir().unwrap();
        let catalog = catalog(&dir).await;
        let mut tx = catalog.begin("test").await.unwrap();
        // What a full disk does: the transaction is over, and sqlx is not told.
        sqlx::query("ROLLBACK").execute(&mut *tx).await.unwrap();
        assert!(tx.commit().await.is_err());
        catalog.retry_all(None).await.unwrap();
    }

    #[test]
    fn versions_are_compared_as_numbers() {
        assert!(version_of("3.51.3").unwrap() >= OLDEST_SQLITE);
        assert!(version_of("3.100.0").unwrap() >= OLDEST_SQLITE);
        assert!(version_of("3.51.2").unwrap() < OLDEST_SQLITE);
        assert_eq!(version_of("3.51"), None);
    }
}
