//! What was found in the archive, taken into the catalog: rows that are not there are made, rows that never knew of their
//! body are completed, and rows that are there keep what they say.
//!
//! Must not know: files, how a sidecar is read.

use std::collections::HashMap;

use serde::Serialize;
use sqlx::SqliteConnection;

use super::error::CatalogError;
use super::found_rows;
use super::found_rows::NewRow;
use super::history;
use super::open::Catalog;
use super::open::commit;
use super::rows::Columns;
use super::rows::hex;
use super::rows::rows_parameter;
use super::upsert::digits;
use crate::domain::digest::Sha256Digest;
use crate::domain::finding::Finding;
use crate::domain::finding::FindingKind;
use crate::domain::found::FoundBody;
use crate::domain::found::FoundRecording;
use crate::domain::ids::RecordingRef;
use crate::domain::report::EarlierSidecar;
use crate::domain::state::Event;
use crate::domain::state::State;
use crate::domain::state::after;

pub(super) const OPERATION: &str = "take up what was found";

/// What became of a recording that was found in the archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TakenUp {
    /// It has a row now, and had none before.
    New,
    /// Its row did not know of its body, and does now.
    Completed,
    /// Its row knew of this very body.
    Known,
    /// Its row keeps what it says, which is something else: another body or another place, or it is being fetched.
    Differs,
}

/// What is known of a recording before it is taken up.
struct Known {
    seq: i64,
    state: State,
    path: Option<String>,
    size_bytes: Option<i64>,
    sha256: Option<Sha256Digest>,
    metadata: String,
    last_seen_at: i64,
}

impl Known {
    fn is_of(&self, found: &FoundRecording) -> bool {
        let object = &found.object;
        self.path.as_deref() == Some(object.key.to_string().as_str())
            && self.size_bytes.map(u64::try_from) == Some(Ok(object.size_bytes))
            && self.sha256 == Some(object.sha256)
    }

    /// Whether the sidecar was written when upstream had changed the metadata since this row was. A sidecar names all it
    /// has seen superseded; of one that was not archived by then, which keeps no versions, the later sight counts.
    fn is_behind(&self, found: &FoundRecording) -> bool {
        let superseded = || {
            let mut versions = found.history.versions.iter();
            versions.any(|version| version.metadata == self.metadata)
        };
        let unseen = || self.state != State::Archived && found.last_seen_at().as_microseconds() >= self.last_seen_at;
        self.metadata != found.recording.metadata && (superseded() || unseen())
    }
}

impl Catalog {
    /// Takes up recordings that were found in the archive, all of them or, on an error, none. The answer has one entry for
    /// each, in their order. Where one is named twice, the first counts and the second differs. What the rows of an older
    /// catalog lack is brought in, and nothing that a row knows of a body is changed.
    ///
    /// A body that was found missing makes a row that is due; one that is otherwise unsound makes one that is archived and
    /// has a finding, so that a repair deals with it.
    ///
    /// # Errors
    /// A workspace is not registered, or what SQLite says.
    pub async fn take_up(&self, found: &[FoundRecording]) -> Result<Vec<TakenUp>, CatalogError> {
        if found.is_empty() {
            return Ok(Vec::new());
        }
        let now = self.clock.now().as_microseconds();
        let mut tx = self.begin(OPERATION).await?;
        let workspaces = found_rows::workspace_keys(&mut tx, found).await?;
        let known = known_of(&mut tx, found, &workspaces).await?;
        let mut first: HashMap<&RecordingRef, usize> = HashMap::new();
        let (mut new, mut taken) = (Vec::new(), Vec::with_capacity(found.len()));
        for (at, recording) in found.iter().enumerate() {
            let reference = recording.object.key.recording();
            if *first.entry(reference).or_insert(at) != at {
                taken.push(TakenUp::Differs);
                continue;
            }
            let became = match known.get(&at) {
                None => {
                    new.push(NewRow::new(recording, &workspaces, new_state(recording), now)?);
                    TakenUp::New
                }
                Some(known) => take_up_known(&mut tx, known, recording, now).await?,
            };
            taken.push(became);
        }
        found_rows::insert(&mut tx, &new, now).await?;
        commit(tx, OPERATION).await?;
        Ok(taken)
    }
}

