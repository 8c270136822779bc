//! A backup made at any moment, put back beside the media as they are later, is a whole and true archive.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use sqlx::ConnectOptions as _;
use sqlx::Connection as _;
use sqlx::sqlite::SqliteConnectOptions;

use crate::support::bird::RecordingSpec;
use crate::support::harness::Archive;
use crate::surviving::kit::LONG;
use crate::surviving::kit::assert_complete;
use crate::surviving::kit::assert_rows_true;
use crate::surviving::kit::count;
use crate::surviving::kit::end_within;
use crate::surviving::kit::eventually;
use crate::surviving::kit::place;
use crate::surviving::kit::rows;

const RECORDINGS: usize = 300;

/// Makes a backup in this directory and says what birdkeep says of it.
async fn backup(archive: &Archive, into: &Path) -> Value {
    let finished = archive
        .run(&["backup", into.to_str().unwrap(), "--format", "json"])
        .await
        .expect_code(0);
    finished.json_lines().remove(0)
}

/// Puts a copy in the place of the catalog of an archive that nobody has open.
fn put_back(archive: &Archive, copy: &Path) {
    for suffix in ["-wal", "-shm"] {
        let mut path = archive.catalog_path().into_os_string();
        path.push(suffix);
        drop(fs::remove_file(path));
    }
    fs::copy(copy, archive.catalog_path()).unwrap();
}

async fn number(file: &Path, statement: &'static str) -> i64 {
    let mut connection = SqliteConnectOptions::new()
        .filename(file)
        .read_only(true)
        .connect()
        .await
        .unwrap();
    let number = sqlx::query_scalar(statement).fetch_one(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    number
}

#[tokio::test]
async fn each_copy_made_under_load_restores_with_the_media_of_later() {
    let (bird, workspace, mut archive) = place().await;
    archive.set("download.concurrency", "8");
    for _ in 0..RECORDINGS {
        workspace.add(RecordingSpec::new().duration_seconds(1));
    }
    let kept = archive.root().join("kept");
    fs::create_dir(&kept).unwrap();
    let mut running = archive.spawn(&[]);
    let mut copies: Vec<(PathBuf, u64)> = Vec::new();
    eventually("the catalog has rows", || bird.media_requests() > 0).await;
    while copies.len() < 2 || archive.media_files().len() < RECORDINGS {
        assert!(copies.len() < 500, "the daemon does not come to an end");
        let file = kept.join(format!("{}.sqlite", copies.len()));
        let made = backup(&archive, &file).await;
        assert_eq!(made["path"], file.to_str().unwrap(), "{made}");
        copies.push((file, made["archived"].as_u64().unwrap()));
    }
    running.sigterm();
    end_within(&mut running, LONG).await.expect_code(0);
    assert!(
        copies.first().unwrap().1 < RECORDINGS as u64,
        "no copy was made while recordings were archived"
    );
    assert!(copies.windows(2).all(|pair| pair[0].1 <= pair[1].1), "{copies:?}");
    let names = fs::read_dir(&kept).unwrap().count();
    assert_eq!(names, copies.len(), "more than the copies was left");
    // The first, the last and some between: each costs two runs.
    let step = copies.len().div_ceil(6);
    for (copy, archived) in copies.iter().step_by(step).chain(copies.last()) {
        assert_eq!(
            number(
                copy,
                "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check <> 'ok'"
            )
            .await,
            0
        );
        assert!(number(copy, "SELECT copied_at FROM archive").await > 0);
        put_back(&archive, copy);
        let restored = rows(&archive).await;
        assert_rows_true(&archive, &restored);
        assert_eq!(count(&restored, "archived") as u64, *archived);
        bird.forget_requests();
        archive.run(&["--once"]).await.expect_code(0);
        assert_eq!(bird.media_requests(), 0, "what stands on disk was fetched again");
        assert_complete(&archive, &workspace).await;
    }
    for (at, (copy, _)) in copies.iter().enumerate() {
        // Below the archive, where secrets are looked for.
        fs::copy(copy, archive.dir().join(format!("copy-{at}"))).unwrap();
    }
    assert_eq!(archive.grep_secrets(&bird), Vec::new());
}

#[tokio::test]
async fn the_database_file_alone_lacks_what_is_still_in_the_log() {
    let (bird, workspace, archive) = place().await;
    workspace.add_many(20, "2026-03-01T10:00:00Z", Duration::from_mins(1));
    let mut running = archive.spawn(&[]);
    eventually("all are archived", || archive.files().len() == 40).await;
    let made = loop {
        let made = backup(&archive, &archive.root().join(format!("{}.sqlite", fastrand::u64(..)))).await;
        if made["archived"] == 20 {
            break made;
        }
    };
    let alone = archive.root().join("alone.sqlite");
    fs::copy(archive.catalog_path(), &alone).unwrap();
    running.kill_9().await;
    drop(bird);
    // The file by itself: no table, or not all rows. The backup made before it has them.
    let mut connection = SqliteConnectOptions::new().filename(&alone).connect().await.unwrap();
    let archived: Result<i64, _> = sqlx::query_scalar("SELECT count(*) FROM recordings WHERE state = 'archived'")
        .fetch_one(&mut connection)
        .await;
    assert!(archived.is_err() || archived.is_ok_and(|rows| rows < 20));
    assert_eq!((&made["recordings"], &made["archived"]), (&20.into(), &20.into()));
}

#[tokio::test]
async fn a_reader_that_stays_stalls_neither_the_daemon_nor_a_backup() {
    let (_bird, workspace, mut archive) = place().await;
    archive.set("download.concurrency", "8");
    workspace.add_many(2, "2026-03-01T10:00:00Z", Duration::from_mins(1));
    archive.run(&["--once"]).await.expect_code(0);
    workspace.add_many(100, "2026-03-02T10:00:00Z", Duration::from_mins(1));
    let mut running = archive.spawn(&[]);
    eventually("it has begun", || archive.media_files().len() > 2).await;
    let options = SqliteConnectOptions::new()
        .filename(archive.catalog_path())
        .read_only(true);
    let mut reader = options.connect().await.unwrap();
    let mut snapshot = reader.begin().await.unwrap();
    let count = "SELECT count(*) FROM recordings WHERE state = 'archived'";
    let seen: i64 = sqlx::query_scalar(count).fetch_one(&mut *snapshot).await.unwrap();
    eventually("all are archived", || archive.files().len() == 2 * 102).await;
    let copy = archive.root().join("copy.sqlite");
    while backup(&archive, &copy).await["archived"] != 102 {
        fs::remove_file(&copy).unwrap();
    }
    let still: i64 = sqlx::query_scalar(count).fetch_one(&mut *snapshot).await.unwrap();
    assert_eq!(still, seen, "the reader's moment has moved");
    drop(snapshot);
    reader.close().await.unwrap();
    running.sigterm();
    end_within(&mut running, LONG).await.expect_code(0);
    let mut log = archive.catalog_path().into_os_string();
    log.push("-wal");
    assert!(
        fs::metadata(log).map_or(0, |log| log.len()) == 0,
        "the log was not folded in"
    );
}
