//! The statement behind a page of a list, put together from fixed parts; what was asked for comes in as parameters only.
//!
//! Every list is read from an index that has what is listed together and newest first, so that a page costs what it
//! returns: by number, by status, by workspace, or by state. Where one such place does not hold all, the statement
//! merges several; each recording is in one of them only. Numbers are looked up day by day, so that they cost the days
//! and what they return. What else was asked for is looked at row by row. Must not
//! know: what becomes of the rows.

use std::collections::BTreeSet;

use sqlx::QueryBuilder;
use sqlx::Sqlite;

use super::list::ListCursor;
use super::list::ListFilter;
use super::rows::names_parameter;
use super::upsert::digits;
use crate::domain::clock::Timestamp;
use crate::domain::ids::WorkspaceName;
use crate::domain::state::STATES;

/// The fewest digits that may stand for the end of a number: fewer would match strangers. The indexes hold as many.
const SUFFIX_DIGITS: usize = 5;

/// With more choices than this the statement reads by state instead of merging one place for each.
const MOST_PLACES: usize = 16;

/// The status that recordings have that are not kept by status.
const USUAL_STATUS: &str = "available";

/// The columns of a row, and what they are ordered by.
const SELECT: &str = "SELECT r.seq, w.name AS workspace, r.id, r.state, r.status, r.created_at, r.direction, r.caller, \
     r.callee, r.duration_seconds, r.path, r.size_bytes, r.sha256, r.archived_at, r.attempts, r.last_error";
const ORDER: &str = " ORDER BY created_at DESC, seq DESC";

/// What rows come from where they are found at once, and where they are looked up on each day. That the days go before
/// the times in the order changes nothing, and lets SQLite see that nothing is to be sorted.
const DIRECTLY: &str = " FROM recordings AS r INDEXED BY ";
const BY_DAY: &str = ", d.day AS day FROM dates AS d CROSS JOIN recordings AS r INDEXED BY ";
const ORDER_BY_DAY: &str = " ORDER BY day DESC, created_at DESC, seq DESC";

