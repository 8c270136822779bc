//! Histories in which something is missing, or cannot be known, and what a statement must then not say.

use std::time::Duration;

use super::kit::gaps;
use super::kit::numbers;
use super::kit::quiet;
use super::kit::report;
use crate::support::bird::RecordingSpec;
use crate::surviving::kit::place;
use crate::surviving::kit::sql;

#[tokio::test]
async fn what_since_left_out_is_not_called_complete_and_is_listed_as_soon_as_it_is_wanted() {
    let (_bird, workspace, mut archive) = place().await;
    archive.set_text("sync.since", "2026-03-02T00:00:00Z");
    workspace.add(RecordingSpec::at("2026-03-01T08:00:00Z"));
    workspace.add(RecordingSpec::at("2026-03-02T08:00:00Z"));
    archive.run(&["--once"]).await.expect_code(0);
    let statement = quiet(&archive, 0).await;
    assert_eq!(
        statement["workspaces"][0]["walks"]["last_full_since"],
        "2026-03-02T00:00:00Z"
    );
    let text = archive.run(&["report", "--no-witness"]).await.expect_code(0).stdout;
    assert!(
        text.contains("not asked for what was created before 2026-03-02 00:00:00Z (sync.since)"),
        "{text}"
    );
    for hidden in [&["--since", "2026-03-01"][..], &["--until", "2026-03-02"]] {
        let asked: Vec<&str> = ["--no-witness"].iter().chain(hidden).copied().collect();
        let statement = report(&archive, &asked, 3).await;
        assert_eq!(gaps(&statement), ["support: not_listed"]);
    }
    report(&archive, &["--no-witness", "--since", "2026-03-02"], 0).await;
    // The next pass reads the whole list, however lately that was done.
    archive.unset("sync.since");
    archive.run(&["--once"]).await.expect_code(0);
    let statement = report(&archive, &["--no-witness", "--since", "2026-03-01"], 0).await;
    assert_eq!(
        numbers(&statement["workspaces"][0]["total"]),
        [("listed", 2), ("archived", 2)]
    );
    assert!(statement["workspaces"][0]["walks"]["last_full_since"].is_null());
}

#[tokio::test]
async fn what_was_waiting_before_since_was_set_is_followed_and_not_called_vanished() {
    let (_bird, workspace, mut archive) = place().await;
    archive.set_text("sync.interval", "1s");
    let id = workspace.add(RecordingSpec::at("2026-03-01T08:00:00Z").status("ongoing"));
    archive.run(&["--once"]).await.expect_code(0);
    archive
        .set_text("sync.since", "2026-03-02T00:00:00Z")
        .set_text("sync.full_walk_interval", "1s");
    sql(
        &archive,
        "UPDATE workspaces SET last_full_walk_started_at = last_full_walk_started_at - 2000000",
    )
    .await;
    archive.run(&["--once"]).await.expect_code(0);
    archive.unset("sync.full_walk_interval");
    let statement = quiet(&archive, 0).await;
    assert!(!statement["workspaces"][0]["walks"]["last_full_since"].is_null());
    workspace.set_status(id, "available");
    archive.run(&["--once"]).await.expect_code(0);
    assert_eq!(
        numbers(&quiet(&archive, 0).await["workspaces"][0]["total"]),
        [("listed", 1), ("archived", 1)]
    );
}

#[tokio::test]
async fn a_clock_that_was_a_year_ahead_vouches_for_nothing() {
    let (_bird, workspace, archive) = place().await;
    workspace.add(RecordingSpec::at("2026-03-01T08:00:00Z"));
    workspace.add(RecordingSpec::at("2026-03-01T09:00:00Z").status("ongoing"));
    archive.run(&["--once"]).await.expect_code(0);
    sql(
        &archive,
        "UPDATE recordings SET first_seen_at = first_seen_at + 366 * 86400000000, last_seen_at = last_seen_at + 366 * 86400000000",
    )
    .await;
    // For how long it waits is not known: it may be longer than a week.
    assert_eq!(gaps(&quiet(&archive, 3).await), ["support: unexplained 1"]);
    sql(
        &archive,
        "UPDATE workspaces SET last_full_walk_started_at = last_full_walk_started_at + 366 * 86400000000",
    )
    .await;
    for asked in [&["--no-witness"][..], &["--no-witness", "--until", "2026-03-02"]] {
        let found = gaps(&report(&archive, asked, 3).await);
        assert!(found.contains(&"support: wrong_clock".to_owned()), "{found:?}");
    }
}

#[tokio::test]
async fn of_days_to_come_nothing_is_called_complete() {
    let (_bird, workspace, archive) = place().await;
    workspace.add(RecordingSpec::at("2026-03-01T08:00:00Z"));
    archive.run(&["--once"]).await.expect_code(0);
    let statement = report(&archive, &["--no-witness", "--since", "2999-01-01"], 3).await;
    assert_eq!(gaps(&statement), ["support: not_begun"]);
    report(&archive, &["--no-witness", "--until", "2999-01-01"], 0).await;
}

#[tokio::test]
async fn a_workspace_that_is_not_configured_any_more_is_named_beside_the_verdict() {
    let (bird, workspace, mut archive) = place().await;
    workspace.add(RecordingSpec::at("2026-03-01T08:00:00Z"));
    let sales = bird.add_workspace("0c5a1f5e-6a44-4a4a-9d2c-5d7d6d0f2f11", "salesKey-4f0aa0c81d");
    sales.add_many(2, "2026-03-01T08:00:00Z", Duration::from_mins(1));
    archive.set_text("workspaces.sales.id", sales.id());
    archive.set_text("workspaces.sales.access_key", &sales.key());
    archive.run(&["--once"]).await.expect_code(0);
    archive.unset("workspaces.sales.id");
    archive.unset("workspaces.sales.access_key");
    let text = archive.run(&["report", "--no-witness"]).await.expect_code(0).stdout;
    let verdict = text.split_once("COMPLETE").unwrap().1;
    assert!(verdict.contains("Not judged: how sales was listed"), "{text}");
}

#[tokio::test]
async fn a_name_that_now_means_another_workspace_is_a_gap() {
    let (_bird, workspace, mut archive) = place().await;
    workspace.add(RecordingSpec::at("2026-03-01T08:00:00Z"));
    archive.run(&["--once"]).await.expect_code(0);
    archive.set_text("workspaces.support.id", "0c5a1f5e-6a44-4a4a-9d2c-5d7d6d0f2f11");
    assert_eq!(gaps(&quiet(&archive, 3).await), ["support: never_walked"]);
}
