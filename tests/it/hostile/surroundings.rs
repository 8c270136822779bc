//! What is wrong around the program: clocks, proxies in the environment, an API that nobody answers for, a catalog
//! that is locked.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use sqlx::ConnectOptions as _;
use sqlx::Connection as _;
use sqlx::sqlite::SqliteConnectOptions;

use super::bounded::skipped;
use crate::listing::scene::Scene;
use crate::listing::scene::each_case;
use crate::support::bird::RequestKind;
use crate::surviving::kit::eventually;

const FAKETIME: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";

/// Whether clocks can be faked here.
fn can_fake_clocks() -> bool {
    let found = Path::new(FAKETIME).exists();
    if !found {
        skipped(&format!(
            "another clock for one process needs {FAKETIME} (package libfaketime)"
        ));
    }
    found
}

fn wear(scene: &mut Scene) {
    scene
        .archive
        .env("LD_PRELOAD", FAKETIME)
        .env("DONT_FAKE_MONOTONIC", "1");
}

#[tokio::test]
async fn with_any_clock_everything_is_archived_and_no_link_wasted() {
    if !can_fake_clocks() {
        return;
    }
    let cases = vec![
        ("an hour behind", "-3600s"),
        ("an hour ahead", "+3600s"),
        ("1970", "@1970-01-01 12:00:00"),
        ("2099", "@2099-06-01 00:00:00"),
    ];
    each_case(cases, |name, clock| async move {
        let mut scene = Scene::new().await;
        wear(&mut scene);
        scene.archive.env("FAKETIME", clock);
        let ids = scene.add(12);
        scene.once(0).await;
        scene.expect_archived(&ids);
        assert_eq!(scene.bird.expired_media_requests(), 0, "{name}");
        let more = scene.add(3);
        scene.once(0).await;
        scene.expect_archived(&more);
    })
    .await;
}

#[tokio::test]
async fn a_clock_that_jumps_stops_nothing_and_takes_nothing_away() {
    if !can_fake_clocks() {
        return;
    }
    let mut scene = Scene::new().await;
    wear(&mut scene);
    let clock: PathBuf = scene.archive.root().join("clock");
    let turn = |to: &str| {
        // In one step, as it is read at any time.
        let next = clock.with_extension("next");
        fs::write(&next, to).unwrap();
        fs::rename(&next, &clock).unwrap();
    };
    turn("+0");
    scene
        .archive
        .env("FAKETIME_TIMESTAMP_FILE", &clock)
        .env("FAKETIME_NO_CACHE", "1");
    scene.archive.set_text("sync.interval", "1s");
    let mut known = scene.add(3);
    let mut daemon = scene.archive.spawn(&[]);
    for jump in ["+1d", "-1d", "+3650d", "-3650d", "+0"] {
        turn(jump);
        known.extend(scene.add(2));
        let wanted = known.len();
        eventually("all is archived", || scene.archive.media_files().len() == wanted).await;
        scene.expect_archived(&known);
    }
    daemon.sigterm();
    let ended = daemon
        .exit_within(Duration::from_secs(30))
        .await
        .unwrap()
        .expect_code(0);
    assert!(!ended.stderr.contains("panicked at"), "{}", ended.stderr);
    scene.once(0).await;
    scene.expect_archived(&known);
}

/// Here the API is on loopback, in clear: that must not leave the machine, whatever the environment says.
#[tokio::test]
async fn proxies_of_the_environment_see_no_key_that_goes_to_loopback() {
    let mut scene = Scene::new().await;
    let proxy = format!("http://{}", scene.bird.foreign_host());
    for name in [
        "http_proxy",
        "HTTP_PROXY",
        "https_proxy",
        "HTTPS_PROXY",
        "all_proxy",
        "ALL_PROXY",
    ] {
        scene.archive.env(name, &proxy);
    }
    let ids = scene.add(4);
    scene.archive.run(&["--once"]).await;
    assert_eq!(scene.bird.list_requests(), 1);
    for seen in scene.bird.requests() {
        let is_foreign = matches!(seen.kind, RequestKind::Foreign { .. });
        assert!(
            !(is_foreign && seen.had_authorization),
            "the proxy has the key: {seen:?}"
        );
    }
    for id in ids {
        assert_eq!(scene.row(id).await["status"], "available");
    }
}

#[tokio::test]
async fn an_api_that_nobody_answers_for_is_told_of_and_caught_up_with() {
    let mut scene = Scene::new().await;
    let ids = scene.add(4);
    scene.archive.set_text("api.base_url", "http://127.0.0.1:1");
    let run = scene.once(3).await;
    assert!(!run.stderr.contains("panicked at"), "{}", run.stderr);
    let outcome = scene.status().await["last_walk"]["outcome"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(outcome.contains("onnect"), "{outcome}");
    let base_url = scene.bird.base_url().to_owned();
    scene.archive.set_text("api.base_url", &base_url);
    scene.once(0).await;
    scene.expect_archived(&ids);
}

/// Another process writes the catalog for a while: that is waited for, and is nobody's fault.
#[tokio::test]
async fn a_catalog_locked_by_another_process_fails_no_recording() {
    let scene = Scene::new().await;
    let mut ids = scene.add(2);
    scene.once(0).await;
    let options = SqliteConnectOptions::new().filename(scene.archive.catalog_path());
    let mut other = options.connect().await.unwrap();
    let held = other.begin_with("BEGIN IMMEDIATE").await.unwrap();
    ids.extend(scene.add(4));
    let mut pass = scene.archive.spawn(&["--once"]);
    assert!(pass.exit_within(Duration::from_secs(3)).await.is_none(), "did not wait");
    held.rollback().await.unwrap();
    pass.exit_within(Duration::from_secs(60)).await.unwrap().expect_code(0);
    scene.expect_archived(&ids);
    for id in ids {
        let row = scene.row(id).await;
        assert_eq!(
            (&row["attempts"], &row["last_error"]),
            (&0.into(), &serde_json::Value::Null)
        );
    }
}
