//! What the tests of rebuilding share: all that a catalog says, and ways to lose it.
//!
//! Must not know: what is being tested.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use serde_json::Value;
use sqlx::ConnectOptions as _;
use sqlx::Connection as _;
use sqlx::sqlite::SqliteConnectOptions;

use crate::support::harness::Archive;
use crate::support::harness::Finished;

/// Every column but those that a sidecar does not hold: the row's number, when it was last listed, and what is noted of
/// sidecars and of re-reading.
const ROWS: &str = "SELECT json_array(w.name, w.id, hex(r.id), status, r.created_at, direction, caller, callee,
    caller_digits, callee_digits, duration_seconds, format, metadata, first_seen_at, state, attempts, not_before,
    claimed_by, claimed_from, last_error, path, size_bytes, hex(sha256), content_type, etag, archived_at, remark)
    FROM recordings AS r JOIN workspaces AS w USING (workspace) ORDER BY w.name, r.id";
const VERSIONS: &str = "SELECT json_array(w.name, hex(r.id), superseded_at, v.metadata)
    FROM metadata_versions AS v JOIN recordings AS r USING (seq) JOIN workspaces AS w USING (workspace)
    ORDER BY w.name, r.id, superseded_at, version";
const COUNTS: &str = "SELECT json_array(w.name, state, recordings, bytes)
    FROM counts JOIN workspaces AS w USING (workspace) WHERE recordings > 0 ORDER BY w.name, state";
const FINDINGS: &str = "SELECT json_array(w.name, hex(r.id), kind)
    FROM findings JOIN recordings AS r USING (seq) JOIN workspaces AS w USING (workspace) ORDER BY w.name, r.id";

/// Answers of statements, a line each. The catalog is held to be sound on the way.
pub async fn ask(catalog: &Path, statements: &[&'static str]) -> Vec<String> {
    let options = SqliteConnectOptions::new().filename(catalog).read_only(true);
    let mut connection = options.connect().await.expect("the catalog opens");
    let mut lines = Vec::new();
    for statement in ["PRAGMA integrity_check"].iter().chain(statements) {
        let answer: Vec<String> = sqlx::query_scalar(*statement).fetch_all(&mut connection).await.unwrap();
        lines.extend(answer);
    }
    connection.close().await.unwrap();
    assert_eq!(lines.remove(0), "ok");
    lines
}

/// All that a catalog says which a sidecar holds too.
pub async fn dump(catalog: &Path) -> Vec<String> {
    ask(catalog, &[ROWS, VERSIONS, COUNTS, FINDINGS]).await
}

/// Moves the catalog away with all that belongs to it, and says where to.
pub fn lose_catalog(archive: &Archive) -> PathBuf {
    let lost = archive.root().join("lost");
    fs::create_dir_all(&lost).unwrap();
    let kept = lost.join("catalog.sqlite");
    for suffix in ["", "-wal", "-shm"] {
        let from = with_suffix(&archive.catalog_path(), suffix);
        if from.exists() {
            fs::rename(&from, with_suffix(&kept, suffix)).unwrap();
        }
    }
    kept
}

pub fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Runs `rebuild --format json` and returns what it says.
pub async fn rebuild(archive: &Archive, code: i32) -> Value {
    rebuild_with(archive, &[], code).await.json()
}

pub async fn rebuild_with(archive: &Archive, more: &[&str], code: i32) -> Finished {
    let args: Vec<&str> = ["rebuild", "--format", "json"].iter().chain(more).copied().collect();
    archive.run(&args).await.expect_code(code)
}

/// What `rebuild` says when all it found was used.
#[track_caller]
pub fn assert_clean(report: &Value, recordings: usize) {
    assert_eq!(report["recordings"], recordings, "{report}");
    for list in [
        "without_body",
        "damaged",
        "unusable",
        "bodies_without_sidecar",
        "moved_aside",
    ] {
        assert_eq!(report[list], serde_json::json!([]), "{list}: {report}");
    }
}

/// The one sidecar of a recording.
pub fn sidecar_of(archive: &Archive, id: impl std::fmt::Display) -> PathBuf {
    body_of(archive, id).with_extension("json")
}

/// The one body of a recording.
pub fn body_of(archive: &Archive, id: impl std::fmt::Display) -> PathBuf {
    let file = archive.media_file_of(id).expect("a body");
    archive.dir().join("recordings").join(file)
}
