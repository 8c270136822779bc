//! The command: each event as it really comes about, once, and what the command is kept from.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::kit::Keeper;
use super::kit::PATIENCE;
use super::kit::expect_shape;
use crate::listing::scene::Scene;
use crate::support::bird::FaultRule;
use crate::support::bird::MediaAction;
use crate::support::harness::Finished;
use crate::support::harness::Running;

const FAILED: &str = "notify.command failed";

async fn scene(more: &str) -> (Scene, Keeper) {
    let mut scene = Scene::new().await;
    scene.archive.set_text("sync.interval", "1s");
    scene.archive.set("download.max_attempts", "1");
    let keeper = Keeper::set_up(&mut scene.archive, more);
    (scene, keeper)
}

async fn stopped(mut daemon: Running) -> Finished {
    daemon.sigterm();
    daemon.exit_within(PATIENCE).await.expect("it ends").expect_code(0)
}

fn spoil(scene: &Scene, id: birdkeep::domain::ids::RecordingId) {
    scene
        .bird
        .fault(FaultRule::media(MediaAction::html_as("audio/mpeg")).recording(id));
}

/// Changes one byte of an archived body.
fn damage(scene: &Scene, id: birdkeep::domain::ids::RecordingId) {
    let file = scene.archive.media_file_of(id).unwrap();
    let path = scene.archive.dir().join("recordings").join(file);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&path, bytes).unwrap();
}

fn kinds(keeper: &Keeper) -> Vec<String> {
    let name = |event: &Value| event["event"].as_str().unwrap().to_owned();
    keeper.events().iter().map(name).collect()
}

/// Waits until that many more lists were asked for: the daemon has looked around since.
async fn walks(scene: &Scene, more: u64) {
    let before = scene.bird.list_requests();
    scene
        .bird
        .wait_until(|bird| bird.list_requests() >= before + more)
        .await;
}

#[tokio::test]
async fn what_is_given_up_is_told_once_with_its_ids() {
    let (scene, keeper) = scene("").await;
    let ids = scene.add(4);
    spoil(&scene, ids[1]);
    let daemon = scene.archive.spawn(&[]);
    let event = keeper.wait_for("gave_up").await;
    expect_shape(&event);
    assert_eq!((&event["workspace"], &event["count"]), (&"support".into(), &1.into()));
    assert_eq!(event["recordings"], serde_json::json!([ids[1].to_string()]));
    assert_eq!(keeper.read("argument"), "an $argument; with spaces\n");
    walks(&scene, 6).await;
    assert_eq!(kinds(&keeper), ["gave_up"]);
    stopped(daemon).await;
    // A restart tells nothing again, and a pass tells what it gave up itself.
    scene.once(3).await;
    assert_eq!(kinds(&keeper), ["gave_up"]);
    let more = scene.add(1);
    spoil(&scene, more[0]);
    scene.once(3).await;
    assert_eq!(kinds(&keeper), ["gave_up", "gave_up"]);
    assert_eq!(
        keeper.events()[1]["recordings"],
        serde_json::json!([more[0].to_string()])
    );
    scene.expect_no_secrets();
}

#[tokio::test]
async fn a_pause_is_told_once_and_not_by_the_next_start() {
    let (scene, keeper) = scene("").await;
    scene.add(1);
    let key = scene.workspace.key();
    scene.workspace.set_key("another-key-of-the-support-workspace");
    let mut daemon = scene.archive.spawn(&[]);
    let event = keeper.wait_for("paused").await;
    expect_shape(&event);
    assert_eq!((&event["workspace"], &event["count"]), (&"support".into(), &0.into()));
    let text = event["text"].as_str().unwrap();
    assert!(text.contains("support") && text.contains("401"), "{text}");
    stopped(daemon).await;
    scene.once(3).await;
    assert_eq!(kinds(&keeper), ["paused"]);
    // It works again, and is refused again: that is new.
    scene.workspace.set_key(&key);
    scene.once(0).await;
    scene.workspace.set_key("a-third-key-of-the-support-workspace");
    daemon = scene.archive.spawn(&[]);
    assert!(daemon.stderr_holds("workspace paused", PATIENCE).await);
    stopped(daemon).await;
    assert_eq!(kinds(&keeper), ["paused", "paused"]);
    scene.expect_no_secrets();
}

#[tokio::test]
async fn damage_is_told_once_whoever_finds_it() {
    let (mut scene, keeper) = scene("").await;
    scene.archive.set_text("verify.sample", "1/1");
    let ids = scene.add(3);
    scene.once(0).await;
    damage(&scene, ids[0]);
    let daemon = scene.archive.spawn(&[]);
    let event = keeper.wait_for("damage_found").await;
    expect_shape(&event);
    assert_eq!((&event["workspace"], &event["count"]), (&Value::Null, &1.into()));
    assert_eq!(event["recordings"], serde_json::json!([ids[0].to_string()]));
    // Found by hand beside the daemon, it is the daemon that tells.
    damage(&scene, ids[1]);
    scene.archive.run(&["verify"]).await.expect_code(3);
    walks(&scene, 6).await;
    stopped(daemon).await;
    assert_eq!(kinds(&keeper), ["damage_found", "damage_found"]);
    assert_eq!(
        keeper.events()[1]["recordings"],
        serde_json::json!([ids[1].to_string()])
    );
    // And without one, whoever found it.
    damage(&scene, ids[2]);
    scene.archive.run(&["verify"]).await.expect_code(3);
    scene.archive.run(&["verify"]).await.expect_code(3);
    let told = keeper.events();
    assert_eq!(told.len(), 3, "{told:?}");
    expect_shape(&told[2]);
    assert_eq!(told[2]["recordings"], serde_json::json!([ids[2].to_string()]));
    scene.archive.run(&["verify", "--repair"]).await.expect_code(3);
    assert_eq!(keeper.events().len(), 3);
}

