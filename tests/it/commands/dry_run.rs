//! `--once --dry-run`: counts what a pass would do and does none of it.

use std::time::Duration;

use crate::support::bird::ApiAction;
use crate::support::bird::FaultRule;
use crate::support::bird::RecordingSpec;
use crate::surviving::kit::place;
use crate::surviving::kit::snapshot;

const FROM: &str = "2026-03-01T10:00:00Z";

/// The numbers of the one row of the table.
fn numbers(stdout: &str) -> Vec<u64> {
    let header: Vec<&str> = stdout.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(
        header,
        [
            "workspace",
            "listed",
            "would_archive",
            "archived",
            "waiting",
            "without_media",
            "set_aside"
        ]
    );
    let row = stdout.lines().nth(1).unwrap();
    row.split_whitespace()
        .skip(1)
        .map(|number| number.parse().unwrap())
        .collect()
}

#[tokio::test]
async fn it_writes_nothing_and_counts_right() {
    let (bird, workspace, mut archive) = place().await;
    archive.set("api.page_size", "3");
    workspace.add_many(5, FROM, Duration::from_mins(1));
    workspace.add(RecordingSpec::new().status("ongoing"));
    workspace.add(RecordingSpec::new().status("absent"));
    let finished = archive.run(&["--once", "--dry-run"]).await.expect_code(0);
    assert_eq!(numbers(&finished.stdout), [7, 5, 0, 1, 1, 0], "{}", finished.stdout);
    assert!(finished.stdout.contains("nothing was written"), "{}", finished.stdout);
    assert!(!archive.dir().exists());
    assert_eq!(bird.media_requests(), 0);

    archive.run(&["--once"]).await.expect_code(0);
    workspace.add_many(2, "2026-03-02T10:00:00Z", Duration::from_mins(1));
    bird.forget_requests();
    let before = snapshot(&archive.dir());
    let finished = archive.run(&["--once", "--dry-run"]).await.expect_code(0);
    assert_eq!(numbers(&finished.stdout), [9, 2, 5, 1, 1, 0], "{}", finished.stdout);
    assert!(snapshot(&archive.dir()) == before);
    assert_eq!(bird.media_requests(), 0);

    // Beside a daemon, which holds the archive.
    let mut daemon = archive.spawn(&[]);
    bird.wait_until(|bird| bird.media_requests() == 2 && bird.media_in_flight() == 0)
        .await;
    archive.run(&["--once", "--dry-run"]).await.expect_code(0);
    daemon.kill_9().await;
}

#[tokio::test]
async fn a_list_that_cannot_be_read_to_its_end_is_told() {
    let (bird, workspace, mut archive) = place().await;
    archive.set("api.page_size", "3");
    workspace.add_many(5, FROM, Duration::from_mins(1));
    bird.fault(FaultRule::list(ApiAction::status(403)).page(2));
    let finished = archive.run(&["--once", "--dry-run"]).await.expect_code(3);
    assert_eq!(numbers(&finished.stdout), [3, 3, 0, 0, 0, 0], "{}", finished.stdout);
    assert!(
        finished.stdout.contains("was not read to its end"),
        "{}",
        finished.stdout
    );
    bird.clear_faults();
    workspace.add(RecordingSpec::new().raw("{\"id\":7}"));
    let finished = archive.run(&["--once", "--dry-run"]).await.expect_code(3);
    assert_eq!(numbers(&finished.stdout), [6, 5, 0, 0, 0, 1], "{}", finished.stdout);
    assert!(!archive.dir().exists());
}
