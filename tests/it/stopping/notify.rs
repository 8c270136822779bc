//! What systemd is told.

use std::os::unix::net::UnixDatagram;
use std::time::Duration;
use std::time::Instant;

use super::FROM;
use super::MINUTE;
use super::SLACK;
use super::held;
use crate::surviving::kit::LONG;
use crate::surviving::kit::assert_complete;
use crate::surviving::kit::end_within;
use crate::surviving::kit::place;

/// The messages until one holds this line, each as its lines.
pub async fn until(socket: &tokio::net::UnixDatagram, line: &str) -> Vec<Vec<String>> {
    let mut messages: Vec<Vec<String>> = Vec::new();
    let mut buffer = vec![0; 4096];
    loop {
        let read = tokio::time::timeout(LONG, socket.recv(&mut buffer)).await;
        let read = read
            .unwrap_or_else(|_| panic!("no {line}; there came {messages:?}"))
            .unwrap();
        let text = String::from_utf8(buffer[..read].to_vec()).unwrap();
        messages.push(text.lines().map(str::to_owned).collect());
        if messages.last().unwrap().iter().any(|told| told == line) {
            return messages;
        }
    }
}

fn holds(messages: &[Vec<String>], beginning: &str) -> bool {
    messages.iter().flatten().any(|line| line.starts_with(beginning))
}

pub fn bound(socket: UnixDatagram) -> tokio::net::UnixDatagram {
    socket.set_nonblocking(true).unwrap();
    tokio::net::UnixDatagram::from_std(socket).unwrap()
}

#[tokio::test]
async fn systemd_is_told_of_the_whole_life() {
    let (bird, workspace, mut archive) = place().await;
    workspace.add_many(1, FROM, MINUTE);
    let path = archive.root().join("notify.sock");
    let socket = bound(UnixDatagram::bind(&path).unwrap());
    archive
        .env("NOTIFY_SOCKET", &path)
        .env("WATCHDOG_USEC", "1000000")
        .set_text("shutdown.grace", "4s");
    let mut running = held(&bird, &archive, &[]).await;
    let start = until(&socket, "READY=1").await;
    assert!(
        !holds(&start, "WATCHDOG=1") && !holds(&start, "STOPPING=1"),
        "{start:?}"
    );
    // Three beats within two periods: the watchdog is fed more often than systemd asks for.
    let begun = Instant::now();
    let mut beats = Vec::new();
    for _ in 0..4 {
        beats.extend(until(&socket, "WATCHDOG=1").await);
    }
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    assert!(holds(&[start, beats].concat(), "STATUS="), "no status");
    running.sigterm();
    let mut end = until(&socket, "STOPPING=1").await;
    // While it finishes what is in flight, the watchdog must not kill it.
    end.extend(until(&socket, "WATCHDOG=1").await);
    end.extend(until(&socket, "WATCHDOG=1").await);
    assert!(holds(&end, "STATUS=stopping"), "{end:?}");
    running.sigterm();
    end_within(&mut running, SLACK).await.expect_code(0);
}

#[tokio::test]
async fn a_socket_that_is_gone_is_no_hindrance() {
    let (_bird, workspace, mut archive) = place().await;
    workspace.add_many(1, FROM, MINUTE);
    archive.env("NOTIFY_SOCKET", "/nonexistent/notify");
    archive.run(&["--once"]).await.expect_code(0);
    assert_complete(&archive, &workspace).await;
}

#[tokio::test]
async fn a_process_of_another_is_not_told_to_feed_its_watchdog() {
    let (bird, _workspace, mut archive) = place().await;
    let path = archive.root().join("notify.sock");
    let socket = bound(UnixDatagram::bind(&path).unwrap());
    archive
        .env("NOTIFY_SOCKET", &path)
        .env("WATCHDOG_USEC", "100000")
        .env("WATCHDOG_PID", "1");
    let mut running = archive.spawn(&[]);
    bird.wait_until(|bird| bird.list_requests() == 1).await;
    running.sigterm();
    let told = until(&socket, "STOPPING=1").await;
    assert!(!holds(&told, "WATCHDOG=1"), "{told:?}");
    end_within(&mut running, SLACK).await.expect_code(0);
}

#[tokio::test]
async fn a_socket_without_a_file_is_told_too() {
    use std::os::linux::net::SocketAddrExt as _;

    let (bird, workspace, mut archive) = place().await;
    workspace.add_many(1, FROM, MINUTE);
    let name = format!("birdkeep-test-{}", std::process::id());
    let address = std::os::unix::net::SocketAddr::from_abstract_name(&name).unwrap();
    let socket = bound(UnixDatagram::bind_addr(&address).unwrap());
    archive.env("NOTIFY_SOCKET", format!("@{name}"));
    let mut running = held(&bird, &archive, &[]).await;
    until(&socket, "READY=1").await;
    bird.release_held();
    running.sigterm();
    until(&socket, "STOPPING=1").await;
    end_within(&mut running, LONG).await.expect_code(0);
}
