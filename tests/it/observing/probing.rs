//! `birdkeep health`, as a container's probe runs it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;
use std::time::Instant;

use super::kit::start;
use crate::surviving::kit::place;

#[tokio::test]
async fn health_and_readiness_are_told_in_one_line_and_by_the_exit_code() {
    let (_bird, workspace, mut archive) = place().await;
    archive.set_text("sync.interval", "1s");
    let daemon = start(&archive).await;
    daemon
        .until_ready_says("it is ready", |answer| answer.status == 200)
        .await;
    archive.set_text("http.listen", &daemon.address.to_string());
    // A probe may run as somebody who cannot read the keys, and where a proxy is set.
    archive.unset("workspaces.support.access_key");
    archive.set_text("workspaces.support.access_key_file", "not-there.key");
    archive
        .env("http_proxy", "http://127.0.0.1:1")
        .env("ALL_PROXY", "http://127.0.0.1:1");
    assert_eq!(archive.run(&["health"]).await.expect_code(0).stdout, "alive\n");
    assert_eq!(
        archive.run(&["health", "--ready"]).await.expect_code(0).stdout,
        "ready\n"
    );
    workspace.set_key("another-key-of-this-workspace-12345");
    daemon
        .until_ready_says("it is paused", |answer| answer.codes() == ["paused"])
        .await;
    let finished = archive.run(&["health", "--ready"]).await.expect_code(1);
    assert!(
        finished.stdout.starts_with("not ready: support: paused (") && finished.stdout.lines().count() == 1,
        "{}",
        finished.stdout
    );
    assert_eq!(archive.run(&["health"]).await.expect_code(0).stdout, "alive\n");
}

#[tokio::test]
async fn nobody_there_and_nobody_who_speaks_are_told_within_seconds() {
    let (_bird, _workspace, mut archive) = place().await;
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    archive.set_text("http.listen", &address.to_string());
    let begun = Instant::now();
    let finished = archive.run(&["health"]).await.expect_code(1);
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert!(finished.stderr.contains("within 3s"), "{}", finished.stderr);
    drop(silent);
    let finished = archive.run(&["health"]).await.expect_code(1);
    assert!(finished.stderr.contains("no daemon answers"), "{}", finished.stderr);
}

#[tokio::test]
async fn the_token_is_read_for_a_probe_and_no_other_key() {
    let (_bird, _workspace, mut archive) = place().await;
    let token = archive.root().join("http.token");
    fs::write(&token, "a-token-of-the-listener-0123").unwrap();
    fs::set_permissions(&token, fs::Permissions::from_mode(0o600)).unwrap();
    archive
        .set_text("http.token_file", "http.token")
        .set_text("sync.interval", "1s");
    let daemon = start(&archive).await;
    archive.set_text("http.listen", &daemon.address.to_string());
    archive.unset("workspaces.support.access_key");
    archive.set_text("workspaces.support.access_key_file", "not-there.key");
    assert_eq!(archive.run(&["health"]).await.expect_code(0).stdout, "alive\n");
    let begun = Instant::now();
    loop {
        let finished = archive.run(&["health", "--ready"]).await;
        if finished.stdout == "ready\n" {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "{finished:?}");
    }
    fs::write(&token, "another-token-of-a-listener").unwrap();
    let finished = archive.run(&["health", "--ready"]).await.expect_code(1);
    assert!(
        finished.stdout.starts_with("refused: status 401"),
        "{}",
        finished.stdout
    );
    fs::remove_file(&token).unwrap();
    archive.run(&["health", "--ready"]).await.expect_code(78);
    // Whether it lives is told without one: a daemon that does is not restarted for a token that is away.
    assert_eq!(archive.run(&["health"]).await.expect_code(0).stdout, "alive\n");
    // Commands that only look need no token.
    archive.run(&["status"]).await.expect_code(0);
}

#[tokio::test]
async fn a_daemon_is_alive_whatever_is_wrong_with_a_configuration_that_it_does_not_run_by() {
    let (_bird, _workspace, mut archive) = place().await;
    archive.set_text("sync.interval", "1s");
    let daemon = start(&archive).await;
    archive.set_text("http.listen", &daemon.address.to_string());
    archive
        .set("download.concurrency", "0")
        .set_text("http.stale_afterwards", "soon");
    assert_eq!(archive.run(&["health"]).await.expect_code(0).stdout, "alive\n");
    // Who is ready is told by the configuration as a whole.
    archive.run(&["health", "--ready"]).await.expect_code(78);
    // Where the file cannot be read, the environment may still say where to ask.
    fs::write(archive.config_path(), "[http\n").unwrap();
    archive.env("BIRDKEEP_HTTP__LISTEN", daemon.address.to_string());
    assert_eq!(archive.run(&["health"]).await.expect_code(0).stdout, "alive\n");
}
