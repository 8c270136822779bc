//! SIGHUP: a new configuration is taken up while the daemon runs, without losing a download, or refused with its faults.

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use crate::support::bird::ApiAction;
use crate::support::bird::At;
use crate::support::bird::Bird;
use crate::support::bird::FaultRule;
use crate::support::bird::MediaAction;
use crate::support::bird::RecordingSpec;
use crate::support::bird::WorkspaceHandle;
use crate::support::harness::Archive;
use crate::support::harness::Running;
use crate::surviving::kit::LONG;
use crate::surviving::kit::assert_complete;
use crate::surviving::kit::count;
use crate::surviving::kit::end_within;
use crate::surviving::kit::eventually;
use crate::surviving::kit::locked;
use crate::surviving::kit::place;
use crate::surviving::kit::rows;

const FROM: &str = "2026-03-01T10:00:00Z";
const MINUTE: Duration = Duration::from_mins(1);
const SECOND_ID: &str = "11111111-2222-4333-8444-555555555555";
const SECOND_KEY: &str = "birdkey-second-9Xk2";
const TAKEN_UP: &str = "the new configuration is taken up";
const REFUSED: &str = "the new configuration is refused; the old one runs on";

fn second(bird: &Bird, archive: &mut Archive) -> WorkspaceHandle {
    let workspace = bird.add_workspace(SECOND_ID, SECOND_KEY);
    archive.set_text("workspaces.sales.id", SECOND_ID);
    archive.set_text("workspaces.sales.access_key", SECOND_KEY);
    workspace
}

async fn said(running: &mut Running, text: &str) {
    assert!(
        running.stderr_holds(text, LONG).await,
        "no {text:?} in:\n{}",
        running.stderr()
    );
}

async fn archived(archive: &Archive, recordings: usize) {
    eventually("all is archived", || archive.media_files().len() == recordings).await;
}

async fn ended(mut running: Running) -> String {
    running.sigterm();
    end_within(&mut running, LONG).await.expect_code(0).stderr
}

#[tokio::test]
async fn a_workspace_comes_and_goes_while_downloads_go_on() {
    let (bird, support, mut archive) = place().await;
    archive.set_text("sync.interval", "1s");
    support.add(RecordingSpec::at(FROM));
    bird.fault(FaultRule::media(MediaAction::Hold(At::Half)).workspace(support.id()));
    let mut running = archive.spawn(&[]);
    bird.wait_until(|bird| bird.media_in_flight() == 1).await;

    let sales = second(&bird, &mut archive);
    sales.add_many(3, FROM, MINUTE);
    running.sighup();
    said(&mut running, TAKEN_UP).await;
    archived(&archive, 3).await;
    assert_eq!(bird.media_in_flight(), 1, "the download that was under way still is");

    // Now the one that is being downloaded from goes.
    archive
        .unset("workspaces.support.id")
        .unset("workspaces.support.access_key");
    running.sighup();
    said(&mut running, "removed=\"support\"").await;
    bird.clear_faults();
    bird.release_held();
    archived(&archive, 4).await;
    support.add(RecordingSpec::at("2026-03-02T10:00:00Z"));
    sales.add(RecordingSpec::at("2026-03-02T10:00:00Z"));
    archived(&archive, 5).await;
    ended(running).await;
    assert_eq!(bird.media_requests(), 5, "nothing was fetched twice");

    // Back again, it is complete.
    archive.set_text("workspaces.support.id", support.id());
    archive.set_text("workspaces.support.access_key", &support.key());
    archive.run(&["--once"]).await.expect_code(0);
    assert_eq!(count(&rows(&archive).await, "archived"), 6);
}

#[tokio::test]
async fn limits_change_and_hold_for_old_and_new_downloads_together() {
    let (bird, workspace, mut archive) = place().await;
    archive.set("download.concurrency", "2");
    workspace.add_many(9, FROM, MINUTE);
    bird.fault(FaultRule::media(MediaAction::Hold(At::Half)));
    let mut running = archive.spawn(&[]);
    bird.wait_until(|bird| bird.media_in_flight() == 2).await;
    archive.set("download.concurrency", "5");
    running.sighup();
    said(&mut running, TAKEN_UP).await;
    bird.wait_until(|bird| bird.media_in_flight() == 5).await;
    archive.set("download.concurrency", "1");
    running.sighup();
    eventually("a second one is taken up", || {
        running.stderr().matches(TAKEN_UP).count() == 2
    })
    .await;
    bird.forget_requests();
    bird.release_held();
    bird.clear_faults();
    archived(&archive, 9).await;
    assert_eq!(
        bird.media_requests(),
        4,
        "each of the others was fetched once, by the new generation"
    );
    assert_eq!(bird.most_media_in_flight(), 5);
    ended(running).await;
    assert_complete(&archive, &workspace).await;
}

