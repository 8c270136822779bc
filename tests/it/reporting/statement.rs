//! When a statement says that all is there, and each way in which it says that it is not.

use std::fs;
use std::time::Duration;

use serde_json::Value;

use super::kit::gaps;
use super::kit::numbers;
use super::kit::quiet;
use super::kit::report;
use crate::support::bird::FaultRule;
use crate::support::bird::MediaAction;
use crate::support::bird::RecordingSpec;
use crate::support::harness::Archive;
use crate::surviving::kit::place;
use crate::surviving::kit::snapshot;
use crate::surviving::kit::sql;

#[tokio::test]
async fn an_archive_in_which_all_is_there_is_complete_and_asking_changes_nothing() {
    let (bird, workspace, archive) = place().await;
    workspace.add_many(3, "2026-03-01T22:30:00Z", Duration::from_hours(1));
    workspace.add(RecordingSpec::at("2026-03-02T08:00:00Z").status("absent"));
    archive.run(&["--once"]).await.expect_code(0);
    bird.forget_requests();
    let before = snapshot(&archive.dir());
    let statement = quiet(&archive, 0).await;
    assert!(snapshot(&archive.dir()) == before);
    assert_eq!(bird.api_requests(), 0);
    let support = &statement["workspaces"][0];
    assert_eq!(support["days"][0]["day"], "2026-03-01");
    assert_eq!(numbers(&support["days"][0]), [("listed", 2), ("archived", 2)]);
    assert_eq!(support["days"][1]["day"], "2026-03-02");
    assert_eq!(
        numbers(&support["days"][1]),
        [("listed", 2), ("archived", 1), ("gone_absent", 1)]
    );
    assert_eq!(support["days"].as_array().unwrap().len(), 2);
    let sizes: u64 = archive
        .media_files()
        .iter()
        .map(|file| archive.read(file).len() as u64)
        .sum();
    assert_eq!(support["total"]["bytes"], sizes);
    assert_eq!(support["walks"]["last_full_listed"], 4);
    for time in ["last_complete_at", "last_full_started_at", "last_full_finished_at"] {
        assert!(support["walks"][time].is_string(), "{time} in {support}");
    }
    // What was re-read since is told.
    archive.run(&["verify"]).await.expect_code(0);
    let statement = quiet(&archive, 0).await;
    assert_eq!(statement["workspaces"][0]["total"]["re_read"], 3);
}

#[tokio::test]
async fn what_is_fresh_is_no_gap_and_what_was_given_up_is() {
    let (bird, workspace, mut archive) = place().await;
    archive.set("download.max_attempts", "1");
    workspace.add(RecordingSpec::at("2026-03-01T08:00:00Z"));
    workspace.add(RecordingSpec::at("2026-03-01T09:00:00Z").status("ongoing"));
    let broken = workspace.add(RecordingSpec::at("2026-03-02T08:00:00Z"));
    let fault = bird.fault(FaultRule::media(MediaAction::html_as("audio/mpeg")).recording(broken));
    archive.run(&["--once"]).await.expect_code(3);
    let statement = quiet(&archive, 3).await;
    assert_eq!(gaps(&statement), ["support: given_up 1"]);
    assert_eq!(
        numbers(&statement["workspaces"][0]["days"][1]),
        [("listed", 1), ("given_up", 1)]
    );
    archive.run(&["retry", "--all"]).await.expect_code(0);
    let statement = quiet(&archive, 0).await;
    assert_eq!(
        numbers(&statement["workspaces"][0]["total"]),
        [
            ("listed", 3),
            ("archived", 1),
            ("waiting", 1),
            ("due", 1),
            ("due_tried", 1)
        ]
    );
    // Other days are not concerned by it.
    archive.set("sync.interval", "\"1s\"");
    archive.run(&["--once"]).await.expect_code(3);
    assert_eq!(gaps(&quiet(&archive, 3).await), ["support: given_up 1"]);
    report(&archive, &["--no-witness", "--until", "2026-03-02"], 0).await;
    report(&archive, &["--no-witness", "--since", "2026-03-03"], 0).await;
    bird.clear_fault(fault);
}

