//! `/readyz` tells what is wrong while it is wrong and no longer; `/healthz` says 200 throughout.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use super::kit::request;
use super::kit::start;
use crate::support::bird::ApiAction;
use crate::support::bird::At;
use crate::support::bird::FaultRule;
use crate::support::bird::LinkAction;
use crate::support::bird::MediaAction;
use crate::surviving::kit::KEY;
use crate::surviving::kit::LONG;
use crate::surviving::kit::end_within;
use crate::surviving::kit::locked;
use crate::surviving::kit::place;
use crate::surviving::kit::sql;

const FROM: &str = "2026-03-01T10:00:00Z";
const MINUTE: Duration = Duration::from_mins(1);

#[tokio::test]
async fn it_is_ready_from_its_first_complete_walk_until_it_is_asked_to_stop() {
    let (bird, workspace, archive) = place().await;
    workspace.add_many(1, FROM, MINUTE);
    bird.fault(FaultRule::media(MediaAction::Hold(At::Half)));
    let silence = bird.fault(FaultRule::list(ApiAction::Delay(Duration::from_secs(1))).times(1));
    let mut daemon = start(&archive).await;
    let answer = daemon
        .until_ready_says("the list is not read yet", |answer| {
            answer.codes() == ["not_yet_walked"]
        })
        .await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.json()["problems"][0]["workspace"], "support");
    assert_eq!(answer.json()["workspaces"][0]["ready"], false);
    bird.clear_fault(silence);
    let answer = daemon
        .until_ready_says("it is ready", |answer| answer.status == 200)
        .await;
    let told = answer.json();
    assert_eq!(
        (&told["ready"], &told["problems"]),
        (&true.into(), &serde_json::json!([]))
    );
    assert_eq!(told["workspaces"][0]["ready"], true, "{told}");
    // A download is held: the stop is not over yet.
    daemon.running.sigterm();
    let answer = daemon
        .until_ready_says("it stops", |answer| answer.codes() == ["stopping"])
        .await;
    assert_eq!(answer.status, 503);
    bird.clear_faults();
    bird.release_held();
    end_within(&mut daemon.running, LONG).await.expect_code(0);
}

#[tokio::test]
async fn a_refused_key_pauses_and_a_good_one_ends_that() {
    let (_bird, workspace, mut archive) = place().await;
    archive.set_text("sync.interval", "1s");
    workspace.add_many(1, FROM, MINUTE);
    let daemon = start(&archive).await;
    daemon
        .until_ready_says("it is ready", |answer| answer.status == 200)
        .await;
    workspace.set_key("another-key-of-this-workspace-12345");
    let answer = daemon
        .until_ready_says("it is paused", |answer| answer.codes() == ["paused"])
        .await;
    assert_eq!(answer.status, 503);
    let text = answer.json()["problems"][0]["text"].as_str().unwrap().to_owned();
    assert!(text.contains("401") && !text.contains(KEY), "{text}");
    let samples = daemon.samples().await;
    assert!(
        samples["birdkeep_workspace_paused{workspace=\"support\"}"] > 0.5,
        "{samples:#?}"
    );
    assert!(samples["birdkeep_ready"] < 0.5 && samples["birdkeep_problems{code=\"paused\"}"] > 0.5);
}

#[tokio::test]
async fn a_key_that_may_not_view_pauses_though_lists_are_read() {
    let (bird, workspace, mut archive) = place().await;
    archive.set_text("sync.interval", "1s");
    workspace.add_many(2, FROM, MINUTE);
    bird.fault(FaultRule::link(LinkAction::Missing));
    bird.fault(FaultRule::item(ApiAction::status(403)));
    let daemon = start(&archive).await;
    daemon
        .until_ready_says("it is paused", |answer| answer.codes() == ["paused"])
        .await;
}

#[tokio::test]
async fn upstream_away_is_named_at_once_and_makes_unready_once_the_list_is_stale() {
    let (bird, workspace, mut archive) = place().await;
    archive
        .set_text("sync.interval", "1s")
        .set_text("http.stale_after", "4s");
    archive.set_text("api.timeout", "1s");
    workspace.add_many(1, FROM, MINUTE);
    let daemon = start(&archive).await;
    daemon
        .until_ready_says("it is ready", |answer| answer.status == 200)
        .await;
    bird.fault(FaultRule::api(ApiAction::status(400)));
    let answer = daemon
        .until_ready_says("the failure is named", |answer| answer.codes() == ["failing"])
        .await;
    assert_eq!(
        answer.status, 200,
        "a walk that failed alone makes nothing unready: {answer:?}"
    );
    let answer = daemon
        .until_ready_says("it is stale", |answer| answer.codes() == ["walk_stale", "failing"])
        .await;
    assert_eq!(answer.status, 503);
    bird.clear_faults();
    let answer = daemon.until_ready_says("it is ready again", |answer| answer.status == 200);
    assert_eq!(answer.await.codes(), Vec::<String>::new());
}

#[tokio::test]
async fn less_than_the_reserve_makes_unready() {
    let (_bird, workspace, mut archive) = place().await;
    archive.set_text("archive.min_free", "900 TiB");
    workspace.add_many(1, FROM, MINUTE);
    let daemon = start(&archive).await;
    let answer = daemon
        .until_ready_says("the disk is low", |answer| answer.codes() == ["disk_low"])
        .await;
    assert_eq!(answer.status, 503);
    let samples = daemon.samples().await;
    assert!(samples["birdkeep_disk_free_bytes"] < samples["birdkeep_disk_reserve_bytes"]);
    assert!(samples["birdkeep_disk_accepts_recordings"] < 0.5, "{samples:#?}");
}

