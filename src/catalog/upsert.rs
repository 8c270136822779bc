//! The lister's side: what a page of a listing says, brought into the catalog in one transaction.
//!
//! Writes metadata columns, and the state by [`after`] alone. Must not know: how a page was obtained.

use std::collections::HashMap;
use std::collections::HashSet;

use sqlx::SqliteConnection;

use super::error::CatalogError;
use super::open::Catalog;
use super::open::commit;
use super::rows::Columns;
use super::rows::hex;
use super::rows::ids_parameter;
use super::rows::rows_parameter;
use super::set_aside;
use super::workspaces::workspace_key;
use crate::domain::clock::Timestamp;
use crate::domain::ids::RecordingId;
use crate::domain::ids::WorkspaceName;
use crate::domain::recording::MOST_METADATA_VERSIONS;
use crate::domain::recording::Recording;
use crate::domain::recording::SetAside;
use crate::domain::report::UpsertCounts;
use crate::domain::state::Event;
use crate::domain::state::State;
use crate::domain::state::after;

pub(super) const OPERATION: &str = "upsert a page";

/// What one page of a listing held.
#[derive(Debug, Clone, Copy)]
pub struct Page<'a> {
    /// Its recordings. Where an id occurs more than once, the last one counts.
    pub recordings: &'a [Recording],
    /// Its items that were not understood.
    pub set_aside: &'a [SetAside],
    /// When it was read, by a clock that does not jump within a walk: from the walk's start to its end.
    pub seen_at: Timestamp,
    /// A row that is as it was is marked as seen only where it was last seen before this, so that a quiet poll writes
    /// nothing, or after `seen_at`, which a clock that was wrong has left. A full walk must give its own start, since
    /// what it did not touch counts as not listed.
    pub touch_before: Timestamp,
}

/// What a page changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UpsertOutcome {
    /// Each recording and each item set aside, counted once.
    pub counts: UpsertCounts,
    /// Those of the page that may be claimed at once, in the page's order.
    pub claimable: Vec<RecordingId>,
}

/// What is known of a recording before the page.
struct Known {
    seq: i64,
    state: State,
    not_before: i64,
    last_seen_at: i64,
    status: String,
    direction: Option<String>,
    caller: Option<String>,
    callee: Option<String>,
    duration_seconds: Option<i64>,
    format: String,
    metadata: String,
}

impl Known {
    fn says_the_same(&self, listed: &Recording) -> bool {
        self.metadata == listed.metadata
            && self.status == listed.status.as_str()
            && self.direction == listed.direction
            && self.caller == listed.from
            && self.callee == listed.to
            && self.duration_seconds == listed.duration_seconds
            && self.format == listed.format
    }
}

/// What is the same for every row of a page.
#[derive(Clone, Copy)]
pub(super) struct Moment {
    /// The workspace's key.
    pub(super) workspace: i64,
    /// Now.
    pub(super) now: i64,
    /// See [`Page::seen_at`].
    pub(super) seen_at: i64,
    /// See [`Page::touch_before`].
    pub(super) touch_before: i64,
}

impl Catalog {
    /// Brings a page into the catalog. Known rows keep `created_at` as first seen, and what the queue wrote; where
    /// nothing changed, nothing is written.
    ///
    /// # Errors
    /// The workspace is not registered, or what SQLite says. Then nothing of the page is stored.
    pub async fn upsert_page(&self, workspace: &WorkspaceName, page: Page<'_>) -> Result<UpsertOutcome, CatalogError> {
        let mut outcomes = self.upsert_pages(workspace, &[page]).await?;
        Ok(outcomes.pop().unwrap_or_default())
    }