/// The state of a recording that no row knew.
fn new_state(found: &FoundRecording) -> State {
    let stored = after(None, Event::FoundStored);
    let state = match &found.body {
        FoundBody::Unsound(finding) if finding.kind == FindingKind::Missing => after(stored, Event::LostLocally),
        _ => stored,
    };
    state.unwrap_or(State::Due)
}

async fn take_up_known(
    connection: &mut SqliteConnection,
    known: &Known,
    found: &FoundRecording,
    now: i64,
) -> Result<TakenUp, CatalogError> {
    if known.state == State::Archived && !known.is_of(found) {
        return Ok(TakenUp::Differs);
    }
    let lost = matches!(&found.body, FoundBody::Unsound(finding) if finding.kind == FindingKind::Missing);
    let became = if known.state == State::Archived || lost {
        TakenUp::Known
    } else if let Some(state) = after(Some(known.state), Event::FoundStored) {
        complete(connection, known.seq, found, state, now).await?;
        if let FoundBody::Unsound(finding) = &found.body {
            note_finding(connection, known.seq, finding, now).await?;
        }
        TakenUp::Completed
    } else {
        return Ok(TakenUp::Differs);
    };
    let is_behind = known.is_behind(found);
    if is_behind {
        replace_metadata(connection, known.seq, found).await?;
    }
    if is_behind || known.metadata != found.recording.metadata || !found.history.versions.is_empty() {
        let earlier = EarlierSidecar {
            metadata: found.recording.metadata.clone(),
            history: Some(found.history.clone()),
        };
        history::import(connection, known.seq, &earlier, now).await?;
        forget_sidecar(connection, known.seq).await?;
    }
    Ok(became)
}

/// Which recording, as a parameter.
#[derive(Serialize)]
struct Wanted {
    workspace: i64,
    id: String,
}

/// What is known of those that have rows, by their place in `found`.
async fn known_of(
    connection: &mut SqliteConnection,
    found: &[FoundRecording],
    workspaces: &found_rows::WorkspaceKeys,
) -> Result<HashMap<usize, Known>, CatalogError> {
    let mut wanted = Vec::with_capacity(found.len());
    for recording in found {
        let reference = recording.object.key.recording();
        wanted.push(Wanted {
            workspace: workspaces.of(&reference.workspace)?,
            id: hex(&reference.id),
        });
    }
    let wanted = rows_parameter(&wanted);
    let rows = sqlx::query!(
        r#"-- catalog.known_of_found
        SELECT wanted.key + 0 AS "at!: i64", r.seq AS "seq!: i64", r.state AS "state!: String", r.path AS "path?: String",
            r.size_bytes AS "size_bytes?: i64", r.sha256 AS "sha256?: Vec<u8>", r.metadata AS "metadata!: String",
            r.last_seen_at AS "last_seen_at!: i64"
        FROM json_each(?1) AS wanted
        CROSS JOIN recordings AS r
            ON r.workspace = wanted.value ->> 'workspace' AND r.id = unhex(wanted.value ->> 'id')"#,
        wanted
    )
    .fetch_all(connection)
    .await
    .map_err(CatalogError::sql(OPERATION))?;
    let mut known = HashMap::with_capacity(rows.len());
    for row in rows {
        let columns = Columns::of_recording(row.seq);
        let entry = Known {
            seq: row.seq,
            state: columns.state("state", &row.state)?,
            path: row.path,
            size_bytes: row.size_bytes,
            sha256: row.sha256.map(|bytes| columns.sha256("sha256", &bytes)).transpose()?,
            metadata: row.metadata,
            last_seen_at: row.last_seen_at,
        };
        known.insert(usize::try_from(row.at).map_err(|_| columns.damaged("seq"))?, entry);
    }
    Ok(known)
}

