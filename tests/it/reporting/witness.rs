//! Bird's own counter: compared where it can be had, told in a line where not, and never what decides.

use std::time::Duration;

use serde_json::Value;

use super::kit::gaps;
use super::kit::report;
use crate::support::bird::ApiAction;
use crate::support::bird::Bird;
use crate::support::bird::FaultRule;
use crate::support::bird::RequestKind;
use crate::support::bird::WorkspaceHandle;
use crate::support::harness::Archive;
use crate::surviving::kit::WORKSPACE;
use crate::surviving::kit::place;

async fn three_archived() -> (Bird, WorkspaceHandle, Archive) {
    let (bird, workspace, archive) = place().await;
    workspace.add_many(3, "2026-03-01T08:00:00Z", Duration::from_mins(1));
    archive.run(&["--once"]).await.expect_code(0);
    bird.forget_requests();
    (bird, workspace, archive)
}

async fn witness(archive: &Archive, code: i32) -> Value {
    report(archive, &[], code).await["workspaces"][0]["witness"].clone()
}

/// The line of the text form that speaks of it.
async fn line(archive: &Archive) -> String {
    let text = archive.run(&["report"]).await.expect_code(0).stdout;
    let lines: Vec<&str> = text.lines().filter(|line| line.contains("second witness")).collect();
    assert_eq!(lines.len(), 1, "{text}");
    lines[0].to_owned()
}

#[tokio::test]
async fn it_agrees_or_says_by_how_much_it_does_not() {
    let (bird, workspace, archive) = three_archived().await;
    let agrees = witness(&archive, 0).await;
    assert_eq!(
        (
            &agrees["counter"],
            &agrees["known_with_media"],
            &agrees["difference"],
            &agrees["note"]
        ),
        (&3.into(), &3.into(), &0.into(), &Value::Null)
    );
    assert!(agrees["counted_at"].is_string(), "{agrees}");
    let kinds: Vec<_> = bird
        .requests()
        .into_iter()
        .map(|seen| (seen.kind, seen.status))
        .collect();
    let metrics = RequestKind::Metrics {
        workspace: WORKSPACE.to_owned(),
    };
    assert_eq!(kinds, [(metrics, Some(200))]);
    assert!(
        line(&archive).await.contains("3, as many as"),
        "{}",
        line(&archive).await
    );
    let ids = workspace.add_many(2, "2026-03-02T08:00:00Z", Duration::from_mins(1));
    assert_eq!(witness(&archive, 0).await["difference"], 2);
    assert!(
        line(&archive).await.contains("5, 2 more than the 3"),
        "{}",
        line(&archive).await
    );
    for id in ids.into_iter().chain(workspace.available().into_iter().take(1)) {
        workspace.delete_media(id);
    }
    archive.run(&["report"]).await.expect_code(0);
    let fewer = witness(&archive, 0).await["difference"].as_i64().unwrap();
    assert!(fewer < 0, "{fewer}");
    assert!(
        line(&archive).await.contains("fewer than the 3"),
        "{}",
        line(&archive).await
    );
    assert_eq!(archive.grep_secrets(&bird), []);
}

#[tokio::test]
async fn whatever_is_wrong_with_it_is_a_line_and_no_gap() {
    let (bird, _workspace, archive) = three_archived().await;
    for (action, word) in [
        (ApiAction::status(403), "403"),
        (ApiAction::status(404), "404"),
        (ApiAction::status(422), "422"),
        (ApiAction::html(), "not as documented"),
        (ApiAction::json("{}"), "counter"),
        (ApiAction::json("{\"counter\":-1}"), "counter"),
        (ApiAction::json("[]"), "not as documented"),
        (
            ApiAction::json("{\"counter\":\"\u{1b}[31mhttps://h/?X-Amz-Signature=secret\"}"),
            "not as documented",
        ),
    ] {
        let fault = bird.fault(FaultRule::other_api(action));
        let said = witness(&archive, 0).await;
        assert!(said["counter"].is_null() && said["difference"].is_null(), "{said}");
        assert!(said["note"].as_str().unwrap().contains(word), "{word} in {said}");
        let line = line(&archive).await;
        assert!(
            line.contains(word) && !line.contains('\u{1b}') && !line.contains("secret"),
            "{line}"
        );
        bird.clear_fault(fault);
    }
    assert_eq!(bird.list_requests() + bird.item_requests(), 0);
}

#[tokio::test]
async fn a_reply_without_end_is_not_read_to_its_end() {
    let (bird, _workspace, mut archive) = three_archived().await;
    archive.set_text("api.max_page_bytes", "64 KiB");
    let long = format!(
        "{{\"counter\":3,\"dailyStorageUsage\":{{\"a\":\"{}\"}}}}",
        "x".repeat(100_000)
    );
    bird.fault(FaultRule::other_api(ApiAction::json(long)));
    let said = witness(&archive, 0).await;
    assert!(said["note"].as_str().unwrap().contains("api.max_page_bytes"), "{said}");
}

#[tokio::test]
async fn where_nobody_answers_the_statement_is_made_all_the_same() {
    let (bird, _workspace, archive) = three_archived().await;
    drop(bird);
    let said = witness(&archive, 0).await;
    assert!(said["note"].is_string() && said["counter"].is_null(), "{said}");
}

#[tokio::test]
async fn a_gap_stays_one_whatever_the_witness_says() {
    let (_bird, workspace, archive) = three_archived().await;
    crate::surviving::kit::sql(&archive, "UPDATE workspaces SET last_full_walk_started_at = NULL").await;
    let statement = report(&archive, &[], 3).await;
    assert_eq!(gaps(&statement), ["support: never_walked"]);
    assert_eq!(statement["workspaces"][0]["witness"]["difference"], 0);
    assert_eq!(workspace.available().len(), 3);
}

#[tokio::test]
async fn who_cannot_read_the_key_gets_the_statement_without_it() {
    let (bird, _workspace, mut archive) = three_archived().await;
    archive.unset("workspaces.support.access_key");
    archive.set_text("workspaces.support.access_key_file", "/nonexistent/support.key");
    let said = witness(&archive, 0).await;
    let note = said["note"].as_str().unwrap();
    assert!(
        note.starts_with("not asked: ") && note.contains("/nonexistent/support.key"),
        "{note}"
    );
    assert_eq!(bird.api_requests(), 0);
    let quiet = report(&archive, &["--no-witness"], 0).await;
    assert_eq!(quiet["workspaces"][0]["witness"]["note"], "not asked: --no-witness");
    // Any other fault of the configuration is one for this command, too.
    archive.set("api.page_size", "1000");
    archive.run(&["report"]).await.expect_code(78);
}
