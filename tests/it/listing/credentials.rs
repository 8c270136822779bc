//! Credentials that are refused: the trouble of one workspace stays there, and is told once.

use std::time::Duration;

use super::scene::add_small;
use super::scene::archive_of;
use super::scene::each_case;
use super::scene::expect_archived;
use super::scene::lists;
use super::scene::status_of;
use crate::support::bird::ApiAction;
use crate::support::bird::Bird;
use crate::support::bird::BirdOptions;
use crate::support::bird::FaultRule;
use crate::support::bird::WorkspaceHandle;
use crate::support::harness::Archive;

const SALES_KEY: &str = "key-of-the-sales-workspace-0123456789";

async fn two() -> (Bird, WorkspaceHandle, WorkspaceHandle, Archive) {
    let bird = Bird::start(BirdOptions::default()).await;
    let support = bird.add_workspace("8bc02f53-87ac-48d2-b4fd-c2cf856a305f", "key-of-support-0123456789");
    let sales = bird.add_workspace("1f0e6f52-0c55-4b3b-9a52-7a44d1fb7b6e", SALES_KEY);
    let archive = archive_of(&bird, &[("support", &support), ("sales", &sales)]);
    (bird, support, sales, archive)
}

#[tokio::test]
async fn one_workspace_denied_leaves_the_other_whole() {
    each_case(vec![("401", 401), ("403", 403)], |_, status| async move {
        let (bird, support, sales, archive) = two().await;
        let ids = add_small(&support, 8);
        let denied = add_small(&sales, 2);
        bird.fault(FaultRule::api(ApiAction::status(status)).workspace(sales.id()));
        let finished = archive.run(&["--once"]).await.expect_code(3);
        expect_archived(&archive, &support, &ids);
        assert_eq!(archive.media_files().len(), ids.len());
        assert_eq!(finished.stderr.matches("workspace paused").count(), 1);
        let outcome = |status: serde_json::Value| status["last_walk"]["outcome"].as_str().unwrap().to_owned();
        assert!(outcome(status_of(&archive, "sales").await).contains(&status.to_string()));
        assert_eq!(outcome(status_of(&archive, "support").await), "complete");
        let asked = lists(&bird).iter().filter(|list| list.workspace == sales.id()).count();
        assert_eq!(asked, 1, "a refused credential is not tried again and again");
        bird.clear_faults();
        archive.run(&["--once"]).await.expect_code(0);
        expect_archived(&archive, &sales, &denied);
        assert_eq!(archive.grep_secrets(&bird), []);
    })
    .await;
}

#[tokio::test]
async fn a_workspace_whose_items_are_denied_leaves_the_other_whole() {
    let (bird, support, sales, mut archive) = two().await;
    let ids = add_small(&support, 8);
    let denied = add_small(&sales, 6);
    archive.set("download.concurrency", "2");
    bird.fault(FaultRule::link(crate::support::bird::LinkAction::Missing).workspace(sales.id()));
    bird.fault(FaultRule::item(ApiAction::status(403)).workspace(sales.id()));
    archive.run(&["--once"]).await.expect_code(3);
    expect_archived(&archive, &support, &ids);
    let status = status_of(&archive, "sales").await;
    assert_eq!(status["counts"]["due"], denied.len(), "{status}");
    assert!(bird.item_requests() <= 2, "{}", bird.item_requests());
    bird.clear_faults();
    archive.run(&["--once"]).await.expect_code(0);
    expect_archived(&archive, &sales, &denied);
}

#[tokio::test]
async fn the_daemon_tells_of_a_denied_workspace_once_and_goes_on_with_the_other() {
    let (bird, support, sales, mut archive) = two().await;
    archive.set_text("sync.interval", "1s");
    add_small(&sales, 2);
    let mut daemon = archive.spawn(&[]);
    bird.wait_until(|bird| bird.media_requests() >= 2).await;
    sales.set_key("another-key-of-the-sales-workspace");
    assert!(daemon.stderr_holds("workspace paused", Duration::from_secs(20)).await);
    let denied = |bird: &Bird| {
        let asked = lists(bird);
        let denied = asked.iter().filter(|list| list.seen.status == Some(401));
        (
            denied.count(),
            asked.iter().filter(|list| list.workspace == support.id()).count(),
        )
    };
    let before = denied(&bird).1;
    let ids = add_small(&support, 3);
    bird.wait_until(|bird| denied(bird).1 >= before + 3).await;
    daemon.sigterm();
    let finished = daemon
        .exit_within(Duration::from_secs(20))
        .await
        .unwrap()
        .expect_code(0);
    expect_archived(&archive, &support, &ids);
    assert_eq!(finished.stderr.matches("workspace paused").count(), 1);
    assert_eq!(denied(&bird).0, 1, "a denied workspace rests");
}

#[tokio::test]
#[ignore = "takes two minutes: a denied workspace is tried once a minute"]
async fn the_daemon_tells_once_that_a_workspace_works_again() {
    let (bird, support, sales, mut archive) = two().await;
    archive.set_text("sync.interval", "1s");
    add_small(&support, 2);
    sales.set_key("another-key-of-the-sales-workspace");
    let mut daemon = archive.spawn(&[]);
    let asked_of_sales = |bird: &Bird| lists(bird).iter().filter(|list| list.workspace == sales.id()).count();
    assert!(daemon.stderr_holds("workspace paused", Duration::from_secs(20)).await);
    assert!(
        bird.wait_until_within(Duration::from_secs(90), |bird| asked_of_sales(bird) >= 2)
            .await
    );
    sales.set_key(SALES_KEY);
    let ids = add_small(&sales, 3);
    let again = Duration::from_secs(90);
    assert!(daemon.stderr_holds("workspace is walked again", again).await);
    let before = asked_of_sales(&bird);
    bird.wait_until(|bird| asked_of_sales(bird) >= before + 3).await;
    daemon.sigterm();
    let finished = daemon
        .exit_within(Duration::from_secs(20))
        .await
        .unwrap()
        .expect_code(0);
    expect_archived(&archive, &sales, &ids);
    assert_eq!(finished.stderr.matches("workspace paused").count(), 1);
    assert_eq!(finished.stderr.matches("workspace is walked again").count(), 1);
}
