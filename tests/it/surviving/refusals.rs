//! What stands in the archive's place and is not what it should be: refused with the way out, and left as it is.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::kit::assert_complete;
use super::kit::place;
use super::kit::snapshot;
use super::kit::sql;
use crate::support::bird::Bird;
use crate::support::bird::WorkspaceHandle;
use crate::support::harness::Archive;

/// An archive of five recordings and nobody in it.
async fn archived() -> (Bird, WorkspaceHandle, Archive) {
    let (bird, workspace, archive) = place().await;
    workspace.add_many(5, "2026-03-01T10:00:00Z", Duration::from_mins(1));
    archive.run(&["--once"]).await.expect_code(0);
    assert_eq!(archive.files().len(), 10);
    (bird, workspace, archive)
}

/// Holds that every way in is refused with these words, changes nothing and asks upstream for nothing.
async fn assert_refused(bird: &Bird, archive: &Archive, ways: &[&[&str]], words: &[&str]) {
    let before = snapshot(&archive.dir());
    bird.forget_requests();
    for way in ways {
        let finished = archive.run(way).await.expect_code(1);
        for word in words {
            assert!(
                finished.stderr.contains(word),
                "{word:?} after {way:?} in:\n{}",
                finished.stderr
            );
        }
        assert!(!finished.stderr.contains("panicked"), "{}", finished.stderr);
    }
    let after = snapshot(&archive.dir());
    let lock = archive.dir().join("birdkeep.lock");
    assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>());
    for (path, was) in before {
        // The lock says who held it last.
        assert!(path == lock || after[&path] == was, "{} was changed", path.display());
    }
    assert_eq!(bird.api_requests() + bird.media_requests(), 0);
}

const WRITERS: &[&[&str]] = &[&["--once"], &[]];

#[tokio::test]
async fn a_catalog_that_is_missing_or_broken_is_refused_and_left_alone() {
    type Break = fn(&Path);
    let breaks: [(&str, Break); 7] = [
        ("deleted", |path| fs::remove_file(path).unwrap()),
        ("emptied", |path| fs::write(path, "").unwrap()),
        ("text", |path| {
            fs::write(path, "this is not a database, it is a text. ".repeat(500)).unwrap();
        }),
        ("cut to less than a header", |path| cut(path, |_| 60)),
        ("cut to a page", |path| cut(path, |_| 4096)),
        ("cut by half", |path| cut(path, |length| length / 2)),
        ("garbled", |path| {
            let mut bytes = fs::read(path).unwrap();
            bytes[4096..].fill(0xaa);
            fs::write(path, bytes).unwrap();
        }),
    ];
    for (what, break_it) in breaks {
        let (bird, _workspace, archive) = archived().await;
        break_it(&archive.catalog_path());
        println!("{what}");
        assert_refused(&bird, &archive, WRITERS, &["catalog.sqlite", "birdkeep rebuild"]).await;
        assert_refused(
            &bird,
            &archive,
            &[&["status"], &["list"], &["retry", "--all"]],
            &["catalog"],
        )
        .await;
    }
}

fn cut(path: &Path, to: fn(u64) -> u64) {
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.set_len(to(file.metadata().unwrap().len())).unwrap();
}

#[tokio::test]
async fn a_catalog_of_a_newer_birdkeep_or_another_program_is_refused() {
    for statement in ["PRAGMA user_version = 999", "PRAGMA application_id = 77"] {
        let (bird, workspace, archive) = archived().await;
        let good = fs::read(archive.catalog_path()).unwrap();
        sql(&archive, statement).await;
        assert_refused(&bird, &archive, WRITERS, &["catalog.sqlite", "birdkeep rebuild"]).await;
        fs::write(archive.catalog_path(), good).unwrap();
        archive.run(&["--once"]).await.expect_code(0);
        assert_complete(&archive, &workspace).await;
    }
}

#[tokio::test]
async fn a_catalog_of_another_archive_is_refused() {
    let (bird, _workspace, archive) = archived().await;
    let (_other_bird, _other_workspace, other) = archived().await;
    fs::copy(other.catalog_path(), archive.catalog_path()).unwrap();
    assert_refused(&bird, &archive, WRITERS, &["belongs to archive"]).await;
}

#[tokio::test]
async fn a_place_without_its_marker_is_refused() {
    let (bird, workspace, archive) = archived().await;
    let marker = archive.dir().join("archive.json");
    let good = fs::read(&marker).unwrap();
    fs::remove_file(&marker).unwrap();
    assert_refused(&bird, &archive, WRITERS, &["archive.json", "backup"]).await;
    fs::write(&marker, "").unwrap();
    assert_refused(&bird, &archive, WRITERS, &["archive.json", "empty"]).await;
    fs::write(&marker, "{\"id\":").unwrap();
    assert_refused(&bird, &archive, WRITERS, &["archive.json"]).await;
    fs::write(&marker, good).unwrap();
    archive.run(&["--once"]).await.expect_code(0);
    assert_complete(&archive, &workspace).await;
}

#[tokio::test]
async fn a_place_that_holds_something_else_is_not_made_an_archive() {
    let (bird, _workspace, archive) = place().await;
    fs::create_dir(archive.dir()).unwrap();
    fs::write(archive.dir().join("thesis.txt"), "years of work").unwrap();
    assert_refused(&bird, &archive, WRITERS, &["archive.json", "thesis.txt"]).await;
}

#[tokio::test]
async fn a_volume_that_is_not_mounted_is_noticed_by_the_archives_id() {
    let (bird, workspace, mut archive) = archived().await;
    let marker: serde_json::Value =
        serde_json::from_slice(&fs::read(archive.dir().join("archive.json")).unwrap()).unwrap();
    let id = marker["id"].as_str().unwrap().to_owned();
    archive.set_text("archive.id", &id);
    archive.run(&["--once"]).await.expect_code(0);
    assert_complete(&archive, &workspace).await;
    // The mount point without its volume.
    let volume = archive.root().join("volume");
    fs::rename(archive.dir(), &volume).unwrap();
    let every = &[&["--once"][..], &[], &["status"], &["list"], &["check"]];
    for exists in [false, true] {
        if exists {
            fs::create_dir(archive.dir()).unwrap();
        }
        for way in every {
            bird.forget_requests();
            let finished = archive.run(way).await.expect_code(1);
            let said = finished.stderr + &finished.stdout;
            assert!(
                said.contains(&archive.dir().display().to_string()) || said.contains(&id),
                "{way:?}: {said}"
            );
            assert_eq!(archive.dir().exists(), exists, "{way:?} made the directory");
            if exists {
                assert_eq!(
                    fs::read_dir(archive.dir()).unwrap().count(),
                    0,
                    "{way:?} made something"
                );
            }
            assert!(way == &["check"] || bird.api_requests() == 0, "{way:?} asked upstream");
        }
    }
    // Another volume in its place.
    fs::remove_dir(archive.dir()).unwrap();
    fs::rename(&volume, archive.dir()).unwrap();
    archive.set_text("archive.id", "01890a5d-ac96-774b-bcce-b302099a8057");
    assert_refused(&bird, &archive, WRITERS, &["01890a5d-ac96-774b-bcce-b302099a8057", &id]).await;
}
