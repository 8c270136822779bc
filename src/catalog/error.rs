//! What can go wrong with the catalog, told apart by what the caller can do about it.
//!
//! Must not know: who asked, or what is printed.

use std::io;
use std::path::PathBuf;

use crate::domain::ids::RecordingRef;
use crate::domain::ids::WorkspaceId;
use crate::domain::ids::WorkspaceName;

/// Why a catalog is not opened. Each says the way out. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No file, although recordings exist.
    #[error("it is missing although recordings exist; run `birdkeep rebuild` to make it again from the archive")]
    Missing,
    /// A file without content, although recordings exist.
    #[error(
        "it is empty although recordings exist; restore it, or run `birdkeep rebuild` to make it again from the archive"
    )]
    Empty,
    /// A catalog, where one was to be made.
    #[error(
        "a catalog of archive {archive_id} stands there, and none is ever replaced; if it must be made again from the \
         archive, move it and its -wal and -shm files aside and run `birdkeep rebuild` again"
    )]
    Occupied {
        /// The archive it belongs to.
        archive_id: String,
    },
    /// The file is no sound database.
    #[error(
        "it is damaged ({detail}); move it and its -wal and -shm files aside, then restore it or run \
         `birdkeep rebuild` to make it again from the archive"
    )]
    Damaged {
        /// What SQLite says about it.
        detail: String,
    },
    /// Written by a later version of this program.
    #[error(
        "it has schema {found} and this birdkeep knows schemas up to {known}; use the birdkeep that wrote it, or move it \
         aside and run `birdkeep rebuild`"
    )]
    Newer {
        /// The schema found.
        found: i64,
        /// The newest schema known here.
        known: i64,
    },
    /// Written by an earlier version, and this is not the process that may migrate it.
    #[error("it has schema {found} and this birdkeep needs schema {known}; start the new birdkeep's daemon once")]
    Older {
        /// The schema found.
        found: i64,
        /// The schema needed.
        known: i64,
    },
    /// A database, but of another archive.
    #[error(
        "it belongs to archive {found} and this is archive {expected}; check the archive directory, or move it aside \
         and run `birdkeep rebuild`"
    )]
    OtherArchive {
        /// The archive it belongs to.
        found: String,
        /// The archive at hand.
        expected: String,
    },
    /// A database, but of another program.
    #[error("it is another program's database; move it aside and run `birdkeep rebuild`")]
    OtherProgram,
    /// A directory, a symbolic link or the like, or a file with a second name.
    #[error(
        "it is not a regular file with one name (a link, a pipe or a device?); it was not followed. Move it aside, and if the catalog is gone with it, run `birdkeep rebuild`"
    )]
    NotRegularFile,
    /// The place cannot do what write-ahead logging needs.
    #[error("SQLite runs it in journal mode {mode} instead of wal; use a local file system, not a network share")]
    NoWriteAheadLog {
        /// The journal mode in effect.
        mode: String,
    },
    /// The linked SQLite can corrupt databases in WAL mode.
    #[error("SQLite {version} is linked and at least 3.51.3 is needed; build with the bundled SQLite")]
    SqliteTooOld {
        /// The version linked.
        version: String,
    },
}