    /// [`Catalog::upsert_page`] for several pages in one transaction, with an outcome for each: they share one flush of
    /// the disk, and what they write twice is written once.
    ///
    /// # Errors
    /// As for one. Then nothing of any page is stored.
    pub async fn upsert_pages(
        &self,
        workspace: &WorkspaceName,
        pages: &[Page<'_>],
    ) -> Result<Vec<UpsertOutcome>, CatalogError> {
        let mut tx = self.begin_small(OPERATION).await?;
        let key = workspace_key(&mut tx, workspace, OPERATION).await?;
        let mut outcomes = Vec::with_capacity(pages.len());
        for page in pages {
            let moment = Moment {
                workspace: key,
                now: self.clock.now().as_microseconds(),
                seen_at: page.seen_at.as_microseconds(),
                touch_before: page.touch_before.as_microseconds(),
            };
            outcomes.push(bring_in(&mut tx, moment, page).await?);
        }
        commit(tx, OPERATION).await?;
        Ok(outcomes)
    }
}

async fn bring_in(
    connection: &mut SqliteConnection,
    moment: Moment,
    page: &Page<'_>,
) -> Result<UpsertOutcome, CatalogError> {
    let listed = last_of_each(page.recordings);
    let mut outcome = UpsertOutcome::default();
    outcome.counts.set_aside = set_aside::upsert(connection, moment, page.set_aside).await?;
    let ids = ids_parameter(listed.iter().map(|recording| &recording.id));
    set_aside::resolve_understood(connection, moment, &ids).await?;
    let known = known_of(connection, moment, &ids).await?;
    let (mut new, mut to_touch) = (Vec::new(), Vec::new());
    for recording in listed {
        let known = known.get(&recording.id);
        let state = state_after(known.map(|known| known.state), recording);
        match known {
            None => {
                new.push(NewRow::new(recording, state));
                outcome.counts.new += 1;
            }
            Some(known) if known.state != state || !known.says_the_same(recording) => {
                update(connection, moment, known, recording, state).await?;
                outcome.counts.changed += 1;
            }
            Some(known) => {
                if known.last_seen_at < moment.touch_before || known.last_seen_at > moment.seen_at {
                    to_touch.push(known.seq);
                }
                outcome.counts.unchanged += 1;
            }
        }
        if state == State::Due && known.is_none_or(|known| known.not_before <= moment.now) {
            outcome.claimable.push(recording.id);
        }
    }
    insert(connection, moment, &new).await?;
    touch(connection, moment, &to_touch).await?;
    Ok(outcome)
}

/// Every id once, with what the page says of it last, in the page's order.
fn last_of_each(recordings: &[Recording]) -> Vec<&Recording> {
    let mut seen = HashSet::with_capacity(recordings.len());
    let mut listed: Vec<&Recording> = recordings
        .iter()
        .rev()
        .filter(|recording| seen.insert(recording.id))
        .collect();
    listed.reverse();
    listed
}

/// A listing moves every state or leaves it; a recording never seen before becomes what it is listed as.
fn state_after(known: Option<State>, listed: &Recording) -> State {
    after(known, Event::Listed(listed.status.class()))
        .or(known)
        .unwrap_or(State::Waiting)
}

/// The digits of a phone number, where it has any.
pub(super) fn digits(number: &str) -> Option<String> {
    let digits: String = number.chars().filter(char::is_ascii_digit).collect();
    (!digits.is_empty()).then_some(digits)
}

async fn known_of(
    connection: &mut SqliteConnection,
    moment: Moment,
    ids: &str,
) -> Result<HashMap<RecordingId, Known>, CatalogError> {
    let rows = sqlx::query!(
        r#"-- catalog.known_of_page
        SELECT r.seq AS "seq!: i64", r.id AS "id!: Vec<u8>", r.state AS "state!: String",
            r.not_before AS "not_before!: i64", r.last_seen_at AS "last_seen_at!: i64", r.status AS "status!: String",
            r.direction AS "direction?: String", r.caller AS "caller?: String", r.callee AS "callee?: String",
            r.duration_seconds AS "duration_seconds?: i64", r.format AS "format!: String",
            r.metadata AS "metadata!: String"
        FROM json_each(?1) AS wanted
        CROSS JOIN recordings AS r ON r.workspace = ?2 AND r.id = unhex(wanted.value)"#,
        ids,
        moment.workspace
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
            not_before: row.not_before,
            last_seen_at: row.last_seen_at,
            status: row.status,
            direction: row.direction,
            caller: row.caller,
            callee: row.callee,
            duration_seconds: row.duration_seconds,
            format: row.format,
            metadata: row.metadata,
        };
        known.insert(columns.id("id", &row.id)?, entry);
    }
    Ok(known)
}

/// A recording never seen before, as a row. A page's rows are handed over as one parameter: a call for each would cost
/// more than writing it.
#[derive(serde::Serialize)]
struct NewRow<'a> {
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
}

impl<'a> NewRow<'a> {
    fn new(listed: &'a Recording, state: State) -> Self {
        Self {
            id: hex(&listed.id),
            state: state.as_str(),
            status: listed.status.as_str(),
            created_at: listed.created_at.as_microseconds(),
            direction: listed.direction.as_deref(),
            caller: listed.from.as_deref(),
            callee: listed.to.as_deref(),
            caller_digits: listed.from.as_deref().and_then(digits),
            callee_digits: listed.to.as_deref().and_then(digits),
            duration_seconds: listed.duration_seconds,
            format: &listed.format,
            metadata: &listed.metadata,
        }
    }
}

