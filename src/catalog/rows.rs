//! Between columns and values: what a column may hold is checked once, here.
//!
//! Must not know: which statement a column came from.

use super::error::CatalogError;
use crate::domain::clock::Timestamp;
use crate::domain::digest::Sha256Digest;
use crate::domain::finding::FindingKind;
use crate::domain::ids::RecordingId;
use crate::domain::ids::WorkspaceId;
use crate::domain::ids::WorkspaceName;
use crate::domain::key::StoreKey;
use crate::domain::state::State;

/// The error for a row that holds what is never written.
pub(super) const fn damaged(table: &'static str, column: &'static str, row: i64) -> CatalogError {
    CatalogError::Row { table, column, row }
}

/// One row of one table, whose columns are being read.
#[derive(Clone, Copy)]
pub(super) struct Columns {
    pub(super) table: &'static str,
    pub(super) row: i64,
}

impl Columns {
    /// A row of `recordings`.
    pub(super) const fn of_recording(seq: i64) -> Self {
        Self {
            table: "recordings",
            row: seq,
        }
    }

    pub(super) const fn damaged(self, column: &'static str) -> CatalogError {
        damaged(self.table, column, self.row)
    }

    pub(super) fn time(self, column: &'static str, micros: i64) -> Result<Timestamp, CatalogError> {
        Timestamp::from_microseconds(micros).map_err(|_| self.damaged(column))
    }

    pub(super) fn optional_time(
        self,
        column: &'static str,
        micros: Option<i64>,
    ) -> Result<Option<Timestamp>, CatalogError> {
        micros.map(|micros| self.time(column, micros)).transpose()
    }

    pub(super) fn count(self, column: &'static str, value: i64) -> Result<u64, CatalogError> {
        u64::try_from(value).map_err(|_| self.damaged(column))
    }

    pub(super) fn attempts(self, value: i64) -> Result<u32, CatalogError> {
        u32::try_from(value).map_err(|_| self.damaged("attempts"))
    }

    pub(super) fn state(self, column: &'static str, text: &str) -> Result<State, CatalogError> {
        text.parse().map_err(|_| self.damaged(column))
    }

    pub(super) fn finding(self, column: &'static str, text: &str) -> Result<FindingKind, CatalogError> {
        text.parse().map_err(|_| self.damaged(column))
    }

    pub(super) fn id(self, column: &'static str, bytes: &[u8]) -> Result<RecordingId, CatalogError> {
        bytes
            .try_into()
            .map(RecordingId::from_bytes)
            .map_err(|_| self.damaged(column))
    }

    pub(super) fn key(self, column: &'static str, path: &str) -> Result<StoreKey, CatalogError> {
        path.parse().map_err(|_| self.damaged(column))
    }

    pub(super) fn sha256(self, column: &'static str, bytes: &[u8]) -> Result<Sha256Digest, CatalogError> {
        bytes.try_into().map(Sha256Digest).map_err(|_| self.damaged(column))
    }
}

/// A workspace's name, from the table that `row` is a row of.
pub(super) fn workspace_name(row: i64, text: &str) -> Result<WorkspaceName, CatalogError> {
    text.parse().map_err(|_| damaged("workspaces", "name", row))
}

/// Upstream's id of a workspace, from the table that `row` is a row of.
pub(super) fn workspace_id(row: i64, text: &str) -> Result<WorkspaceId, CatalogError> {
    text.parse().map_err(|_| damaged("workspaces", "id", row))
}

/// A time before which a recording is left alone, as a column. Zero, which is at once, stands for all before 1970.
pub(super) fn not_before_column(at: Timestamp) -> i64 {
    at.as_microseconds().max(0)
}

/// A count as a column.
pub(super) fn count_column(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A recording id's bytes in hex, for `unhex`.
pub(super) fn hex(id: &RecordingId) -> String {
    format!("{:032x}", u128::from_be_bytes(*id.as_bytes()))
}

/// Many values as one parameter: a JSON array, for `json_each`.
pub(super) fn rows_parameter<T: serde::Serialize>(rows: &[T]) -> String {
    // Text and numbers always have a JSON form. Had they none, the empty text would fail the statement.
    serde_json::to_string(rows).unwrap_or_default()
}

/// Recording ids as one parameter, for `json_each` and `unhex`.
pub(super) fn ids_parameter<'a>(ids: impl IntoIterator<Item = &'a RecordingId>) -> String {
    rows_parameter(&ids.into_iter().map(hex).collect::<Vec<_>>())
}

/// Workspace names as one parameter, for `json_each`.
pub(super) fn names_parameter(names: &[WorkspaceName]) -> String {
    rows_parameter(&names.iter().map(WorkspaceName::as_str).collect::<Vec<_>>())
}
