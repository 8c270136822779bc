//! What an operator asks first: the archive, and each workspace in a few numbers. Costs the same at any size.
//!
//! Must not know: how it is shown.

use std::collections::BTreeMap;

use sqlx::SqliteConnection;

use super::error::CatalogError;
use super::read::CatalogReader;
use super::recent_walks::last_complete;
use super::rows::Columns;
use super::rows::workspace_id;
use super::rows::workspace_name;
use crate::domain::clock::Timestamp;
use crate::domain::ids::WorkspaceId;
use crate::domain::ids::WorkspaceName;
use crate::domain::report::WalkKind;
use crate::domain::state::STATES;
use crate::domain::state::State;

const OPERATION: &str = "sum up the workspaces";

/// Which archive a catalog belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveRow {
    /// The archive's id, as in its marker.
    pub archive_id: String,
    /// When the catalog was made.
    pub created_at: Timestamp,
}

/// One workspace in numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkspaceSummary {
    /// The operator's name of it.
    pub name: WorkspaceName,
    /// Upstream's id of it.
    pub id: WorkspaceId,
    /// How many recordings are in each state; every state is there.
    pub counts: BTreeMap<State, u64>,
    /// List items that are not understood to this day.
    pub set_aside: u64,
    /// Bytes archived.
    pub bytes: u64,
    /// The last walk, however it ended. A process that does not walk itself may be told of one some minutes before it,
    /// if polls have found nothing new since.
    pub last_walk: Option<LastWalk>,
    /// When the last walk ended that reached the last page; to another process, as `last_walk`.
    pub last_complete_walk_at: Option<Timestamp>,
    /// When the oldest recording was created that is due, being fetched or given up.
    pub oldest_due_at: Option<Timestamp>,
}

/// How a workspace was last walked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastWalk {
    /// How it was walked.
    pub kind: WalkKind,
    /// When it began, by our clock.
    pub started_at: Timestamp,
    /// When it ended, by our clock.
    pub finished_at: Timestamp,
    /// `complete`, `stopped`, or `failed: …`.
    pub outcome: String,
    /// Items listed.
    pub listed: u64,
}

impl CatalogReader {
    /// Which archive this catalog belongs to.
    ///
    /// # Errors
    /// What SQLite says, or a damaged row.
    pub async fn archive(&self) -> Result<ArchiveRow, CatalogError> {
        let row = sqlx::query!(
            "-- catalog.archive
            SELECT archive_id, created_at FROM archive"
        )
        .fetch_one(self.pool())
        .await
        .map_err(CatalogError::sql("name its archive"))?;
        let columns = Columns {
            table: "archive",
            row: 1,
        };
        Ok(ArchiveRow {
            archive_id: row.archive_id,
            created_at: columns.time("created_at", row.created_at)?,
        })
    }

    /// Every workspace that was ever registered, by name, all at one moment.
    ///
    /// # Errors
    /// What SQLite says, or a damaged row.
    pub async fn workspaces(&self) -> Result<Vec<WorkspaceSummary>, CatalogError> {
        let mut tx = self.pool().begin().await.map_err(CatalogError::sql(OPERATION))?;
        let mut counts = counts(&mut tx).await?;
        let rows = sqlx::query_as!(
            Row,
            r#"-- catalog.workspaces
            SELECT w.workspace AS "workspace!: i64", w.name, w.id, w.last_walk_kind, w.last_walk_started_at,
                w.last_walk_finished_at, w.last_walk_outcome, w.last_walk_listed, w.last_complete_walk_at,
                (SELECT count(*) FROM set_aside AS s INDEXED BY set_aside_open
                    WHERE s.workspace = w.workspace AND s.resolved_at IS NULL) AS "set_aside!: i64",
                (SELECT min(at) FROM (
                    SELECT min(d.created_at) AS at FROM recordings AS d INDEXED BY recordings_due
                        WHERE d.workspace = w.workspace AND d.state = 'due' AND d.not_before = 0
                    UNION ALL
                    SELECT min(f.created_at) FROM recordings AS f INDEXED BY recordings_due
                        WHERE f.workspace = w.workspace AND f.state = 'due' AND f.not_before > 0
                    UNION ALL
                    SELECT min(c.created_at) FROM recordings AS c INDEXED BY recordings_claimed
                        WHERE c.workspace = w.workspace AND c.state = 'claimed'
                    UNION ALL
                    SELECT min(g.created_at) FROM recordings AS g INDEXED BY recordings_given_up
                        WHERE g.workspace = w.workspace AND g.state = 'given_up'
                )) AS "oldest_due_at?: i64"
            FROM workspaces AS w ORDER BY w.name"#
        )
        .fetch_all(&mut *tx)
        .await
        .map_err(CatalogError::sql(OPERATION))?;
        rows.into_iter()
            .map(|row| {
                let (counts, bytes) = counts.remove(&row.workspace).unwrap_or_else(|| (no_counts(), 0));
                let recent = self.recent().of(row.workspace);
                let mut summary = row.summary(counts, bytes)?;
                summary.last_complete_walk_at = last_complete(summary.last_complete_walk_at, recent.as_ref());
                summary.last_walk = recent.or(summary.last_walk);
                Ok(summary)
            })
            .collect()
    }
}

