//! What is said wrongly, what is configured wrongly, and a world without anybody who listens.

use std::fs;
use std::time::Duration;

use tokio::process::Command;

use crate::support::harness::Archive;
use crate::surviving::kit::BINARY;
use crate::surviving::kit::KEY;
use crate::surviving::kit::LONG;
use crate::surviving::kit::WORKSPACE;
use crate::surviving::kit::assert_complete;
use crate::surviving::kit::end_within;
use crate::surviving::kit::eventually;
use crate::surviving::kit::place;
use crate::surviving::kit::wrapper;

#[tokio::test]
async fn what_cannot_be_meant_is_64_and_nothing_is_done() {
    let (bird, _workspace, archive) = place().await;
    for args in [
        &["--dry-run"][..],
        &["--not-durable"],
        &["--not-durable", "status"],
        &["--nonsense"],
        &["nonsense"],
        &["--once", "status"],
        &["--once", "--workspace", "unknown"],
        &["--once", "--workspace", "Not/A-Name"],
        &["status", "--workspace", "unknown"],
        &["--once", "--log-level", "loud,,="],
        &["--once", "--log-format", "xml"],
        &["show", "not-an-id"],
        &["show"],
    ] {
        let finished = archive.run(args).await.expect_code(64);
        assert!(!finished.stderr.is_empty() && finished.stdout.is_empty(), "{args:?}");
    }
    let finished = archive.run(&["--once", "--workspace", "unknown"]).await;
    assert!(
        finished.stderr.contains("support"),
        "the known ones are not named: {}",
        finished.stderr
    );
    assert!(!archive.dir().exists());
    assert_eq!(bird.api_requests(), 0);
}

/// What measures the cost of syncs is no offer, and never goes unsaid.
#[tokio::test]
async fn a_pass_that_syncs_nothing_says_so() {
    let (_bird, workspace, archive) = place().await;
    workspace.add_many(3, "2026-03-01T10:00:00Z", Duration::from_mins(1));
    let finished = archive.run(&["--once", "--not-durable"]).await.expect_code(0);
    assert!(finished.stderr.contains("--not-durable"), "{}", finished.stderr);
    assert_complete(&archive, &workspace).await;
    let finished = archive.run(&["--once"]).await.expect_code(0);
    assert!(!finished.stderr.contains("--not-durable"), "{}", finished.stderr);
}

#[tokio::test]
async fn help_names_everything_and_the_version_is_ours() {
    let (_bird, _workspace, archive) = place().await;
    let help = archive.run(&["--help"]).await.expect_code(0);
    assert_eq!(help.stderr, "");
    assert!(!help.stdout.contains("--not-durable"));
    for word in [
        "check",
        "status",
        "list",
        "show",
        "retry",
        "--once",
        "--dry-run",
        "--config",
        "--workspace",
        "--log-level",
        "--log-format",
        "Exit codes",
        "64",
        "78",
        "BIRDKEEP_CONFIG",
    ] {
        assert!(help.stdout.contains(word), "{word} in\n{}", help.stdout);
    }
    for command in ["check", "status", "list", "show", "retry"] {
        let help = archive.run(&[command, "--help"]).await.expect_code(0).stdout;
        assert!(help.contains(&format!("birdkeep {command}")), "{help}");
    }
    let version = archive.run(&["--version"]).await.expect_code(0).stdout;
    assert_eq!(version, format!("birdkeep {}\n", env!("CARGO_PKG_VERSION")));
}

/// birdkeep with this environment and nothing else, in the archive's root.
async fn bare(archive: &Archive, args: &[&str], env: &[(&str, &str)]) -> (i32, String, String) {
    let mut command = Command::new(BINARY);
    command
        .args(args)
        .env_clear()
        .envs(env.iter().copied())
        .current_dir(archive.root());
    let output = tokio::time::timeout(LONG, command.output())
        .await
        .expect("it ends")
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (
        output.status.code().expect("an exit code"),
        text(output.stdout),
        text(output.stderr),
    )
}

#[tokio::test]
async fn without_a_configuration_the_way_to_one_is_told() {
    let (_bird, _workspace, archive) = place().await;
    for args in [&[][..], &["--once"], &["check"], &["status"]] {
        let (code, stdout, stderr) = bare(&archive, args, &[]).await;
        assert_eq!((code, stdout.as_str()), (78, ""), "{stderr}");
        assert!(stderr.contains("BIRDKEEP_WORKSPACES__"), "{stderr}");
    }
    let (code, _, stderr) = bare(&archive, &["--once", "--config", "/nonexistent/birdkeep.toml"], &[]).await;
    assert_eq!(code, 78);
    assert!(stderr.contains("/nonexistent/birdkeep.toml"), "{stderr}");
    let (code, _, stderr) = bare(&archive, &["--once"], &[("BIRDKEEP_CONFIG", "/nonexistent/other.toml")]).await;
    assert_eq!(code, 78);
    assert!(
        stderr.contains("/nonexistent/other.toml") && stderr.contains("BIRDKEEP_CONFIG"),
        "{stderr}"
    );
}

