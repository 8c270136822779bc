//! Sidecars follow the catalog: what upstream changes after archiving is written beside the body too.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use serde_json::Value;
use serde_json::json;

use super::kit::assert_complete;
use super::kit::eventually;
use super::kit::place;
use super::kit::rows;
use super::kit::sql;
use crate::support::bird::RecordingSpec;
use crate::support::harness::Archive;

fn sidecar(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

async fn show(archive: &Archive, id: &str) -> Value {
    archive
        .run(&["show", id, "--format", "json"])
        .await
        .expect_code(0)
        .json()
}

fn only_sidecar(archive: &Archive) -> PathBuf {
    let body = archive.media_files().pop().unwrap();
    archive.dir().join("recordings").join(body).with_extension("json")
}

#[tokio::test]
async fn what_upstream_changes_after_archiving_reaches_the_sidecar() {
    let (_bird, workspace, mut archive) = place().await;
    archive.set_text("sync.interval", "1s");
    let id = workspace.add(RecordingSpec::new().member("note", json!("first")));
    archive.run(&["--once"]).await.expect_code(0);
    let path = only_sidecar(&archive);
    let first = sidecar(&path);
    assert_eq!(
        (&first["note"], &first["metadata_versions"]),
        (&json!("first"), &Value::Null)
    );
    assert_eq!(first["workspace_id"], super::kit::WORKSPACE);
    assert_eq!(first["attempts"], 0);

    workspace.edit(id, |members| drop(members.insert("note".to_owned(), json!("second"))));
    archive.run(&["--once"]).await.expect_code(0);
    let second = sidecar(&path);
    assert_eq!(second["note"], "second");
    assert_eq!(second["metadata_versions"][0]["metadata"]["note"], "first");
    for same in ["sha256", "archived_at", "first_seen_at", "created_at"] {
        assert_eq!(first[same], second[same]);
    }

    // A daemon does so without being asked.
    workspace.edit(id, |members| drop(members.insert("note".to_owned(), json!("third"))));
    let mut running = archive.spawn(&[]);
    eventually("the sidecar says so", || sidecar(&path)["note"] == "third").await;
    running.kill_9().await;
    let third = sidecar(&path);
    assert_eq!(third["metadata_versions"].as_array().unwrap().len(), 2);
    let shown = show(&archive, &id.to_string()).await;
    assert_eq!(shown["metadata_versions"], third["metadata_versions"]);
    archive.run(&["--once"]).await.expect_code(0);
    assert_complete(&archive, &workspace).await;
}

/// Takes the row of the one recording back to before it was known, as an older copy of the catalog would.
const FORGET: &str = "DELETE FROM metadata_versions; DELETE FROM recordings; UPDATE workspaces SET settled_until = NULL, \
     last_full_walk_started_at = NULL";

#[tokio::test]
async fn what_a_sidecar_knows_is_taken_over_by_a_catalog_that_does_not() {
    let (_bird, workspace, archive) = place().await;
    let id = workspace.add(RecordingSpec::new().member("note", json!("first")));
    archive.run(&["--once"]).await.expect_code(0);
    for note in ["second", "third"] {
        workspace.edit(id, |members| drop(members.insert("note".to_owned(), json!(note))));
        archive.run(&["--once"]).await.expect_code(0);
        if note == "second" {
            let before = show(&archive, &id.to_string()).await;
            let text = fs::read(only_sidecar(&archive)).unwrap();
            sql(&archive, FORGET).await;
            archive.run(&["--once"]).await.expect_code(0);
            let after = show(&archive, &id.to_string()).await;
            for same in [
                "state",
                "sha256",
                "archived_at",
                "first_seen_at",
                "metadata",
                "metadata_versions",
            ] {
                assert_eq!(before[same], after[same], "{same}");
            }
            assert_eq!(fs::read(only_sidecar(&archive)).unwrap(), text);
        }
    }
    // Changed upstream while the catalog did not know of it at all.
    let before = show(&archive, &id.to_string()).await;
    sql(&archive, FORGET).await;
    workspace.edit(id, |members| drop(members.insert("note".to_owned(), json!("fourth"))));
    archive.run(&["--once"]).await.expect_code(0);
    let after = show(&archive, &id.to_string()).await;
    assert_eq!(after["first_seen_at"], before["first_seen_at"]);
    let versions = after["metadata_versions"].as_array().unwrap();
    let notes: Vec<&Value> = versions.iter().map(|version| &version["metadata"]["note"]).collect();
    assert_eq!(notes, ["first", "second", "third"]);
    assert_eq!(
        sidecar(&only_sidecar(&archive))["metadata_versions"],
        after["metadata_versions"]
    );
    assert_eq!(rows(&archive).await.len(), 1);
    assert_complete(&archive, &workspace).await;
}