/// A failed operation of the catalog.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// The catalog is not opened; nothing was changed.
    #[error("the catalog {} is refused", .path.display())]
    Refused {
        /// The catalog.
        path: PathBuf,
        /// Why, and the way out.
        #[source]
        refusal: Refusal,
    },
    /// The file itself could not be handled.
    #[error("cannot {operation} the catalog {}", .path.display())]
    File {
        /// What was tried.
        operation: &'static str,
        /// The catalog.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A copy of it could not be made, named or synced.
    #[error("cannot write the copy {}", .path.display())]
    Copy {
        /// The copy.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A copy of it did not pass its test and was removed.
    #[error("the copy of the catalog is not sound and was removed: {detail}")]
    UnsoundCopy {
        /// What is wrong with it.
        detail: String,
    },
    /// SQLite failed.
    #[error("the catalog cannot {operation}")]
    Sql {
        /// What was tried.
        operation: &'static str,
        /// What SQLite says.
        source: sqlx::Error,
    },
    /// The schema could not be brought up to date.
    #[error("the catalog cannot migrate its schema")]
    Migrate {
        /// Why.
        source: sqlx::migrate::MigrateError,
    },
    /// A row holds what this program never writes.
    #[error("the catalog is damaged: table {table}, row {row}, column {column} holds an impossible value")]
    Row {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
        /// The row's integer key.
        row: i64,
    },
    /// A workspace that was never registered.
    #[error("the catalog knows no workspace {name}")]
    UnknownWorkspace {
        /// Its name.
        name: WorkspaceName,
    },
    /// A known name that now means another workspace.
    #[error(
        "workspace {name} has id {given} in the configuration, but its recordings in the catalog are those of workspace \
         id {known}; give the new workspace a name of its own"
    )]
    WorkspaceIdChanged {
        /// The name.
        name: WorkspaceName,
        /// The id its recordings belong to.
        known: WorkspaceId,
        /// The id given now.
        given: WorkspaceId,
    },
    /// A claim that is no longer this run's. None of the claims settled together with it was settled.
    #[error("the claim on {}/{} is lost", .recording.workspace, .recording.id)]
    LostClaim {
        /// What was claimed.
        recording: RecordingRef,
    },
}

impl CatalogError {
    /// Wraps an error of sqlx with the operation that met it.
    pub(super) fn sql(operation: &'static str) -> impl FnOnce(sqlx::Error) -> Self {
        move |source| Self::Sql { operation, source }
    }

    /// Whether the machine is at fault, not the data: disk full, read-only, an I/O error, no memory, or locked by
    /// another process for too long. The same call may succeed once that is over, and no recording is to blame.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self {
            Self::File { .. } | Self::Copy { .. } => true,
            Self::Sql { .. } | Self::Migrate { .. } => match self.sqlx_source() {
                Some(sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut) => true,
                _ => matches!(
                    self.primary_code(),
                    Some(FULL | IOERR | READONLY | CANTOPEN | NOMEM | BUSY | LOCKED)
                ),
            },
            _ => false,
        }
    }

    /// Whether the database itself is damaged: nothing may be written until it is restored or rebuilt.
    #[must_use]
    pub fn is_corrupt(&self) -> bool {
        match self {
            Self::Refused { refusal, .. } => matches!(refusal, Refusal::Damaged { .. }),
            Self::Row { .. } => true,
            _ => matches!(self.primary_code(), Some(CORRUPT | NOTADB)),
        }
    }

    /// SQLite's primary result code, where it failed.
    pub(super) fn primary_code(&self) -> Option<i32> {
        self.sqlx_source().and_then(primary_code)
    }

    fn sqlx_source(&self) -> Option<&sqlx::Error> {
        use sqlx::migrate::MigrateError;
        match self {
            Self::Sql { source, .. } => Some(source),
            Self::Migrate {
                source: MigrateError::Execute(source) | MigrateError::ExecuteMigration(source, _),
            } => Some(source),
            _ => None,
        }
    }
}

/// SQLite's primary result code, the low byte of the extended one.
pub(super) fn primary_code(error: &sqlx::Error) -> Option<i32> {
    extended_code(error).map(|code| code & 0xff)
}

/// SQLite's extended result code.
pub(super) fn extended_code(error: &sqlx::Error) -> Option<i32> {
    error.as_database_error()?.code()?.parse().ok()
}

// Primary result codes, https://www.sqlite.org/rescode.html
const BUSY: i32 = 5;
const LOCKED: i32 = 6;
const NOMEM: i32 = 7;
const READONLY: i32 = 8;
pub(super) const INTERRUPT: i32 = 9;
const IOERR: i32 = 10;
pub(super) const CORRUPT: i32 = 11;
const FULL: i32 = 13;
pub(super) const CANTOPEN: i32 = 14;
pub(super) const NOTADB: i32 = 26;
/// Extended: a transaction of another process must be rolled back first, which a read-only connection cannot do.
pub(super) const READONLY_ROLLBACK: i32 = 776;
