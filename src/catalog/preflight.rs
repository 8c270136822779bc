//! Looks at the catalog file before anything is written to it, and refuses what must not be opened.
//!
//! Reads through a read-only connection, which neither recovers nor checkpoints, so a refused file stays as it is.
//! Never opens the file itself: closing any descriptor of it would drop the locks of every connection in this
//! process. Must not know: the tables, apart from the one that names the archive.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use sqlx::ConnectOptions as _;
use sqlx::Connection as _;
use sqlx::migrate::Migrator;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::sqlite::SqliteConnection;

use super::error::CANTOPEN;
use super::error::CORRUPT;
use super::error::CatalogError;
use super::error::NOTADB;
use super::error::READONLY_ROLLBACK;
use super::error::Refusal;
use super::error::extended_code;
use super::error::primary_code;

/// Every migration, in order, embedded.
pub(super) static MIGRATIONS: Migrator = sqlx::migrate!();

/// What `PRAGMA application_id` says in a catalog: "bkep".
const APPLICATION_ID: i64 = 0x626b_6570;

/// Up to this size the whole file is checked when it is opened. Reading a larger one would cost seconds at each
/// start; damage in it is met as `SQLITE_CORRUPT` when the page is read.
const CHECKED_WHOLE_BYTES: u64 = 32 << 20;

/// How long a connection waits for another process's lock.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// What stands at the catalog's path.
pub(super) enum Found {
    /// No file.
    Nothing,
    /// A file without any table of ours, or one whose making was cut short before it was given to an archive.
    Empty,
    /// A catalog that this program may open.
    Catalog {
        /// Its schema, at most the newest known.
        schema: i64,
        /// The archive it belongs to.
        archive_id: String,
        /// How it was read.
        options: Box<SqliteConnectOptions>,
    },
}

/// The newest schema this program knows.
pub(super) fn known_schema() -> i64 {
    MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or(0)
}

/// The error for a catalog that is not opened.
pub(super) fn refused(path: &Path, refusal: Refusal) -> CatalogError {
    CatalogError::Refused {
        path: path.to_owned(),
        refusal,
    }
}

/// Looks at the file without changing it. With `thorough`, a small file is read whole.
pub(super) async fn examine(path: &Path, thorough: bool) -> Result<Found, CatalogError> {
    examine_through(path, thorough, false).await
}

/// Looks at the file without changing it or anything beside it: where nobody has it open and it has no log, the file
/// alone is the whole catalog.
pub(super) async fn examine_as_it_lies(path: &Path, in_use: bool) -> Result<Found, CatalogError> {
    examine_through(path, false, !in_use && !has_log(path)).await
}

async fn examine_through(path: &Path, thorough: bool, alone: bool) -> Result<Found, CatalogError> {
    let size_bytes = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(source) => {
            return Err(CatalogError::File {
                operation: "look at",
                path: path.to_owned(),
                source,
            });
        }
        Ok(file) if is_planted(&file) => return Err(refused(path, Refusal::NotRegularFile)),
        Ok(file) => file.len(),
    };
    for suffix in ["-wal", "-shm", "-journal"] {
        let companion = beside(path, suffix);
        if fs::symlink_metadata(&companion).is_ok_and(|file| is_planted(&file)) {
            return Err(refused(&companion, Refusal::NotRegularFile));
        }
    }
    if size_bytes == 0 {
        return Ok(Found::Empty);
    }
    let read_only = SqliteConnectOptions::new()
        .filename(path)
        .read_only(true)
        .immutable(alone)
        .busy_timeout(BUSY_TIMEOUT);
    let quick_check = thorough && size_bytes < CHECKED_WHOLE_BYTES;
    match examine_with(&read_only, path, quick_check).await {
        // No log to read and no right to make one: the file alone is the whole catalog.
        Err(CatalogError::Sql { source, .. }) if primary_code(&source) == Some(CANTOPEN) && !has_log(path) => {
            examine_with(&read_only.immutable(true), path, quick_check).await
        }
        // A rollback journal exists only while a catalog is being made, before it has its first table.
        Err(CatalogError::Sql { source, .. }) if extended_code(&source) == Some(READONLY_ROLLBACK) => Ok(Found::Empty),
        Err(CatalogError::Sql { source, .. }) if matches!(primary_code(&source), Some(CORRUPT | NOTADB)) => {
            Err(refused(
                path,
                Refusal::Damaged {
                    detail: source.to_string(),
                },
            ))
        }
        other => other,
    }
}