#[tokio::test]
async fn a_disk_that_takes_nothing_is_told_once() {
    let (mut scene, keeper) = scene("").await;
    scene.archive.set_text("archive.min_free", "1000 TiB");
    scene.add(1);
    let daemon = scene.archive.spawn(&[]);
    let event = keeper.wait_for("disk_low").await;
    expect_shape(&event);
    let text = event["text"].as_str().unwrap();
    assert!(text.contains("archive.min_free"), "{text}");
    assert_eq!(
        (&event["workspace"], &event["recordings"]),
        (&Value::Null, &serde_json::json!([]))
    );
    walks(&scene, 6).await;
    stopped(daemon).await;
    assert_eq!(kinds(&keeper), ["disk_low"]);
}

#[tokio::test]
async fn only_the_events_that_were_asked_for_are_told() {
    let (mut scene, keeper) = scene("").await;
    scene.archive.set("notify.events", "[\"paused\", \"disk_low\"]");
    let ids = scene.add(1);
    spoil(&scene, ids[0]);
    scene.once(3).await;
    assert_eq!(kinds(&keeper), Vec::<String>::new());
}

#[tokio::test]
async fn the_command_gets_nothing_of_ours() {
    let (mut scene, keeper) = scene("").await;
    scene.archive.env("BIRDKEEP_SYNC__OVERLAP", "1h");
    scene.archive.env("CREDENTIALS_DIRECTORY", "/nonexistent");
    scene.archive.env("SOMETHING_SECRET", "hunter2-hunter2");
    let ids = scene.add(1);
    spoil(&scene, ids[0]);
    scene.once(3).await;
    let mut names: Vec<String> = keeper
        .read("environment")
        .lines()
        .map(|line| line.split('=').next().unwrap().to_owned())
        .collect();
    // What a shell sets by itself is its own.
    names.retain(|name| !["PWD", "OLDPWD", "SHLVL", "_"].contains(&name.as_str()));
    names.sort();
    assert_eq!(names, ["LANG", "PATH"]);
    // Nothing of the archive or of the network is open in it. What others left open in the daemon may be.
    let (open, archive) = (keeper.read("descriptors"), scene.archive.dir());
    assert!(open.contains(" 0 -> pipe:"), "{open}");
    let ours = [archive.to_str().unwrap(), "socket:", "anon_inode:"];
    assert!(!ours.iter().any(|ours| open.contains(ours)), "{open}");
}

#[tokio::test]
async fn a_command_that_takes_too_long_is_killed_with_what_it_began() {
    let (mut scene, keeper) = scene("sleep 600 & echo $! > \"$(dirname $0)/events/child\"; wait").await;
    scene.archive.set_text("notify.timeout", "3s");
    let ids = scene.add(1);
    spoil(&scene, ids[0]);
    let finished = scene.once(3).await;
    assert!(
        finished.stderr.contains("took longer than notify.timeout"),
        "{}",
        finished.stderr
    );
    let child = keeper.read("child");
    let stat = std::fs::read_to_string(Path::new("/proc").join(child.trim()).join("stat"));
    // Killed and perhaps not yet collected by whoever inherited it.
    assert!(stat.as_ref().map_or(true, |stat| stat.contains(") Z ")), "{stat:?}");
}

#[tokio::test]
async fn a_command_that_fails_is_told_of_once_and_stops_nothing() {
    let (scene, keeper) = scene("echo it is wrong >&2; exit 7").await;
    let ids = scene.add(3);
    spoil(&scene, ids[0]);
    let daemon = scene.archive.spawn(&["--log-level", "debug"]);
    keeper.wait_for("gave_up").await;
    let more = scene.add(1);
    spoil(&scene, more[0]);
    walks(&scene, 5).await;
    let finished = stopped(daemon).await;
    assert_eq!(keeper.events().len(), 2);
    let warned = finished
        .stderr
        .lines()
        .filter(|line| line.contains(" WARN ") && line.contains(FAILED));
    assert_eq!(warned.count(), 1, "{}", finished.stderr);
    assert!(finished.stderr.contains("exit status: 7"), "{}", finished.stderr);
    assert!(
        finished.stderr.contains("notify.command says: it is wrong"),
        "{}",
        finished.stderr
    );
    scene.expect_archived(&ids[1..]);
}

#[tokio::test]
async fn a_command_that_is_not_there_or_reads_nothing_does_no_harm() {
    let (mut scene, _) = scene("").await;
    let ids = scene.add(1);
    spoil(&scene, ids[0]);
    scene.archive.set("notify.command", "[\"/nonexistent/tell\"]");
    let finished = scene.once(3).await;
    assert_eq!(
        finished.stderr.matches("cannot be run").count(),
        1,
        "{}",
        finished.stderr
    );
    let more = scene.add(1);
    spoil(&scene, more[0]);
    scene.archive.set("notify.command", "[\"/bin/true\"]");
    let finished = scene.once(3).await;
    assert!(!finished.stderr.contains(FAILED), "{}", finished.stderr);
}

#[tokio::test]
async fn a_command_that_hangs_holds_up_the_end_of_the_daemon_for_a_moment() {
    let (mut scene, keeper) = scene("exec sleep 600").await;
    scene.archive.set_text("notify.timeout", "5m");
    let ids = scene.add(2);
    spoil(&scene, ids[0]);
    let mut daemon = scene.archive.spawn(&[]);
    keeper.wait_for("gave_up").await;
    daemon.sigterm();
    let ended = daemon.exit_within(Duration::from_secs(20)).await;
    ended.expect("it ends").expect_code(0);
    scene.expect_archived(&ids[1..]);
    assert!(keeper.path("argument").exists());
}
