//! What `check` finds at Bird: keys and rights, links, bodies, the clock.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use super::check;
use super::check_with;
use super::line;
use crate::support::bird::ApiAction;
use crate::support::bird::FaultRule;
use crate::support::bird::MediaAction;
use crate::support::bird::RequestKind;
use crate::support::bird::Rights;
use crate::support::bird::Throttle;
use crate::surviving::kit::KEY;
use crate::surviving::kit::place;
use crate::surviving::kit::snapshot;

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
    let is_root = rustix::process::geteuid().is_root();
    let well = |line: &&str| !(line.starts_with("ok") || is_root && line.starts_with("warn  user: "));
    assert_eq!(printed.lines().find(well), None, "{printed}");
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

#[tokio::test]
async fn each_right_of_a_key_is_told() {
    let (bird, workspace, archive) = place().await;
    let ids = workspace.add_many(1, "2026-03-01T10:00:00Z", Duration::ZERO);
    let all = Rights::default();
    let printed = check(&archive, 0).await;
    line(&printed, "ok", "support: delete right: not allowed");
    line(
        &printed,
        "ok",
        "support: metrics right: View on recording-metrics is allowed",
    );

    workspace.set_rights(Rights { metrics: false, ..all });
    line(
        &check(&archive, 0).await,
        "ok",
        "support: metrics right: View on recording-metrics is not allowed",
    );

    workspace.set_rights(Rights { item: false, ..all });
    let printed = check(&archive, 1).await;
    assert!(
        line(&printed, "FAIL", "support: item").contains("recordings/*"),
        "{printed}"
    );
    // The page's own link is still tried.
    line(&printed, "ok", "support: media");

    workspace.set_rights(Rights { list: false, ..all });
    assert!(line(&check(&archive, 1).await, "FAIL", "support: list").contains("View on"));

    workspace.set_rights(Rights { delete: true, ..all });
    assert!(line(&check(&archive, 0).await, "warn", "support: delete right").contains("a role without Delete"));
    assert_eq!(workspace.available(), ids, "nothing was deleted");
    assert!(workspace.body_len_bytes(ids[0]) > 0);

    bird.fault(FaultRule::other_api(ApiAction::status(405)));
    let printed = check(&archive, 0).await;
    line(&printed, "ok", "support: delete right: not known: the API answered 405");
    line(&printed, "ok", "support: metrics right: not known");
}

#[tokio::test]
async fn what_is_asked_to_be_deleted_is_random_and_can_be_left_out() {
    let (bird, workspace, archive) = place().await;
    workspace.add_many(1, "2026-03-01T10:00:00Z", Duration::ZERO);
    let asked = || {
        let of_deletion = |seen: crate::support::bird::SeenRequest| match seen.kind {
            RequestKind::Delete { id, .. } => Some((seen.method, id.to_string())),
            _ => None,
        };
        bird.requests().into_iter().filter_map(of_deletion).collect::<Vec<_>>()
    };
    let printed = check_with(&archive, &["--no-delete-probe"], 0).await;
    line(&printed, "ok", "support: delete right: not tried");
    assert_eq!(asked(), Vec::new());
    check(&archive, 0).await;
    check(&archive, 0).await;
    let asked = asked();
    assert_eq!(asked.len(), 2);
    assert_ne!(asked[0], asked[1]);
    for (method, id) in asked {
        assert_eq!((method.as_str(), &id[14..15]), ("DELETE", "4"), "{id}");
    }
}

#[tokio::test]
async fn what_is_slow_is_a_warning_before_it_is_a_fault() {
    let (bird, workspace, mut archive) = place().await;
    workspace.add_many(1, "2026-03-01T10:00:00Z", Duration::ZERO);
    archive
        .set_text("download.stall_timeout", "2s")
        .set_text("api.timeout", "2s");
    bird.set_throttle(Throttle {
        media_delay: Duration::from_millis(600),
        ..Throttle::default()
    });
    let printed = check(&archive, 0).await;
    assert!(line(&printed, "warn", "support: media").contains("download.stall_timeout"));
    line(&printed, "ok", "support: list");
    bird.set_throttle(Throttle {
        api_delay: Duration::from_millis(600),
        ..Throttle::default()
    });
    let printed = check(&archive, 0).await;
    assert!(line(&printed, "warn", "support: list").contains("api.timeout"));
    line(&printed, "warn", "support: item");
}

#[tokio::test]
async fn without_a_recording_or_an_answer_it_says_what_is_not_known() {
    let (bird, _workspace, archive) = place().await;
    line(&check(&archive, 0).await, "warn", "support: media");
    bird.fault(FaultRule::api(ApiAction::Close));
    let printed = check(&archive, 1).await;
    assert!(line(&printed, "FAIL", "support: list").contains("api.base_url"));
    line(&printed, "warn", "clock");
}

#[tokio::test]
async fn an_api_that_never_answers_is_asked_once_by_each_workspace_and_fails() {
    let (bird, _workspace, mut archive) = place().await;
    archive.set_text("api.timeout", "1s");
    for name in ["sales", "service"] {
        archive.set_text(&format!("workspaces.{name}.id"), &format!("id-of-{name}"));
        archive.set_text(&format!("workspaces.{name}.access_key"), KEY);
    }
    bird.fault(FaultRule::list(ApiAction::Silence));
    let printed = check(&archive, 1).await;
    for name in ["sales", "service", "support"] {
        let told = line(&printed, "FAIL", &format!("{name}: list"));
        assert!(told.contains("api.timeout") || told.contains("timed out"), "{told}");
    }
    assert_eq!(bird.api_requests(), 3, "{printed}");
}

#[tokio::test]
async fn an_api_that_asks_to_come_back_in_an_hour_is_not_waited_for() {
    let (bird, workspace, mut archive) = place().await;
    workspace.add_many(1, "2026-03-01T10:00:00Z", Duration::ZERO);
    archive.set_text("api.timeout", "1s");
    bird.fault(FaultRule::item(ApiAction::status_retry_after(429, "3600")));
    let printed = check(&archive, 1).await;
    line(&printed, "FAIL", "support: item");
    line(&printed, "ok", "delete right: not known: no answer within 1s");
}

#[tokio::test]
async fn a_check_that_is_interrupted_ends_at_once_and_says_not_that_all_is_well() {
    let (bird, _workspace, archive) = place().await;
    bird.fault(FaultRule::list(ApiAction::Silence));
    let mut running = archive.spawn(&["check"]);
    bird.wait_until(|bird| bird.api_requests() > 0).await;
    running.sigint();
    let finished = crate::surviving::kit::end_within(&mut running, crate::surviving::kit::LONG).await;
    let finished = finished.expect_code(1);
    assert!(
        finished
            .stdout
            .contains("interrupted: not every workspace was looked at"),
        "{}",
        finished.stdout
    );
}
