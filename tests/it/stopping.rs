//! How birdkeep ends: signals, the grace, what systemd is told, and who else may write.

#![expect(clippy::unwrap_used, reason = "a broken fixture should panic")]

mod notify;
mod words;

use std::time::Duration;
use std::time::Instant;

use crate::support::bird::ApiAction;
use crate::support::bird::At;
use crate::support::bird::Bird;
use crate::support::bird::FaultRule;
use crate::support::bird::MediaAction;
use crate::support::bird::RecordingSpec;
use crate::support::harness::Archive;
use crate::support::harness::Finished;
use crate::support::harness::Running;
use crate::surviving::kit::LONG;
use crate::surviving::kit::assert_complete;
use crate::surviving::kit::count;
use crate::surviving::kit::end_within;
use crate::surviving::kit::eventually;
use crate::surviving::kit::place;
use crate::surviving::kit::rows;
use crate::surviving::kit::snapshot;

const FROM: &str = "2026-03-01T10:00:00Z";
const MINUTE: Duration = Duration::from_mins(1);
/// What the exit may take beyond the grace.
const SLACK: Duration = Duration::from_secs(2);

/// A daemon that holds the archive and is half way through its one body.
async fn held(bird: &Bird, archive: &Archive, args: &[&str]) -> Running {
    bird.fault(FaultRule::media(MediaAction::Hold(At::Half)));
    let running = archive.spawn(args);
    bird.wait_until(|bird| bird.media_in_flight() >= 1).await;
    running
}

async fn stopping(running: &mut Running) {
    assert!(running.stderr_holds("stopping", LONG).await, "{}", running.stderr());
}

/// Releases what is held until the run has ended.
async fn release_until_end(bird: &Bird, running: &mut Running, within: Duration) -> Finished {
    let begun = Instant::now();
    loop {
        bird.release_held();
        if let Some(finished) = running.exit_within(Duration::from_millis(50)).await {
            return finished;
        }
        assert!(
            begun.elapsed() < within,
            "still running; it said:\n{}",
            running.stderr()
        );
    }
}

#[tokio::test]
async fn an_idle_daemon_ends_on_either_signal() {
    for signal in [Running::sigterm, Running::sigint] {
        let (bird, workspace, archive) = place().await;
        workspace.add_many(3, FROM, MINUTE);
        let mut running = archive.spawn(&[]);
        bird.wait_until(|bird| bird.media_requests() == 3 && bird.media_in_flight() == 0)
            .await;
        eventually("all is archived", || archive.files().len() == 6).await;
        signal(&running);
        let finished = end_within(&mut running, SLACK).await.expect_code(0);
        assert!(finished.stderr.contains("stopping"), "{}", finished.stderr);
        assert!(finished.stderr.contains("birdkeep ended"), "{}", finished.stderr);
        assert_eq!(finished.stdout, "");
        assert_complete(&archive, &workspace).await;
        assert_eq!(bird.list_requests(), 1);
    }
}

#[tokio::test]
async fn a_download_in_flight_is_finished_and_nothing_else_begun() {
    for signal in [Running::sigterm, Running::sigint] {
        let (bird, workspace, mut archive) = place().await;
        workspace.add_many(5, FROM, MINUTE);
        archive.set("download.concurrency", "1");
        let mut running = held(&bird, &archive, &[]).await;
        signal(&running);
        stopping(&mut running).await;
        release_until_end(&bird, &mut running, Duration::from_secs(8) + SLACK)
            .await
            .expect_code(0);
        assert_eq!(bird.media_requests(), 1, "begun after the signal");
        let rows = rows(&archive).await;
        assert_eq!((count(&rows, "archived"), count(&rows, "due")), (1, 4));
        assert!(rows.iter().all(|row| row["attempts"] == 0), "{rows:?}");
        assert_eq!(archive.staging_files(), Vec::<String>::new());
        bird.clear_faults();
        archive.run(&["--once"]).await.expect_code(0);
        assert_complete(&archive, &workspace).await;
        assert_eq!(bird.media_requests(), 5, "the finished one was fetched again");
    }
}

#[tokio::test]
async fn a_slow_download_is_finished_within_the_grace() {
    let (bird, workspace, archive) = place().await;
    workspace.add(RecordingSpec::at(FROM).body_bytes(200_000));
    bird.fault(FaultRule::media(MediaAction::Slow {
        bytes_per_second: 150_000,
    }));
    let mut running = archive.spawn(&[]);
    bird.wait_until(|bird| bird.media_in_flight() == 1).await;
    running.sigterm();
    end_within(&mut running, Duration::from_secs(8) + SLACK)
        .await
        .expect_code(0);
    assert_complete(&archive, &workspace).await;
}

#[tokio::test]
async fn a_body_that_does_not_come_is_abandoned_when_the_grace_is_over() {
    let (bird, workspace, mut archive) = place().await;
    workspace.add_many(2, FROM, MINUTE);
    archive.set_text("shutdown.grace", "1s");
    let mut running = held(&bird, &archive, &[]).await;
    running.sigterm();
    end_within(&mut running, Duration::from_secs(3)).await.expect_code(0);
    assert_eq!(archive.staging_files(), Vec::<String>::new());
    assert_eq!(archive.files(), Vec::<String>::new());
    let left = rows(&archive).await;
    assert_eq!(count(&left, "due"), 2, "{left:?}");
    for row in &left {
        assert_eq!(
            (&row["attempts"], &row["last_error"]),
            (&0.into(), &serde_json::Value::Null),
            "{row}"
        );
    }
    bird.clear_faults();
    archive.run(&["--once"]).await.expect_code(0);
    assert_complete(&archive, &workspace).await;
}

