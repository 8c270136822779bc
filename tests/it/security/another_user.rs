//! birdkeep as a user without rights, which is how it should run: whose its files are, and what can be read of it.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::fs::chown;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use crate::support::bird::At;
use crate::support::bird::Bird;
use crate::support::bird::FaultRule;
use crate::support::bird::MediaAction;
use crate::support::bird::RecordingSpec;
use crate::support::bird::WorkspaceHandle;
use crate::support::harness::Archive;
use crate::support::harness::Running;
use crate::surviving::kit::BINARY;
use crate::surviving::kit::LONG;
use crate::surviving::kit::end_within;
use crate::surviving::kit::eventually;
use crate::surviving::kit::place;
use crate::surviving::kit::rows;
use crate::surviving::kit::wrapper;

const NOBODY: u32 = 65534;

/// An archive whose birdkeep runs as nobody; `None`, said aloud, where this test is not root.
async fn as_nobody(before: &str) -> Option<(Bird, WorkspaceHandle, Archive)> {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can run birdkeep as another user");
        return None;
    }
    let (bird, workspace, mut archive) = place().await;
    // Where the tests are built may be closed to others.
    let copy = archive.root().join("birdkeep");
    fs::hard_link(BINARY, &copy)
        .or_else(|_| fs::copy(BINARY, &copy).map(drop))
        .unwrap();
    let line = format!(
        "{before}; exec setpriv --reuid={NOBODY} --regid={NOBODY} --clear-groups --no-new-privs '{}' \"$@\"",
        copy.display()
    );
    let program = wrapper(&archive, &line);
    for path in [archive.root().to_owned(), archive.config_path()] {
        chown(&path, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    archive.run_as(program);
    Some((bird, workspace, archive))
}

/// Everything below a place and itself: whether it is a directory, its mode, its owner.
fn found(place: &Path) -> Vec<(PathBuf, bool, u32, u32)> {
    let kind = fs::symlink_metadata(place).unwrap();
    let mut all = vec![(place.to_owned(), kind.is_dir(), kind.mode() & 0o7777, kind.uid())];
    if kind.is_dir() {
        for entry in fs::read_dir(place).unwrap() {
            all.extend(found(&entry.unwrap().path()));
        }
    }
    all
}

fn assert_private(archive: &Archive, wanted: &[&str]) {
    let seen = found(&archive.dir());
    for name in wanted {
        assert!(
            seen.iter().any(|(path, ..)| path.to_string_lossy().ends_with(name)),
            "{name}: {seen:?}"
        );
    }
    for (path, is_dir, mode, owner) in seen {
        let private = if is_dir { 0o700 } else { 0o600 };
        assert_eq!((mode, owner), (private, NOBODY), "{} is {mode:o}", path.display());
    }
}

fn read_proc(running: &Running, name: &str) -> String {
    fs::read_to_string(format!("/proc/{}/{name}", running.pid().unwrap())).unwrap()
}

#[tokio::test]
async fn everything_belongs_to_the_user_alone_and_nothing_can_be_read_of_the_process() {
    for umask in ["000", "022"] {
        let Some((bird, workspace, archive)) = as_nobody(&format!("umask {umask}; ulimit -c unlimited")).await else {
            return;
        };
        workspace.add_many(2, "2026-03-01T10:00:00Z", Duration::from_mins(1));
        let large = workspace.add(RecordingSpec::new().body_bytes(2_000_000));
        bird.fault(FaultRule::media(MediaAction::Hold(At::Half)).recording(large).times(1));
        let mut running = archive.spawn(&[]);
        bird.wait_until(|bird| bird.media_requests() == 3 && bird.media_in_flight() == 1)
            .await;
        eventually("two are archived", || {
            archive.files().len() == 4 && archive.staging_files().len() == 1
        })
        .await;
        assert_private(
            &archive,
            &[
                "-wal",
                "-shm",
                "catalog.sqlite",
                "birdkeep.lock",
                "archive.json",
                ".part",
                ".mp3",
                ".json",
            ],
        );
        let limits = read_proc(&running, "limits");
        let core = limits
            .lines()
            .find(|line| line.starts_with("Max core file size"))
            .unwrap();
        assert_eq!(core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"]);
        // What the kernel gives to root is what may not be dumped, nor read by the user's other processes.
        let memory = fs::metadata(format!("/proc/{}/mem", running.pid().unwrap())).unwrap();
        assert_eq!(memory.uid(), 0, "the memory can be read");
        assert!(read_proc(&running, "status").contains(&format!("Uid:\t{NOBODY}\t{NOBODY}")));
        bird.release_held();
        eventually("all are archived", || archive.files().len() == 6).await;
        running.sigterm();
        end_within(&mut running, LONG).await.expect_code(0);
        assert_private(&archive, &["catalog.sqlite"]);
    }
}

#[tokio::test]
async fn a_folder_that_may_not_be_written_to_is_named_and_nobodys_fault() {
    let Some((_bird, workspace, archive)) = as_nobody("umask 022").await else {
        return;
    };
    archive.run(&["--once"]).await.expect_code(0);
    let folder = archive.dir().join("recordings/support");
    fs::create_dir(&folder).unwrap();
    workspace.add_many(1, "2026-03-01T10:00:00Z", Duration::from_mins(1));
    let run = archive.run(&["--once"]).await;
    assert_ne!(run.code, Some(0));
    assert!(
        run.stderr.contains("recordings/support") && run.stderr.contains("ermission"),
        "{}",
        run.stderr
    );
    let row = rows(&archive).await.remove(0);
    assert_eq!((&row["state"], &row["attempts"]), (&"due".into(), &0.into()), "{row}");
    chown(&folder, Some(NOBODY), Some(NOBODY)).unwrap();
    archive.run(&["--once"]).await.expect_code(0);
    assert_eq!(archive.media_files().len(), 1);
}
