//! A page of the listing into the catalog: one transaction, and no write at all where nothing is new.
//!
//! Writes metadata columns, and the state by the rules of [`after`]. Must not know: pages' order, links.

use sha2::Digest as _;
use sha2::Sha256;
use sqlx::SqliteConnection;

use super::error::CatalogError;
use super::open::Catalog;
use super::open::commit;
use super::rows::Columns;
use super::workspaces::workspace_key;
use crate::domain::clock::Timestamp;
use crate::domain::ids::RecordingId;
use crate::domain::ids::WorkspaceName;
use crate::domain::recording::Recording;
use crate::domain::recording::SetAside;
use crate::domain::report::UpsertCounts;
use crate::domain::state::Event;
use crate::domain::state::State;
use crate::domain::state::after;

/// What a page brought.
#[derive(Debug, Clone, Copy)]
pub struct PageUpsert<'a> {
    /// The items that were understood. Of several with one id the last counts.
    pub recordings: &'a [Recording],
    /// The items that were not.
    pub set_aside: &'a [SetAside],
    /// An unchanged row last seen before this is marked as seen; one seen since then is left alone.
    pub touch_before: Timestamp,
}

/// What a page changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpsertOutcome {
    /// Counted.
    pub counts: UpsertCounts,
    /// The recordings of the page that are due now.
    pub claimable: Vec<RecordingId>,
}

const OPERATION: &str = "keep a page of the listing";

/// A recording as the catalog has it, as far as an upsert compares.
struct Known {
    seq: i64,
    state: State,
    not_before: i64,
    last_seen_at: i64,
    metadata: String,
    status: String,
}

impl Catalog {
    /// Keeps a page of the listing of a workspace.
    ///
    /// # Errors
    /// The catalog cannot be written, and holds nothing of the page then.
    pub async fn upsert_page(
        &self,
        workspace: &WorkspaceName,
        page: PageUpsert<'_>,
    ) -> Result<UpsertOutcome, CatalogError> {
        let now = self.clock.now().as_microseconds();
        let mut tx = self.begin(OPERATION).await?;
        let key = workspace_key(&mut tx, workspace, OPERATION).await?;
        let mut outcome = UpsertOutcome {
            counts: UpsertCounts::default(),
            claimable: Vec::new(),
        };
        for recording in page.recordings {
            upsert(&mut tx, key, recording, now, page.touch_before, &mut outcome).await?;
        }
        for item in page.set_aside {
            set_aside(&mut tx, key, item, now, page.touch_before).await?;
            outcome.counts.set_aside += 1;
        }
        commit(tx, OPERATION).await?;
        Ok(outcome)
    }
}

async fn upsert(
    tx: &mut SqliteConnection,
    workspace: i64,
    recording: &Recording,
    now: i64,
    touch_before: Timestamp,
    outcome: &mut UpsertOutcome,
) -> Result<(), CatalogError> {
    let known = find(tx, workspace, &recording.id).await?;
    let listed = Event::Listed(recording.status.class());
    // Being listed is legal from every state.
    let state = after(known.as_ref().map(|known| known.state), listed).unwrap_or(State::Waiting);
    let due_now = |not_before: i64| state == State::Due && not_before <= now;
    let Some(known) = known else {
        insert(tx, workspace, recording, state, now).await?;
        resolve_set_aside(tx, workspace, &recording.id, now).await?;
        outcome.counts.new += 1;
        if due_now(0) {
            outcome.claimable.push(recording.id);
        }
        return Ok(());
    };
    if due_now(known.not_before) {
        outcome.claimable.push(recording.id);
    }
    let metadata_changed = known.metadata != recording.metadata || known.status != recording.status.as_str();
    if metadata_changed || known.state != state {
        if metadata_changed && known.state == State::Archived {
            keep_version(tx, &known, now).await?;
        }
        update(tx, &known, recording, state, now).await?;
        resolve_set_aside(tx, workspace, &recording.id, now).await?;
        outcome.counts.changed += 1;
    } else {
        if known.last_seen_at < touch_before.as_microseconds() {
            touch(tx, known.seq, now).await?;
        }
        outcome.counts.unchanged += 1;
    }
    Ok(())
}

async fn find(tx: &mut SqliteConnection, workspace: i64, id: &RecordingId) -> Result<Option<Known>, CatalogError> {
    let id = id.as_bytes().as_slice();
    let row = sqlx::query!(
        "-- catalog.find
        SELECT seq, state, not_before, last_seen_at, metadata, status FROM recordings
        WHERE workspace = ?1 AND id = ?2",
        workspace,
        id
    )
    .fetch_optional(tx)
    .await
    .map_err(CatalogError::sql(OPERATION))?;
    row.map(|row| {
        Ok(Known {
            state: Columns::of_recording(row.seq).state("state", &row.state)?,
            seq: row.seq,
            not_before: row.not_before,
            last_seen_at: row.last_seen_at,
            metadata: row.metadata,
            status: row.status,
        })
    })
    .transpose()
}

