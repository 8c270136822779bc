//! What happens upstream between passes: media that come late, metadata that change, recordings that go.

use birdkeep::domain::ids::RecordingId;
use bytes::Bytes;

use super::scene::Scene;
use super::scene::lists;
use crate::support::bird::RecordingSpec;

#[tokio::test]
async fn media_that_come_weeks_later_are_found_by_a_poll() {
    let scene = Scene::new().await;
    let late = scene
        .workspace
        .add(RecordingSpec::at("2024-01-10T09:00:00Z").status("accepted"));
    let others = [
        scene.workspace.add(RecordingSpec::at("2024-02-01T09:00:00Z")),
        scene.workspace.add(RecordingSpec::at("2024-03-20T09:00:00Z")),
    ];
    scene.once(0).await;
    scene.expect_archived(&others);
    assert_eq!(scene.row(late).await["state"], "waiting");
    scene.workspace.set_status(late, "available");
    scene.bird.forget_requests();
    scene.once(0).await;
    assert!(lists(&scene.bird).iter().all(|list| list.start_at.is_some()));
    scene.expect_archived(&[late]);
}

#[tokio::test]
async fn media_that_come_late_behind_a_thousand_others_are_asked_after_one_by_one() {
    let scene = Scene::new().await;
    let add = |status: &str| {
        scene
            .workspace
            .add(RecordingSpec::at("2024-01-10T09:00:00Z").status(status))
    };
    let (late, deleted) = (add("accepted"), add("ongoing"));
    scene
        .workspace
        .add(RecordingSpec::at("2024-02-20T09:00:00Z").status("absent"));
    for _ in 0..1_000 {
        scene.workspace.add(RecordingSpec::new().status("absent"));
    }
    scene.once(0).await;
    scene.workspace.set_status(late, "available");
    scene.workspace.remove(deleted);
    scene.bird.forget_requests();
    scene.once(0).await;
    scene.expect_archived(&[late]);
    assert_eq!(scene.row(deleted).await["state"], "gone");
    assert_eq!(scene.bird.item_requests(), 2);
    assert!(lists(&scene.bird)[0].start_at.as_deref().unwrap() > "2024-02-01");
}

#[tokio::test]
async fn what_appears_late_with_an_early_time_is_found_by_the_full_walk() {
    let mut scene = Scene::new().await;
    let first = scene.workspace.add(RecordingSpec::at("2024-03-01T00:00:00Z"));
    scene.once(0).await;
    scene.expect_archived(&[first]);
    let late = scene.workspace.add(RecordingSpec::at("2023-01-01T00:00:00Z"));
    scene.once(0).await;
    assert_eq!(scene.archive.media_file_of(late), None, "a poll reaches back hours");
    scene.full_walk().await.expect_code(0);
    scene.expect_archived(&[late]);
}

/// Path, time of the last change and bytes of a recording's file.
fn files_of(scene: &Scene, id: RecordingId) -> Vec<(String, std::time::SystemTime, Vec<u8>)> {
    let mut files = scene.archive.media_files();
    files.retain(|file| file.contains(&id.to_string()));
    let read = |file: String| {
        let path = scene.archive.dir().join("recordings").join(&file);
        let changed = std::fs::metadata(path).unwrap().modified().unwrap();
        let bytes = scene.archive.read(&file);
        (file, changed, bytes)
    };
    files.into_iter().map(read).collect()
}

#[tokio::test]
async fn metadata_that_change_after_archiving_are_kept_in_every_version() {
    let scene = Scene::new().await;
    let id = scene.workspace.add(RecordingSpec::new().duration_seconds(3));
    scene.once(0).await;
    let files = files_of(&scene, id);
    assert_eq!(scene.show(id).await["metadata_versions"], serde_json::json!([]));
    let origins = ["first change", "second change"];
    for origin in origins {
        scene
            .workspace
            .edit(id, |members| drop(members.insert("origin".to_owned(), origin.into())));
        scene.once(0).await;
    }
    // Unchanged once more: no further version.
    scene.once(0).await;
    let shown = scene.show(id).await;
    assert_eq!(shown["metadata"]["origin"], "second change");
    let versions = shown["metadata_versions"].as_array().unwrap();
    assert_eq!(versions.len(), 2, "{shown}");
    assert_ne!(versions[0]["metadata"]["origin"], "first change");
    assert_eq!(versions[1]["metadata"]["origin"], "first change");
    assert_eq!(shown["state"], "archived");
    assert_eq!(files_of(&scene, id), files);
    assert_eq!(scene.bird.media_requests_of(id).len(), 1);
}

