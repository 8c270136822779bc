//! The daemon re-reads a part of the archive a day by itself, and tells once of what it finds.

use super::scene::Scene;
use crate::surviving::kit::LONG;
use crate::surviving::kit::end_within;

const TOLD: &str = "not as it was archived";

#[tokio::test]
async fn the_daemon_finds_damage_by_itself_and_tells_once() {
    let mut scene = Scene::of(4).await;
    scene.archive.set_text("verify.sample", "1/1");
    scene.flip(2);
    let mut daemon = scene.archive.spawn(&[]);
    assert!(daemon.stderr_holds("re-read a part of the archive", LONG).await);
    let status = scene.status().await;
    assert_eq!((&status["damaged"], &status["last_checked"]), (&1.into(), &4.into()));
    assert_eq!(status["last_scope"], "1/1");
    daemon.sigterm();
    let finished = end_within(&mut daemon, LONG).await.expect_code(0);
    assert_eq!(finished.stderr.matches(TOLD).count(), 1, "{}", finished.stderr);
    assert!(finished.stderr.contains(&scene.id(2)));

    // Remembered: the next start is not the next day.
    let before = scene.status().await["last_started_at"].clone();
    let mut daemon = scene.archive.spawn(&[]);
    assert!(daemon.stderr_holds("birdkeep runs", LONG).await);
    scene.bird.wait_until(|bird| bird.list_requests() > 2).await;
    assert_eq!(scene.status().await["last_started_at"], before);
    daemon.kill_9().await;
}

#[tokio::test]
async fn it_can_be_turned_off() {
    let mut scene = Scene::of(1).await;
    scene.archive.set_text("verify.sample", "off");
    let mut daemon = scene.archive.spawn(&[]);
    assert!(daemon.stderr_holds("birdkeep runs", LONG).await);
    let lists = scene.bird.list_requests();
    scene.bird.wait_until(|bird| bird.list_requests() > lists + 1).await;
    assert_eq!(scene.status().await["last_scope"], serde_json::Value::Null);
    daemon.kill_9().await;
}