async fn examine_with(options: &SqliteConnectOptions, path: &Path, quick_check: bool) -> Result<Found, CatalogError> {
    let failed = |source| CatalogError::Sql {
        operation: "be examined",
        source,
    };
    let mut connection = options.connect().await.map_err(failed)?;
    let found = inspect(&mut connection, quick_check).await;
    connection.close().await.map_err(failed)?;
    Ok(match found.map_err(failed)? {
        Inspected::Refused(refusal) => return Err(refused(path, refusal)),
        Inspected::Empty => Found::Empty,
        Inspected::Catalog { schema, archive_id } => Found::Catalog {
            schema,
            archive_id,
            options: Box::new(options.clone()),
        },
    })
}

enum Inspected {
    Refused(Refusal),
    Empty,
    Catalog { schema: i64, archive_id: String },
}

async fn inspect(connection: &mut SqliteConnection, quick_check: bool) -> Result<Inspected, sqlx::Error> {
    let application_id: i64 = sqlx::query_scalar("PRAGMA application_id")
        .fetch_one(&mut *connection)
        .await?;
    let user_version: i64 = sqlx::query_scalar("PRAGMA user_version")
        .fetch_one(&mut *connection)
        .await?;
    let tables: Vec<String> = sqlx::query_scalar(
        "-- catalog.tables
        SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'",
    )
    .fetch_all(&mut *connection)
    .await?;
    let has = |table: &str| tables.iter().any(|name| name == table);
    if application_id != APPLICATION_ID {
        let untouched = application_id == 0 && tables.iter().all(|name| name == "_sqlx_migrations");
        return Ok(if untouched {
            Inspected::Empty
        } else {
            Inspected::Refused(Refusal::OtherProgram)
        });
    }
    let applied: Option<i64> = if has("_sqlx_migrations") {
        sqlx::query_scalar("-- catalog.applied\nSELECT max(version) FROM _sqlx_migrations")
            .fetch_one(&mut *connection)
            .await?
    } else {
        None
    };
    let (found, known) = (user_version.max(applied.unwrap_or(0)), known_schema());
    if found > known {
        return Ok(Inspected::Refused(Refusal::Newer { found, known }));
    }
    if quick_check {
        let verdict: String = sqlx::query_scalar("PRAGMA quick_check(1)")
            .fetch_one(&mut *connection)
            .await?;
        if verdict != "ok" {
            return Ok(Inspected::Refused(Refusal::Damaged { detail: verdict }));
        }
    }
    let archive_id: Option<String> = if has("archive") {
        sqlx::query_scalar("-- catalog.archive_id\nSELECT archive_id FROM archive")
            .fetch_optional(&mut *connection)
            .await?
    } else {
        None
    };
    Ok(match archive_id {
        Some(archive_id) => Inspected::Catalog {
            schema: found,
            archive_id,
        },
        None => Inspected::Empty,
    })
}

/// Whether it is something that SQLite never makes: no regular file, or one with a second name elsewhere.
fn is_planted(file: &fs::Metadata) -> bool {
    !file.is_file() || file.nlink() > 1
}

/// The size of the file; 0 where there is none.
pub(super) fn size_bytes(path: &Path) -> u64 {
    fs::symlink_metadata(path).map_or(0, |file| file.len())
}

/// Whether a write-ahead log with content lies beside the catalog.
fn has_log(path: &Path) -> bool {
    fs::symlink_metadata(beside(path, "-wal")).is_ok_and(|log| log.len() > 0)
}

/// The companion file with this suffix.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
