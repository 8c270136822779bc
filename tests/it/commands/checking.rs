//! `check`: one line for each finding, and the way out where there is something wrong.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use crate::support::bird::FaultRule;
use crate::support::bird::MediaAction;
use crate::support::harness::Archive;
use crate::surviving::kit::KEY;
use crate::surviving::kit::place;
use crate::surviving::kit::snapshot;

/// What `check` prints, with this exit code.
async fn check(archive: &Archive, code: i32) -> String {
    archive.run(&["check"]).await.expect_code(code).stdout
}

/// The one line that begins with this level and holds this.
#[track_caller]
fn line<'a>(printed: &'a str, level: &str, word: &str) -> &'a str {
    printed
        .lines()
        .find(|line| line.starts_with(level) && line.contains(word))
        .unwrap_or_else(|| panic!("no {level} line with {word:?} in\n{printed}"))
}

#[tokio::test]
async fn all_well_is_a_line_each_and_leaves_nothing_behind() {
    let (bird, workspace, archive) = place().await;
    workspace.add_many(2, "2026-03-01T10:00:00Z", Duration::from_mins(1));
    let printed = check(&archive, 0).await;
    line(&printed, "warn", "does not exist yet");
    assert!(!archive.dir().exists());
    archive.run(&["--once"]).await.expect_code(0);
    let before = snapshot(&archive.dir());
    let printed = check(&archive, 0).await;
    for subject in [
        "configuration",
        "archive:",
        "free space",
        "support: list",
        "support: item",
        "support: media",
        "clock",
    ] {
        line(&printed, "ok", subject);
    }
    assert!(printed.lines().all(|line| line.starts_with("ok")), "{printed}");
    assert!(snapshot(&archive.dir()) == before);
    // One byte of one recording each time, besides the two of the pass.
    assert_eq!(bird.media_requests(), 4);
    assert_eq!(archive.grep_secrets(&bird), Vec::new());
}

#[tokio::test]
async fn what_is_wrong_is_told_with_its_remedy() {
    let (bird, workspace, mut archive) = place().await;
    workspace.add_many(1, "2026-03-01T10:00:00Z", Duration::ZERO);
    archive.run(&["--once"]).await.expect_code(0);

    workspace.set_key("the-right-key-0123456789");
    let printed = check(&archive, 1).await;
    assert!(
        line(&printed, "FAIL", "support: list").contains("check the key"),
        "{printed}"
    );
    line(&printed, "ok", "archive:");
    assert!(!printed.contains(KEY));
    workspace.set_key(KEY);

    archive.set("download.allowed_hosts", "[\"*.amazonaws.com\"]");
    let printed = check(&archive, 1).await;
    assert!(
        line(&printed, "FAIL", "support: media").contains("download.allowed_hosts"),
        "{printed}"
    );
    archive.set("download.allowed_hosts", "[\"127.0.0.1\"]");

    let denied = bird.fault(FaultRule::media(MediaAction::access_denied()));
    line(&check(&archive, 1).await, "FAIL", "support: media");
    bird.clear_fault(denied);

    archive.set_text("archive.min_free", "900 TiB");
    assert!(line(&check(&archive, 1).await, "FAIL", "free space").contains("archive.min_free"));
    archive.set_text("archive.min_free", "0 B");

    bird.shift_clock_seconds(3600);
    let printed = check(&archive, 0).await;
    assert!(line(&printed, "warn", "clock").contains("behind"), "{printed}");
    bird.shift_clock_seconds(-3600);

    let unknown = "01890a5d-ac96-474b-8cce-b302099a8057";
    archive.set_text("archive.id", unknown);
    line(&check(&archive, 1).await, "FAIL", unknown);
    archive.unset("archive.id");

    archive.set_text("workspaces.support.id", unknown);
    line(&check(&archive, 1).await, "FAIL", "support: list");
}

#[tokio::test]
async fn a_key_that_others_can_read_is_a_warning() {
    let (_bird, workspace, mut archive) = place().await;
    workspace.add_many(1, "2026-03-01T10:00:00Z", Duration::ZERO);
    let file = archive.root().join("support.key");
    fs::write(&file, format!("{KEY}\n")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    archive.unset("workspaces.support.access_key");
    archive.set_text("workspaces.support.access_key_file", "support.key");
    assert!(line(&check(&archive, 0).await, "warn", "support.key").contains("configuration"));
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let printed = check(&archive, 0).await;
    assert!(!printed.contains("support.key"), "{printed}");
    archive.run(&["--once"]).await.expect_code(0);
}
