//! The queue's side: which recordings may be fetched now, taken for this run.
//!
//! Must not know: how a recording is fetched.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::collections::HashSet;
use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::Ordering;

use sqlx::SqliteConnection;

use super::error::CatalogError;
use super::open::Catalog;
use super::open::commit;
use super::rows::Columns;
use super::rows::ids_parameter;
use super::rows::rows_parameter;
use super::rows::workspace_id;
use super::rows::workspace_name;
use crate::domain::clock::Timestamp;
use crate::domain::ids::RecordingId;
use crate::domain::ids::RecordingRef;
use crate::domain::ids::WorkspaceName;
use crate::domain::recording::History;
use crate::domain::state::Event;
use crate::domain::state::State;
use crate::domain::state::after;

const OPERATION: &str = "claim recordings";

/// A recording taken by this run, to be fetched now. Ends in [`Catalog::settle`]; one that is dropped instead stays
/// claimed until another run reclaims it.
#[must_use = "a claim ends in Catalog::settle only"]
pub struct Claim {
    /// What was claimed.
    pub recording: RecordingRef,
    /// Upstream's `format`, verbatim.
    pub format: String,
    /// Length upstream states, in whole seconds.
    pub duration_seconds: Option<i64>,
    /// The object as received, without links.
    pub metadata: String,
    /// Whether its attempts were spent before.
    pub was_given_up: bool,
    /// What is known besides. Without versions: those of a body archived before stay in the catalog.
    pub history: History,
    pub(super) seq: i64,
    pub(super) revision: i64,
    pub(super) run_id: i64,
}

/// Without metadata, which holds phone numbers.
impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claim")
            .field("recording", &self.recording)
            .field("attempts", &self.history.attempts)
            .finish_non_exhaustive()
    }
}

impl Catalog {
    /// Claims those of the given recordings that are due now, in the given order.
    ///
    /// # Errors
    /// What SQLite says. Then none is claimed.
    pub async fn claim(&self, recordings: &[RecordingRef]) -> Result<Vec<Claim>, CatalogError> {
        let now = self.clock.now().as_microseconds();
        let mut of_workspace: BTreeMap<&WorkspaceName, Vec<&RecordingId>> = BTreeMap::new();
        for recording in recordings {
            of_workspace
                .entry(&recording.workspace)
                .or_default()
                .push(&recording.id);
        }
        let mut tx = self.begin_small(OPERATION).await?;
        let mut due = HashMap::new();
        for (workspace, ids) in of_workspace {
            for (id, seq) in due_of(&mut tx, workspace, &ids_parameter(ids), now).await? {
                due.insert((workspace, id), seq);
            }
        }
        let chosen = recordings
            .iter()
            .filter_map(|of| due.remove(&(&of.workspace, of.id)))
            .collect();
        let claims = self.take(&mut tx, chosen).await?;
        commit(tx, OPERATION).await?;
        Ok(claims)
    }

    /// Claims up to `limit` recordings of these workspaces that may be fetched now: due ones, and given-up ones that
    /// upstream still lists. The workspaces take turns, also from call to call; within one, what may be fetched the
    /// longest comes first, and then what was created first.
    ///
    /// # Errors
    /// What SQLite says. Then none is claimed.
    pub async fn claim_due(&self, workspaces: &[WorkspaceName], limit: u32) -> Result<Vec<Claim>, CatalogError> {
        let mut queues: VecDeque<VecDeque<i64>> = VecDeque::new();
        let mut wanted = HashSet::new();
        let mut tx = self.begin_small(OPERATION).await?;
        for workspace in workspaces.iter().filter(|name| wanted.insert(*name)) {
            queues.push_back(self.candidates(&mut tx, workspace, i64::from(limit)).await?.into());
        }
        queues.retain(|queue| !queue.is_empty());
        if !queues.is_empty() {
            let first = self.turn.fetch_add(1, Ordering::Relaxed) % queues.len();
            queues.rotate_left(first);
        }
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut chosen = Vec::new();
        while chosen.len() < limit
            && let Some(mut queue) = queues.pop_front()
        {
            if let Some(seq) = queue.pop_front() {
                chosen.push(seq);
                queues.push_back(queue);
            }
        }
        let claims = self.take(&mut tx, chosen).await?;
        commit(tx, OPERATION).await?;
        Ok(claims)
    }

    /// When the last of the first `rows` recordings of a workspace was created that were created at or after `from`,
    /// whatever their states; `None` where there are fewer.
    ///
    /// # Errors
    /// What SQLite says, or a damaged row.
    pub async fn span_end(
        &self,
        workspace: &WorkspaceName,
        from: Timestamp,
        rows: u32,
    ) -> Result<Option<Timestamp>, CatalogError> {
        let (name, from, before) = (workspace.as_str(), from.as_microseconds(), i64::from(rows.max(1)) - 1);
        let last = sqlx::query_scalar!(
            r#"-- catalog.span_end
            SELECT created_at AS "created_at!: i64" FROM recordings INDEXED BY recordings_by_workspace
            WHERE workspace = (SELECT workspace FROM workspaces WHERE name = ?1) AND created_at >= ?2
            ORDER BY created_at LIMIT 1 OFFSET ?3"#,
            name,
            from,
            before
        )
        .fetch_optional(self.read_pool())
        .await
        .map_err(CatalogError::sql("measure a span of time"))?;
        Columns::of_recording(0).optional_time("created_at", last)
    }