/// How much metadata goes into one statement, in bytes. SQLite holds a parameter several times over while it reads it.
const INSERTED_AT_ONCE_BYTES: usize = 512 * 1024;

async fn insert(connection: &mut SqliteConnection, moment: Moment, rows: &[NewRow<'_>]) -> Result<(), CatalogError> {
    let mut rest = rows;
    while !rest.is_empty() {
        let mut len_bytes = 0;
        let fits = rest.iter().take_while(|row| {
            len_bytes += row.metadata.len();
            len_bytes <= INSERTED_AT_ONCE_BYTES
        });
        let (batch, more) = rest.split_at(fits.count().max(1));
        insert_batch(connection, moment, batch).await?;
        rest = more;
    }
    Ok(())
}

async fn insert_batch(
    connection: &mut SqliteConnection,
    moment: Moment,
    rows: &[NewRow<'_>],
) -> Result<(), CatalogError> {
    let (rows, seen_at) = (rows_parameter(rows), moment.seen_at);
    sqlx::query!(
        "-- catalog.insert_recordings
        INSERT INTO recordings (workspace, id, state, status, created_at, direction, caller, callee, caller_digits,
            callee_digits, duration_seconds, format, metadata, first_seen_at, last_seen_at)
        SELECT ?1, unhex(value ->> 'id'), value ->> 'state', value ->> 'status', value ->> 'created_at',
            value ->> 'direction', value ->> 'caller', value ->> 'callee', value ->> 'caller_digits',
            value ->> 'callee_digits', value ->> 'duration_seconds', value ->> 'format', value ->> 'metadata', ?3, ?4
        FROM jsonb_each(?2)",
        moment.workspace,
        rows,
        moment.now,
        seen_at
    )
    .execute(connection)
    .await
    .map_err(CatalogError::sql(OPERATION))?;
    Ok(())
}

async fn update(
    connection: &mut SqliteConnection,
    moment: Moment,
    known: &Known,
    listed: &Recording,
    state: State,
) -> Result<(), CatalogError> {
    if known.state == State::Archived && known.metadata != listed.metadata {
        sqlx::query!(
            "-- catalog.keep_metadata
            INSERT INTO metadata_versions (seq, superseded_at, metadata)
            SELECT ?1, ?2, ?3 WHERE (SELECT count(*) FROM metadata_versions WHERE seq = ?1) < ?4",
            known.seq,
            moment.now,
            known.metadata,
            MOST_METADATA_VERSIONS
        )
        .execute(&mut *connection)
        .await
        .map_err(CatalogError::sql(OPERATION))?;
    }
    let (state, status, seen_at) = (state.as_str(), listed.status.as_str(), moment.seen_at);
    let [calling, called] = [&listed.from, &listed.to].map(|number| number.as_deref().and_then(digits));
    sqlx::query!(
        "-- catalog.update_recording
        UPDATE recordings
        SET state = ?2, status = ?3, direction = ?4, caller = ?5, callee = ?6, caller_digits = ?7, callee_digits = ?8,
            duration_seconds = ?9, format = ?10, revision = revision + (metadata IS NOT ?11), metadata = ?11,
            last_seen_at = ?12
        WHERE seq = ?1",
        known.seq,
        state,
        status,
        listed.direction,
        listed.from,
        listed.to,
        calling,
        called,
        listed.duration_seconds,
        listed.format,
        listed.metadata,
        seen_at
    )
    .execute(connection)
    .await
    .map_err(CatalogError::sql(OPERATION))?;
    Ok(())
}

async fn touch(connection: &mut SqliteConnection, moment: Moment, seqs: &[i64]) -> Result<(), CatalogError> {
    if seqs.is_empty() {
        return Ok(());
    }
    let (seqs, seen_at) = (rows_parameter(seqs), moment.seen_at);
    sqlx::query!(
        "-- catalog.touch_recordings
        UPDATE recordings NOT INDEXED SET last_seen_at = ?2 WHERE seq IN (SELECT value FROM json_each(?1))",
        seqs,
        seen_at
    )
    .execute(connection)
    .await
    .map_err(CatalogError::sql(OPERATION))?;
    Ok(())
}