#[tokio::test]
async fn what_is_not_understood_is_a_gap() {
    let (_bird, workspace, archive) = place().await;
    workspace.add(RecordingSpec::at("2026-03-01T08:00:00Z").member("status", 7));
    workspace.add(RecordingSpec::at("2026-03-02T08:00:00Z"));
    archive.run(&["--once"]).await.expect_code(3);
    let statement = quiet(&archive, 3).await;
    assert_eq!(gaps(&statement), ["support: set_aside 1"]);
    let days = &statement["workspaces"][0]["days"];
    assert_eq!(
        (&days[0]["day"], numbers(&days[0])),
        (&"2026-03-01".into(), vec![("set_aside", 1)])
    );
    assert_eq!(numbers(&days[1]), [("listed", 1), ("archived", 1)]);
    report(&archive, &["--no-witness", "--since", "2026-03-02"], 0).await;
}

#[tokio::test]
async fn what_was_found_unsound_is_a_gap_until_it_is_repaired() {
    let (_bird, workspace, mut archive) = place().await;
    archive.set_text("sync.interval", "1s");
    let ids = workspace.add_many(3, "2026-03-01T10:00:00Z", Duration::from_mins(1));
    archive.run(&["--once"]).await.expect_code(0);
    let file = archive.media_file_of(ids[1]).unwrap();
    let mut bytes = archive.read(&file);
    bytes[40] ^= 1;
    fs::write(archive.dir().join("recordings").join(&file), bytes).unwrap();
    archive.run(&["verify"]).await.expect_code(3);
    let statement = quiet(&archive, 3).await;
    assert_eq!(gaps(&statement), ["support: unsound 1"]);
    assert_eq!(
        numbers(&statement["workspaces"][0]["total"]),
        [("listed", 3), ("archived", 3), ("re_read", 2), ("unsound", 1)]
    );
    archive.run(&["verify", "--found", "--repair"]).await.expect_code(3);
    archive.run(&["--once"]).await.expect_code(0);
    assert_eq!(
        numbers(&quiet(&archive, 0).await["workspaces"][0]["total"]),
        [("listed", 3), ("archived", 3), ("re_read", 2)]
    );
}

#[tokio::test]
async fn a_list_that_was_never_read_to_its_end_is_a_gap() {
    let (bird, workspace, mut archive) = place().await;
    archive.set("api.page_size", "2");
    workspace.add_many(5, "2026-03-01T08:00:00Z", Duration::from_mins(1));
    bird.fault(FaultRule::list(crate::support::bird::ApiAction::status(400)).page(2));
    archive.run(&["--once"]).await.expect_code(3);
    let statement = quiet(&archive, 3).await;
    assert_eq!(gaps(&statement), ["support: never_walked"]);
    assert!(statement["workspaces"][0]["walks"]["last_full_started_at"].is_null());
    bird.clear_faults();
    archive.run(&["--once"]).await.expect_code(0);
    quiet(&archive, 0).await;
    // Nor was that of a workspace which is configured and was never asked.
    let sales = bird.add_workspace("0c5a1f5e-6a44-4a4a-9d2c-5d7d6d0f2f11", "salesKey-4f0aa0c81d");
    archive.set_text("workspaces.sales.id", sales.id());
    archive.set_text("workspaces.sales.access_key", &sales.key());
    let statement = quiet(&archive, 3).await;
    assert_eq!(gaps(&statement), ["sales: never_walked"]);
    report(&archive, &["--no-witness", "--workspace", "support"], 0).await;
    let of_sales = report(&archive, &["--no-witness", "--workspace", "sales"], 3).await;
    assert_eq!(of_sales["workspaces"].as_array().unwrap().len(), 1);
    // One that is not configured any more is not walked, and still shown.
    archive.run(&["--once"]).await.expect_code(0);
    archive.unset("workspaces.sales.id");
    archive.unset("workspaces.sales.access_key");
    sql(
        &archive,
        "UPDATE workspaces SET last_full_walk_started_at = NULL WHERE name = 'sales'",
    )
    .await;
    let statement = quiet(&archive, 0).await;
    assert_eq!(
        (
            &statement["workspaces"][0]["name"],
            &statement["workspaces"][0]["configured"]
        ),
        (&"sales".into(), &false.into())
    );
}

