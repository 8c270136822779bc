//! A catalog is made where there is none, and nowhere else; nothing is replaced, nothing is replayed.

use std::fs;
use std::time::Duration;

use serde_json::Value;

use super::kit::assert_clean;
use super::kit::dump;
use super::kit::lose_catalog;
use super::kit::rebuild;
use super::kit::sidecar_of;
use super::kit::with_suffix;
use crate::support::bird::WorkspaceHandle;
use crate::support::harness::Archive;
use crate::surviving::kit::place;
use crate::surviving::kit::snapshot;

async fn archived() -> (crate::support::bird::Bird, WorkspaceHandle, Archive) {
    let (bird, workspace, archive) = place().await;
    workspace.add_many(4, "2026-03-01T10:00:00Z", Duration::from_mins(1));
    archive.run(&["--once"]).await.expect_code(0);
    (bird, workspace, archive)
}

/// Holds that `rebuild` is refused with these words and leaves everything as it was.
async fn assert_refused(archive: &Archive, words: &[&str]) {
    let before = snapshot(archive.root());
    let finished = archive.run(&["rebuild"]).await.expect_code(1);
    for word in words {
        assert!(finished.stderr.contains(word), "{word:?} in {}", finished.stderr);
    }
    assert_eq!(finished.stdout, "");
    let after = snapshot(archive.root());
    let lock = archive.dir().join("birdkeep.lock");
    for (path, was) in &before {
        assert!(
            *path == lock || after.get(path) == Some(was),
            "{} was changed",
            path.display()
        );
    }
    assert!(after.keys().eq(before.keys()), "something was made");
}

#[tokio::test]
async fn a_catalog_that_stands_there_is_never_replaced() {
    let (_bird, _workspace, archive) = archived().await;
    let path = archive.catalog_path();
    assert_refused(
        &archive,
        &["catalog.sqlite", "move it and its -wal and -shm files aside"],
    )
    .await;
    let sound = fs::read(&path).unwrap();
    fs::write(&path, "no database ".repeat(600)).unwrap();
    assert_refused(&archive, &["catalog.sqlite", "aside"]).await;
    fs::write(&path, &sound[..sound.len() / 2]).unwrap();
    assert_refused(&archive, &["catalog.sqlite", "aside"]).await;
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert_refused(&archive, &["not a regular file"]).await;
    fs::remove_dir(&path).unwrap();
    let elsewhere = archive.root().join("elsewhere");
    fs::write(&elsewhere, &sound).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
    assert_refused(&archive, &["not a regular file"]).await;
    fs::remove_file(&path).unwrap();
    assert_eq!(rebuild(&archive, 0).await["recordings"], 4);
}

#[tokio::test]
async fn what_is_no_archive_does_not_become_one() {
    let (_bird, _workspace, mut archive) = archived().await;
    let away = archive.root().join("away");
    fs::rename(archive.dir(), &away).unwrap();
    assert_refused(&archive, &["there is no archive"]).await;
    fs::create_dir(archive.dir()).unwrap();
    assert_refused(&archive, &["is its volume mounted?"]).await;
    assert_eq!(fs::read_dir(archive.dir()).unwrap().count(), 0);
    fs::remove_dir(archive.dir()).unwrap();
    fs::rename(&away, archive.dir()).unwrap();
    lose_catalog(&archive);
    archive.set_text("archive.id", "00000000-0000-4000-8000-000000000000");
    assert_refused(&archive, &["mount the right volume"]).await;
    archive.unset("archive.id");
    let usage = archive
        .run(&["rebuild", "--workspace", "support"])
        .await
        .expect_code(64);
    assert!(usage.stderr.contains("whole"), "{}", usage.stderr);
    assert!(!archive.catalog_path().exists());
}

#[tokio::test]
async fn an_archive_in_use_is_left_to_its_user() {
    let (_bird, _workspace, archive) = archived().await;
    let mut daemon = archive.spawn(&[]);
    assert!(daemon.stderr_holds("birdkeep runs", Duration::from_secs(30)).await);
    let finished = archive.run(&["rebuild"]).await.expect_code(1);
    assert!(finished.stderr.contains("in use"), "{}", finished.stderr);
    daemon.kill_9().await;
    lose_catalog(&archive);
    assert_clean(&rebuild(&archive, 0).await, 4);
}

