//! What `check` finds at the archive's place: who may write it, what keeps it, how much room there is, who writes it now.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::check;
use super::line;
use crate::support::bird::RecordingSpec;
use crate::support::harness::Archive;
use crate::surviving::kit::BINARY;
use crate::surviving::kit::LONG;
use crate::surviving::kit::end_within;
use crate::surviving::kit::place;
use crate::surviving::kit::snapshot;
use crate::surviving::kit::wrapper;

const FROM: &str = "2026-03-01T10:00:00Z";

fn is_root() -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        eprintln!("skipped: only root can do this");
    }
    is_root
}

#[tokio::test]
async fn a_running_daemon_is_told_and_is_no_fault() {
    let (bird, workspace, archive) = place().await;
    workspace.add_many(1, FROM, Duration::ZERO);
    let mut running = archive.spawn(&[]);
    bird.wait_until(|bird| bird.media_requests() == 1).await;
    assert!(running.stderr_holds("archived", LONG).await);
    let printed = check(&archive, 0).await;
    let pid = format!("pid {}", running.pid().unwrap());
    assert!(line(&printed, "ok", "lock: held by").contains(&pid), "{printed}");
    line(&printed, "ok", "catalog: schema");
    running.sigterm();
    end_within(&mut running, LONG).await.expect_code(0);
    line(&check(&archive, 0).await, "ok", "lock: no birdkeep is running");
}

#[tokio::test]
async fn nothing_is_written_where_another_archive_or_none_lies() {
    let (_bird, workspace, mut archive) = place().await;
    workspace.add_many(1, FROM, Duration::ZERO);
    archive.run(&["--once"]).await.expect_code(0);
    archive.set_text("archive.id", "01890a5d-ac96-474b-8cce-b302099a8057");
    let (before, touched) = (snapshot(&archive.dir()), modified(&archive.dir()));
    line(&check(&archive, 1).await, "FAIL", "archive id");
    assert!(snapshot(&archive.dir()) == before);
    assert_eq!(modified(&archive.dir()), touched, "not even a file that went again");
    archive.unset("archive.id");

    let foreign = archive.root().join("foreign");
    fs::create_dir(&foreign).unwrap();
    fs::write(foreign.join("thesis.tex"), "x").unwrap();
    let touched = modified(&foreign);
    archive.set_text("archive.dir", &foreign.to_string_lossy());
    assert!(line(&check(&archive, 1).await, "FAIL", "archive:").contains("thesis.tex"));
    assert_eq!(modified(&foreign), touched);
}

/// When a folder's entries last changed.
fn modified(folder: &Path) -> std::time::SystemTime {
    fs::metadata(folder).unwrap().modified().unwrap()
}

