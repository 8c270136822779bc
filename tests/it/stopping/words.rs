//! What systemd is told in words: what goes on, what is wrong, and neither secrets nor numbers of people.

use std::os::unix::net::UnixDatagram;

use super::FROM;
use super::MINUTE;
use super::held;
use super::notify::bound;
use crate::support::bird::ApiAction;
use crate::support::bird::FaultRule;
use crate::support::harness::Archive;
use crate::surviving::kit::KEY;
use crate::surviving::kit::LONG;
use crate::surviving::kit::end_within;
use crate::surviving::kit::place;

/// The longest status, in characters.
const LONGEST: usize = 200;

/// A socket in systemd's place, that this archive's daemon is told of.
struct Listener(tokio::net::UnixDatagram);

impl Listener {
    fn of(archive: &mut Archive) -> Self {
        let path = archive.root().join("notify.sock");
        let socket = bound(UnixDatagram::bind(&path).unwrap());
        archive.env("NOTIFY_SOCKET", &path);
        Self(socket)
    }

    /// Reads what comes until a status is as wanted, and holds each to its form.
    async fn until(&self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let mut seen = Vec::new();
        let mut buffer = vec![0; 4096];
        loop {
            let read = tokio::time::timeout(LONG, self.0.recv(&mut buffer)).await;
            let read = read
                .unwrap_or_else(|_| panic!("no status {what:?}: {seen:#?}"))
                .unwrap();
            let message = std::str::from_utf8(&buffer[..read]).unwrap();
            for status in message.lines().filter_map(|line| line.strip_prefix("STATUS=")) {
                assert!(status.chars().count() <= LONGEST, "{status}");
                assert!(!status.contains(KEY) && !status.contains("31201234567"), "{status}");
                seen.push(status.to_owned());
                if wanted(status) {
                    return status.to_owned();
                }
            }
        }
    }
}

#[tokio::test]
async fn what_goes_on_is_told_from_the_start_to_the_stop() {
    let (bird, workspace, mut archive) = place().await;
    archive.set_text("sync.interval", "1s");
    archive.set("download.concurrency", "1");
    workspace.add_many(3, FROM, MINUTE);
    let told = Listener::of(&mut archive);
    let mut running = held(&bird, &archive, &[]).await;
    told.until("a start", |status| status.starts_with("starting: ")).await;
    told.until("a download", |status| {
        status == "running: 1 download under way, 2 due; no recordings archived (0 B); its workspace is fresh"
    })
    .await;
    bird.clear_faults();
    bird.release_held();
    told.until("the end of it", |status| {
        status.starts_with("running: no downloads under way, 0 due; 3 recordings archived (")
    })
    .await;

    archive.set("download.concurrency", "0");
    running.sighup();
    told.until("a refusal", |status| {
        status.starts_with("a new configuration was refused, see the log; running: ")
    })
    .await;
    archive.set("download.concurrency", "1");
    running.sighup();
    told.until("the new one", |status| status.starts_with("running: no downloads"))
        .await;

    workspace.set_key("another-key-upstream-wants");
    told.until("a pause", |status| {
        status.starts_with("not ready: support paused: ") && status.contains("; 3 recordings archived (")
    })
    .await;
    running.sigterm();
    told.until("a stop", |status| status.starts_with("stopping: ")).await;
    end_within(&mut running, LONG).await.expect_code(0);
}

#[tokio::test]
async fn what_is_in_flight_at_the_stop_is_counted_and_hostile_words_are_short_and_name_nobody() {
    let (bird, workspace, mut archive) = place().await;
    archive.set_text("sync.interval", "1s");
    workspace.add_many(2, FROM, MINUTE);
    let told = Listener::of(&mut archive);
    let mut running = held(&bird, &archive, &[]).await;
    told.until("two", |status| status.starts_with("running: 2 downloads under way"))
        .await;
    let words = format!(
        "no, +31 20 123 45 67 or 31201234567 with {KEY}\nREADY=1 {}",
        "x".repeat(500)
    );
    let reply = serde_json::json!({"code": "InvalidRequest", "message": words}).to_string();
    bird.fault(FaultRule::list(ApiAction::Status {
        status: 400,
        retry_after: None,
        body: reply.into(),
    }));
    told.until("the reason", |status| {
        status.contains("; walks of support fail: ") && status.contains("***") && status.ends_with('…')
    })
    .await;
    running.sigterm();
    told.until("what is finished", |status| {
        status == "stopping: 2 downloads under way, finished first"
    })
    .await;
    bird.clear_faults();
    bird.release_held();
    end_within(&mut running, LONG).await.expect_code(0);
}
