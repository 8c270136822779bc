//! A catalog made of sidecars alone is the one that was lost, to the letter.

use std::fs;

use serde_json::Value;
use serde_json::json;

use super::kit::ask;
use super::kit::assert_clean;
use super::kit::dump;
use super::kit::lose_catalog;
use super::kit::rebuild;
use super::kit::rebuild_with;
use super::kit::sidecar_of;
use crate::support::bird::Bird;
use crate::support::bird::BirdOptions;
use crate::support::bird::RecordingSpec;
use crate::support::bird::WorkspaceHandle;
use crate::support::harness::Archive;
use crate::surviving::kit::BINARY;
use crate::surviving::kit::KEY;
use crate::surviving::kit::WORKSPACE;
use crate::surviving::kit::assert_rows_true;
use crate::surviving::kit::rows;
use crate::surviving::kit::snapshot;
use crate::surviving::kit::sql;

/// Two workspaces with all that a recording can be and become.
async fn rich() -> (Bird, [WorkspaceHandle; 2], Archive) {
    let bird = Bird::start(BirdOptions::default()).await;
    let workspaces = [
        bird.add_workspace(WORKSPACE, KEY),
        bird.add_workspace("another_Workspace-7", "birdkey-another"),
    ];
    let [support, sales] = &workspaces;
    let archive = Archive::new(BINARY, &bird, &[("support", support), ("sales", sales)]);
    for workspace in &workspaces {
        workspace.add(RecordingSpec::new());
        workspace.add(RecordingSpec::at("0001-01-01T00:00:00.000001Z"));
        workspace.add(RecordingSpec::at("9999-12-30T21:59:59.999999Z"));
        workspace.add(RecordingSpec::at("2024-02-29T23:59:59.5Z").format("OPUS").body(ogg()));
        workspace.add(RecordingSpec::at("2016-12-31T23:59:59Z").format("odd").direction(""));
        workspace.add(RecordingSpec::new().without("duration").without("format"));
    }
    let ours = RecordingSpec::new()
        .member("workspace", json!("theirs"))
        .member("sha256", json!(7))
        .member("upstream", json!({"metadata_versions": 1.50}))
        .member("first_seen_at", json!("yesterday"))
        .member("text", json!("\u{0}\u{7f}\u{202e}\"\\ \u{1f600}"));
    let ours = support.add(ours);
    // The body plays far longer than stated: a remark.
    let longer = RecordingSpec::new().duration_seconds(1).body_bytes(400_000);
    support.add(longer);
    let changing = sales.add(RecordingSpec::new().member("note", json!("first")));
    archive.run(&["--once"]).await.expect_code(0);
    for note in ["second", "third"] {
        sales.edit(changing, |members| drop(members.insert("note".to_owned(), json!(note))));
        support.edit(ours, |members| drop(members.insert("text".to_owned(), json!(note))));
        full_walk(&archive).await;
    }
    sales.set_status(changing, "absent");
    full_walk(&archive).await;
    // One that upstream lists no more, and one whose row a crash took, so that its body was adopted.
    let gone = support.add(RecordingSpec::new());
    full_walk(&archive).await;
    sql(
        &archive,
        "UPDATE recordings SET state = 'due', path = NULL, size_bytes = NULL, sha256 = NULL, archived_at = NULL, \
         content_type = NULL, etag = NULL, remark = NULL, attempts = 2 \
         WHERE seq = (SELECT max(seq) FROM recordings)",
    )
    .await;
    full_walk(&archive).await;
    support.remove(gone);
    full_walk(&archive).await;
    (bird, workspaces, archive)
}

/// A pass over everything: what was created in the year 9999 would otherwise be all that a poll looks behind.
async fn full_walk(archive: &Archive) {
    sql(archive, "UPDATE workspaces SET last_full_walk_started_at = NULL").await;
    archive.run(&["--once"]).await.expect_code(0);
}

fn ogg() -> Vec<u8> {
    let mut body = b"OggS\0\x02".to_vec();
    body.resize(4000, 7);
    body
}

