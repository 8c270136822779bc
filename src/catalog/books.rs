//! The books: every workspace, day by day, and the evidence of its walks, all read at one moment.
//!
//! Costs time in proportion to the days and to what is neither archived nor gone, and memory to the days. Must not know: what is a gap.

use std::collections::BTreeMap;

use sqlx::SqliteConnection;

use super::days;
use super::error::CatalogError;
use super::read::CatalogReader;
use super::recent_walks::last_complete;
use super::rows::Columns;
use super::rows::workspace_id;
use super::rows::workspace_name;
use super::status::ArchiveRow;
use crate::domain::clock::Timestamp;
use crate::domain::completeness::DayCounts;
use crate::domain::completeness::WalkEvidence;
use crate::domain::completeness::WorkspaceBook;
use crate::domain::day::Day;

pub(super) const OPERATION: &str = "add up its books";

/// The books of a whole catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Books {
    /// The archive they are of.
    pub archive: ArchiveRow,
    /// When the catalog was copied; `None` where it is no copy, or one that was brought level with the files.
    pub copied_at: Option<Timestamp>,
    /// Every workspace that was ever registered, by name.
    pub workspaces: Vec<WorkspaceBook>,
}

/// The books while they are being added up, by a workspace's key.
pub(super) struct Pages(BTreeMap<i64, WorkspaceBook>);

impl Pages {
    /// The counts of the day with this number.
    ///
    /// # Errors
    /// There is no such workspace, or no such day: a damaged row of that table.
    pub(super) fn day(
        &mut self,
        table: &'static str,
        workspace: i64,
        day: i64,
    ) -> Result<&mut DayCounts, CatalogError> {
        let columns = Columns { table, row: workspace };
        let day = Day::from_number(day).map_err(|_| columns.damaged("created_at"))?;
        self.day_of(table, workspace, day)
    }

    /// The counts of a day.
    ///
    /// # Errors
    /// There is no such workspace: a damaged row of that table.
    pub(super) fn day_of(
        &mut self,
        table: &'static str,
        workspace: i64,
        day: Day,
    ) -> Result<&mut DayCounts, CatalogError> {
        let columns = Columns { table, row: workspace };
        let book = self.0.get_mut(&workspace);
        let book = book.ok_or_else(|| columns.damaged("workspace"))?;
        Ok(book.days.entry(day).or_default())
    }
}

impl CatalogReader {
    /// The books at `now`, all read in one transaction: beside a writer, too, they are of one moment.
    ///
    /// # Errors
    /// What SQLite says, or a damaged row.
    pub async fn books(&self, now: Timestamp) -> Result<Books, CatalogError> {
        let mut tx = self.pool().begin().await.map_err(CatalogError::sql(OPERATION))?;
        let (archive, copied_at) = archive(&mut tx).await?;
        let mut pages = Pages(workspaces(&mut tx).await?);
        counters(&mut tx, &mut pages.0).await?;
        days::add_counted(&mut tx, &mut pages).await?;
        days::add_unsound(&mut tx, &mut pages).await?;
        days::add_open(&mut tx, &mut pages, now).await?;
        days::add_gone(&mut tx, &mut pages).await?;
        days::add_set_aside(&mut tx, &mut pages).await?;
        days::add_unlisted(&mut tx, &mut pages).await?;
        for (workspace, book) in &mut pages.0 {
            let recent = self.recent().of(*workspace);
            book.walks.last_complete_at = last_complete(book.walks.last_complete_at, recent.as_ref());
        }
        let mut workspaces: Vec<WorkspaceBook> = pages.0.into_values().collect();
        workspaces.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(Books {
            archive,
            copied_at,
            workspaces,
        })
    }
}

async fn archive(connection: &mut SqliteConnection) -> Result<(ArchiveRow, Option<Timestamp>), CatalogError> {
    let row = sqlx::query!(
        "-- catalog.archive_of_books
        SELECT archive_id, created_at, copied_at FROM archive"
    )
    .fetch_one(connection)
    .await
    .map_err(CatalogError::sql(OPERATION))?;
    let columns = Columns {
        table: "archive",
        row: 1,
    };
    let archive = ArchiveRow {
        archive_id: row.archive_id,
        created_at: columns.time("created_at", row.created_at)?,
    };
    Ok((archive, columns.optional_time("copied_at", row.copied_at)?))
}

async fn workspaces(connection: &mut SqliteConnection) -> Result<BTreeMap<i64, WorkspaceBook>, CatalogError> {
    let rows = sqlx::query!(
        r#"-- catalog.walks_of_books
        SELECT workspace AS "workspace!: i64", name AS "name!: String", id AS "id!: String", last_complete_walk_at,
            last_full_walk_started_at, last_full_walk_finished_at, last_full_walk_listed, last_full_walk_since
        FROM workspaces"#
    )
    .fetch_all(connection)
    .await
    .map_err(CatalogError::sql(OPERATION))?;
    let mut books = BTreeMap::new();
    for row in rows {
        let columns = Columns {
            table: "workspaces",
            row: row.workspace,
        };
        let listed = row.last_full_walk_listed;
        let walks = WalkEvidence {
            last_complete_at: columns.optional_time("last_complete_walk_at", row.last_complete_walk_at)?,
            last_full_started_at: columns.optional_time("last_full_walk_started_at", row.last_full_walk_started_at)?,
            last_full_finished_at: columns
                .optional_time("last_full_walk_finished_at", row.last_full_walk_finished_at)?,
            last_full_since: columns.optional_time("last_full_walk_since", row.last_full_walk_since)?,
            last_full_listed: listed
                .map(|listed| columns.count("last_full_walk_listed", listed))
                .transpose()?,
        };
        let book = WorkspaceBook {
            name: workspace_name(row.workspace, &row.name)?,
            id: workspace_id(row.workspace, &row.id)?,
            walks,
            days: BTreeMap::new(),
            counters: BTreeMap::new(),
            counted_bytes: 0,
        };
        books.insert(row.workspace, book);
    }
    Ok(books)
}

/// What the triggers have counted, which is another way to the same numbers.
async fn counters(
    connection: &mut SqliteConnection,
    books: &mut BTreeMap<i64, WorkspaceBook>,
) -> Result<(), CatalogError> {
    let rows = sqlx::query!(
        "-- catalog.counters_of_books
        SELECT workspace, state, recordings, bytes FROM counts"
    )
    .fetch_all(connection)
    .await
    .map_err(CatalogError::sql(OPERATION))?;
    for row in rows {
        let columns = Columns {
            table: "counts",
            row: row.workspace,
        };
        let book = books.get_mut(&row.workspace);
        let book = book.ok_or_else(|| columns.damaged("workspace"))?;
        let recordings = columns.count("recordings", row.recordings)?;
        book.counters.insert(columns.state("state", &row.state)?, recordings);
        book.counted_bytes += columns.count("bytes", row.bytes)?;
    }
    Ok(())
}