#[tokio::test]
async fn what_is_configured_wrongly_is_told_all_at_once_and_never_the_secret() {
    let (bird, _workspace, mut archive) = place().await;
    let file = archive.config_path().display().to_string();
    archive
        .set("api.page_size", "500")
        .set("download.concurency", "4")
        .set_text("sync.interval", "soon");
    archive.set_text("workspaces.support.access_key_file", "also.key");
    archive.env("BIRDKEEP_DOWNLOAD__STALL_TIMEOUT", "-3s");
    for args in [&[][..], &["--once"], &["status"]] {
        let finished = archive.run(args).await.expect_code(78);
        for word in [
            "api.page_size",
            "500",
            &file,
            "download.concurency",
            "download.concurrency",
            "sync.interval",
            "soon",
            "download.stall_timeout",
            "BIRDKEEP_DOWNLOAD__STALL_TIMEOUT",
            "workspaces.support.access_key",
        ] {
            assert!(finished.stderr.contains(word), "{word} in\n{}", finished.stderr);
        }
        assert!(!finished.stderr.contains(KEY), "{}", finished.stderr);
    }
    // A file that is no TOML, at the very line that holds the key.
    fs::write(
        archive.config_path(),
        format!("[workspaces.support]\naccess_key = \"{KEY}\nid = 7\n"),
    )
    .unwrap();
    let finished = archive.run(&["--once"]).await.expect_code(78);
    assert!(
        finished.stderr.contains(&file) && !finished.stderr.contains(KEY),
        "{}",
        finished.stderr
    );
    assert!(!archive.dir().exists());
    assert_eq!(bird.api_requests(), 0);
}

#[tokio::test]
async fn one_workspace_needs_no_file() {
    let (bird, workspace, archive) = place().await;
    workspace.add_many(2, "2026-03-01T10:00:00Z", Duration::from_mins(1));
    let dir = archive.dir().display().to_string();
    let mut env = vec![
        ("BIRDKEEP_WORKSPACES__SUPPORT__ID", WORKSPACE),
        ("BIRDKEEP_WORKSPACES__SUPPORT__ACCESS_KEY", KEY),
        ("BIRDKEEP_API__BASE_URL", bird.base_url()),
        ("BIRDKEEP_ARCHIVE__DIR", &dir),
        ("BIRDKEEP_ARCHIVE__MIN_FREE", "0 B"),
        ("BIRDKEEP_DOWNLOAD__ALLOWED_HOSTS", "media.example.com,127.0.0.1"),
    ];
    let (code, stdout, stderr) = bare(&archive, &["--once"], &env).await;
    assert_eq!(code, 0, "{stdout}{stderr}");
    assert!(stdout.contains("2 archived"), "{stdout}");
    assert_complete(&archive, &workspace).await;
    // Under systemd the archive is where it says, beside the configuration where nobody says.
    env.retain(|(name, _)| *name != "BIRDKEEP_ARCHIVE__DIR");
    let state = archive.root().join("state").display().to_string();
    env.push(("STATE_DIRECTORY", &state));
    assert_eq!(bare(&archive, &["--once"], &env).await.0, 0);
    assert!(archive.root().join("state/archive.json").is_file());
    env.pop();
    assert_eq!(bare(&archive, &["--once"], &env).await.0, 0);
    assert!(archive.root().join("birdkeep-archive/archive.json").is_file());
}

#[tokio::test]
async fn with_nobody_to_hear_it_the_daemon_still_works() {
    for streams in [">&- 2>&-", ">/dev/full 2>/dev/full", "<&- >&- 2>&-"] {
        let (bird, workspace, plain) = place().await;
        let program = wrapper(&plain, &format!("exec \"$B\" \"$@\" {streams}"));
        let archive = Archive::new(program, &bird, &[("support", &workspace)]);
        workspace.add_many(3, "2026-03-01T10:00:00Z", Duration::from_mins(1));
        let mut daemon = archive.spawn(&["--log-level", "trace"]);
        bird.wait_until(|bird| bird.media_requests() == 3 && bird.media_in_flight() == 0)
            .await;
        eventually("all is archived", || archive.files().len() == 6).await;
        daemon.sigterm();
        end_within(&mut daemon, LONG).await.expect_code(0);
        // A catalog that took a log line for a page would be refused here.
        let aloud = wrapper(&plain, "exec \"$B\" \"$@\"");
        assert!(aloud.is_file());
        let mut plain_again = Archive::new(BINARY, &bird, &[("support", &workspace)]);
        plain_again.set_text("archive.dir", &archive.dir().to_string_lossy());
        let listed = plain_again
            .run(&["list", "--format", "json"])
            .await
            .expect_code(0)
            .json_lines();
        assert_eq!(listed.len(), 3);
        plain_again.run(&["--once"]).await.expect_code(0);
        for id in workspace.available() {
            assert!(archive.read(&archive.media_file_of(id).unwrap()) == workspace.body(id));
        }
    }
}

#[tokio::test]
async fn a_result_that_cannot_be_written_is_an_error_and_one_nobody_reads_is_none() {
    let (bird, workspace, plain) = place().await;
    workspace.add_many(3, "2026-03-01T10:00:00Z", Duration::from_mins(1));
    for (line, code) in [("exec \"$B\" \"$@\" >/dev/full", 1), ("\"$B\" \"$@\" | true", 0)] {
        let program = wrapper(&plain, line);
        let mut archive = Archive::new(program, &bird, &[("support", &workspace)]);
        archive.set_text("archive.dir", &plain.dir().to_string_lossy());
        plain.run(&["--once"]).await.expect_code(0);
        for args in [&["list"][..], &["status"], &["list", "--format", "json"]] {
            let finished = archive.run(args).await.expect_code(code);
            assert!(!finished.stderr.contains("panicked"), "{}", finished.stderr);
        }
    }
}
