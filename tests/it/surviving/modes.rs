//! Who may read what is left behind, and what may not be in it at all.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use super::kit::KEY;
use super::kit::LONG;
use super::kit::end_within;
use super::kit::eventually;
use super::kit::place;
use super::kit::wrapper;
use crate::support::bird::ApiAction;
use crate::support::bird::At;
use crate::support::bird::Bird;
use crate::support::bird::BirdOptions;
use crate::support::bird::FaultRule;
use crate::support::bird::MediaAction;
use crate::support::bird::RecordingSpec;
use crate::support::bird::RedirectTo;
use crate::support::harness::Archive;

/// Everything below a place and itself: is it a directory, and its mode.
fn modes(place: &Path) -> Vec<(PathBuf, bool, u32)> {
    let kind = fs::symlink_metadata(place).unwrap();
    let mut found = vec![(place.to_owned(), kind.is_dir(), kind.permissions().mode() & 0o7777)];
    if kind.is_dir() {
        for entry in fs::read_dir(place).unwrap() {
            found.extend(modes(&entry.unwrap().path()));
        }
    }
    found
}

#[tokio::test]
async fn modes_do_not_depend_on_the_umask() {
    for (umask, group_readable, dir_mode, file_mode) in [
        ("000", "false", 0o700, 0o600),
        ("000", "true", 0o750, 0o640),
        ("077", "true", 0o750, 0o640),
        ("077", "false", 0o700, 0o600),
    ] {
        let (bird, workspace, plain) = place().await;
        let program = wrapper(&plain, &format!("umask {umask}; exec \"$B\" \"$@\""));
        let mut archive = Archive::new(program, &bird, &[("support", &workspace)]);
        archive.set("archive.group_readable", group_readable);
        workspace.add_many(2, "2026-03-01T10:00:00Z", Duration::from_mins(1));
        let large = workspace.add(RecordingSpec::new().body_bytes(2_000_000));
        bird.fault(FaultRule::media(MediaAction::Hold(At::Half)).recording(large).times(1));
        let mut running = archive.spawn(&[]);
        // While it runs: a body in staging, the catalog's companions, the lock.
        bird.wait_until(|bird| bird.media_requests() == 3 && bird.media_in_flight() == 1)
            .await;
        eventually("two are archived", || {
            archive.files().len() == 4 && archive.staging_files().len() == 1
        })
        .await;
        let seen = modes(&archive.dir());
        assert!(
            seen.iter().any(|(path, ..)| path.ends_with("catalog.sqlite-wal")),
            "{seen:?}"
        );
        for (path, is_dir, mode) in seen {
            let wanted = if is_dir { dir_mode } else { file_mode };
            assert_eq!(
                mode,
                wanted,
                "umask {umask}: {} is {mode:o}, not {wanted:o}",
                path.display()
            );
        }
        bird.release_held();
        eventually("all are archived", || archive.files().len() == 6).await;
        running.sigterm();
        end_within(&mut running, LONG).await.expect_code(0);
        for (path, is_dir, mode) in modes(&archive.dir()) {
            assert_eq!(
                mode,
                if is_dir { dir_mode } else { file_mode },
                "{} is {mode:o}",
                path.display()
            );
        }
    }
}

/// Something of everything that is told of in a log.
fn mix_faults_in(bird: &Bird) {
    let page = |body: &'static str| MediaAction::Page {
        content_type: "audio/mpeg".to_owned(),
        body: body.as_bytes().into(),
    };
    for action in [
        MediaAction::access_denied(),
        MediaAction::slow_down(),
        MediaAction::expired_token(),
        MediaAction::html_as("audio/mpeg"),
        MediaAction::Truncate(At::Half),
        MediaAction::Reset(At::Half),
        MediaAction::Close,
        MediaAction::BitFlip(At::Half),
        MediaAction::Redirect {
            status: 302,
            to: RedirectTo::Foreign,
        },
        MediaAction::Redirect {
            status: 302,
            to: RedirectTo::Itself,
        },
        MediaAction::Redirect {
            status: 302,
            to: RedirectTo::Right,
        },
        MediaAction::Redirect {
            status: 302,
            to: RedirectTo::Other("http://:/?X-Amz-Signature=0".to_owned()),
        },
        page(""),
        MediaAction::error(404, "NoSuchKey"),
        MediaAction::error(403, "SignatureDoesNotMatch"),
    ] {
        bird.fault(FaultRule::media(action).times(2));
    }
    bird.fault(FaultRule::list(ApiAction::status(500)).times(1));
    bird.fault(FaultRule::item(ApiAction::status(403)).times(1));
    bird.fault(FaultRule::item(ApiAction::TruncatedJson).times(1));
    bird.fault(FaultRule::item(ApiAction::Close).times(1));
}

#[tokio::test]
async fn no_secret_and_no_number_is_in_the_archive_or_the_logs() {
    let caller = "351919876543";
    let (bird, workspace, mut archive) = super::kit::place_with(BirdOptions {
        url_life: Duration::from_mins(1),
        ..BirdOptions::default()
    })
    .await;
    for _ in 0..40 {
        workspace.add(RecordingSpec::new().duration_seconds(2).caller(caller));
    }
    workspace.add(RecordingSpec::new().raw("{\"id\":\"not-an-id\",\"url\":\"https://x/?X-Amz-Signature=00\"}"));
    archive.set("download.concurrency", "3");
    mix_faults_in(&bird);
    let everything = "birdkeep=trace,reqwest=trace,hyper=trace,hyper_util=trace,h2=trace,rustls=trace,sqlx=trace";
    for format in ["text", "json"] {
        let mut running = archive.spawn(&["--once", "--log-level", everything, "--log-format", format]);
        let cmdline = fs::read(format!("/proc/{}/cmdline", running.pid().unwrap())).unwrap();
        assert!(!String::from_utf8_lossy(&cmdline).contains(KEY));
        end_within(&mut running, LONG).await.expect_code(3);
    }
    // A key that is refused is told of as well, and still not told.
    workspace.set_key("another-key-altogether-0123456789");
    let finished = archive.run(&["--once", "--log-level", "trace"]).await.expect_code(3);
    assert!(
        finished.stderr.contains("401") || finished.stderr.contains("credential"),
        "{}",
        finished.stderr
    );
    archive.run(&["check"]).await.expect_code(1);
    workspace.set_key(KEY);
    bird.clear_faults();
    archive.run(&["retry", "--all"]).await.expect_code(0);
    archive.run(&["--once", "--log-level", "trace"]).await.expect_code(3);
    assert!(bird.secrets().len() > 40);
    assert_eq!(archive.grep_secrets(&bird), Vec::new());
    assert_eq!(bird.foreign_requests(), 0);
    let output = String::from_utf8_lossy(&archive.output()).into_owned();
    let told = output
        .lines()
        .find(|line| line.contains(caller) || line.contains("X-Amz-Credential=") && !line.contains("***"));
    assert_eq!(told, None);
    for name in archive.files() {
        assert!(!name.contains(caller), "{name}");
    }
}
