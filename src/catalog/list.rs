//! Recordings, newest first, by any filter, a page at a time.
//!
//! The one place where a statement is put together at run time: its text from fixed parts, what was asked for only as
//! parameters. Must not know: how a row is shown.

use sqlx::FromRow;
use sqlx::QueryBuilder;
use sqlx::Sqlite;

use super::error::CatalogError;
use super::read::CatalogReader;
use super::rows::Columns;
use super::rows::names_parameter;
use super::rows::workspace_name;
use super::upsert::digits;
use crate::domain::clock::Timestamp;
use crate::domain::digest::Sha256Digest;
use crate::domain::ids::RecordingId;
use crate::domain::ids::WorkspaceName;
use crate::domain::state::State;

/// The fewest digits that may stand for the end of a number: fewer would match strangers.
const SUFFIX_DIGITS: usize = 5;

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
    created_at: i64,
    seq: i64,
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

/// The columns of a [`ListedRow`].
const SELECT: &str = "SELECT r.seq, w.name AS workspace, r.id, r.state, r.status, r.created_at, r.direction, r.caller, \
     r.callee, r.duration_seconds, r.path, r.size_bytes, r.sha256, r.archived_at, r.attempts, r.last_error ";

fn list_query(filter: &ListFilter, after: Option<ListCursor>, limit: u32) -> QueryBuilder<Sqlite> {
    let mut query = QueryBuilder::new("-- catalog.list\n");
    query.push(SELECT);
    // The index gives the order; without the hint a filter could make SQLite sort everything that passes it.
    if let [workspace] = filter.workspaces.as_slice() {
        query.push("FROM recordings AS r INDEXED BY recordings_by_workspace ");
        query.push("CROSS JOIN workspaces AS w ON w.workspace = r.workspace ");
        query.push("WHERE r.workspace = (SELECT workspace FROM workspaces WHERE name = ");
        query.push_bind(workspace.as_str().to_owned()).push(")");
    } else {
        query.push("FROM recordings AS r INDEXED BY recordings_by_created ");
        query.push("CROSS JOIN workspaces AS w ON w.workspace = r.workspace WHERE TRUE");
        if !filter.workspaces.is_empty() {
            query.push(" AND w.name IN (SELECT value FROM json_each(");
            query.push_bind(names_parameter(&filter.workspaces)).push("))");
        }
    }
    push_choice(&mut query, "r.state", filter.states.iter().map(|state| state.as_str()));
    push_choice(&mut query, "r.status", filter.statuses.iter().map(String::as_str));
    push_choice(&mut query, "r.direction", filter.directions.iter().map(String::as_str));
    if let Some(number) = &filter.number {
        push_number(&mut query, number);
    }
    if let Some(since) = filter.since {
        query.push(" AND r.created_at >= ").push_bind(since.as_microseconds());
    }
    if let Some(until) = filter.until {
        query.push(" AND r.created_at < ").push_bind(until.as_microseconds());
    }
    if let Some(cursor) = after {
        query
            .push(" AND (r.created_at, r.seq) < (")
            .push_bind(cursor.created_at);
        query.push(", ").push_bind(cursor.seq).push(")");
    }
    query
        .push(" ORDER BY r.created_at DESC, r.seq DESC LIMIT ")
        .push_bind(i64::from(limit));
    query
}

fn push_choice<'a>(query: &mut QueryBuilder<Sqlite>, column: &'static str, choices: impl Iterator<Item = &'a str>) {
    let mut choices = choices.peekable();
    if choices.peek().is_none() {
        return;
    }
    query.push(" AND ").push(column).push(" IN (");
    let mut list = query.separated(", ");
    for choice in choices {
        list.push_bind(choice.to_owned());
    }
    query.push(")");
}

fn push_number(query: &mut QueryBuilder<Sqlite>, number: &str) {
    let Some(digits) = digits(number) else {
        query.push(" AND (r.caller = ").push_bind(number.to_owned());
        query.push(" OR r.callee = ").push_bind(number.to_owned()).push(")");
        return;
    };
    query.push(" AND (r.caller_digits = ").push_bind(digits.clone());
    query.push(" OR r.callee_digits = ").push_bind(digits.clone());
    if digits.len() >= SUFFIX_DIGITS {
        let length = i64::try_from(digits.len()).unwrap_or(i64::MAX);
        for column in ["r.caller_digits", "r.callee_digits"] {
            query
                .push(" OR substr(")
                .push(column)
                .push(", -")
                .push_bind(length)
                .push(") = ");
            query.push_bind(digits.clone());
        }
    }
    query.push(")");
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

#[cfg(test)]
mod tests {
    use super::super::preflight::MIGRATIONS;
    use super::*;
    use sqlx::AssertSqlSafe;
    use sqlx::Connection as _;
    use sqlx::Row as _;
    use sqlx::sqlite::SqliteConnection;

    #[tokio::test]
    async fn every_list_reads_an_index_in_order_and_sorts_nothing() {
        let mut connection = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        MIGRATIONS.run(&mut connection).await.unwrap();
        let (one, other) = ("one".parse().unwrap(), "other".parse().unwrap());
        let now = Timestamp::from_microseconds(0).unwrap();
        for workspaces in [vec![], vec![one], vec!["one".parse().unwrap(), other]] {
            let filter = ListFilter {
                workspaces,
                states: vec![State::Due, State::GivenUp],
                statuses: vec!["available".to_owned()],
                directions: vec!["incoming".to_owned()],
                number: Some("12345".to_owned()),
                since: Some(now),
                until: Some(now),
            };
            let bare = ListFilter {
                workspaces: filter.workspaces.clone(),
                ..ListFilter::default()
            };
            let cursor = ListCursor { created_at: 0, seq: 1 };
            for query in [list_query(&filter, Some(cursor), 9), list_query(&bare, None, 9)] {
                let text = format!("EXPLAIN QUERY PLAN {}", query.sql().as_str());
                let plan = sqlx::query(AssertSqlSafe(text))
                    .fetch_all(&mut connection)
                    .await
                    .unwrap();
                let steps: Vec<String> = plan.iter().map(|step| step.get("detail")).collect();
                assert!(steps[0].contains(" r USING INDEX recordings_by_"), "{steps:?}");
                assert!(steps.iter().all(|step| !step.contains("TEMP B-TREE")), "{steps:?}");
            }
        }
    }
}