struct Row {
    workspace: i64,
    name: String,
    id: String,
    last_walk_kind: Option<String>,
    last_walk_started_at: Option<i64>,
    last_walk_finished_at: Option<i64>,
    last_walk_outcome: Option<String>,
    last_walk_listed: Option<i64>,
    last_complete_walk_at: Option<i64>,
    set_aside: i64,
    oldest_due_at: Option<i64>,
}

impl Row {
    fn summary(self, counts: BTreeMap<State, u64>, bytes: u64) -> Result<WorkspaceSummary, CatalogError> {
        let columns = Columns {
            table: "workspaces",
            row: self.workspace,
        };
        Ok(WorkspaceSummary {
            name: workspace_name(self.workspace, &self.name)?,
            id: workspace_id(self.workspace, &self.id)?,
            counts,
            set_aside: columns.count("set_aside", self.set_aside)?,
            bytes,
            last_complete_walk_at: columns.optional_time("last_complete_walk_at", self.last_complete_walk_at)?,
            oldest_due_at: columns.optional_time("created_at", self.oldest_due_at)?,
            last_walk: self.last_walk(columns)?,
        })
    }

    fn last_walk(self, columns: Columns) -> Result<Option<LastWalk>, CatalogError> {
        let (Some(kind), Some(started_at), Some(finished_at), Some(outcome), Some(listed)) = (
            self.last_walk_kind,
            self.last_walk_started_at,
            self.last_walk_finished_at,
            self.last_walk_outcome,
            self.last_walk_listed,
        ) else {
            return Ok(None);
        };
        let kind = [WalkKind::Poll, WalkKind::Full]
            .into_iter()
            .find(|known| known.as_str() == kind);
        Ok(Some(LastWalk {
            kind: kind.ok_or_else(|| columns.damaged("last_walk_kind"))?,
            started_at: columns.time("last_walk_started_at", started_at)?,
            finished_at: columns.time("last_walk_finished_at", finished_at)?,
            outcome,
            listed: columns.count("last_walk_listed", listed)?,
        }))
    }
}

fn no_counts() -> BTreeMap<State, u64> {
    STATES.into_iter().map(|state| (state, 0)).collect()
}

/// The counts by state and the bytes of each workspace.
async fn counts(connection: &mut SqliteConnection) -> Result<BTreeMap<i64, (BTreeMap<State, u64>, u64)>, CatalogError> {
    let rows = sqlx::query!(
        "-- catalog.counts
        SELECT workspace, state, recordings, bytes FROM counts"
    )
    .fetch_all(connection)
    .await
    .map_err(CatalogError::sql(OPERATION))?;
    let mut of_workspace = BTreeMap::new();
    for row in rows {
        let columns = Columns {
            table: "counts",
            row: row.workspace,
        };
        let (counts, bytes) = of_workspace.entry(row.workspace).or_insert_with(|| (no_counts(), 0));
        counts.insert(
            columns.state("state", &row.state)?,
            columns.count("recordings", row.recordings)?,
        );
        *bytes += columns.count("bytes", row.bytes)?;
    }
    Ok(of_workspace)
}