#[tokio::test]
async fn looking_leaves_not_even_companions_of_the_catalog() {
    let (_bird, workspace, archive) = place().await;
    workspace.add_many(1, FROM, Duration::ZERO);
    archive.run(&["--once"]).await.expect_code(0);
    let names = || {
        let entries = fs::read_dir(archive.dir()).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let before = names();
    check(&archive, 0).await;
    assert_eq!(names(), before);
}

#[tokio::test]
async fn a_place_of_another_user_is_told() {
    if !is_root() {
        return;
    }
    let (_bird, workspace, mut archive) = place().await;
    workspace.add_many(1, FROM, Duration::ZERO);
    archive.run(&["--once"]).await.expect_code(0);
    as_nobody(&mut archive);
    let printed = check(&archive, 1).await;
    line(&printed, "ok", "user: id 65534");
    assert!(
        line(&printed, "FAIL", "archive:").contains("give this user the directory"),
        "{printed}"
    );
    // The root has it all but for the parts that another user's run made.
    let chown = |what: &str| {
        let done = Command::new("chown")
            .arg("65534:65534")
            .arg(archive.dir().join(what))
            .status();
        assert!(done.unwrap().success());
    };
    for own in ["", "archive.json", "birdkeep.lock", "recordings"] {
        chown(own);
    }
    let printed = check(&archive, 1).await;
    assert!(line(&printed, "FAIL", "staging").contains("chown"), "{printed}");
    line(&printed, "FAIL", "catalog.sqlite");
    chown("staging");
    chown("catalog.sqlite");
    line(&check(&archive, 0).await, "ok", "archive:");
}

#[tokio::test]
async fn a_place_that_this_user_may_not_make_is_told() {
    if !is_root() {
        return;
    }
    let (_bird, _workspace, mut archive) = place().await;
    as_nobody(&mut archive);
    archive.set_text("archive.dir", "/birdkeep-of-nobody/archive");
    chown_config(&archive);
    let printed = check(&archive, 1).await;
    assert!(
        line(&printed, "FAIL", "archive:").contains("install -d -m 0700"),
        "{printed}"
    );
    assert!(!Path::new("/birdkeep-of-nobody").exists());
}

/// Runs birdkeep as nobody from now on.
fn as_nobody(archive: &mut Archive) {
    let copy = archive.root().join("birdkeep");
    fs::copy(BINARY, &copy).unwrap();
    let line = format!(
        "exec setpriv --reuid=65534 --regid=65534 --clear-groups '{}' \"$@\"",
        copy.display()
    );
    let program = wrapper(archive, &line);
    archive.run_as(program);
    fs::set_permissions(archive.root(), fs::Permissions::from_mode(0o755)).unwrap();
    chown_config(archive);
}

fn chown_config(archive: &Archive) {
    std::os::unix::fs::chown(archive.config_path(), Some(65534), Some(65534)).unwrap();
}

#[tokio::test]
async fn a_file_system_in_memory_or_in_parts_is_told() {
    if !is_root() {
        return;
    }
    let (_bird, workspace, mut archive) = place().await;
    workspace.add_many(2, FROM, Duration::ZERO);
    fs::create_dir(archive.dir()).unwrap();
    let dir = archive.dir();
    // Each run has a mount namespace of its own; what it mounts goes with it.
    let script = |options: &str, more: &str| {
        format!(
            "[ -n \"$INSIDE\" ] || INSIDE=1 exec unshare --mount \"$0\" \"$@\"\n\
             mount -t tmpfs -o mode=0700,{options} tmpfs '{}' || exit 90\n{more}\nexec \"$B\" \"$@\"",
            dir.display()
        )
    };
    let program = wrapper(&archive, &script("size=16m", ""));
    archive.run_as(program);
    let printed = check(&archive, 0).await;
    assert!(
        line(&printed, "warn", "  file system").contains("tmpfs, in memory"),
        "{printed}"
    );
    line(&printed, "ok", "archive:");

    let program = wrapper(&archive, &script("ro", ""));
    archive.run_as(program);
    let printed = check(&archive, 1).await;
    line(&printed, "FAIL", "archive:");
    assert!(
        line(&printed, "FAIL", "  file system").contains("mounted read-only"),
        "{printed}"
    );

    let parts = format!(
        "\"$B\" --config '{}' --once >/dev/null 2>&1\nmount -t tmpfs tmpfs '{}/staging' || exit 91",
        archive.config_path().display(),
        dir.display()
    );
    let program = wrapper(&archive, &script("size=16m", &parts));
    archive.run_as(program);
    let printed = check(&archive, 1).await;
    assert!(
        line(&printed, "FAIL", "  staging").contains("another mount"),
        "{printed}"
    );

    // The root of it takes the only one.
    let program = wrapper(&archive, &script("nr_inodes=1", ""));
    archive.run_as(program);
    line(&check(&archive, 1).await, "FAIL", "free inodes");
}

#[tokio::test]
async fn room_is_held_against_growth() {
    let (bird, workspace, mut archive) = place().await;
    // A backlog says nothing of what comes.
    workspace.add_many(3, FROM, Duration::from_mins(1));
    archive.run(&["--once"]).await.expect_code(0);
    assert!(line(&check(&archive, 0).await, "ok", "free space").contains("no call of the last 30 days"));
    workspace.add(RecordingSpec::at(&bird.now().to_string()));
    archive.run(&["--once"]).await.expect_code(0);
    assert!(line(&check(&archive, 0).await, "ok", "free space").contains("the calls of the last 1 day take"));
    // As if a petabyte had come within the day: no disk has thirty times as much.
    crate::surviving::kit::sql(&archive, "UPDATE recordings SET size_bytes = 1125899906842624").await;
    line(&check(&archive, 0).await, "warn", "free space");
    archive.set_text("archive.min_free", "900 TiB");
    line(&check(&archive, 1).await, "FAIL", "free space");
}