#[tokio::test]
async fn a_bad_configuration_is_refused_with_its_faults_and_the_old_one_runs_on() {
    let (bird, workspace, mut archive) = place().await;
    archive.set_text("sync.interval", "1s");
    workspace.add(RecordingSpec::at(FROM));
    let mut running = archive.spawn(&[]);
    archived(&archive, 1).await;

    let good = std::fs::read(archive.config_path()).unwrap();
    archive
        .set("download.concurrency", "0")
        .set_text("sync.intervall", "3s");
    running.sighup();
    said(&mut running, REFUSED).await;
    let told = running.stderr();
    assert!(told.contains("download.concurrency = 0"), "{told}");
    assert!(told.contains("did you mean sync.interval?"), "{told}");
    workspace.add(RecordingSpec::at("2026-03-02T10:00:00Z"));
    archived(&archive, 2).await;

    std::fs::write(archive.config_path(), "[workspaces.support\n").unwrap();
    running.sighup();
    eventually("the torn file is refused", || {
        running.stderr().matches(REFUSED).count() == 2
    })
    .await;
    std::fs::remove_file(archive.config_path()).unwrap();
    running.sighup();
    eventually("no file is refused", || running.stderr().matches(REFUSED).count() == 3).await;
    assert!(!running.stderr().contains(&workspace.key()), "a key was told");

    std::fs::write(archive.config_path(), good).unwrap();
    running.sighup();
    said(&mut running, TAKEN_UP).await;
    workspace.add(RecordingSpec::at("2026-03-03T10:00:00Z"));
    archived(&archive, 3).await;
    ended(running).await;
    assert_eq!(bird.media_requests(), 3);
}

#[tokio::test]
async fn what_takes_a_restart_is_said_and_changes_nothing() {
    let (bird, workspace, mut archive) = place().await;
    archive.set_text("sync.interval", "1s");
    workspace.add(RecordingSpec::at(FROM));
    let mut running = archive.spawn(&[]);
    archived(&archive, 1).await;
    let elsewhere = archive.root().join("elsewhere");
    let dir = archive.dir();
    archive.set_text("archive.dir", &elsewhere.to_string_lossy());
    archive.set("download.concurrency", "1");
    running.sighup();
    said(&mut running, "archive.dir has changed, which takes a restart").await;
    said(&mut running, REFUSED).await;
    archive.set_text("archive.dir", &dir.to_string_lossy());
    // Another workspace under a known name would give one's recordings to the other.
    archive.set_text("workspaces.support.id", SECOND_ID);
    running.sighup();
    eventually("the other id is refused", || {
        running.stderr().matches(REFUSED).count() == 2
    })
    .await;
    assert!(running.stderr().contains(SECOND_ID), "{}", running.stderr());
    workspace.add(RecordingSpec::at("2026-03-02T10:00:00Z"));
    archived(&archive, 2).await;
    assert!(!elsewhere.exists());
    ended(running).await;
    assert_eq!(bird.foreign_requests(), 0);
}

#[tokio::test]
async fn a_rotated_key_is_taken_up_and_neither_is_told() {
    let (bird, workspace, mut archive) = place().await;
    archive.set_text("sync.interval", "1s");
    let old = workspace.key();
    let new = "birdkey-rotated-7Lq";
    let mut running = archive.spawn(&["--log-level", "trace"]);
    bird.wait_until(|bird| bird.list_requests() >= 1).await;
    archive.set_text("workspaces.support.access_key", new);
    workspace.set_key(new);
    running.sighup();
    said(&mut running, TAKEN_UP).await;
    workspace.add(RecordingSpec::at(FROM));
    archived(&archive, 1).await;
    let told = ended(running).await;
    assert!(!told.contains(&old) && !told.contains(new), "a key was told");
}

#[tokio::test]
async fn signals_in_a_row_lose_nothing_and_never_take_more_places() {
    let (bird, workspace, mut archive) = place().await;
    archive.set_text("sync.interval", "1s");
    archive.set("download.concurrency", "3");
    workspace.add_many(30, FROM, MINUTE);
    bird.fault(FaultRule::media(MediaAction::Hold(At::Half)));
    let running = archive.spawn(&[]);
    for round in 1..=8 {
        bird.wait_until(|bird| bird.media_requests() == 3 * round && bird.media_in_flight() == 3)
            .await;
        let taken_up = running.stderr().matches(TAKEN_UP).count();
        // Of two in a row, the second finds the first one's generation not begun yet.
        running.sighup();
        running.sighup();
        eventually("a new configuration is taken up", || {
            running.stderr().matches(TAKEN_UP).count() > taken_up
        })
        .await;
        // Each of them is held: a fourth would stay.
        let held = (bird.media_requests(), bird.media_in_flight());
        assert_eq!(held, (3 * round, 3), "round {round}");
        bird.release_held();
    }
    bird.clear_faults();
    bird.release_held();
    archived(&archive, 30).await;
    ended(running).await;
    assert_eq!(bird.media_requests(), 30, "nothing was fetched twice");
    assert_complete(&archive, &workspace).await;
}