/// Gives a row the body that was found, and the time of creation that its place is made of.
async fn complete(
    connection: &mut SqliteConnection,
    seq: i64,
    found: &FoundRecording,
    state: State,
    now: i64,
) -> Result<(), CatalogError> {
    let (object, state) = (&found.object, state.as_str());
    let (path, archived_at) = (object.key.to_string(), object.archived_at.as_microseconds());
    let (size_bytes, sha256) = (super::rows::count_column(object.size_bytes), object.sha256.0.as_slice());
    let verified_at = found_rows::verified_at(found, now);
    let (created_at, attempts) = (found.history.created_at.as_microseconds(), found.history.attempts);
    sqlx::query!(
        "-- catalog.complete_found
        UPDATE recordings
        SET state = ?2, last_error = NULL, not_before = 0, path = ?3, size_bytes = ?4, sha256 = ?5, content_type = ?6,
            etag = ?7, archived_at = ?8, remark = ?9, verified_at = ?10, sidecar_revision = NULL, created_at = ?11,
            attempts = ?12
        WHERE seq = ?1 AND state NOT IN ('archived', 'claimed')",
        seq,
        state,
        path,
        size_bytes,
        sha256,
        object.content_type,
        object.etag,
        archived_at,
        object.remark,
        verified_at,
        created_at,
        attempts
    )
    .execute(connection)
    .await
    .map_err(CatalogError::sql(OPERATION))?;
    Ok(())
}

/// Gives a row the newer metadata that its sidecar holds.
async fn replace_metadata(
    connection: &mut SqliteConnection,
    seq: i64,
    found: &FoundRecording,
) -> Result<(), CatalogError> {
    let recording = &found.recording;
    let status = recording.status.as_str();
    let [calling, called] = [&recording.from, &recording.to].map(|number| number.as_deref().and_then(digits));
    sqlx::query!(
        "-- catalog.replace_metadata
        UPDATE recordings
        SET status = ?2, direction = ?3, caller = ?4, callee = ?5, caller_digits = ?6, callee_digits = ?7,
            duration_seconds = ?8, format = ?9, metadata = ?10, revision = revision + 1
        WHERE seq = ?1",
        seq,
        status,
        recording.direction,
        recording.from,
        recording.to,
        calling,
        called,
        recording.duration_seconds,
        recording.format,
        recording.metadata
    )
    .execute(connection)
    .await
    .map_err(CatalogError::sql(OPERATION))?;
    Ok(())
}

/// Has the sidecar held against the row again.
async fn forget_sidecar(connection: &mut SqliteConnection, seq: i64) -> Result<(), CatalogError> {
    sqlx::query!(
        "-- catalog.forget_sidecar
        UPDATE recordings SET sidecar_revision = NULL WHERE seq = ?1",
        seq
    )
    .execute(connection)
    .await
    .map_err(CatalogError::sql(OPERATION))?;
    Ok(())
}

/// Notes what is wrong with a recording's files, as it was found now.
pub(super) async fn note_finding(
    connection: &mut SqliteConnection,
    seq: i64,
    finding: &Finding,
    now: i64,
) -> Result<(), CatalogError> {
    let kind = finding.kind.as_str();
    sqlx::query!(
        "-- catalog.note_found_finding
        INSERT INTO findings (seq, kind, detail, first_found_at, last_found_at) VALUES (?1, ?2, ?3, ?4, ?4)
        ON CONFLICT (seq) DO UPDATE
        SET kind = excluded.kind, detail = excluded.detail, last_found_at = excluded.last_found_at",
        seq,
        kind,
        finding.detail,
        now
    )
    .execute(connection)
    .await
    .map_err(CatalogError::sql(OPERATION))?;
    Ok(())
}