/// The digits of a number, by which it is searched for; `None` where it has none.
pub(super) fn digits(number: &str) -> Option<String> {
    let digits: String = number.chars().filter(char::is_ascii_digit).collect();
    (!digits.is_empty()).then_some(digits)
}

async fn insert(
    tx: &mut SqliteConnection,
    workspace: i64,
    recording: &Recording,
    state: State,
    now: i64,
) -> Result<(), CatalogError> {
    let (id, status, created_at) = (
        recording.id.as_bytes().as_slice(),
        recording.status.as_str(),
        recording.created_at.as_microseconds(),
    );
    let (from_digits, to_digits) = (
        recording.from.as_deref().and_then(digits),
        recording.to.as_deref().and_then(digits),
    );
    let state = state.as_str();
    sqlx::query!(
        "-- catalog.insert
        INSERT INTO recordings (workspace, id, status, created_at, direction, caller, callee, caller_digits,
            callee_digits, duration_seconds, format, metadata, first_seen_at, last_seen_at, state)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?13, ?14)",
        workspace,
        id,
        status,
        created_at,
        recording.direction,
        recording.from,
        recording.to,
        from_digits,
        to_digits,
        recording.duration_seconds,
        recording.format,
        recording.metadata,
        now,
        state
    )
    .execute(tx)
    .await
    .map_err(CatalogError::sql(OPERATION))?;
    Ok(())
}

/// Everything upstream may change, except the time of creation: the file's name is made of the first one seen.
async fn update(
    tx: &mut SqliteConnection,
    known: &Known,
    recording: &Recording,
    state: State,
    now: i64,
) -> Result<(), CatalogError> {
    let (from_digits, to_digits) = (
        recording.from.as_deref().and_then(digits),
        recording.to.as_deref().and_then(digits),
    );
    let (status, state) = (recording.status.as_str(), state.as_str());
    sqlx::query!(
        "-- catalog.update
        UPDATE recordings
        SET status = ?2, direction = ?3, caller = ?4, callee = ?5, caller_digits = ?6, callee_digits = ?7,
            duration_seconds = ?8, format = ?9, metadata = ?10, last_seen_at = ?11, state = ?12
        WHERE seq = ?1",
        known.seq,
        status,
        recording.direction,
        recording.from,
        recording.to,
        from_digits,
        to_digits,
        recording.duration_seconds,
        recording.format,
        recording.metadata,
        now,
        state
    )
    .execute(tx)
    .await
    .map_err(CatalogError::sql(OPERATION))?;
    Ok(())
}

async fn touch(tx: &mut SqliteConnection, seq: i64, now: i64) -> Result<(), CatalogError> {
    sqlx::query!(
        "-- catalog.touch\nUPDATE recordings SET last_seen_at = ?2 WHERE seq = ?1",
        seq,
        now
    )
    .execute(tx)
    .await
    .map_err(CatalogError::sql(OPERATION))?;
    Ok(())
}

async fn keep_version(tx: &mut SqliteConnection, known: &Known, now: i64) -> Result<(), CatalogError> {
    sqlx::query!(
        "-- catalog.keep_version
        INSERT INTO metadata_versions (seq, superseded_at, metadata) VALUES (?1, ?2, ?3)",
        known.seq,
        now,
        known.metadata
    )
    .execute(tx)
    .await
    .map_err(CatalogError::sql(OPERATION))?;
    Ok(())
}

async fn set_aside(
    tx: &mut SqliteConnection,
    workspace: i64,
    item: &SetAside,
    now: i64,
    touch_before: Timestamp,
) -> Result<(), CatalogError> {
    let fingerprint = Sha256::digest(item.raw.as_bytes());
    let (fingerprint, id) = (
        fingerprint.as_slice(),
        item.id.as_ref().map(|id| id.as_bytes().as_slice()),
    );
    let touch_before = touch_before.as_microseconds();
    sqlx::query!(
        "-- catalog.set_aside
        INSERT INTO set_aside (workspace, fingerprint, raw, reason, recording_id, first_seen_at, last_seen_at)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)
        ON CONFLICT (workspace, fingerprint) DO UPDATE
        SET last_seen_at = excluded.last_seen_at, reason = excluded.reason, resolved_at = NULL
        WHERE resolved_at IS NOT NULL OR last_seen_at < ?7",
        workspace,
        fingerprint,
        item.raw,
        item.reason,
        id,
        now,
        touch_before
    )
    .execute(tx)
    .await
    .map_err(CatalogError::sql(OPERATION))?;
    Ok(())
}

/// An item that is understood now was set aside for nothing that still holds.
async fn resolve_set_aside(
    tx: &mut SqliteConnection,
    workspace: i64,
    id: &RecordingId,
    now: i64,
) -> Result<(), CatalogError> {
    let id = id.as_bytes().as_slice();
    sqlx::query!(
        "-- catalog.resolve_set_aside
        UPDATE set_aside SET resolved_at = ?3 WHERE workspace = ?1 AND recording_id = ?2 AND resolved_at IS NULL",
        workspace,
        id,
        now
    )
    .execute(tx)
    .await
    .map_err(CatalogError::sql(OPERATION))?;
    Ok(())
}