#[tokio::test]
async fn a_walk_vouches_for_what_was_before_it_and_not_for_long() {
    let (_bird, workspace, archive) = place().await;
    workspace.add_many(2, "2026-03-01T08:00:00Z", Duration::from_mins(1));
    archive.run(&["--once"]).await.expect_code(0);
    sql(
        &archive,
        "UPDATE workspaces SET last_full_walk_started_at = last_full_walk_started_at - 3 * 86400000000",
    )
    .await;
    sql(
        &archive,
        "UPDATE recordings SET last_seen_at = last_seen_at - 86400000000",
    )
    .await;
    assert_eq!(gaps(&quiet(&archive, 3).await), ["support: walk_too_old"]);
    report(&archive, &["--no-witness", "--until", "2026-03-02"], 0).await;
    // A period that ended after it began.
    sql(
        &archive,
        "UPDATE workspaces SET last_full_walk_started_at = unixepoch('2026-03-01T12:00:00Z') * 1000000",
    )
    .await;
    let late = report(&archive, &["--no-witness", "--until", "2026-03-02"], 3).await;
    assert_eq!(gaps(&late), ["support: walk_too_old"]);
    report(&archive, &["--no-witness", "--until", "2026-03-01"], 0).await;
}

/// Runs passes until one has walked over everything.
async fn walk_in_whole(archive: &mut Archive) {
    archive
        .set_text("sync.interval", "1s")
        .set_text("sync.full_walk_interval", "1s");
    let began = |statement: &Value| statement["workspaces"][0]["walks"]["last_full_started_at"].clone();
    let ask = ["report", "--no-witness", "--format", "json"];
    let before = began(&archive.run(&ask).await.json());
    for _ in 0..20 {
        archive.run(&["--once"]).await.expect_code(0);
        if began(&archive.run(&ask).await.json()) != before {
            archive.unset("sync.full_walk_interval");
            return;
        }
    }
    panic!("twenty passes, and none over everything");
}

#[tokio::test]
async fn what_bird_stopped_listing_before_it_was_archived_is_unexplained_until_it_is_asked_for() {
    let (_bird, workspace, mut archive) = place().await;
    let id = workspace.add(RecordingSpec::at("2026-03-01T08:00:00Z").status("ongoing"));
    archive.run(&["--once"]).await.expect_code(0);
    quiet(&archive, 0).await;
    workspace.remove(id);
    walk_in_whole(&mut archive).await;
    let statement = quiet(&archive, 3).await;
    assert_eq!(gaps(&statement), ["support: unexplained 1"]);
    assert_eq!(
        numbers(&statement["workspaces"][0]["total"]),
        [("listed", 1), ("waiting", 1), ("vanished", 1)]
    );
    // The next poll asks for it by its id.
    archive.run(&["--once"]).await.expect_code(0);
    assert_eq!(
        numbers(&quiet(&archive, 3).await["workspaces"][0]["total"]),
        [("listed", 1), ("gone_deleted", 1)]
    );
}

#[tokio::test]
async fn a_catalog_that_contradicts_itself_is_a_gap() {
    let (_bird, workspace, archive) = place().await;
    workspace.add(RecordingSpec::at("2026-03-01T08:00:00Z"));
    archive.run(&["--once"]).await.expect_code(0);
    sql(
        &archive,
        "UPDATE counts SET recordings = recordings + 1 WHERE state = 'archived'",
    )
    .await;
    let finished = archive
        .run(&["report", "--no-witness", "--format", "json"])
        .await
        .expect_code(3);
    let statement = finished.json();
    assert_eq!(gaps(&statement), ["support: sums 1"]);
    assert_eq!(statement["workspaces"][0]["sums_close"], false);
    let text = archive.run(&["report", "--no-witness"]).await.expect_code(3).stdout;
    assert!(
        text.contains("THE SUMS DO NOT CLOSE") && text.contains("NOT COMPLETE"),
        "{text}"
    );
}

#[tokio::test]
async fn what_cannot_be_asked_is_said() {
    let (_bird, _workspace, archive) = place().await;
    let finished = archive.run(&["report"]).await.expect_code(1);
    assert!(
        finished.stderr.contains("no archive") && finished.stdout.is_empty(),
        "{}",
        finished.stderr
    );
    archive.run(&["--once"]).await.expect_code(0);
    for bad in [
        &["--since", "yesterday"][..],
        &["--since", "2026-03-01T08:00:00Z"],
        &["--since", "2026-03-02", "--until", "2026-03-02"],
        &["--since", "2026-03-02", "--until", "2026-03-01"],
        &["--format", "xml"],
        &["--workspace", "nobody"],
    ] {
        let args: Vec<&str> = ["report"].iter().chain(bad).copied().collect();
        archive.run(&args).await.expect_code(64);
    }
    report(
        &archive,
        &[
            "--no-witness",
            "--since",
            "2026-03-01T01:00:00+01:00",
            "--until",
            "2026-03-02",
        ],
        0,
    )
    .await;
}