#[tokio::test]
async fn systemd_is_told_of_a_reload_and_a_stop_in_its_midst_is_orderly() {
    let (bird, workspace, mut archive) = place().await;
    workspace.add(RecordingSpec::at(FROM));
    let path = archive.root().join("notify.sock");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_nonblocking(true).unwrap();
    let socket = tokio::net::UnixDatagram::from_std(socket).unwrap();
    archive.env("NOTIFY_SOCKET", &path);
    let mut running = archive.spawn(&[]);
    told(&socket, "READY=1").await;
    running.sighup();
    let reloading = told(&socket, "RELOADING=1").await;
    assert!(reloading.contains("MONOTONIC_USEC="), "{reloading}");
    let ready = told(&socket, "READY=1").await;
    assert!(ready.contains("STATUS=running"), "{ready}");
    archive.set("download.concurrency", "0");
    running.sighup();
    told(&socket, "RELOADING=1").await;
    let ready = told(&socket, "READY=1").await;
    assert!(ready.contains("refused"), "{ready}");
    running.sighup();
    running.sigterm();
    end_within(&mut running, LONG).await.expect_code(0);
    assert_eq!(bird.media_in_flight(), 0);
}

/// The next message that holds this line.
async fn told(socket: &tokio::net::UnixDatagram, line: &str) -> String {
    let mut buffer = vec![0; 4096];
    loop {
        let read = tokio::time::timeout(LONG, socket.recv(&mut buffer)).await;
        let read = read.unwrap_or_else(|_| panic!("systemd was not told {line}")).unwrap();
        let text = String::from_utf8_lossy(&buffer[..read]).into_owned();
        if text.lines().any(|told| told == line) {
            return text;
        }
    }
}

#[tokio::test]
async fn a_catalog_that_is_locked_while_the_old_one_ends_is_waited_for_and_told_once() {
    let (bird, workspace, mut archive) = place().await;
    archive.set("download.concurrency", "2");
    workspace.add(RecordingSpec::at(FROM));
    bird.fault(FaultRule::media(MediaAction::Hold(At::Half)));
    let mut running = archive.spawn(&[]);
    bird.wait_until(|bird| bird.media_in_flight() == 1).await;
    running.sighup();
    said(&mut running, TAKEN_UP).await;
    bird.wait_until(|bird| bird.list_requests() == 2).await;

    let lock = locked(&archive).await;
    bird.clear_faults();
    bird.release_held();
    said(&mut running, "this machine does not take recordings").await;
    // Longer than whoever leaves would wait.
    let left = running.exit_within(Duration::from_secs(12)).await;
    assert!(left.is_none(), "{}", running.stderr());
    drop(lock);
    said(&mut running, "this machine takes recordings again").await;
    archived(&archive, 1).await;
    let told = ended(running).await;
    assert_eq!(
        told.matches("this machine does not take recordings").count(),
        1,
        "{told}"
    );
    assert_eq!(told.matches("this machine takes recordings again").count(), 1, "{told}");
    assert_eq!(bird.media_requests(), 1);
    assert_complete(&archive, &workspace).await;
}

#[tokio::test]
async fn a_workspace_that_comes_back_is_not_paused_for_what_was() {
    let (bird, support, mut archive) = place().await;
    archive.set_text("sync.interval", "1s");
    second(&bird, &mut archive);
    let good = support.key();
    support.set_key("another-key-upstream-wants");
    let daemon = crate::observing::kit::start(&archive).await;
    daemon
        .until_ready_says("one is paused", |answer| answer.codes() == ["paused", "not_yet_walked"])
        .await;
    archive
        .unset("workspaces.support.id")
        .unset("workspaces.support.access_key");
    daemon.running.sighup();
    daemon
        .until_ready_says("the other one is well", |answer| answer.status == 200)
        .await;

    support.set_key(&good);
    bird.fault(FaultRule::list(ApiAction::Delay(Duration::from_secs(3))).workspace(support.id()));
    archive.set_text("workspaces.support.id", support.id());
    archive.set_text("workspaces.support.access_key", &good);
    daemon.running.sighup();
    let answer = daemon
        .until_ready_says("it is back", |answer| {
            answer.json()["workspaces"].as_array().map(Vec::len) == Some(2)
        })
        .await;
    assert_eq!(answer.codes(), ["not_yet_walked"]);
    bird.clear_faults();
    daemon
        .until_ready_says("both are well", |answer| answer.status == 200)
        .await;
    ended(daemon.running).await;
}
