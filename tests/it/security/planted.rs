//! What somebody has put where birdkeep keeps its own files: not followed, not waited for, not written to, and told of.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::fs::symlink;
use std::path::Path;

use rustix::fs::FileType;
use rustix::fs::Mode;

use crate::surviving::kit::assert_complete;
use crate::surviving::kit::place;

/// A kind of plant, and how it is put there; the second path leads outside.
type Plant = (&'static str, fn(&Path, &Path));

const CANARY: &str = "alive";

const PLANTS: [Plant; 8] = [
    ("a link to a file", |at, outside| {
        symlink(outside.join("canary"), at).unwrap();
    }),
    ("a link to nothing", |at, outside| {
        symlink(outside.join("nowhere"), at).unwrap();
    }),
    ("a link to a directory", |at, outside| symlink(outside, at).unwrap()),
    ("a second name of a file", |at, outside| {
        fs::hard_link(outside.join("canary"), at).unwrap();
    }),
    ("a pipe", |at, _| node(at, FileType::Fifo)),
    ("a socket", |at, _| node(at, FileType::Socket)),
    ("a character device", |at, _| node(at, FileType::CharacterDevice)),
    ("a block device", |at, _| node(at, FileType::BlockDevice)),
];

/// Devices have a number that nobody drives.
fn node(at: &Path, kind: FileType) {
    let number = rustix::fs::makedev(60, 7);
    match rustix::fs::mknodat(rustix::fs::CWD, at, kind, Mode::from_raw_mode(0o600), number) {
        Ok(()) => {}
        // Only root may make devices: a directory in their place is as much in the way.
        Err(_) => fs::create_dir(at).unwrap(),
    }
}

fn uproot(at: &Path) {
    fs::remove_file(at).or_else(|_| fs::remove_dir(at)).unwrap();
}

/// What can be told of the canary and of its folder without opening it.
fn outside_is(outside: &Path) -> (Vec<String>, String, u32, i64) {
    let mut names: Vec<String> = fs::read_dir(outside)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    let found = fs::metadata(outside.join("canary")).unwrap();
    let text = fs::read_to_string(outside.join("canary")).unwrap();
    (names, text, found.mode(), found.mtime_nsec())
}

#[tokio::test]
async fn nothing_at_our_own_names_is_followed_or_written_to() {
    let (_bird, workspace, archive) = place().await;
    workspace.add_many(1, "2026-03-01T10:00:00Z", std::time::Duration::from_mins(1));
    archive.run(&["--once"]).await.expect_code(0);
    let outside = archive.root().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("canary"), CANARY).unwrap();
    let before = outside_is(&outside);
    let kept = archive.root().join("kept");
    for name in [
        "catalog.sqlite",
        "catalog.sqlite-wal",
        "catalog.sqlite-shm",
        "birdkeep.lock",
        "archive.json",
    ] {
        let at = archive.dir().join(name);
        let had_one = fs::rename(&at, &kept).is_ok();
        for (what, plant) in PLANTS {
            plant(&at, &outside);
            let kind = fs::symlink_metadata(&at).unwrap().file_type();
            let run = archive.run(&["--once"]).await;
            assert_eq!(run.code, Some(1), "{what} at {name}: {}", run.stderr);
            assert!(run.stderr.contains(name), "{what} at {name}: {}", run.stderr);
            assert_eq!(outside_is(&outside), before, "{what} at {name}");
            assert_eq!(fs::symlink_metadata(&at).unwrap().file_type(), kind, "{what} at {name}");
            uproot(&at);
        }
        if had_one {
            fs::rename(&kept, &at).unwrap();
        }
    }
    archive.run(&["--once"]).await.expect_code(0);
    assert_complete(&archive, &workspace).await;
}

#[tokio::test]
async fn what_lies_in_staging_and_is_not_ours_stays_and_is_told_of() {
    let (_bird, workspace, archive) = place().await;
    archive.run(&["--once"]).await.expect_code(0);
    let outside = archive.root().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("canary"), CANARY).unwrap();
    let before = outside_is(&outside);
    for (what, plant) in PLANTS {
        let at = archive.dir().join("staging/planted");
        plant(&at, &outside);
        workspace.add_many(1, "2026-03-01T10:00:00Z", std::time::Duration::from_mins(1));
        let run = archive.run(&["--once"]).await.expect_code(0);
        assert_eq!(outside_is(&outside), before, "{what}");
        if what == "a second name of a file" {
            // One name of two is all that goes.
            assert!(
                !at.exists() && run.stderr.contains("removed unfinished files"),
                "{}",
                run.stderr
            );
        } else {
            assert!(run.stderr.contains("is left alone"), "{what}: {}", run.stderr);
            uproot(&at);
        }
    }
    assert_complete(&archive, &workspace).await;
}
