//! Killed at any point: nothing is lost, nothing is fetched that need not be, no row says what is not so.

use std::fs;
use std::time::Duration;

use super::kit::LONG;
use super::kit::assert_complete;
use super::kit::count;
use super::kit::end_within;
use super::kit::place;
use super::kit::rows;
use super::kit::snapshot;
use super::kit::sql;
use crate::support::bird::At;
use crate::support::bird::FaultRule;
use crate::support::bird::MediaAction;
use crate::support::bird::RecordingSpec;

const FROM: &str = "2026-03-01T10:00:00Z";
const MINUTE: Duration = Duration::from_mins(1);

/// Takes the row of the one recording back to before its body was published.
const FORGET: &str = "UPDATE recordings SET state = 'due', path = NULL, size_bytes = NULL, sha256 = NULL, archived_at = NULL, \
     content_type = NULL, etag = NULL, remark = NULL";

#[tokio::test]
async fn killed_in_the_middle_of_bodies_leaves_no_part_of_one() {
    let (bird, workspace, archive) = place().await;
    for _ in 0..6 {
        workspace.add(RecordingSpec::new().body_bytes(700_000));
    }
    bird.fault(FaultRule::media(MediaAction::Hold(At::AllBut(10))));
    let mut running = archive.spawn(&["--once"]);
    bird.wait_until(|bird| bird.media_in_flight() == 6).await;
    super::kit::eventually("bodies are being staged", || archive.staging_files().len() == 6).await;
    running.kill_9().await;
    assert_eq!(archive.staging_files().len(), 6);
    assert_eq!(archive.files(), Vec::<String>::new());
    let left = rows(&archive).await;
    assert_eq!(count(&left, "claimed"), 6, "{left:?}");
    bird.clear_faults();
    archive.run(&["--once"]).await.expect_code(0);
    assert_complete(&archive, &workspace).await;
}

#[tokio::test]
async fn a_body_whose_row_was_not_written_is_adopted() {
    let (bird, workspace, archive) = place().await;
    let id = workspace.add(RecordingSpec::at(FROM));
    archive.run(&["--once"]).await.expect_code(0);
    let (before, row) = (snapshot(&archive.dir().join("recordings")), rows(&archive).await);
    for claimed in [false, true] {
        sql(&archive, FORGET).await;
        if claimed {
            sql(
                &archive,
                "UPDATE recordings SET state = 'claimed', claimed_by = 7, claimed_from = 'due'",
            )
            .await;
        }
        bird.forget_requests();
        archive.run(&["--once"]).await.expect_code(0);
        assert_eq!(bird.media_requests(), 0);
        assert!(snapshot(&archive.dir().join("recordings")) == before);
        assert_complete(&archive, &workspace).await;
        let again = rows(&archive).await;
        for member in ["path", "size_bytes", "sha256", "archived_at", "attempts"] {
            assert_eq!(again[0][member], row[0][member], "{member}");
        }
    }
    // Killed between the body's name and its sidecar's: the body is true and stays, the sidecar comes.
    let file = archive.media_file_of(id).unwrap();
    let path = archive.dir().join("recordings").join(&file);
    fs::remove_file(path.with_extension("json")).unwrap();
    sql(&archive, FORGET).await;
    archive.run(&["--once"]).await.expect_code(0);
    assert_complete(&archive, &workspace).await;
    assert!(snapshot(&archive.dir())[&path] == before[&path]);
}

#[tokio::test]
async fn another_body_under_the_name_is_never_overwritten() {
    let (_bird, workspace, archive) = place().await;
    let id = workspace.add(RecordingSpec::at(FROM));
    archive.run(&["--once"]).await.expect_code(0);
    let path = archive
        .dir()
        .join("recordings")
        .join(archive.media_file_of(id).unwrap());
    let mut other = fs::read(&path).unwrap();
    let middle = other.len() / 2;
    other[middle] ^= 1;
    fs::write(&path, &other).unwrap();
    for with_sidecar in [true, false] {
        if !with_sidecar {
            fs::remove_file(path.with_extension("json")).unwrap();
        }
        sql(&archive, FORGET).await;
        sql(&archive, "UPDATE recordings SET not_before = 0").await;
        archive.run(&["--once"]).await.expect_code(3);
        assert!(fs::read(&path).unwrap() == other, "the file was overwritten");
        let row = &rows(&archive).await[0];
        assert_eq!(row["state"], "due", "{row}");
        assert!(
            row["last_error"]
                .as_str()
                .is_some_and(|why| why.contains("another body stands there")),
            "{row}"
        );
        assert_eq!(archive.staging_files(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_log_that_was_lost_costs_rows_and_no_recordings() {
    let (bird, workspace, mut archive) = place().await;
    archive.set("download.concurrency", "4");
    workspace.add_many(10, FROM, MINUTE);
    archive.run(&["--once"]).await.expect_code(0);
    workspace.add_many(30, "2026-03-02T10:00:00Z", MINUTE);
    let mut running = archive.spawn(&["--once"]);
    bird.wait_until(|bird| bird.media_requests() > 25).await;
    running.kill_9().await;
    let published = snapshot(&archive.dir().join("recordings"));
    assert!(published.len() > 20);
    let log = archive.dir().join("catalog.sqlite-wal");
    fs::remove_file(&log).expect("there was a log");
    drop(fs::remove_file(archive.dir().join("catalog.sqlite-shm")));
    let mut running = archive.spawn(&["--once"]);
    end_within(&mut running, LONG).await.expect_code(0);
    assert_complete(&archive, &workspace).await;
    let after = snapshot(&archive.dir().join("recordings"));
    for (path, before) in published {
        assert!(after[&path] == before, "{} was written again", path.display());
    }
}