#[tokio::test]
async fn the_catalog_that_was_lost_comes_back_to_the_letter() {
    let (bird, _workspaces, archive) = rich().await;
    let before = dump(&archive.catalog_path()).await;
    let recordings = rows(&archive).await.len();
    assert!(recordings > 14, "{recordings}");
    for wanted in ["\"remark\"", "\"upstream\"", "metadata_versions"] {
        let sidecars = archive.files().into_iter().filter(|file| file.contains(".json"));
        let texts: Vec<_> = sidecars
            .map(|file| String::from_utf8(archive.read(&file)).unwrap())
            .collect();
        assert!(texts.iter().any(|text| text.contains(wanted)), "{wanted}");
    }
    // Archived, absent upstream since, and with the metadata of before.
    let changed = |line: &&String| line.contains("\"absent\"") && line.contains("\"archived\"");
    assert_eq!(before.iter().filter(changed).count(), 1);
    assert!(
        before
            .iter()
            .any(|line| line.contains("first") && !line.contains("absent"))
    );
    let files = snapshot(&archive.dir().join("recordings"));
    lose_catalog(&archive);
    let refused = archive.run(&["--once"]).await.expect_code(1);
    assert!(refused.stderr.contains("birdkeep rebuild"), "{}", refused.stderr);

    let report = rebuild(&archive, 0).await;
    assert_clean(&report, recordings);
    let after = dump(&archive.catalog_path()).await;
    assert_eq!(before, after);
    let bytes: u64 = rows(&archive)
        .await
        .iter()
        .map(|row| row["size_bytes"].as_u64().unwrap())
        .sum();
    assert_eq!(report["bytes"], bytes);
    assert_rows_true(&archive, &rows(&archive).await);

    bird.forget_requests();
    archive.run(&["--once"]).await.expect_code(0);
    assert_eq!(bird.media_requests(), 0);
    assert_eq!(dump(&archive.catalog_path()).await, before);
    assert!(
        snapshot(&archive.dir().join("recordings")) == files,
        "a file was touched"
    );
}

#[tokio::test]
async fn what_was_read_is_told_from_what_was_not() {
    let (_bird, _workspaces, archive) = rich().await;
    let before = dump(&archive.catalog_path()).await;
    let unread = &["SELECT CAST(count(*) AS TEXT) FROM recordings WHERE verified_at IS NULL"];
    for (more, told) in [(&["--quick"][..], false), (&[], true)] {
        lose_catalog(&archive);
        let report = rebuild_with(&archive, more, 0).await.json();
        assert_eq!(report["hashed"], told);
        assert_eq!(dump(&archive.catalog_path()).await, before);
        let unread = ask(&archive.catalog_path(), unread).await.remove(0);
        assert_eq!(unread == "0", told, "{unread}");
        assert_eq!(
            ask(
                &archive.catalog_path(),
                &["SELECT CAST(count(*) AS TEXT) FROM recordings WHERE sidecar_revision IS NOT revision"]
            )
            .await,
            ["0"]
        );
    }
}

#[tokio::test]
async fn sidecars_that_tell_less_are_used_for_what_they_tell() {
    let (bird, [support, _], archive) = rich().await;
    let recordings = rows(&archive).await.len();
    let id = support.available()[0];
    let path = sidecar_of(&archive, id);
    let mut sidecar: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    for name in [
        "workspace_id",
        "created_at",
        "first_seen_at",
        "attempts",
        "metadata_versions",
    ] {
        sidecar.as_object_mut().unwrap().remove(name);
    }
    fs::write(&path, sidecar.to_string()).unwrap();
    lose_catalog(&archive);
    assert_clean(&rebuild(&archive, 0).await, recordings);
    bird.forget_requests();
    archive.run(&["--once"]).await.expect_code(0);
    assert_eq!(bird.media_requests(), 0);
    // It tells all from now on.
    let again: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    assert_eq!(again["workspace_id"], WORKSPACE);
    assert_eq!(again["first_seen_at"], again["archived_at"]);
}

#[tokio::test]
async fn an_archive_without_recordings_gets_an_empty_catalog() {
    let bird = Bird::start(BirdOptions::default()).await;
    let workspace = bird.add_workspace(WORKSPACE, KEY);
    let archive = Archive::new(BINARY, &bird, &[("support", &workspace)]);
    archive.run(&["--once"]).await.expect_code(0);
    lose_catalog(&archive);
    assert_clean(&rebuild(&archive, 0).await, 0);
    assert_eq!(rows(&archive).await.len(), 0);
    archive.run(&["--once"]).await.expect_code(0);
}