/// A small file system in the archive's place; gone when dropped.
struct Small(PathBuf);

impl Small {
    fn mount(place: &Path, options: &str) -> bool {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", options, "birdkeep-test"]).arg(place);
        mount.status().is_ok_and(|status| status.success())
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(&self.0).status());
    }
}

#[tokio::test]
async fn a_full_disk_makes_unready_until_there_is_room() {
    let (_bird, workspace, archive) = place().await;
    fs::create_dir_all(archive.dir()).unwrap();
    if !Small::mount(&archive.dir(), "size=6m,mode=700") {
        eprintln!("SKIPPED: a full disk needs a mount, and this user may not make one");
        return;
    }
    let volume = Small(archive.dir());
    let daemon = start(&archive).await;
    daemon
        .until_ready_says("it is ready", |answer| answer.status == 200)
        .await;
    // Full by somebody else's hand.
    let filler = archive.dir().join("staging/filler");
    let mut size = 8 << 20;
    while size > 0 {
        let more = vec![1; size];
        let mut held = fs::read(&filler).unwrap_or_default();
        held.extend(more);
        if fs::write(&filler, &held).is_err() {
            size /= 2;
        }
    }
    workspace.add_many(1, FROM, MINUTE);
    let answer = daemon
        .until_ready_says("the disk is full", |answer| {
            answer.codes().iter().any(|code| code == "disk_refuses")
        })
        .await;
    assert_eq!(answer.status, 503);
    assert!(Small::mount(&volume.0, "remount,size=64m"));
    daemon
        .until_ready_says("there is room again", |answer| answer.status == 200)
        .await;
    drop(daemon);
    drop(volume);
}

#[tokio::test]
async fn a_catalog_that_cannot_be_read_is_named_and_breaks_nothing() {
    let (_bird, workspace, mut archive) = place().await;
    archive.set_text("sync.interval", "1h");
    workspace.add_many(1, FROM, MINUTE);
    let daemon = start(&archive).await;
    daemon
        .until_ready_says("it is ready", |answer| answer.status == 200)
        .await;
    sql(&archive, "ALTER TABLE set_aside RENAME TO elsewhere").await;
    let answer = daemon
        .until_ready_says("it is named", |answer| {
            answer.codes().iter().any(|code| code == "catalog_unreadable")
        })
        .await;
    assert_eq!(answer.status, 503);
    let samples = daemon.samples().await;
    assert!(samples["birdkeep_catalog_readable"] < 0.5, "{samples:#?}");
    assert!(!samples.keys().any(|name| name.starts_with("birdkeep_recordings")));
    sql(&archive, "ALTER TABLE elsewhere RENAME TO set_aside").await;
    daemon
        .until_ready_says("it can be read again", |answer| answer.status == 200)
        .await;
}

#[tokio::test]
async fn a_restored_catalog_is_brought_level_in_the_open() {
    let (_bird, workspace, archive) = place().await;
    workspace.add_many(1, FROM, MINUTE);
    archive.run(&["--once"]).await.expect_code(0);
    let copy = fs::read(archive.catalog_path()).unwrap();
    let id = workspace.add_many(1, "2026-03-02T10:00:00Z", MINUTE)[0];
    archive.run(&["--once"]).await.expect_code(0);
    crate::rebuilding::kit::lose_catalog(&archive);
    fs::write(archive.catalog_path(), copy).unwrap();
    crate::rebuilding::restored::make_huge(&archive, id);
    sql(&archive, "UPDATE archive SET copied_at = 1772359200000000").await;
    let daemon = start(&archive).await;
    let answer = daemon
        .until_ready_says("it is being brought level", |answer| {
            answer.codes().iter().any(|code| code == "reconciling")
        })
        .await;
    assert_eq!(answer.status, 503);
    let probed = request(daemon.address, "HEAD /healthz", &["Host: localhost"]).await;
    assert_eq!((probed.status, probed.body.as_str()), (200, ""));
}

#[tokio::test]
async fn a_catalog_that_takes_no_writes_makes_unready_though_nothing_is_due() {
    let (_bird, workspace, mut archive) = place().await;
    archive.set_text("sync.interval", "1s");
    workspace.add_many(1, FROM, MINUTE);
    let daemon = start(&archive).await;
    daemon
        .until_samples("nothing is left to do", |samples| {
            samples.get("birdkeep_recordings{workspace=\"support\",state=\"archived\"}") == Some(&1.0)
                && samples["birdkeep_queue_recordings"] == 0.0
        })
        .await;
    let lock = locked(&archive).await;
    let answer = daemon
        .until_ready_says("nothing is kept", |answer| {
            let told = answer.json()["problems"][0].clone();
            let text = told["text"].as_str().unwrap_or_default();
            told["code"] == "disk_refuses" && text.contains("cannot keep what was listed")
        })
        .await;
    assert_eq!(answer.status, 503);
    assert!(answer.body.contains("database is locked"), "{answer:?}");
    drop(lock);
    daemon
        .until_ready_says("it is ready again", |answer| answer.status == 200)
        .await;
}