/// The link's object, the duration and the bytes are others than when it was archived. What is archived stays; that
/// something changed is to be seen.
#[tokio::test]
async fn other_media_under_an_archived_id_are_told_of_and_never_fetched() {
    let mut scene = Scene::new().await;
    let id = scene.workspace.add(RecordingSpec::new().duration_seconds(3));
    scene.once(0).await;
    let files = files_of(&scene, id);
    let all_files = scene.archive.files();
    let before = scene.show(id).await;
    scene
        .workspace
        .replace_media(id, Bytes::from_static(b"other media altogether"));
    scene.workspace.edit(id, |members| {
        members.insert("duration".to_owned(), 77.into());
        members.insert("sourceId".to_owned(), "00000000-0000-4000-8000-000000000000".into());
    });
    scene.once(0).await;
    scene.full_walk().await.expect_code(0);
    scene.archive.run(&["retry", "--all"]).await.expect_code(0);
    scene.once(0).await;
    assert_eq!(files_of(&scene, id), files);
    assert_eq!(scene.archive.files(), all_files);
    assert_eq!(scene.bird.media_requests_of(id).len(), 0);
    let after = scene.show(id).await;
    for member in ["state", "path", "sha256", "size_bytes", "etag", "archived_at"] {
        assert_eq!(after[member], before[member], "{member}");
    }
    assert_eq!(after["metadata"]["duration"], 77);
    let versions = after["metadata_versions"].as_array().unwrap();
    assert_eq!(versions.len(), 1, "{after}");
    assert_eq!(versions[0]["metadata"], before["metadata"]);
}

/// Archived, then listed as if it had never been ready.
#[tokio::test]
async fn a_status_that_goes_back_takes_nothing_back() {
    let mut scene = Scene::new().await;
    let statuses = ["accepted", "ongoing", "paused", "completed", "deleted", ""];
    let ids = scene.add(statuses.len() as u64);
    scene.once(0).await;
    for (id, status) in ids.iter().zip(statuses) {
        scene.workspace.set_status(*id, status);
    }
    // An empty status is no status: that item is set aside.
    assert_eq!(scene.full_walk().await.code, Some(3));
    scene.expect_archived(&ids);
    for id in &ids {
        assert_eq!(scene.row(*id).await["state"], "archived");
        assert_eq!(scene.bird.media_requests_of(*id).len(), 0);
    }
}

#[tokio::test]
async fn what_upstream_takes_away_stays_archived() {
    let mut scene = Scene::new().await;
    let ids = scene.add(6);
    let stays = scene.add(2);
    scene.once(0).await;
    let bodies: Vec<Bytes> = ids.iter().map(|id| scene.workspace.body(*id)).collect();
    scene.workspace.unlist(ids[0]);
    scene.workspace.remove(ids[1]);
    scene.workspace.set_status(ids[2], "absent");
    scene.workspace.delete_media(ids[3]);
    scene.workspace.set_status(ids[4], "failed");
    scene
        .workspace
        .replace_media(ids[5], Bytes::from_static(b"another body"));
    scene.once(0).await;
    scene.full_walk().await.expect_code(0);
    for (id, body) in ids.iter().zip(&bodies) {
        let file = scene
            .archive
            .media_file_of(id)
            .unwrap_or_else(|| panic!("{id} is gone"));
        assert!(scene.archive.read(&file) == *body, "{file} was altered");
        assert_eq!(scene.row(*id).await["state"], "archived");
        assert_eq!(scene.bird.media_requests_of(*id).len(), 0, "{id}: fetched again");
    }
    scene.expect_archived(&stays);
    let last_seen = async |id| scene.show(id).await["last_seen_at"].as_str().unwrap().to_owned();
    assert!(last_seen(ids[0]).await < last_seen(stays[0]).await);
}
