//! A disk that is full: not the recordings' fault, nothing half done, over by itself.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use super::kit::LONG;
use super::kit::assert_complete;
use super::kit::assert_rows_true;
use super::kit::count;
use super::kit::end_within;
use super::kit::eventually;
use super::kit::place;
use super::kit::rows;
use crate::support::bird::FaultRule;
use crate::support::bird::MediaAction;
use crate::support::bird::RecordingSpec;
use crate::support::bird::WorkspaceHandle;
use crate::support::harness::Archive;

/// A small file system in the archive's place; gone when dropped.
struct Volume(PathBuf);

impl Volume {
    /// `None` where this user may not mount.
    #[expect(
        clippy::print_stderr,
        reason = "a test that was skipped must not look like one that passed"
    )]
    fn mount(place: &Path) -> Option<Self> {
        fs::create_dir_all(place).unwrap();
        let mounted = mount(place, "size=6m,mode=700");
        if !mounted {
            eprintln!("SKIPPED: a full disk needs a mount, and this user may not make one");
        }
        mounted.then(|| Self(place.to_owned()))
    }

    fn grow(&self) {
        assert!(mount(&self.0, "remount,size=64m"), "the volume cannot be made larger");
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(&self.0).status();
        assert!(
            unmounted.is_ok_and(|status| status.success()),
            "{} stays mounted",
            self.0.display()
        );
    }
}

fn mount(place: &Path, options: &str) -> bool {
    let mut mount = Command::new("mount");
    mount.args(["-t", "tmpfs", "-o", options, "birdkeep-test"]).arg(place);
    mount.status().is_ok_and(|status| status.success())
}

/// More than fits: 24 bodies of 500,000 bytes.
fn add_too_much(workspace: &WorkspaceHandle) {
    for _ in 0..24 {
        workspace.add(RecordingSpec::new().body_bytes(500_000));
    }
}

async fn assert_nobodys_fault(archive: &Archive) {
    let rows = rows(archive).await;
    assert_rows_true(archive, &rows);
    assert!(count(&rows, "archived") < 24, "the volume was not full");
    for row in &rows {
        assert_eq!(
            (&row["attempts"], &row["last_error"]),
            (&0.into(), &serde_json::Value::Null),
            "{row}"
        );
    }
}

#[tokio::test]
async fn a_pass_ends_on_a_full_disk_and_the_next_one_finishes() {
    // With lengths announced it can be seen beforehand that a body has no room; without them it cannot.
    for chunked in [false, true] {
        let (bird, workspace, archive) = place().await;
        let Some(volume) = Volume::mount(&archive.dir()) else {
            return;
        };
        add_too_much(&workspace);
        if chunked {
            bird.fault(FaultRule::media(MediaAction::Chunked));
        }
        let finished = archive.run(&["--once"]).await.expect_code(1);
        let said = ["bytes are free", "No space left", "disk is full"];
        assert!(
            said.iter().any(|said| finished.stderr.contains(said)),
            "{}",
            finished.stderr
        );
        assert_eq!(archive.staging_files(), Vec::<String>::new());
        // Where even the catalog has no room any more, it may be that which says so.
        archive.run(&["--once"]).await.expect_code(1);
        assert_eq!(archive.staging_files(), Vec::<String>::new());
        let status = archive.run(&["status", "--format", "json"]).await.expect_code(0).json();
        assert_eq!(status["workspaces"][0]["counts"]["given_up"], 0, "{status}");
        volume.grow();
        assert_nobodys_fault(&archive).await;
        archive.run(&["--once"]).await.expect_code(0);
        assert_complete(&archive, &workspace).await;
    }
}

#[tokio::test]
async fn a_daemon_waits_for_room_and_goes_on_by_itself() {
    let (_bird, workspace, archive) = place().await;
    let Some(volume) = Volume::mount(&archive.dir()) else {
        return;
    };
    add_too_much(&workspace);
    let mut running = archive.spawn(&[]);
    assert!(
        running.stderr_holds("does not take recordings", LONG).await,
        "{}",
        running.stderr()
    );
    eventually("staging is empty", || archive.staging_files().is_empty()).await;
    volume.grow();
    assert_nobodys_fault(&archive).await;
    eventually("all is archived", || archive.files().len() == 48).await;
    running.sigterm();
    let finished = end_within(&mut running, LONG).await.expect_code(0);
    // Said when it begins and when it ends, not for every recording.
    assert_eq!(
        finished.stderr.matches("does not take recordings").count(),
        1,
        "{}",
        finished.stderr
    );
    assert_eq!(
        finished.stderr.matches("takes recordings again").count(),
        1,
        "{}",
        finished.stderr
    );
    assert_complete(&archive, &workspace).await;
}

#[tokio::test]
async fn a_disk_that_takes_a_small_file_and_no_recording_is_one_fault_and_not_one_a_second() {
    let (bird, workspace, archive) = place().await;
    let Some(volume) = Volume::mount(&archive.dir()) else {
        return;
    };
    // However many fit, room is left for less than one more.
    for _ in 0..24 {
        workspace.add(RecordingSpec::new().body_bytes(900_000));
    }
    let mut running = archive.spawn(&[]);
    assert!(
        running.stderr_holds("does not take recordings", LONG).await,
        "{}",
        running.stderr()
    );
    bird.wait_until(|bird| bird.media_in_flight() == 0).await;
    // Each trial asks for one recording, and is refused.
    let asked = bird.media_requests();
    bird.wait_until(|bird| bird.media_requests() >= asked + 3).await;
    for said in ["does not take recordings", "takes recordings again"] {
        let times = running.stderr().matches(said).count();
        assert_eq!(times, usize::from(said.starts_with("does")), "{}", running.stderr());
    }
    volume.grow();
    eventually("all is archived", || archive.files().len() == 48).await;
    running.sigterm();
    end_within(&mut running, LONG).await.expect_code(0);
}

#[tokio::test]
async fn the_reserve_is_kept_free() {
    let (bird, workspace, mut archive) = place().await;
    workspace.add_many(2, "2026-03-01T10:00:00Z", Duration::from_mins(1));
    archive.set_text("archive.min_free", "900 TiB");
    archive.run(&["--once"]).await.expect_code(1);
    assert_eq!(archive.files(), Vec::<String>::new());
    assert!(
        rows(&archive)
            .await
            .iter()
            .all(|row| row["attempts"] == 0 && row["state"] == "due")
    );
    assert_eq!(bird.media_requests(), 0, "a download was begun below the reserve");
    archive.set_text("archive.min_free", "0 B");
    archive.run(&["--once"]).await.expect_code(0);
    assert_complete(&archive, &workspace).await;
}
