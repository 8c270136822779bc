//! An older catalog beside newer media is brought level with them: adopted after hashing, nothing overwritten.

use std::fs;
use std::os::unix::fs::FileExt as _;
use std::time::Duration;

use birdkeep::domain::ids::RecordingId;
use serde_json::Value;
use serde_json::json;

use super::kit::ask;
use super::kit::body_of;
use super::kit::dump;
use super::kit::lose_catalog;
use super::kit::sidecar_of;
use crate::support::bird::Bird;
use crate::support::bird::RecordingSpec;
use crate::support::bird::WorkspaceHandle;
use crate::support::harness::Archive;
use crate::surviving::kit::assert_rows_true;
use crate::surviving::kit::count;
use crate::surviving::kit::end_within;
use crate::surviving::kit::place;
use crate::surviving::kit::rows;
use crate::surviving::kit::snapshot;
use crate::surviving::kit::sql;

const COPIED: &[&str] = &["SELECT 'a copy' FROM archive WHERE copied_at IS NOT NULL"];

/// Makes the body of a recording so long that hashing it takes a while, and its sidecar agree about the length.
pub fn make_huge(archive: &Archive, id: RecordingId) {
    let huge = 20_u64 << 30;
    let body = body_of(archive, id);
    fs::File::options()
        .write(true)
        .open(&body)
        .unwrap()
        .set_len(huge)
        .unwrap();
    let path = sidecar_of(archive, id);
    let mut sidecar: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    sidecar["size_bytes"] = json!(huge);
    fs::write(path, sidecar.to_string()).unwrap();
}

/// The catalog as it is now, to be put in the place of a later one.
struct Copy(Vec<u8>);

impl Copy {
    fn of(archive: &Archive) -> Self {
        Self(fs::read(archive.catalog_path()).unwrap())
    }

    async fn restore(&self, archive: &Archive) {
        lose_catalog(archive);
        fs::write(archive.catalog_path(), &self.0).unwrap();
        sql(archive, "UPDATE archive SET copied_at = 1772359200000000").await;
    }
}

async fn one_archived(note: &str) -> (Bird, WorkspaceHandle, Archive, RecordingId) {
    let (bird, workspace, archive) = place().await;
    let id = workspace.add(RecordingSpec::at("2026-03-01T10:00:00Z").member("note", json!(note)));
    archive.run(&["--once"]).await.expect_code(0);
    (bird, workspace, archive, id)
}

#[tokio::test]
async fn what_the_copy_does_not_know_is_adopted_though_upstream_lists_it_no_more() {
    let (bird, workspace, archive, first) = one_archived("first").await;
    let waiting = workspace.add(RecordingSpec::at("2026-03-01T11:00:00Z").status("ongoing"));
    archive.run(&["--once"]).await.expect_code(0);
    let copy = Copy::of(&archive);
    workspace.set_status(waiting, "available");
    let later = workspace.add_many(3, "2026-03-02T10:00:00Z", Duration::from_mins(1));
    archive.run(&["--once"]).await.expect_code(0);
    for note in ["second", "third"] {
        for id in [first, later[0]] {
            workspace.edit(id, |members| drop(members.insert("note".to_owned(), json!(note))));
        }
        archive.run(&["--once"]).await.expect_code(0);
    }
    let before = dump(&archive.catalog_path()).await;
    let files = snapshot(&archive.dir().join("recordings"));
    for id in [first, waiting, later[0], later[1], later[2]] {
        workspace.remove(id);
    }
    copy.restore(&archive).await;
    bird.forget_requests();
    let finished = archive.run(&["--once"]).await.expect_code(0);
    assert!(finished.stderr.contains("restored from a copy"), "{}", finished.stderr);
    assert!(finished.stderr.contains("adopted=4"), "{}", finished.stderr);
    assert_eq!(bird.media_requests(), 0);
    assert_eq!(dump(&archive.catalog_path()).await, before);
    assert!(snapshot(&archive.dir().join("recordings")) == files);
    assert_eq!(ask(&archive.catalog_path(), COPIED).await, Vec::<String>::new());
    let again = archive.run(&["--once"]).await.expect_code(0);
    assert!(!again.stderr.contains("restored"), "{}", again.stderr);
}

#[tokio::test]
async fn what_the_copy_knows_and_the_archive_does_not_hold_becomes_a_finding() {
    let (_bird, workspace, archive, _) = one_archived("first").await;
    let ids = workspace.add_many(4, "2026-03-02T10:00:00Z", Duration::from_mins(1));
    archive.run(&["--once"]).await.expect_code(0);
    let copy = Copy::of(&archive);
    fs::remove_file(body_of(&archive, ids[0])).unwrap();
    fs::File::options()
        .write(true)
        .open(body_of(&archive, ids[1]))
        .unwrap()
        .set_len(9)
        .unwrap();
    let other = archive.dir().join("recordings/support/2026/03/02/a file of somebody");
    fs::write(&other, "kept").unwrap();
    let files = snapshot(&archive.dir().join("recordings"));
    copy.restore(&archive).await;
    let _ = archive.run(&["--once"]).await;
    let findings = ask(
        &archive.catalog_path(),
        &["SELECT kind FROM findings JOIN recordings USING (seq) ORDER BY created_at"],
    )
    .await;
    assert_eq!(findings, ["missing", "damaged"]);
    assert_eq!(count(&rows(&archive).await, "archived"), 5);
    assert_eq!(ask(&archive.catalog_path(), COPIED).await, Vec::<String>::new());
    let after = snapshot(&archive.dir().join("recordings"));
    for (path, was) in files {
        assert!(after[&path] == was, "{} was changed", path.display());
    }
}

