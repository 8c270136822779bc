//! Reasons as birdkeep really writes them are found again by the statement.

use std::time::Duration;

use super::kit::gaps;
use super::kit::numbers;
use super::kit::quiet;
use crate::support::bird::ApiAction;
use crate::support::bird::BirdOptions;
use crate::support::bird::FaultRule;
use crate::support::bird::RecordingSpec;
use crate::surviving::kit::place;
use crate::surviving::kit::place_with;

#[tokio::test]
async fn what_a_listing_says_and_what_a_fetch_learns() {
    // Links that die at once: each fetch asks for one of its own.
    let (bird, workspace, archive) = place_with(BirdOptions {
        url_life: Duration::from_secs(1),
        ..BirdOptions::default()
    })
    .await;
    workspace.add(RecordingSpec::at("2026-03-01T08:00:00Z").status("absent"));
    workspace.add(RecordingSpec::at("2026-03-01T09:00:00Z").status("failed"));
    let deleted = workspace.add(RecordingSpec::at("2026-03-01T10:00:00Z"));
    bird.fault(FaultRule::item(ApiAction::status(404)).recording(deleted));
    for (minute, status) in [(0, "absent"), (1, "failed")] {
        let at = format!("2026-03-01T11:{minute:02}:00Z");
        let id = workspace.add(RecordingSpec::at(&at));
        let changed = format!("{{\"id\":\"{id}\",\"status\":\"{status}\",\"createdAt\":\"{at}\"}}");
        bird.fault(FaultRule::item(ApiAction::json(changed)).recording(id));
    }
    archive.run(&["--once"]).await.expect_code(0);
    let statement = quiet(&archive, 3).await;
    assert_eq!(gaps(&statement), ["support: deleted 1"]);
    assert_eq!(
        numbers(&statement["workspaces"][0]["total"]),
        [
            ("listed", 5),
            ("gone_absent", 2),
            ("gone_failed", 2),
            ("gone_deleted", 1)
        ]
    );
}

#[tokio::test]
async fn what_was_deleted_before_it_had_media() {
    let (_bird, workspace, mut archive) = place().await;
    archive.set_text("sync.interval", "1s").set_text("sync.overlap", "1ms");
    let id = workspace.add(RecordingSpec::at("2020-03-01T08:00:00Z").status("ongoing"));
    workspace.add_many(1_000, "2026-03-01T08:00:00Z", Duration::from_mins(1));
    archive.run(&["--once"]).await.expect_code(0);
    workspace.remove(id);
    // A second pass polls the newest, and looks at what lies further back one by one.
    archive.run(&["--once"]).await.expect_code(0);
    let statement = quiet(&archive, 3).await;
    assert_eq!(gaps(&statement), ["support: deleted 1"]);
    let first = &statement["workspaces"][0]["days"][0];
    assert_eq!(first["day"], "2020-03-01");
    assert_eq!(numbers(first), [("listed", 1), ("gone_deleted", 1)]);
}