#[tokio::test]
async fn a_second_signal_leaves_at_once() {
    for (first, second) in [
        (Running::sigterm as fn(&Running), Running::sigterm as fn(&Running)),
        (Running::sigint, Running::sigterm),
    ] {
        let (bird, workspace, mut archive) = place().await;
        workspace.add_many(1, FROM, MINUTE);
        archive.set_text("shutdown.grace", "60s");
        let mut running = held(&bird, &archive, &[]).await;
        first(&running);
        stopping(&mut running).await;
        assert!(
            running.exit_within(Duration::from_millis(200)).await.is_none(),
            "it did not wait for the body"
        );
        second(&running);
        end_within(&mut running, SLACK).await.expect_code(0);
        assert_eq!(archive.staging_files(), Vec::<String>::new());
        let rows = rows(&archive).await;
        assert_eq!((&rows[0]["state"], &rows[0]["attempts"]), (&"due".into(), &0.into()));
    }
}

#[tokio::test]
async fn a_page_on_its_way_is_finished_and_no_further_one_asked_for() {
    let (bird, workspace, mut archive) = place().await;
    workspace.add_many(6, FROM, MINUTE);
    archive.set("api.page_size", "2");
    bird.fault(FaultRule::list(ApiAction::Delay(Duration::from_millis(1500))).page(2));
    let mut running = archive.spawn(&[]);
    bird.wait_until(|bird| bird.list_requests() == 2).await;
    running.sigterm();
    end_within(&mut running, Duration::from_secs(8) + SLACK)
        .await
        .expect_code(0);
    assert_eq!(bird.list_requests(), 2);
    let status = archive.run(&["status", "--format", "json"]).await.expect_code(0).json();
    assert_eq!(
        status["workspaces"][0]["last_complete_walk_at"],
        serde_json::Value::Null,
        "{status}"
    );
    bird.clear_faults();
    archive.run(&["--once"]).await.expect_code(0);
    assert_complete(&archive, &workspace).await;
}

#[tokio::test]
async fn an_api_that_says_nothing_does_not_hold_up_the_end() {
    let (bird, workspace, mut archive) = place().await;
    workspace.add_many(2, FROM, MINUTE);
    archive.set_text("shutdown.grace", "1s");
    for args in [&[][..], &["--once"]] {
        bird.forget_requests();
        let silence = bird.fault(FaultRule::list(ApiAction::Silence));
        let mut running = archive.spawn(args);
        eventually("a list is asked for", || bird.fault_strikes(silence) > 0).await;
        running.sigterm();
        let finished = end_within(&mut running, Duration::from_secs(1) + SLACK).await;
        // A pass that did not reach its end did not succeed; a daemon that was asked to end did.
        finished.expect_code(if args.is_empty() { 0 } else { 3 });
        bird.clear_faults();
    }
    archive.run(&["--once"]).await.expect_code(0);
    assert_complete(&archive, &workspace).await;
}

#[tokio::test]
async fn one_pass_ends_on_a_signal_too() {
    let (bird, workspace, mut archive) = place().await;
    workspace.add_many(4, FROM, MINUTE);
    archive
        .set("download.concurrency", "1")
        .set_text("shutdown.grace", "1s");
    let mut running = held(&bird, &archive, &["--once"]).await;
    running.sigterm();
    end_within(&mut running, Duration::from_secs(3)).await.expect_code(3);
    assert_eq!(bird.media_requests(), 1);
    assert_eq!(archive.staging_files(), Vec::<String>::new());
    let rows = rows(&archive).await;
    assert_eq!(count(&rows, "due"), 4, "{rows:?}");
    assert!(rows.iter().all(|row| row["attempts"] == 0), "{rows:?}");
}

#[tokio::test]
async fn a_second_writer_is_turned_away_at_once_and_changes_nothing() {
    let (bird, workspace, archive) = place().await;
    workspace.add_many(2, FROM, MINUTE);
    let mut daemon = archive.spawn(&[]);
    bird.wait_until(|bird| bird.media_requests() == 2 && bird.media_in_flight() == 0)
        .await;
    eventually("all is archived", || archive.files().len() == 4).await;
    let (pid, before, lists) = (daemon.pid().unwrap(), snapshot(&archive.dir()), bird.list_requests());
    for args in [&["--once"][..], &[]] {
        let begun = Instant::now();
        let mut second = archive.spawn(args);
        let finished = end_within(&mut second, Duration::from_secs(1)).await.expect_code(1);
        assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
        assert!(finished.stderr.contains(&format!("pid {pid} ")), "{}", finished.stderr);
        assert!(finished.stderr.contains("in use"), "{}", finished.stderr);
    }
    assert!(snapshot(&archive.dir()) == before, "a second writer changed something");
    assert_eq!(bird.list_requests(), lists);
    daemon.kill_9().await;
    // The lock goes with its holder, however that ends.
    archive.run(&["--once"]).await.expect_code(0);
    assert_complete(&archive, &workspace).await;
}
