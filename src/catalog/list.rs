//! Recordings, newest first, by any filter, a page at a time.
//!
//! Must not know: how the rows are found, or how a row is shown.

use sqlx::FromRow;

use super::error::CatalogError;
use super::list_query::list_query;
use super::read::CatalogReader;
use super::rows::Columns;
use super::rows::workspace_name;
use crate::domain::clock::Timestamp;
use crate::domain::digest::Sha256Digest;
use crate::domain::ids::RecordingId;
use crate::domain::ids::WorkspaceName;
use crate::domain::state::State;

/// Which recordings to list: those that meet every condition. An empty list of choices is no condition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListFilter {
    /// Of one of these workspaces.
    pub workspaces: Vec<WorkspaceName>,
    /// In one of these states.
    pub states: Vec<State>,
    /// With one of these upstream statuses.
    pub statuses: Vec<String>,
    /// With one of these directions.
    pub directions: Vec<String>,
    /// From or to this phone number, compared by its digits: the whole number, or its end if that is at least five
    /// digits. A text without digits is compared as it is.
    pub number: Option<String>,
    /// Created at this time or later.
    pub since: Option<Timestamp>,
    /// Created before this time.
    pub until: Option<Timestamp>,
}

/// Where a page of a list ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListCursor {
    pub(super) created_at: i64,
    pub(super) seq: i64,
}

/// A recording, as a list shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordingRow {
    /// Its workspace.
    pub workspace: WorkspaceName,
    /// Its id.
    pub id: RecordingId,
    /// Where it stands.
    pub state: State,
    /// Upstream's status, verbatim.
    pub status: String,
    /// `createdAt` as first seen.
    pub created_at: Timestamp,
    /// Upstream's direction, verbatim.
    pub direction: Option<String>,
    /// The calling party's number.
    pub from: Option<String>,
    /// The called party's number.
    pub to: Option<String>,
    /// Length upstream states, in whole seconds.
    pub duration_seconds: Option<i64>,
    /// The body's place, relative to the archive, where it is archived.
    pub path: Option<String>,
    /// The body's length in bytes, where it is archived.
    pub size_bytes: Option<u64>,
    /// The body's SHA-256, where it is archived.
    pub sha256: Option<Sha256Digest>,
    /// When it was archived.
    pub archived_at: Option<Timestamp>,
    /// Attempts that counted.
    pub attempts: u32,
    /// Why the last fetch did not end in a body.
    pub last_error: Option<String>,
    seq: i64,
}

impl RecordingRow {
    /// Where a page that ends with this row goes on.
    #[must_use]
    pub const fn cursor(&self) -> ListCursor {
        ListCursor {
            created_at: self.created_at.as_microseconds(),
            seq: self.seq,
        }
    }

    pub(super) const fn seq(&self) -> i64 {
        self.seq
    }
}

impl CatalogReader {
    /// Up to `limit` recordings that meet the filter, newest first, going on `after` a row where one is given. Rows
    /// that come or go between two pages neither shift nor repeat others.
    ///
    /// # Errors
    /// What SQLite says, or a damaged row.
    pub async fn list_page(
        &self,
        filter: &ListFilter,
        after: Option<ListCursor>,
        limit: u32,
    ) -> Result<Vec<RecordingRow>, CatalogError> {
        let mut query = list_query(filter, after, limit);
        let rows: Vec<ListedRow> = query
            .build_query_as()
            .fetch_all(self.pool())
            .await
            .map_err(CatalogError::sql("list recordings"))?;
        rows.into_iter().map(ListedRow::into_row).collect()
    }
}

/// A row as SQL gives it.
#[derive(FromRow)]
pub(super) struct ListedRow {
    pub(super) seq: i64,
    pub(super) workspace: String,
    pub(super) id: Vec<u8>,
    pub(super) state: String,
    pub(super) status: String,
    pub(super) created_at: i64,
    pub(super) direction: Option<String>,
    pub(super) caller: Option<String>,
    pub(super) callee: Option<String>,
    pub(super) duration_seconds: Option<i64>,
    pub(super) path: Option<String>,
    pub(super) size_bytes: Option<i64>,
    pub(super) sha256: Option<Vec<u8>>,
    pub(super) archived_at: Option<i64>,
    pub(super) attempts: i64,
    pub(super) last_error: Option<String>,
}

impl ListedRow {
    pub(super) fn into_row(self) -> Result<RecordingRow, CatalogError> {
        let columns = Columns::of_recording(self.seq);
        Ok(RecordingRow {
            workspace: workspace_name(self.seq, &self.workspace)?,
            id: columns.id("id", &self.id)?,
            state: columns.state("state", &self.state)?,
            status: self.status,
            created_at: columns.time("created_at", self.created_at)?,
            direction: self.direction,
            from: self.caller,
            to: self.callee,
            duration_seconds: self.duration_seconds,
            path: self.path,
            size_bytes: self
                .size_bytes
                .map(|size| columns.count("size_bytes", size))
                .transpose()?,
            sha256: self
                .sha256
                .map(|digest| columns.sha256("sha256", &digest))
                .transpose()?,
            archived_at: columns.optional_time("archived_at", self.archived_at)?,
            attempts: columns.attempts(self.attempts)?,
            last_error: self.last_error,
            seq: self.seq,
        })
    }
}
