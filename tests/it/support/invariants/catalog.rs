//! The catalog as SQLite gives it: rows, what counts as settled, and whether it is sound.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

use sqlx::ConnectOptions as _;
use sqlx::Connection as _;
use sqlx::Row as _;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::sqlite::SqliteConnection;

/// One recording's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub workspace: String,
    /// As a UUID in lower case.
    pub id: String,
    pub state: String,
    pub attempts: i64,
    pub last_error: Option<String>,
    pub path: Option<String>,
    pub size_bytes: Option<i64>,
    /// In hex.
    pub sha256: Option<String>,
    pub archived_at: Option<i64>,
}

/// What was read.
#[derive(Default)]
pub(super) struct Catalog {
    /// Whether there is a file with tables in it.
    pub(super) exists: bool,
    pub(super) rows: Vec<Row>,
    /// By workspace, in microseconds since 1970: everything created until then has a row.
    pub(super) settled: BTreeMap<String, i64>,
    pub(super) faults: Vec<String>,
}

/// Reads the catalog: in place while its writer runs, else from a copy, so that the original stays as it was found.
pub(super) async fn read(path: &Path, running: bool) -> Catalog {
    let mut catalog = Catalog::default();
    if fs::metadata(path).map_or(0, |file| file.len()) == 0 {
        return catalog;
    }
    let copy = tempfile::tempdir().expect("a temporary directory");
    let options = if running {
        SqliteConnectOptions::new().filename(path).read_only(true)
    } else {
        let name = copy.path().join("copy");
        // Not the -shm: it does not outlive a crash of the machine, and SQLite makes it anew.
        for suffix in ["", "-wal", "-journal"] {
            let (from, to) = (with(path, suffix), with(&name, suffix));
            if from.exists() {
                fs::copy(&from, &to).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
            }
        }
        SqliteConnectOptions::new().filename(name)
    };
    let read = async {
        let mut connection = options.connect().await?;
        let read = fill(&mut catalog, &mut connection).await;
        connection.close().await?;
        read
    };
    if let Err(error) = read.await {
        catalog.faults.push(format!("I6: the catalog cannot be read: {error}"));
    }
    catalog
}

fn with(path: &Path, suffix: &str) -> PathBuf {
    let mut name: OsString = path.into();
    name.push(suffix);
    name.into()
}

async fn fill(catalog: &mut Catalog, connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    sqlx::raw_sql("BEGIN").execute(&mut *connection).await?;
    let verdict: String = sqlx::query_scalar("PRAGMA integrity_check(1)")
        .fetch_one(&mut *connection)
        .await?;
    if verdict != "ok" {
        catalog.faults.push(format!("I6: integrity_check says {verdict}"));
    }
    if !sqlx::query("PRAGMA foreign_key_check")
        .fetch_all(&mut *connection)
        .await?
        .is_empty()
    {
        catalog.faults.push("I6: a foreign key leads nowhere".to_owned());
    }
    let tables: Vec<String> = sqlx::query_scalar("SELECT name FROM sqlite_schema WHERE type = 'table'")
        .fetch_all(&mut *connection)
        .await?;
    catalog.exists = !tables.is_empty();
    if !tables.iter().any(|table| table == "recordings") {
        return Ok(());
    }
    rows(catalog, connection).await?;
    let settled = sqlx::query("SELECT name, settled_until FROM workspaces WHERE settled_until IS NOT NULL");
    for row in settled.fetch_all(&mut *connection).await? {
        catalog.settled.insert(row.try_get(0)?, row.try_get(1)?);
    }
    let wrong = sqlx::query_scalar::<_, i64>(
        "SELECT count(*) FROM (
            SELECT workspace, state, count(*) AS recordings, coalesce(sum(size_bytes), 0) AS bytes
            FROM recordings GROUP BY workspace, state
            EXCEPT SELECT workspace, state, recordings, bytes FROM counts
        )",
    );
    if wrong.fetch_one(&mut *connection).await? != 0 {
        catalog
            .faults
            .push("I6: the counts are not those of the rows".to_owned());
    }
    Ok(())
}

async fn rows(catalog: &mut Catalog, connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    let rows = sqlx::query(
        "SELECT w.name AS workspace, lower(hex(r.id)) AS id, r.state, r.attempts, r.last_error, r.path, r.size_bytes,
            lower(hex(r.sha256)) AS sha256, r.archived_at
        FROM recordings AS r JOIN workspaces AS w USING (workspace) ORDER BY r.seq",
    );
    let mut seen = BTreeSet::new();
    for row in rows.fetch_all(connection).await? {
        let id: String = row.try_get("id")?;
        let id = [&id[..8], &id[8..12], &id[12..16], &id[16..20], &id[20..]].join("-");
        let workspace: String = row.try_get("workspace")?;
        if !seen.insert((workspace.clone(), id.clone())) {
            catalog.faults.push(format!("I9: {id} has several rows"));
        }
        let sha256: Option<String> = row.try_get("sha256")?;
        catalog.rows.push(Row {
            workspace,
            id,
            state: row.try_get("state")?,
            attempts: row.try_get("attempts")?,
            last_error: row.try_get("last_error")?,
            path: row.try_get("path")?,
            size_bytes: row.try_get("size_bytes")?,
            sha256: sha256.filter(|text| !text.is_empty()),
            archived_at: row.try_get("archived_at")?,
        });
    }
    Ok(())
}