#[tokio::test]
async fn a_row_that_says_something_else_is_kept_and_so_is_the_file() {
    let (_bird, workspace, archive, id) = one_archived("first").await;
    let copy = Copy::of(&archive);
    let (path, body) = (sidecar_of(&archive, id), body_of(&archive, id));
    let mut sidecar: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    sidecar["sha256"] = json!("00".repeat(32));
    fs::write(&path, sidecar.to_string()).unwrap();
    let before = dump(&archive.catalog_path()).await;
    let files = snapshot(&archive.dir().join("recordings"));
    copy.restore(&archive).await;
    let finished = archive.run(&["--once"]).await.expect_code(0);
    assert!(finished.stderr.contains("different=1"), "{}", finished.stderr);
    assert_eq!(dump(&archive.catalog_path()).await, before);
    assert!(snapshot(&archive.dir().join("recordings")) == files);
    assert_eq!(fs::read(body).unwrap(), workspace.body(id));
}

#[tokio::test]
async fn a_workspace_that_the_copy_does_not_know_comes_with_its_recordings() {
    let (bird, _workspace, mut archive, _) = one_archived("first").await;
    let copy = Copy::of(&archive);
    let sales = bird.add_workspace("sales-id", "birdkey-sales");
    sales.add_many(2, "2026-03-02T10:00:00Z", Duration::from_mins(1));
    archive.set_text("workspaces.sales.id", "sales-id");
    archive.set_text("workspaces.sales.access_key", "birdkey-sales");
    archive.run(&["--once"]).await.expect_code(0);
    let before = dump(&archive.catalog_path()).await;
    archive
        .unset("workspaces.sales.id")
        .unset("workspaces.sales.access_key");
    copy.restore(&archive).await;
    bird.forget_requests();
    archive.run(&["--once"]).await.expect_code(0);
    assert_eq!(bird.media_requests(), 0);
    assert_eq!(dump(&archive.catalog_path()).await, before);
    assert_rows_true(&archive, &rows(&archive).await);
}

#[tokio::test]
async fn a_daemon_that_reconciles_can_be_stopped() {
    let (_bird, workspace, archive, _) = one_archived("first").await;
    let copy = Copy::of(&archive);
    let later = workspace.add(RecordingSpec::at("2026-03-02T10:00:00Z"));
    archive.run(&["--once"]).await.expect_code(0);
    make_huge(&archive, later);
    copy.restore(&archive).await;
    let mut daemon = archive.spawn(&[]);
    assert!(daemon.stderr_holds("is a restored copy", Duration::from_secs(30)).await);
    daemon.sigterm();
    let finished = end_within(&mut daemon, Duration::from_secs(30)).await;
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    assert_eq!(ask(&archive.catalog_path(), COPIED).await.len(), 1);
    assert_eq!(rows(&archive).await.len(), 1);
    // Whole again, it is adopted.
    let body = workspace.body(later);
    let file = fs::File::options().write(true).open(body_of(&archive, later)).unwrap();
    file.set_len(body.len() as u64).unwrap();
    file.write_all_at(&body, 0).unwrap();
    let path = sidecar_of(&archive, later);
    let mut sidecar: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    sidecar["size_bytes"] = json!(body.len());
    fs::write(path, sidecar.to_string()).unwrap();
    let mut daemon = archive.spawn(&[]);
    assert!(
        daemon
            .stderr_holds("now level with the archive", Duration::from_secs(30))
            .await
    );
    daemon.sigterm();
    assert_eq!(end_within(&mut daemon, Duration::from_secs(30)).await.code, Some(0));
    assert_eq!(count(&rows(&archive).await, "archived"), 2);
}

#[tokio::test]
async fn what_backup_made_is_put_back_and_made_level() {
    let (bird, workspace, archive, _) = one_archived("first").await;
    let kept = archive.root().join("kept.sqlite");
    archive.run(&["backup", kept.to_str().unwrap()]).await.expect_code(0);
    let later = workspace.add_many(3, "2026-03-02T10:00:00Z", Duration::from_mins(1));
    archive.run(&["--once"]).await.expect_code(0);
    let before = dump(&archive.catalog_path()).await;
    for id in later {
        workspace.remove(id);
    }
    lose_catalog(&archive);
    fs::copy(&kept, archive.catalog_path()).unwrap();
    bird.forget_requests();
    let finished = archive.run(&["--once"]).await.expect_code(0);
    assert!(finished.stderr.contains("adopted=3"), "{}", finished.stderr);
    assert_eq!(bird.media_requests(), 0);
    assert_eq!(dump(&archive.catalog_path()).await, before);
    let verified = archive.run(&["verify", "--format", "json"]).await.expect_code(0).json();
    assert_eq!(
        (&verified["checked"], &verified["unknown_files"]),
        (&json!(4), &json!([]))
    );
}
