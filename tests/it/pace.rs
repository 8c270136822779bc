//! How soon a recording is kept, and what that takes.

#![expect(clippy::unwrap_used, reason = "a broken fixture should panic")]

use std::fs;
use std::time::Duration;

use crate::support::bird::RecordingSpec;
use crate::support::harness::Running;
use crate::surviving::kit::LONG;
use crate::surviving::kit::assert_complete;
use crate::surviving::kit::end_within;
use crate::surviving::kit::eventually;
use crate::surviving::kit::place;

/// A number of kilobytes, or a plain one, out of `/proc/<pid>/status`.
fn proc_status(running: &Running, name: &str) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{}/status", running.pid()?)).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// `None` for whoever is not root: the process hides what it has open.
fn open_files(running: &Running) -> Option<usize> {
    let open = fs::read_dir(format!("/proc/{}/fd", running.pid().unwrap()));
    match open {
        Ok(open) => Some(open.count()),
        Err(refused) => {
            assert!(!rustix::process::geteuid().is_root(), "{refused}");
            eprintln!("SKIPPED: open files are counted by root only");
            None
        }
    }
}

#[tokio::test]
async fn a_new_recording_is_kept_by_the_next_poll() {
    let (bird, workspace, mut archive) = place().await;
    archive.set_text("sync.interval", "1s");
    workspace.add_many(3, "2026-03-01T10:00:00Z", Duration::from_mins(1));
    let mut daemon = archive.spawn(&[]);
    bird.wait_until(|bird| bird.media_requests() == 3).await;
    for _ in 0..3 {
        let (lists, items) = (bird.list_requests(), bird.item_requests());
        let id = workspace.add(RecordingSpec::new());
        eventually("it is on disk", || archive.media_file_of(id).is_some()).await;
        // One that may have been on its way already, the one that brought it, and the next.
        let polls = bird.list_requests() - lists;
        assert!(polls <= 2, "{polls} polls");
        assert_eq!(
            bird.item_requests(),
            items,
            "the link that came with the poll was not used"
        );
    }
    assert_eq!(bird.media_requests(), 6);
    daemon.sigterm();
    end_within(&mut daemon, LONG).await.expect_code(0);
    assert_complete(&archive, &workspace).await;
}

#[tokio::test]
async fn four_large_bodies_at_once_take_little_memory() {
    let (bird, workspace, archive) = place().await;
    for _ in 0..4 {
        workspace.add(RecordingSpec::new().body_bytes(24_000_000));
    }
    let mut running = archive.spawn(&["--once"]);
    let mut peak_kb = 0;
    let finished = loop {
        peak_kb = proc_status(&running, "VmHWM").unwrap_or(0).max(peak_kb);
        if let Some(finished) = running.exit_within(Duration::from_millis(10)).await {
            break finished;
        }
    };
    finished.expect_code(0);
    assert_eq!(bird.most_media_in_flight(), 4, "they were not fetched at once");
    assert!(peak_kb > 1024 && peak_kb < 64 * 1024, "{peak_kb} KiB");
    assert_complete(&archive, &workspace).await;
}

#[tokio::test]
async fn an_idle_daemon_holds_little() {
    let (bird, workspace, mut archive) = place().await;
    archive.set_text("sync.interval", "1s");
    workspace.add_many(60, "2026-03-01T10:00:00Z", Duration::from_mins(1));
    let mut daemon = archive.spawn(&[]);
    bird.wait_until(|bird| bird.media_requests() == 60 && bird.media_in_flight() == 0)
        .await;
    eventually("all is archived", || archive.files().len() == 120).await;
    let lists = bird.list_requests();
    bird.wait_until(|bird| bird.list_requests() > lists + 1).await;
    // Connections that are kept for the next poll, the catalog's, the archive's folders. Those of downloads are let go.
    eventually("few files are open", || {
        open_files(&daemon).is_none_or(|files| files < 48)
    })
    .await;
    let (files, threads) = (open_files(&daemon), proc_status(&daemon, "Threads").unwrap());
    assert!(threads < 80, "{threads} threads");
    bird.wait_until(|bird| bird.list_requests() > lists + 3).await;
    let later = open_files(&daemon);
    assert!(later <= files.map(|files| files + 2), "{files:?}, then {later:?}");
    assert!(proc_status(&daemon, "VmHWM").unwrap() < 64 * 1024);
    daemon.sigterm();
    end_within(&mut daemon, LONG).await.expect_code(0);
}
