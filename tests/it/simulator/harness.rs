//! The harness, with a shell script in birdkeep's place.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use super::bird;
use crate::support::bird::RecordingSpec;
use crate::support::harness::Archive;

const SHORT: Duration = Duration::from_secs(20);

/// A program that does what the script says; `$2` is the configuration, `$3` what the test passes.
fn script(dir: &tempfile::TempDir, text: &str) -> PathBuf {
    let path = dir.path().join("program");
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    path
}

#[tokio::test]
async fn a_run_is_captured_whole() {
    let (bird, workspace) = bird().await;
    let dir = tempfile::tempdir().unwrap();
    let program = script(&dir, "cat \"$2\"; echo \"[$1][$3][$EXTRA][$OUTSIDE]\" >&2; exit 3");
    let mut archive = Archive::new(program, &bird, &[("support", &workspace)]);
    archive.set("api.page_size", "7").env("EXTRA", "given");
    let finished = archive.run(&["--once"]).await.expect_code(3);
    assert_eq!(finished.stderr, "[--config][--once][given][]\n");
    for line in [
        "[workspaces.support]",
        &format!("id = \"{}\"", workspace.id()),
        &format!("access_key = \"{}\"", workspace.key()),
        &format!("base_url = \"{}\"", bird.base_url()),
        "allowed_hosts = [\"127.0.0.1\"]",
        "min_free = \"0 B\"",
        "page_size = 7",
    ] {
        assert!(
            finished.stdout.lines().any(|written| written == line),
            "{line} in\n{}",
            finished.stdout
        );
    }
    assert!(!archive.dir().exists());
}

#[tokio::test]
async fn a_run_can_be_stopped_in_every_way() {
    let (bird, workspace) = bird().await;
    let dir = tempfile::tempdir().unwrap();
    let program = script(
        &dir,
        "trap 'exit 7' TERM; trap 'exit 8' INT; echo ready >&2; while :; do sleep 0.05; done",
    );
    let archive = Archive::new(program, &bird, &[("support", &workspace)]);
    let mut running = archive.spawn(&[]);
    assert!(running.stderr_holds("ready", SHORT).await);
    assert!(running.exit_within(Duration::from_millis(100)).await.is_none());
    running.sigterm();
    running.exit_within(SHORT).await.unwrap().expect_code(7);

    let mut running = archive.spawn(&[]);
    assert!(running.stderr_holds("ready", SHORT).await);
    running.sigint();
    running.exit_within(SHORT).await.unwrap().expect_code(8);

    let mut running = archive.spawn(&[]);
    assert!(running.stderr_holds("ready", SHORT).await);
    running.kill_9().await;
    assert_eq!(running.exit_within(SHORT).await.unwrap().code, None);
    assert!(!running.stderr_holds("never said", SHORT).await);
}

#[tokio::test]
async fn secrets_are_found_wherever_they_lie() {
    let (bird, workspace) = bird().await;
    let dir = tempfile::tempdir().unwrap();
    let program = script(&dir, "echo \"$3\"");
    let archive = Archive::new(program, &bird, &[("support", &workspace)]);
    let id = workspace.add(RecordingSpec::new());
    let link = workspace.link(id);
    let (_, signature) = link.split_once("X-Amz-Signature=").unwrap();
    let file = archive
        .dir()
        .join("recordings/support/2024")
        .join(format!("x_{id}.mp3"));
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(
        &file,
        "X-Amz-Signature=*** and hex 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
    )
    .unwrap();
    fs::write(file.with_extension("json"), "{}").unwrap();
    archive.run(&["harmless"]).await.expect_code(0);
    assert_eq!(archive.grep_secrets(&bird), []);
    assert_eq!(
        archive.files(),
        [format!("support/2024/x_{id}.json"), format!("support/2024/x_{id}.mp3")]
    );
    assert_eq!(archive.media_file_of(id), Some(format!("support/2024/x_{id}.mp3")));
    assert_eq!(archive.read(&archive.files()[0]), b"{}");

    fs::write(&file, [b"\0\xff", &signature.as_bytes()[..64], b"\0"].concat()).unwrap();
    assert_eq!(archive.grep_secrets(&bird), [(file.clone(), "a signature".to_owned())]);
    fs::write(&file, format!("kkey-{}", workspace.key())).unwrap();
    assert_eq!(archive.grep_secrets(&bird), [(file.clone(), "access key".to_owned())]);
    fs::remove_file(&file).unwrap();
    archive.run(&[&link]).await;
    let found = archive.grep_secrets(&bird);
    assert!(found.iter().all(|(place, _)| place == std::path::Path::new("<output>")));
    assert_eq!(found.len(), 3, "{found:?}");
}