#[tokio::test]
async fn logs_of_a_lost_catalog_are_moved_aside_and_never_replayed() {
    let (_bird, _workspace, archive) = archived().await;
    let path = archive.catalog_path();
    let before = dump(&path).await;
    // A log that SQLite would take for the new catalog's: that of the old one, left by a crash.
    let mut daemon = archive.spawn(&[]);
    assert!(daemon.stderr_holds("birdkeep runs", Duration::from_secs(30)).await);
    daemon.kill_9().await;
    let log = with_suffix(&path, "-wal");
    assert!(log.exists());
    let (logged, journal) = (fs::read(&log).unwrap(), with_suffix(&path, "-journal"));
    fs::write(&journal, "a journal").unwrap();
    for emptied in [true, false] {
        if emptied {
            fs::write(&path, "").unwrap();
        } else {
            lose_catalog(&archive);
            fs::write(&log, &logged).unwrap();
        }
        let report = rebuild(&archive, 0).await;
        let moved: Vec<String> = serde_json::from_value(report["moved_aside"].clone()).unwrap();
        let aside = moved.iter().find(|path| path.contains("-wal.set-aside-")).unwrap();
        assert_eq!(fs::read(aside).unwrap(), logged);
        assert_eq!(moved.iter().any(|path| path.contains("-journal.set-aside-")), emptied);
        assert_eq!(moved.iter().any(|path| path.contains("sqlite.set-aside-")), emptied);
        assert!(!log.exists() && !journal.exists());
        assert_eq!(dump(&path).await, before);
    }
}

#[tokio::test]
async fn workspaces_that_contradict_the_configuration_end_it_before_anything_is_made() {
    let (_bird, workspace, mut archive) = archived().await;
    lose_catalog(&archive);
    archive.set_text("workspaces.support.id", "another-id");
    assert_refused(&archive, &["another-id", "8bc02f53", "workspaces.support.id"]).await;
    archive.set_text("workspaces.support.id", workspace.id());
    // One sidecar alone says something else.
    let path = sidecar_of(&archive, workspace.available()[2]);
    let text = fs::read_to_string(&path).unwrap();
    fs::write(
        &path,
        text.replace("\"workspace_id\": \"8bc02f53", "\"workspace_id\": \"9bc02f53"),
    )
    .unwrap();
    assert_refused(&archive, &["9bc02f53", ".json", "move it away"]).await;
    fs::write(&path, text).unwrap();
    // A workspace that is not configured is made from its sidecars.
    archive
        .unset("workspaces.support.id")
        .unset("workspaces.support.access_key");
    archive
        .set_text("workspaces.sales.id", "sales-id")
        .set_text("workspaces.sales.access_key", "a-key");
    assert_clean(&rebuild(&archive, 0).await, 4);
    let status: Value = archive.run(&["status", "--format", "json"]).await.expect_code(0).json();
    let ids: Vec<_> = status["workspaces"]
        .as_array()
        .unwrap()
        .iter()
        .map(|workspace| &workspace["id"])
        .collect();
    assert_eq!(ids.len(), 2);
    assert!(ids.contains(&&Value::from(workspace.id())), "{ids:?}");
}

#[tokio::test]
async fn a_place_that_cannot_be_written_is_named() {
    let (_bird, _workspace, mut archive) = archived().await;
    archive.set_text(
        "catalog.path",
        &archive.root().join("nowhere/c.sqlite").to_string_lossy(),
    );
    assert_refused(&archive, &["nowhere/c.sqlite"]).await;
    archive.set_text("catalog.path", &archive.root().join("c.sqlite").to_string_lossy());
    let planted = archive.root().join("c.sqlite.rebuild");
    std::os::unix::fs::symlink("/dev/null", &planted).unwrap();
    assert_refused(&archive, &["c.sqlite.rebuild", "not a regular file"]).await;
    fs::remove_file(&planted).unwrap();
    // What a killed rebuild left is its own, and removed.
    fs::write(&planted, "half a catalog").unwrap();
    assert_clean(&rebuild(&archive, 0).await, 4);
    assert!(!planted.exists());
}