    async fn candidates(
        &self,
        connection: &mut SqliteConnection,
        workspace: &WorkspaceName,
        limit: i64,
    ) -> Result<Vec<i64>, CatalogError> {
        let (name, now) = (workspace.as_str(), self.clock.now().as_microseconds());
        let rows = sqlx::query!(
            r#"-- catalog.claim_candidates
            SELECT d.seq AS "seq!: i64", d.not_before AS "not_before!: i64", d.created_at AS "created_at!: i64"
            FROM recordings AS d INDEXED BY recordings_due
            WHERE d.workspace = (SELECT workspace FROM workspaces WHERE name = ?1) AND d.state = 'due'
                AND d.not_before <= ?2
            UNION ALL
            SELECT g.seq, g.not_before, g.created_at
            FROM recordings AS g INDEXED BY recordings_given_up
            WHERE g.workspace = (SELECT workspace FROM workspaces WHERE name = ?1) AND g.state = 'given_up'
                AND g.not_before <= ?2
                AND g.last_seen_at >= coalesce(
                    (SELECT last_full_walk_started_at FROM workspaces WHERE name = ?1), g.last_seen_at)
            ORDER BY 2, 3 LIMIT ?3"#,
            name,
            now,
            limit
        )
        .fetch_all(connection)
        .await
        .map_err(CatalogError::sql(OPERATION))?;
        Ok(rows.into_iter().map(|row| row.seq).collect())
    }

    /// Moves the chosen rows and returns them as claims, in the given order.
    async fn take(&self, connection: &mut SqliteConnection, chosen: Vec<i64>) -> Result<Vec<Claim>, CatalogError> {
        if chosen.is_empty() {
            return Ok(Vec::new());
        }
        let mut claims = HashMap::with_capacity(chosen.len());
        for (state, claim) in self.read_claims(connection, &rows_parameter(&chosen)).await? {
            if after(Some(state), Event::Claimed) == Some(State::Claimed) {
                claims.insert(claim.seq, claim);
            }
        }
        let taken: Vec<Claim> = chosen.iter().filter_map(|seq| claims.remove(seq)).collect();
        let seqs = rows_parameter(&taken.iter().map(|claim| claim.seq).collect::<Vec<_>>());
        let state = State::Claimed.as_str();
        sqlx::query!(
            "-- catalog.claim
            UPDATE recordings NOT INDEXED SET claimed_from = state, state = ?2, claimed_by = ?3
            WHERE seq IN (SELECT value FROM json_each(?1))",
            seqs,
            state,
            self.run_id
        )
        .execute(&mut *connection)
        .await
        .map_err(CatalogError::sql(OPERATION))?;
        Ok(taken)
    }

    async fn read_claims(
        &self,
        connection: &mut SqliteConnection,
        seqs: &str,
    ) -> Result<Vec<(State, Claim)>, CatalogError> {
        let rows = sqlx::query!(
            r#"-- catalog.read_claims
            SELECT r.seq AS "seq!: i64", r.state AS "state!: String", w.workspace AS "workspace!: i64",
                w.name AS "name!: String", r.id AS "id!: Vec<u8>", r.created_at AS "created_at!: i64",
                r.format AS "format!: String", r.duration_seconds AS "duration_seconds?: i64",
                r.metadata AS "metadata!: String", r.attempts AS "attempts!: i64", w.id AS "workspace_id!: String",
                r.first_seen_at AS "first_seen_at!: i64", r.revision AS "revision!: i64"
            FROM json_each(?1) AS chosen
            CROSS JOIN recordings AS r ON r.seq = chosen.value
            CROSS JOIN workspaces AS w ON w.workspace = r.workspace"#,
            seqs
        )
        .fetch_all(connection)
        .await
        .map_err(CatalogError::sql(OPERATION))?;
        rows.into_iter()
            .map(|row| {
                let columns = Columns::of_recording(row.seq);
                let state = columns.state("state", &row.state)?;
                let claim = Claim {
                    was_given_up: state == State::GivenUp,
                    recording: RecordingRef {
                        workspace: workspace_name(row.workspace, &row.name)?,
                        id: columns.id("id", &row.id)?,
                    },
                    history: History {
                        workspace_id: workspace_id(row.workspace, &row.workspace_id)?,
                        created_at: columns.time("created_at", row.created_at)?,
                        first_seen_at: columns.time("first_seen_at", row.first_seen_at)?,
                        attempts: columns.attempts(row.attempts)?,
                        versions: Vec::new(),
                    },
                    format: row.format,
                    duration_seconds: row.duration_seconds,
                    metadata: row.metadata,
                    seq: row.seq,
                    revision: row.revision,
                    run_id: self.run_id,
                };
                Ok((state, claim))
            })
            .collect()
    }
}

/// Those of the given ids that are due now.
async fn due_of(
    connection: &mut SqliteConnection,
    workspace: &WorkspaceName,
    ids: &str,
    now: i64,
) -> Result<Vec<(RecordingId, i64)>, CatalogError> {
    let name = workspace.as_str();
    let rows = sqlx::query!(
        r#"-- catalog.due_of
        SELECT r.seq AS "seq!: i64", r.id AS "id!: Vec<u8>"
        FROM json_each(?1) AS wanted
        CROSS JOIN recordings AS r
            ON r.workspace = (SELECT workspace FROM workspaces WHERE name = ?2) AND r.id = unhex(wanted.value)
        WHERE r.state = 'due' AND r.not_before <= ?3"#,
        ids,
        name,
        now
    )
    .fetch_all(connection)
    .await
    .map_err(CatalogError::sql(OPERATION))?;
    rows.iter()
        .map(|row| Ok((Columns::of_recording(row.seq).id("id", &row.id)?, row.seq)))
        .collect()
}
