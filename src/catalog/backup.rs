//! Copies the catalog beside whoever writes it, and tests the copy before it has its name.
//!
//! Writes nothing to the live catalog. Must not know: which places are fit for a copy, or how it is reported.

use std::io;
use std::path::Path;

use sqlx::ConnectOptions as _;
use sqlx::Connection as _;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::sqlite::SqliteJournalMode;
use tokio_util::sync::CancellationToken;

use super::error::CatalogError;
use super::open::absolute;
use super::partial::Partial;
use super::read::CatalogReader;
use crate::domain::clock::Timestamp;

const OPERATION: &str = "be copied";
const TEST: &str = "be read back from its copy";

/// How many steps of SQLite's machine go by between two looks at whether to stop: some milliseconds.
const STEPS: i32 = 100_000;

/// What a copy holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyReport {
    /// The archive it belongs to.
    pub archive_id: String,
    /// Recordings, in whatever state.
    pub recordings: u64,
    /// Those that are archived.
    pub archived: u64,
    /// Bytes of the file.
    pub size_bytes: u64,
}

impl CatalogReader {
    /// Copies the catalog as it is at one moment into a new file `destination`, marked as copied at `now`. It has that
    /// name only once it was opened, checked whole and synced. Other processes may go on writing meanwhile.
    ///
    /// Where `stop` is cancelled, or this future is dropped, SQLite breaks off and no file is left.
    ///
    /// # Errors
    /// [`CatalogError::Copy`] where the destination exists or cannot be written, [`CatalogError::UnsoundCopy`] where
    /// the copy does not pass its test, or what SQLite says. No file is left then.
    pub async fn copy_to(
        &self,
        destination: &Path,
        group_readable: bool,
        now: Timestamp,
        stop: &CancellationToken,
    ) -> Result<CopyReport, CatalogError> {
        let destination = absolute(destination)?;
        let failed = |source| CatalogError::Copy {
            path: destination.clone(),
            source,
        };
        if destination.symlink_metadata().is_ok() {
            return Err(failed(io::ErrorKind::AlreadyExists.into()));
        }
        let archive_id = self.archive().await?.archive_id;
        let partial = Partial::create(&destination, if group_readable { 0o640 } else { 0o600 }).map_err(failed)?;
        self.vacuum_into(partial.path(), stop).await?;
        mark(partial.path(), now).await?;
        let copy = Self::open(partial.path()).await?;
        let tested = tokio::select! {
            tested = copy.test_as_copy(&archive_id) => tested,
            () = stop.cancelled() => Err(failed(io::ErrorKind::Interrupted.into())),
        };
        if tested.is_ok() {
            copy.close().await;
        }
        let (recordings, archived) = tested?;
        let to = destination.clone();
        let published = tokio::task::spawn_blocking(move || partial.publish(&to)).await;
        let size_bytes = published
            .map_err(io::Error::other)
            .and_then(|done| done)
            .map_err(failed)?;
        Ok(CopyReport {
            archive_id,
            recordings,
            archived,
            size_bytes,
        })
    }

    /// One read transaction into an empty file.
    async fn vacuum_into(&self, path: &Path, stop: &CancellationToken) -> Result<(), CatalogError> {
        let failed = CatalogError::sql(OPERATION);
        let Some(text) = path.to_str() else {
            return Err(CatalogError::Copy {
                path: path.to_owned(),
                source: io::Error::new(io::ErrorKind::InvalidInput, "SQLite needs a path in UTF-8"),
            });
        };
        // Not one of the pool's: it is interrupted by a handler that must not outlive this copy.
        let copying = async {
            // It takes seconds where there are many rows, and that is no news.
            let options = self
                .pool()
                .connect_options()
                .as_ref()
                .clone()
                .disable_statement_logging();
            let mut connection = options.connect().await?;
            let token = stop.child_token();
            let broken_off = token.clone();
            connection
                .lock_handle()
                .await?
                .set_progress_handler(STEPS, move || !broken_off.is_cancelled());
            let _breaks_off_when_dropped = token.drop_guard();
            sqlx::query("VACUUM INTO ?1")
                .bind(text)
                .execute(&mut connection)
                .await?;
            connection.close().await
        };
        copying.await.map_err(failed)
    }

    /// Checks a copy as one that is put back would be met. Returns how many recordings it holds, and archived ones.
    async fn test_as_copy(&self, archive_id: &str) -> Result<(u64, u64), CatalogError> {
        let unsound = |detail: String| Err(CatalogError::UnsoundCopy { detail });
        if let Some(fault) = self.integrity().await?.into_iter().next() {
            return unsound(fault);
        }
        let found = self.archive().await?.archive_id;
        if found != archive_id {
            return unsound(format!("it belongs to archive {found} instead of {archive_id}"));
        }
        let miscounted: i64 = sqlx::query_scalar(
            "-- catalog.miscounted
            SELECT count(*) FROM (
                SELECT workspace, state, count(*) AS recordings, coalesce(sum(size_bytes), 0) AS bytes
                FROM recordings GROUP BY workspace, state
            ) AS r FULL JOIN counts AS c USING (workspace, state)
            WHERE coalesce(r.recordings, 0) <> coalesce(c.recordings, 0) OR coalesce(r.bytes, 0) <> coalesce(c.bytes, 0)",
        )
        .fetch_one(self.pool())
        .await
        .map_err(CatalogError::sql(TEST))?;
        if miscounted > 0 {
            return unsound("its counts by state are not those of its rows".to_owned());
        }
        let (recordings, archived): (i64, i64) = sqlx::query_as(
            "-- catalog.copied
            SELECT coalesce(sum(recordings), 0), coalesce(sum(recordings) FILTER (WHERE state = 'archived'), 0)
            FROM counts",
        )
        .fetch_one(self.pool())
        .await
        .map_err(CatalogError::sql(TEST))?;
        Ok((recordings.unsigned_abs(), archived.unsigned_abs()))
    }
}

/// Writes into the copy that it is one. Its journal stays in memory, so that it is one file at every moment; a copy cut
/// short here has no name yet.
async fn mark(path: &Path, now: Timestamp) -> Result<(), CatalogError> {
    let marking = async {
        let mut copy = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(false)
            .journal_mode(SqliteJournalMode::Memory)
            .connect()
            .await?;
        sqlx::query("-- catalog.mark_copied\nUPDATE archive SET copied_at = ?1")
            .bind(now.as_microseconds())
            .execute(&mut copy)
            .await?;
        copy.close().await
    };
    marking.await.map_err(CatalogError::sql("mark its copy"))
}
