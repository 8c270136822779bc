//! `retry`: what was given up, is gone or waits is due again, with or without a daemon.

use std::time::Duration;

use serde_json::Value;

use crate::support::bird::FaultRule;
use crate::support::bird::MediaAction;
use crate::support::harness::Archive;
use crate::surviving::kit::LONG;
use crate::surviving::kit::assert_complete;
use crate::surviving::kit::count;
use crate::surviving::kit::end_within;
use crate::surviving::kit::eventually;
use crate::surviving::kit::place;
use crate::surviving::kit::rows;

const FROM: &str = "2026-03-01T10:00:00Z";

async fn row(archive: &Archive, id: impl ToString) -> Value {
    let id = id.to_string();
    rows(archive).await.into_iter().find(|row| row["id"] == id).unwrap()
}

#[tokio::test]
async fn what_was_given_up_is_gone_or_waits_is_due_again() {
    let (bird, workspace, mut archive) = place().await;
    archive.set("download.max_attempts", "1");
    let ids = workspace.add_many(4, FROM, Duration::from_mins(1));
    for id in &ids[..2] {
        bird.fault(FaultRule::media(MediaAction::html_as("audio/mpeg")).recording(*id));
    }
    workspace.set_status(ids[2], "absent");
    archive.run(&["--once"]).await.expect_code(3);
    assert_eq!(row(&archive, ids[0]).await["state"], "given_up");
    assert_eq!(row(&archive, ids[2]).await["state"], "gone");
    bird.clear_faults();
    workspace.set_status(ids[2], "available");
    let (first, archived) = (ids[0].to_string(), ids[3].to_string());
    let finished = archive.run(&["retry", &first]).await.expect_code(0);
    assert!(finished.stdout.starts_with("1 made due again\n"), "{}", finished.stdout);
    let again = row(&archive, ids[0]).await;
    assert_eq!(
        (&again["state"], row(&archive, ids[1]).await["state"].as_str()),
        (&"due".into(), Some("given_up"))
    );
    let finished = archive.run(&["retry", &archived]).await.expect_code(0);
    assert!(finished.stdout.contains("archived already"), "{}", finished.stdout);
    let unknown = "01890a5d-ac96-474b-8cce-b302099a8057";
    let finished = archive.run(&["retry", unknown]).await.expect_code(1);
    assert!(finished.stdout.contains(unknown), "{}", finished.stdout);
    let finished = archive.run(&["retry", "--all"]).await.expect_code(0);
    assert!(finished.stdout.starts_with("2 made due again\n"), "{}", finished.stdout);
    bird.forget_requests();
    archive.run(&["--once"]).await.expect_code(0);
    assert_eq!(bird.media_requests(), 3);
    assert_complete(&archive, &workspace).await;
}

#[tokio::test]
async fn one_that_waits_after_a_failure_waits_no_longer() {
    let (bird, workspace, archive) = place().await;
    let id = workspace.add_many(1, FROM, Duration::ZERO)[0];
    let fault = bird.fault(FaultRule::media(MediaAction::html_as("audio/mpeg")));
    archive.run(&["--once"]).await.expect_code(3);
    let failed = row(&archive, id).await;
    assert_eq!((&failed["state"], &failed["attempts"]), (&"due".into(), &1.into()));
    bird.clear_fault(fault);
    bird.forget_requests();
    archive.run(&["--once"]).await.expect_code(3);
    assert_eq!(bird.media_requests(), 0, "it did not wait");
    archive.run(&["retry", "--all"]).await.expect_code(0);
    archive.run(&["--once"]).await.expect_code(0);
    assert_complete(&archive, &workspace).await;
}

#[tokio::test]
async fn a_running_daemon_takes_up_what_is_retried() {
    let (bird, workspace, mut archive) = place().await;
    archive.set("download.max_attempts", "1");
    let ids = workspace.add_many(2, FROM, Duration::from_mins(1));
    let fault = bird.fault(FaultRule::media(MediaAction::html_as("audio/mpeg")));
    let mut daemon = archive.spawn(&[]);
    bird.wait_until(|bird| bird.media_requests() >= 2).await;
    let mut given_up = 0;
    let begun = std::time::Instant::now();
    while given_up < 2 {
        assert!(begun.elapsed() < LONG);
        given_up = count(&rows(&archive).await, "given_up");
    }
    bird.clear_fault(fault);
    let lists = bird.list_requests();
    archive
        .run(&["retry", &ids[0].to_string(), &ids[1].to_string()])
        .await
        .expect_code(0);
    eventually("both are archived", || archive.files().len() == 4).await;
    assert_eq!(bird.list_requests(), lists, "it took a poll to see them");
    daemon.sigterm();
    end_within(&mut daemon, LONG).await.expect_code(0);
    assert_complete(&archive, &workspace).await;
}

#[tokio::test]
async fn retry_says_what_it_wants() {
    let (_bird, _workspace, archive) = place().await;
    archive.run(&["retry"]).await.expect_code(64);
    archive
        .run(&["retry", "--all", "01890a5d-ac96-474b-8cce-b302099a8057"])
        .await
        .expect_code(64);
    archive.run(&["retry", "not-an-id"]).await.expect_code(64);
}
