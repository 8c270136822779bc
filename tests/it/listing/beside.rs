//! Polls beside a walk over everything: what is new does not wait for the end of what is old, and nothing is hidden by it.

use std::time::Duration;

use serde_json::Value;

use super::scene::Scene;
use super::scene::lists;
use crate::support::bird::ApiAction;
use crate::support::bird::Bird;
use crate::support::bird::BirdOptions;
use crate::support::bird::FaultRule;
use crate::support::bird::RecordingSpec;
use crate::surviving::kit::LONG;
use crate::surviving::kit::end_within;
use crate::surviving::kit::eventually;

/// A page that does not come while a test lasts.
const NEVER: Duration = Duration::from_mins(10);

/// A scene whose full walks stop before their last page, until the faults are cleared, and that polls every second.
async fn stuck(count: u64) -> (Scene, Vec<birdkeep::domain::ids::RecordingId>) {
    let mut scene = Scene::with(BirdOptions::default()).await;
    let ids = scene.add(count);
    scene.archive.set_text("api.timeout", "60s");
    scene.archive.set_text("sync.interval", "1s");
    scene.archive.set("api.page_size", "5");
    scene.bird.fault(FaultRule::list(ApiAction::Delay(NEVER)).page(2));
    (scene, ids)
}

fn full_walks(bird: &Bird) -> usize {
    let first = |list: &super::scene::SeenList| list.start_at.is_none() && list.page == 1;
    lists(bird).iter().filter(|list| first(list)).count()
}

#[tokio::test]
async fn what_is_new_is_kept_while_a_first_walk_goes_on_and_settles_nothing() {
    let (scene, ids) = stuck(12).await;
    let mut daemon = scene.archive.spawn(&[]);
    // Newest first: what the walk has seen so far.
    eventually("the first page is kept", || scene.archive.media_files().len() == 5).await;
    for _ in 0..2 {
        let new = scene.workspace.add(RecordingSpec::new().created_at(scene.bird.now()));
        eventually("what is new is kept", || scene.archive.media_file_of(new).is_some()).await;
    }
    assert_eq!(full_walks(&scene.bird), 1);
    assert!(lists(&scene.bird).iter().any(|list| list.start_at.is_some()));
    let status = scene.status().await;
    assert_eq!(status["last_complete_walk_at"], Value::Null, "{status}");
    assert_eq!(status["last_walk"], Value::Null, "{status}");
    daemon.kill_9().await;

    scene.bird.clear_faults();
    scene.bird.forget_requests();
    scene.once(0).await;
    assert_eq!(full_walks(&scene.bird), 1, "a walk over everything is still due");
    scene.expect_archived(&ids);
    assert_eq!(scene.status().await["counts"]["archived"], 14);
}

#[tokio::test]
async fn what_is_new_is_kept_while_a_later_full_walk_goes_on() {
    let (mut scene, ids) = stuck(4).await;
    scene.once(0).await;
    scene.expect_archived(&ids);
    // Further back than a poll reaches, so that only the walk over everything finds them.
    let old = scene
        .workspace
        .add_many(6, "2023-01-01T00:00:00Z", Duration::from_secs(86_400));
    scene.archive.set_text("sync.full_walk_interval", "1s");
    let complete_before = scene.status().await["last_complete_walk_at"].clone();
    scene.bird.forget_requests();
    let mut daemon = scene.archive.spawn(&[]);
    scene.bird.wait_until(|bird| full_walks(bird) == 1).await;
    let new = scene.workspace.add(RecordingSpec::at("2024-03-01T12:00:00Z"));
    eventually("what is new is kept", || scene.archive.media_file_of(new).is_some()).await;
    assert!(old.iter().any(|id| scene.archive.media_file_of(id).is_none()));
    let status = scene.status().await;
    assert_eq!(status["last_walk"]["kind"], "poll");
    assert_ne!(status["last_complete_walk_at"], complete_before, "polls go on");
    assert_eq!(full_walks(&scene.bird), 1, "one at a time");

    // A soft stop ends both.
    daemon.sigterm();
    end_within(&mut daemon, LONG).await.expect_code(0);
    scene.bird.clear_faults();
    scene.full_walk().await.expect_code(0);
    scene.expect_archived(&old);
}

#[tokio::test]
async fn a_full_walk_that_breaks_off_again_and_again_holds_up_no_poll_and_is_told_once() {
    let (mut scene, ids) = stuck(4).await;
    scene.once(0).await;
    scene.archive.set_text("sync.full_walk_interval", "1s");
    scene
        .workspace
        .add_many(6, "2023-01-01T00:00:00Z", Duration::from_secs(86_400));
    scene.bird.clear_faults();
    scene.bird.fault(FaultRule::list(ApiAction::malformed_json()).page(2));
    scene.bird.forget_requests();
    let mut daemon = scene.archive.spawn(&[]);
    scene.bird.wait_until(|bird| full_walks(bird) >= 2).await;
    let polls = |bird: &Bird| lists(bird).iter().filter(|list| list.start_at.is_some()).count();
    scene
        .bird
        .wait_until(|bird| polls(bird) >= 2 && full_walks(bird) >= 3)
        .await;
    let new = scene.workspace.add(RecordingSpec::at("2024-03-01T12:00:00Z"));
    eventually("what is new is kept", || scene.archive.media_file_of(new).is_some()).await;
    let told = |text: &str| daemon.stderr().matches(text).count();
    assert_eq!(
        (told("walk failed"), told("walked again")),
        (1, 0),
        "{}",
        daemon.stderr()
    );

    scene.bird.clear_faults();
    assert!(daemon.stderr_holds("walked again", LONG).await, "{}", daemon.stderr());
    eventually("what is old is kept", || scene.archive.media_files().len() == 11).await;
    daemon.sigterm();
    end_within(&mut daemon, LONG).await.expect_code(0);
    scene.expect_archived(&ids);
    assert_eq!(scene.status().await["counts"]["archived"], 11);
}
