//! What the tests of the whole process share: a simulator with an archive, waits on states, the truth of an archive.
//!
//! Must not know: what is being tested.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

use serde_json::Value;
use sha2::Digest as _;
use sha2::Sha256;
use sqlx::ConnectOptions as _;
use sqlx::Connection as _;
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteConnectOptions;

use crate::support::bird::Bird;
use crate::support::bird::BirdOptions;
use crate::support::bird::WorkspaceHandle;
use crate::support::harness::Archive;
use crate::support::harness::Finished;
use crate::support::harness::Running;

/// The program under test.
pub const BINARY: &str = env!("CARGO_BIN_EXE_birdkeep");
/// The workspace's id upstream.
pub const WORKSPACE: &str = "8bc02f53-87ac-48d2-b4fd-c2cf856a305f";
/// Its key.
pub const KEY: &str = "birdkey-5bWq8ZsecretXr2LpTn7";
/// Longer than anything takes that is going to happen.
pub const LONG: Duration = Duration::from_secs(30);

/// A simulator with one workspace, and an archive for it under the name `support`.
pub async fn place() -> (Bird, WorkspaceHandle, Archive) {
    place_with(BirdOptions::default()).await
}

/// As [`place`], with a simulator that behaves like this.
pub async fn place_with(options: BirdOptions) -> (Bird, WorkspaceHandle, Archive) {
    let bird = Bird::start(options).await;
    let workspace = bird.add_workspace(WORKSPACE, KEY);
    let archive = Archive::new(BINARY, &bird, &[("support", &workspace)]);
    (bird, workspace, archive)
}

/// Waits until the condition holds.
///
/// # Panics
/// After half a minute.
#[track_caller]
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) -> impl Future<Output = ()> {
    let (begun, at) = (Instant::now(), std::panic::Location::caller());
    async move {
        while !condition() {
            assert!(begun.elapsed() < LONG, "{at}: waited {LONG:?} until {what}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// Waits for the end of a run.
///
/// # Panics
/// If it does not come in time, with what the run has printed.
#[track_caller]
pub fn end_within(running: &mut Running, patience: Duration) -> impl Future<Output = Finished> {
    let at = std::panic::Location::caller();
    async move {
        match running.exit_within(patience).await {
            Some(finished) => finished,
            None => panic!("{at}: still running after {patience:?}; it said:\n{}", running.stderr()),
        }
    }
}

/// What `list --format json` says, newest first.
pub async fn rows(archive: &Archive) -> Vec<Value> {
    archive
        .run(&["list", "--format", "json"])
        .await
        .expect_code(0)
        .json_lines()
}

/// How many rows are in a state.
pub fn count(rows: &[Value], state: &str) -> usize {
    rows.iter().filter(|row| row["state"] == state).count()
}

/// Holds the catalog's promise: every row that says `archived` is true for the file on disk.
///
/// # Panics
/// Where it is not.
#[track_caller]
pub fn assert_rows_true(archive: &Archive, rows: &[Value]) {
    for row in rows.iter().filter(|row| row["state"] == "archived") {
        let path = archive.dir().join(row["path"].as_str().expect("a path"));
        let kind = fs::symlink_metadata(&path).unwrap_or_else(|error| panic!("{error}: {row}"));
        assert!(kind.is_file(), "{row}");
        let bytes = fs::read(&path).unwrap_or_else(|error| panic!("{error}: {row}"));
        assert_eq!(row["size_bytes"], bytes.len(), "{row}");
        assert_eq!(row["sha256"], hex(&Sha256::digest(&bytes)), "{row}");
        let sidecar: Value = serde_json::from_slice(&fs::read(path.with_extension("json")).expect("a sidecar"))
            .expect("the sidecar is JSON");
        assert_eq!(
            (&sidecar["sha256"], &sidecar["size_bytes"]),
            (&row["sha256"], &row["size_bytes"])
        );
    }
}

/// Holds everything that must be so after a run that had nothing in its way: all that is available upstream is
/// archived, byte for byte; rows, files and sidecars are the same set; nothing is left in staging.
///
/// # Panics
/// Where anything is not.
pub async fn assert_complete(archive: &Archive, workspace: &WorkspaceHandle) {
    let rows = rows(archive).await;
    assert_rows_true(archive, &rows);
    let archived: BTreeSet<String> = rows
        .iter()
        .filter(|row| row["state"] == "archived")
        .map(|row| {
            row["path"]
                .as_str()
                .unwrap()
                .trim_start_matches("recordings/")
                .to_owned()
        })
        .collect();
    let sidecars = archived.iter().map(|path| Path::new(path).with_extension("json"));
    let wanted: BTreeSet<String> = sidecars
        .map(|path| path.to_string_lossy().into_owned())
        .chain(archived.iter().cloned())
        .collect();
    assert_eq!(archive.files().into_iter().collect::<BTreeSet<_>>(), wanted);
    let available = workspace.available();
    assert_eq!(archived.len(), available.len());
    for id in available {
        let file = archive.media_file_of(id).unwrap_or_else(|| panic!("{id} has no file"));
        assert!(
            archive.read(&file) == workspace.body(id),
            "{file} differs from upstream"
        );
    }
    assert_eq!(archive.staging_files(), Vec::<String>::new());
}

/// A file as it was found: inode, mode, seconds and nanoseconds of the last change, content.
type Left = (u64, u32, (i64, i64), Vec<u8>);

/// Every file below a place: inode, mode, time of the last change, content. The catalog's companions are left out,
/// since looking at a catalog makes them.
pub fn snapshot(place: &Path) -> BTreeMap<PathBuf, Left> {
    let mut found = BTreeMap::new();
    let mut open = vec![place.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
            let (path, kind) = (entry.path(), entry.metadata().expect("an entry"));
            if kind.is_dir() {
                open.push(path);
            } else if !path.to_string_lossy().ends_with("-wal") && !path.to_string_lossy().ends_with("-shm") {
                // A pipe would be waited for.
                let bytes = if kind.is_file() {
                    fs::read(&path).expect("a file")
                } else {
                    Vec::new()
                };
                found.insert(
                    path,
                    (kind.ino(), kind.mode(), (kind.mtime(), kind.mtime_nsec()), bytes),
                );
            }
        }
    }
    found
}

/// Runs statements on the catalog, behind birdkeep's back.
pub async fn sql(archive: &Archive, statements: &'static str) {
    let options = SqliteConnectOptions::new().filename(archive.catalog_path());
    let mut connection = options.connect().await.expect("the catalog opens");
    sqlx::raw_sql(statements)
        .execute(&mut connection)
        .await
        .expect("the statements run");
    connection.close().await.expect("the catalog closes");
}

/// Holds the catalog's lock for writing as another program would, until it is dropped.
pub async fn locked(archive: &Archive) -> SqliteConnection {
    let options = SqliteConnectOptions::new()
        .filename(archive.catalog_path())
        .busy_timeout(LONG);
    let mut connection = options.connect().await.expect("the catalog opens");
    let begun = sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut connection).await;
    begun.expect("the lock is free now and then");
    connection
}

/// A program that runs birdkeep by this line of shell, in which `"$B" "$@"` is birdkeep with its arguments.
pub fn wrapper(archive: &Archive, line: &str) -> PathBuf {
    let path = archive.root().join("wrapper");
    fs::write(&path, format!("#!/bin/sh\nB='{BINARY}'\n{line}\n")).expect("a script");
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o700)).expect("it can be run");
    path
}

/// Lower-case hex digits.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes everything");
        text
    })
}
