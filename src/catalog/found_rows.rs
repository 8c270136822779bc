//! Rows made of what was found in the archive, many with one statement.
//!
//! Must not know: which recordings had rows before.

use std::collections::HashMap;

use serde::Serialize;
use sqlx::SqliteConnection;

use super::error::CatalogError;
use super::found::OPERATION;
use super::rows::count_column;
use super::rows::hex;
use super::rows::rows_parameter;
use super::upsert::digits;
use super::workspaces::workspace_key;
use crate::domain::finding::FindingKind;
use crate::domain::found::FoundBody;
use crate::domain::found::FoundRecording;
use crate::domain::ids::WorkspaceName;
use crate::domain::state::State;

/// The keys of the workspaces at hand.
pub(super) struct WorkspaceKeys(HashMap<WorkspaceName, i64>);

impl WorkspaceKeys {
    pub(super) fn of(&self, name: &WorkspaceName) -> Result<i64, CatalogError> {
        let key = self.0.get(name).copied();
        key.ok_or_else(|| CatalogError::UnknownWorkspace { name: name.clone() })
    }
}

/// The keys of all workspaces that these recordings belong to.
pub(super) async fn workspace_keys(
    connection: &mut SqliteConnection,
    found: &[FoundRecording],
) -> Result<WorkspaceKeys, CatalogError> {
    let mut keys = HashMap::new();
    for recording in found {
        let name = &recording.object.key.recording().workspace;
        if !keys.contains_key(name) {
            keys.insert(name.clone(), workspace_key(connection, name, OPERATION).await?);
        }
    }
    Ok(WorkspaceKeys(keys))
}

/// When a body was read, where it was.
pub(super) fn verified_at(found: &FoundRecording, now: i64) -> Option<i64> {
    match &found.body {
        FoundBody::Unread => None,
        FoundBody::Sound | FoundBody::Unsound(_) => Some(now),
    }
}

/// A recording that no row knew, as a row with all that hangs on it.
#[derive(Serialize)]
pub(super) struct NewRow<'a> {
    workspace: i64,
    id: String,
    state: &'static str,
    status: &'a str,
    created_at: i64,
    direction: Option<&'a str>,
    caller: Option<&'a str>,
    callee: Option<&'a str>,
    caller_digits: Option<String>,
    callee_digits: Option<String>,
    duration_seconds: Option<i64>,
    format: &'a str,
    metadata: &'a str,
    first_seen_at: i64,
    last_seen_at: i64,
    last_error: Option<String>,
    /// The columns of a body; none where there is none.
    body: Option<BodyColumns<'a>>,
    revision: usize,
    versions: Vec<VersionColumns<'a>>,
    finding: Option<FindingColumns<'a>>,
}

#[derive(Serialize)]
struct BodyColumns<'a> {
    attempts: u32,
    path: String,
    size_bytes: i64,
    sha256: String,
    content_type: Option<&'a str>,
    etag: Option<&'a str>,
    archived_at: i64,
    remark: Option<&'a str>,
    sidecar_revision: Option<usize>,
    verified_at: Option<i64>,
}

#[derive(Serialize)]
struct VersionColumns<'a> {
    superseded_at: i64,
    metadata: &'a str,
}

#[derive(Serialize)]
struct FindingColumns<'a> {
    kind: &'static str,
    detail: &'a str,
}

impl<'a> NewRow<'a> {
    pub(super) fn new(
        found: &'a FoundRecording,
        workspaces: &WorkspaceKeys,
        state: State,
        now: i64,
    ) -> Result<Self, CatalogError> {
        let (recording, history, reference) = (&found.recording, &found.history, found.object.key.recording());
        let unsound = match &found.body {
            FoundBody::Unsound(finding) => Some(finding),
            _ => None,
        };
        let is_lost = unsound.is_some_and(|finding| finding.kind == FindingKind::Missing);
        let versions = history.versions.iter().map(|version| VersionColumns {
            superseded_at: version.superseded_at.as_microseconds(),
            metadata: &version.metadata,
        });
        Ok(Self {
            workspace: workspaces.of(&reference.workspace)?,
            id: hex(&reference.id),
            state: state.as_str(),
            status: recording.status.as_str(),
            created_at: history.created_at.as_microseconds(),
            direction: recording.direction.as_deref(),
            caller: recording.from.as_deref(),
            callee: recording.to.as_deref(),
            caller_digits: recording.from.as_deref().and_then(digits),
            callee_digits: recording.to.as_deref().and_then(digits),
            duration_seconds: recording.duration_seconds,
            format: &recording.format,
            metadata: &recording.metadata,
            first_seen_at: history.first_seen_at.as_microseconds(),
            last_seen_at: found.last_seen_at().as_microseconds(),
            last_error: unsound
                .filter(|_| is_lost)
                .map(|finding| format!("it was archived, and its body was not there: {}", finding.detail)),
            body: (!is_lost).then(|| BodyColumns::new(found, now)),
            revision: history.versions.len(),
            versions: versions.collect(),
            finding: unsound.filter(|_| !is_lost).map(|finding| FindingColumns {
                kind: finding.kind.as_str(),
                detail: &finding.detail,
            }),
        })
    }
}

