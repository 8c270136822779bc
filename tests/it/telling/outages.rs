//! One line when an outage begins and one when it is over, however many recordings and tries it takes.

use std::time::Duration;

use crate::support::bird::ApiAction;
use crate::support::bird::FaultRule;
use crate::support::bird::MediaAction;
use crate::support::harness::Running;
use crate::surviving::kit::LONG;
use crate::surviving::kit::assert_complete;
use crate::surviving::kit::end_within;
use crate::surviving::kit::place;

const FROM: &str = "2026-03-01T10:00:00Z";

/// The lines of this level that a run has written so far.
fn lines(running: &Running, level: &str) -> Vec<String> {
    let text = running.stderr();
    let of_level = |line: &&str| line.split_whitespace().nth(1) == Some(level);
    text.lines().filter(of_level).map(str::to_owned).collect()
}

#[tokio::test]
async fn a_media_host_that_is_down_is_one_warning_and_one_line_when_it_is_back() {
    let (bird, workspace, mut archive) = place().await;
    archive.set_text("sync.interval", "1s");
    workspace.add_many(60, FROM, Duration::from_mins(1));
    let down = bird.fault(FaultRule::media(MediaAction::html_as("text/html")));
    let mut running = archive.spawn(&[]);
    assert!(
        running.stderr_holds("bodies cannot be fetched", LONG).await,
        "{}",
        running.stderr()
    );
    bird.wait_until(|bird| bird.media_requests() >= 60).await;
    // All over again, and new ones besides.
    archive.run(&["retry", "--all"]).await.expect_code(0);
    workspace.add_many(10, "2026-03-02T10:00:00Z", Duration::from_mins(1));
    bird.wait_until(|bird| bird.media_requests() >= 130).await;
    bird.clear_fault(down);
    archive.run(&["retry", "--all"]).await.expect_code(0);
    assert!(
        running.stderr_holds("bodies are fetched again", LONG).await,
        "{}",
        running.stderr()
    );
    bird.wait_until(|bird| bird.media_requests() >= 200).await;
    running.sigterm();
    end_within(&mut running, LONG).await.expect_code(0);
    let warnings = lines(&running, "WARN");
    assert_eq!(warnings.len(), 1, "{warnings:#?}");
    assert!(warnings[0].contains("workspace.name=support error="), "{warnings:?}");
    let told = lines(&running, "INFO");
    let over: Vec<_> = told.iter().filter(|line| line.contains("fetched again")).collect();
    assert_eq!(over.len(), 1, "{over:?}");
    assert!(over[0].contains("elapsed_seconds="), "{over:?}");
    assert_eq!(lines(&running, "ERROR"), Vec::<String>::new());
    assert_complete(&archive, &workspace).await;
}

#[tokio::test]
async fn an_api_that_is_down_is_one_warning_and_one_line_when_it_is_back() {
    let (bird, workspace, mut archive) = place().await;
    archive.set_text("sync.interval", "1s");
    workspace.add_many(2, FROM, Duration::from_mins(1));
    let down = bird.fault(FaultRule::list(ApiAction::status(422)));
    let mut running = archive.spawn(&[]);
    bird.wait_until(|bird| bird.list_requests() >= 4).await;
    bird.clear_fault(down);
    assert!(running.stderr_holds("workspace is walked again", LONG).await);
    bird.wait_until(|bird| bird.media_requests() >= 2).await;
    running.sigterm();
    end_within(&mut running, LONG).await.expect_code(0);
    let warnings = lines(&running, "WARN");
    assert_eq!(warnings.len(), 1, "{warnings:#?}");
    assert!(warnings[0].contains("walk failed"), "{warnings:?}");
    let told = lines(&running, "INFO");
    let walks: Vec<_> = told.iter().filter(|line| line.contains("walk ended")).collect();
    assert_eq!(walks.len(), 1, "only the one that went through: {walks:#?}");
}

#[tokio::test]
async fn one_recording_that_fails_is_told_by_its_id_once() {
    let (bird, workspace, archive) = place().await;
    let ids = workspace.add_many(5, FROM, Duration::from_mins(1));
    bird.fault(FaultRule::media(MediaAction::html_as("text/html")).recording(ids[2]));
    let first = archive.run(&["--once"]).await.expect_code(3).stderr;
    assert_eq!(first.matches("WARN").count(), 1, "{first}");
    assert!(first.contains(&format!("recording.id={}", ids[2])), "{first}");
    archive.run(&["retry", "--all"]).await.expect_code(0);
    let again = archive.run(&["--once"]).await.expect_code(3).stderr;
    assert_eq!(again.matches("WARN").count(), 0, "told already: {again}");
}

#[tokio::test]
async fn numbers_are_numbers_in_json() {
    let (_bird, workspace, archive) = place().await;
    workspace.add_many(2, FROM, Duration::from_mins(1));
    let finished = archive.run(&["--once", "--log-format", "json"]).await.expect_code(0);
    let counts = [
        "pages",
        "listed",
        "new",
        "changed",
        "unchanged",
        "set_aside",
        "elapsed_ms",
        "size_bytes",
    ];
    let mut seen = 0;
    for line in finished.stderr.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        for name in counts {
            let Some(value) = line.get(name) else { continue };
            assert!(value.is_u64(), "{name} in {line}");
            seen += 1;
        }
    }
    assert!(seen >= counts.len(), "{}", finished.stderr);
}
