//! A statement beside a daemon, after a rebuild, and of a backup that was put back.

use std::fs;
use std::time::Duration;

use super::kit::gaps;
use super::kit::numbers;
use super::kit::quiet;
use crate::rebuilding::kit::lose_catalog;
use crate::rebuilding::kit::rebuild;
use crate::support::bird::At;
use crate::support::bird::FaultRule;
use crate::support::bird::MediaAction;
use crate::surviving::kit::LONG;
use crate::surviving::kit::end_within;
use crate::surviving::kit::place;

#[tokio::test]
async fn beside_a_daemon_every_statement_closes() {
    let (bird, workspace, archive) = place().await;
    let held = workspace.add_many(1, "2026-03-01T08:00:00Z", Duration::from_mins(1))[0];
    workspace.add_many(300, "2026-03-01T09:00:00Z", Duration::from_mins(5));
    bird.fault(FaultRule::media(MediaAction::Hold(At::Half)).recording(held));
    let mut daemon = archive.spawn(&[]);
    bird.wait_until(|bird| bird.media_in_flight() > 0).await;
    let begun = std::time::Instant::now();
    let mut looks = 0;
    loop {
        let finished = archive.run(&["report", "--no-witness", "--format", "json"]).await;
        let statement = finished.json();
        let support = &statement["workspaces"][0];
        assert_eq!(support["sums_close"], true, "{statement}");
        looks += 1;
        if support["total"]["archived"] == 300 && finished.code == Some(0) {
            assert_eq!(
                numbers(&support["total"]),
                [("listed", 301), ("archived", 300), ("claimed", 1)]
            );
            break;
        }
        assert!(begun.elapsed() < LONG, "{statement}");
    }
    assert!(looks > 0);
    bird.release_held();
    daemon.sigterm();
    end_within(&mut daemon, LONG).await.expect_code(0);
}

#[tokio::test]
async fn after_a_rebuild_what_is_not_archived_is_unknown_until_the_next_walk() {
    let (_bird, workspace, archive) = place().await;
    workspace.add_many(4, "2026-03-01T22:30:00Z", Duration::from_hours(1));
    archive.run(&["--once"]).await.expect_code(0);
    let before = quiet(&archive, 0).await;
    lose_catalog(&archive);
    rebuild(&archive, 0).await;
    let after = quiet(&archive, 3).await;
    assert_eq!(gaps(&after), ["support: never_walked"]);
    assert_eq!(after["archive"]["id"], before["archive"]["id"]);
    // A rebuild reads every body.
    assert_eq!(
        numbers(&after["workspaces"][0]["total"]),
        [("listed", 4), ("archived", 4), ("re_read", 4)]
    );
    archive.run(&["--once"]).await.expect_code(0);
    let walked = quiet(&archive, 0).await;
    let archived = |statement: &serde_json::Value| -> Vec<_> {
        let days = statement["workspaces"][0]["days"].as_array().unwrap();
        days.iter()
            .map(|row| (row["day"].clone(), row["archived"].clone(), row["bytes"].clone()))
            .collect()
    };
    assert_eq!(archived(&walked), archived(&before));
}

#[tokio::test]
async fn a_backup_that_was_put_back_is_a_gap_until_it_is_level() {
    let (_bird, workspace, archive) = place().await;
    workspace.add_many(2, "2026-03-01T08:00:00Z", Duration::from_mins(1));
    archive.run(&["--once"]).await.expect_code(0);
    let copy = archive.root().join("copy.sqlite");
    archive.run(&["backup", &copy.to_string_lossy()]).await.expect_code(0);
    lose_catalog(&archive);
    fs::copy(&copy, archive.catalog_path()).unwrap();
    assert_eq!(gaps(&quiet(&archive, 3).await), ["-: restored"]);
    archive.run(&["--once"]).await.expect_code(0);
    quiet(&archive, 0).await;
}