impl<'a> BodyColumns<'a> {
    fn new(found: &'a FoundRecording, now: i64) -> Self {
        let object = &found.object;
        Self {
            attempts: found.history.attempts,
            path: object.key.to_string(),
            size_bytes: count_column(object.size_bytes),
            sha256: object.sha256.to_string(),
            content_type: object.content_type.as_deref(),
            etag: object.etag.as_deref(),
            archived_at: object.archived_at.as_microseconds(),
            remark: object.remark.as_deref(),
            sidecar_revision: found.sidecar_is_complete.then_some(found.history.versions.len()),
            verified_at: verified_at(found, now),
        }
    }
}

/// Makes rows that were not there.
pub(super) async fn insert(
    connection: &mut SqliteConnection,
    rows: &[NewRow<'_>],
    now: i64,
) -> Result<(), CatalogError> {
    if rows.is_empty() {
        return Ok(());
    }
    let parameter = rows_parameter(rows);
    sqlx::query!(
        "-- catalog.insert_found
        INSERT INTO recordings (workspace, id, state, status, created_at, direction, caller, callee, caller_digits,
            callee_digits, duration_seconds, format, metadata, first_seen_at, last_seen_at, last_error, attempts, path,
            size_bytes, sha256, content_type, etag, archived_at, remark, revision, sidecar_revision, verified_at)
        SELECT value ->> 'workspace', unhex(value ->> 'id'), value ->> 'state', value ->> 'status',
            value ->> 'created_at', value ->> 'direction', value ->> 'caller', value ->> 'callee',
            value ->> 'caller_digits', value ->> 'callee_digits', value ->> 'duration_seconds', value ->> 'format',
            value ->> 'metadata', value ->> 'first_seen_at', value ->> 'last_seen_at', value ->> 'last_error',
            coalesce(value ->> '$.body.attempts', 0), value ->> '$.body.path', value ->> '$.body.size_bytes',
            unhex(value ->> '$.body.sha256'), value ->> '$.body.content_type', value ->> '$.body.etag',
            value ->> '$.body.archived_at', value ->> '$.body.remark', value ->> 'revision',
            value ->> '$.body.sidecar_revision', value ->> '$.body.verified_at'
        FROM json_each(?1)",
        parameter
    )
    .execute(&mut *connection)
    .await
    .map_err(CatalogError::sql(OPERATION))?;
    if rows.iter().any(|row| !row.versions.is_empty()) {
        insert_versions(connection, &parameter).await?;
    }
    if rows.iter().any(|row| row.finding.is_some()) {
        insert_findings(connection, &parameter, now).await?;
    }
    Ok(())
}

async fn insert_versions(connection: &mut SqliteConnection, rows: &str) -> Result<(), CatalogError> {
    sqlx::query!(
        "-- catalog.insert_found_versions
        INSERT INTO metadata_versions (seq, superseded_at, metadata)
        SELECT r.seq, chosen.value ->> 'superseded_at', chosen.value ->> 'metadata'
        FROM json_each(?1) AS wanted
        CROSS JOIN json_each(wanted.value, '$.versions') AS chosen
        CROSS JOIN recordings AS r
            ON r.workspace = wanted.value ->> 'workspace' AND r.id = unhex(wanted.value ->> 'id')",
        rows
    )
    .execute(connection)
    .await
    .map_err(CatalogError::sql(OPERATION))?;
    Ok(())
}

async fn insert_findings(connection: &mut SqliteConnection, rows: &str, now: i64) -> Result<(), CatalogError> {
    sqlx::query!(
        "-- catalog.insert_found_findings
        INSERT INTO findings (seq, kind, detail, first_found_at, last_found_at)
        SELECT r.seq, wanted.value ->> '$.finding.kind', wanted.value ->> '$.finding.detail', ?2, ?2
        FROM json_each(?1) AS wanted
        CROSS JOIN recordings AS r
            ON r.workspace = wanted.value ->> 'workspace' AND r.id = unhex(wanted.value ->> 'id')
        WHERE wanted.value ->> '$.finding.kind' IS NOT NULL",
        rows,
        now
    )
    .execute(connection)
    .await
    .map_err(CatalogError::sql(OPERATION))?;
    Ok(())
}
