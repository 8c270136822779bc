//! Where no secret is: in any file while birdkeep works, in what a crash leaves, in what the system shows of it.

use std::fs;
use std::time::Duration;

use crate::support::bird::At;
use crate::support::bird::FaultRule;
use crate::support::bird::MediaAction;
use crate::support::bird::RecordingSpec;
use crate::surviving::kit::KEY;
use crate::surviving::kit::assert_complete;
use crate::surviving::kit::eventually;
use crate::surviving::kit::place;

#[tokio::test]
async fn no_secret_is_in_any_file_while_it_works_or_after_a_crash() {
    let (bird, workspace, mut archive) = place().await;
    archive.unset("workspaces.support.access_key");
    archive.set_text("workspaces.support.access_key_file", "support.key");
    fs::write(archive.root().join("support.key"), KEY).unwrap();
    // Versions, so that rows are rewritten and pages set free.
    let ids = workspace.add_many(28, "2026-03-01T10:00:00Z", Duration::from_mins(1));
    for _ in 0..2 {
        let large = workspace.add(RecordingSpec::new().body_bytes(2_000_000));
        bird.fault(FaultRule::media(MediaAction::Hold(At::Half)).recording(large).times(1));
    }
    archive.set_text("sync.interval", "1s");
    archive.set_text("sync.full_walk_interval", "1s");
    let mut running = archive.spawn(&["--log-level", "trace"]);
    eventually("all but two are archived", || {
        archive.media_files().len() == 28 && archive.staging_files().len() == 2
    })
    .await;
    for id in &ids {
        workspace.edit(*id, |members| {
            members.insert("note".to_owned(), "changed".repeat(40).into());
        });
    }
    let listed = bird.requests().len();
    bird.wait_until(|bird| bird.requests().len() > listed + 2).await;
    let wal = archive.dir().join("catalog.sqlite-wal");
    assert!(fs::metadata(&wal).unwrap().len() > 0);
    assert_eq!(archive.grep_secrets(&bird), []);
    let pid = running.pid().unwrap();
    for name in ["cmdline", "environ", "comm"] {
        // What only root may read is not on show.
        let Ok(shown) = fs::read(format!("/proc/{pid}/{name}")) else {
            assert_eq!(name, "environ");
            continue;
        };
        assert!(!String::from_utf8_lossy(&shown).contains(KEY), "{name}");
    }
    running.kill_9().await;
    assert!(fs::metadata(&wal).unwrap().len() > 0 && archive.staging_files().len() == 2);
    assert_eq!(archive.grep_secrets(&bird), []);
    bird.release_held();
    archive.run(&["--once", "--log-level", "trace"]).await.expect_code(0);
    assert_complete(&archive, &workspace).await;
    assert_eq!(archive.grep_secrets(&bird), []);
    assert!(bird.secrets().len() > 30);
}