/// Where rows are read from.
enum Place<'a> {
    /// Calls from a number.
    Caller(&'a str),
    /// Calls to a number that are not from it.
    Callee(&'a str),
    /// Those with a status other than the usual one.
    Status(&'a str),
    /// Those of a workspace.
    Workspace(&'a WorkspaceName),
    /// Those in a state.
    State(&'static str),
}

/// The statement for up to `limit` rows, going on `after` one where one is given.
pub(super) fn list_query(filter: &ListFilter, after: Option<ListCursor>, limit: u32) -> QueryBuilder<Sqlite> {
    let mut query = QueryBuilder::new("-- catalog.list\n");
    let by_day = filter.number.is_some();
    for (nth, place) in places(filter).iter().enumerate() {
        if nth > 0 {
            query.push(" UNION ALL ");
        }
        query.push(SELECT);
        query.push(if by_day { BY_DAY } else { DIRECTLY });
        push_place(&mut query, place);
        if by_day {
            push_days(&mut query, filter, after);
        }
        push_conditions(&mut query, filter, after);
    }
    query.push(if by_day { ORDER_BY_DAY } else { ORDER });
    query.push(" LIMIT ").push_bind(i64::from(limit));
    query
}

/// Places that hold all that passes the filter, and no row twice.
fn places(filter: &ListFilter) -> Vec<Place<'_>> {
    if let Some(number) = &filter.number {
        return vec![Place::Caller(number), Place::Callee(number)];
    }
    let statuses: BTreeSet<&str> = filter.statuses.iter().map(String::as_str).collect();
    if !statuses.is_empty() && statuses.len() <= MOST_PLACES && !statuses.contains(USUAL_STATUS) {
        return statuses.into_iter().map(Place::Status).collect();
    }
    let workspaces: BTreeSet<&WorkspaceName> = filter.workspaces.iter().collect();
    if filter.states.is_empty() && !workspaces.is_empty() && workspaces.len() <= MOST_PLACES {
        return workspaces.into_iter().map(Place::Workspace).collect();
    }
    let states = STATES.into_iter();
    let wanted = states.filter(|state| filter.states.is_empty() || filter.states.contains(state));
    wanted.map(|state| Place::State(state.as_str())).collect()
}

fn push_place(query: &mut QueryBuilder<Sqlite>, place: &Place<'_>) {
    let index = match place {
        Place::Caller(_) => "recordings_by_caller",
        Place::Callee(_) => "recordings_by_callee",
        Place::Status(_) => "recordings_by_odd_status",
        Place::Workspace(_) => "recordings_by_workspace",
        Place::State(_) => "recordings_by_state",
    };
    // The index gives the order; without the hint a filter could make SQLite sort everything that passes it.
    query.push(index);
    query.push(" CROSS JOIN workspaces AS w ON w.workspace = r.workspace WHERE ");
    match place {
        Place::Caller(number) => {
            push_tail(query, "caller", number);
            query.push(" AND ");
            push_number(query, "caller", number);
        }
        Place::Callee(number) => {
            push_tail(query, "callee", number);
            query.push(" AND ");
            push_number(query, "callee", number);
            query.push(" AND (");
            push_number(query, "caller", number);
            query.push(") IS NOT TRUE");
        }
        Place::Status(status) => {
            // In the words of the index, which SQLite would not see in the parameter.
            query.push("r.status <> 'available' AND r.status = ");
            query.push_bind((*status).to_owned());
        }
        Place::Workspace(workspace) => {
            query.push("r.workspace = (SELECT workspace FROM workspaces WHERE name = ");
            query.push_bind(workspace.as_str().to_owned()).push(")");
        }
        Place::State(state) => {
            query.push("r.state = ").push_bind(*state);
        }
    }
}

fn push_conditions(query: &mut QueryBuilder<Sqlite>, filter: &ListFilter, after: Option<ListCursor>) {
    if !filter.workspaces.is_empty() {
        query.push(" AND w.name IN (SELECT value FROM json_each(");
        query.push_bind(names_parameter(&filter.workspaces)).push("))");
    }
    push_choice(query, "r.state", filter.states.iter().map(|state| state.as_str()));
    push_choice(query, "r.status", filter.statuses.iter().map(String::as_str));
    push_choice(query, "r.direction", filter.directions.iter().map(String::as_str));
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

/// Which days are gone through.
fn push_days(query: &mut QueryBuilder<Sqlite>, filter: &ListFilter, after: Option<ListCursor>) {
    let bounds = [
        (">=", filter.since.map(Timestamp::as_microseconds)),
        ("<=", filter.until.map(Timestamp::as_microseconds)),
        ("<=", after.map(|cursor| cursor.created_at)),
    ];
    for (is, at) in bounds {
        if let Some(at) = at {
            query.push(format_args!(" AND d.day {is} ("));
            query.push_bind(at).push(" + 62135596800000000) / 86400000000");
        }
    }
}

/// That a number ends as this one does on a day, as far as the index goes: in the words of the index.
fn push_tail(query: &mut QueryBuilder<Sqlite>, column: &'static str, number: &str) {
    let tail = digits(number).map_or_else(
        || number.to_owned(),
        |digits| digits[digits.len().saturating_sub(SUFFIX_DIGITS)..].to_owned(),
    );
    query.push(format_args!(
        "(r.created_at + 62135596800000000) / 86400000000 = +d.day AND r.{column} IS NOT NULL AND coalesce(substr(r.{column}_digits, -5), r.{column}) = "
    ));
    query.push_bind(tail);
}

/// That a number is this one, or ends with it where that is long enough. A text without digits is compared as it is.
fn push_number(query: &mut QueryBuilder<Sqlite>, column: &'static str, number: &str) {
    match digits(number) {
        None => {
            query.push(format_args!("r.{column} = ")).push_bind(number.to_owned());
        }
        Some(digits) if digits.len() < SUFFIX_DIGITS => {
            query.push(format_args!("r.{column}_digits = ")).push_bind(digits);
        }
        Some(digits) => {
            let length = i64::try_from(digits.len()).unwrap_or(i64::MAX);
            query
                .push(format_args!("substr(r.{column}_digits, -"))
                .push_bind(length);
            query.push(") = ").push_bind(digits);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::preflight::MIGRATIONS;
    use super::*;
    use crate::domain::state::State;
    use sqlx::AssertSqlSafe;
    use sqlx::Connection as _;
    use sqlx::Row as _;
    use sqlx::sqlite::SqliteConnection;

    /// Every combination of what may be asked for and what may not.
    fn filters() -> Vec<ListFilter> {
        let [one, other] = ["one", "other"].map(|name| name.parse::<WorkspaceName>().unwrap());
        let at = Timestamp::from_microseconds(0).unwrap();
        let mut filters = vec![ListFilter::default()];
        let mut each = |choices: &[&dyn Fn(&mut ListFilter)]| {
            let without = filters.clone();
            for choose in choices {
                filters.extend(without.iter().cloned().map(|mut filter| {
                    choose(&mut filter);
                    filter
                }));
            }
        };
        each(&[&|filter| filter.workspaces = vec![one.clone()], &|filter| {
            filter.workspaces = vec![one.clone(), other.clone()];
        }]);
        each(&[&|filter| filter.states = vec![State::Due], &|filter| {
            filter.states = vec![State::Due, State::GivenUp];
        }]);
        each(&[&|filter| filter.statuses = vec!["available".to_owned()], &|filter| {
            filter.statuses = vec!["absent".to_owned(), "failed".to_owned()];
        }]);
        each(&[&|filter| filter.directions = vec!["incoming".to_owned()]]);
        each(&[
            &|filter| filter.number = Some("12345".to_owned()),
            &|filter| filter.number = Some("12".to_owned()),
            &|filter| filter.number = Some("anonymous".to_owned()),
        ]);
        each(&[&|filter| filter.since = Some(at)]);
        each(&[&|filter| filter.until = Some(at)]);
        filters
    }

    async fn hold_plans(connection: &mut SqliteConnection) {
        let cursor = ListCursor { created_at: 0, seq: 1 };
        let filters = filters();
        assert_eq!(filters.len(), 3 * 3 * 3 * 2 * 4 * 2 * 2);
        for filter in filters {
            for after in [None, Some(cursor)] {
                let query = list_query(&filter, after, 9);
                let text = format!("EXPLAIN QUERY PLAN {}", query.sql().as_str());
                let plan = sqlx::query(AssertSqlSafe(text))
                    .fetch_all(&mut *connection)
                    .await
                    .unwrap();
                let steps: Vec<String> = plan.iter().map(|step| step.get("detail")).collect();
                let days = steps
                    .iter()
                    .filter(|step| step.starts_with("SCAN d") || step.starts_with("SEARCH d "));
                assert_eq!(days.count(), if filter.number.is_some() { 2 } else { 0 }, "{steps:?}");
                let of_recordings: Vec<_> = steps.iter().filter(|step| step.contains(" r ")).collect();
                assert_eq!(of_recordings.len(), places(&filter).len(), "{filter:?} {steps:?}");
                for step in of_recordings {
                    assert!(
                        step.starts_with("SEARCH r USING INDEX recordings_by_"),
                        "{filter:?} {step}"
                    );
                }
                assert!(
                    steps.iter().all(|step| !step.contains("TEMP B-TREE")),
                    "{filter:?} {steps:?}"
                );
            }
        }
    }

    #[tokio::test]
    async fn every_list_reads_an_index_in_order_and_sorts_nothing() {
        let mut connection = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        MIGRATIONS.run(&mut connection).await.unwrap();
        hold_plans(&mut connection).await;
    }
}
