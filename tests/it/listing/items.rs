//! Items of a list: those that cannot be understood, and those that say more or less than is documented.

use birdkeep::domain::ids::RecordingId;
use serde_json::json;

use super::scene::Scene;
use super::scene::rows;
use super::scene::sidecar;
use crate::support::bird::RecordingSpec;

const ZERO_TIME: &str = "0001-01-01T00:00:00Z";

/// Items that are none; `{id}` and `{ID}` stand for the recording's own id.
const MISUNDERSTOOD: [&str; 14] = [
    "null",
    "7",
    "[]",
    "\"text\"",
    r#"{"status":"available","createdAt":"2024-01-01T00:00:00Z"}"#,
    r#"{"id":7,"status":"available","createdAt":"2024-01-01T00:00:00Z"}"#,
    r#"{"id":"../../../../tmp/evil","status":"available","createdAt":"2024-01-01T00:00:00Z"}"#,
    r#"{"id":"{ID}","status":"available","createdAt":"2024-01-01T00:00:00Z"}"#,
    r#"{"id":"{id}\u0000","status":"available","createdAt":"2024-01-01T00:00:00Z"}"#,
    r#"{"id":"{id}","status":["available"],"createdAt":"2024-01-01T00:00:00Z"}"#,
    r#"{"id":"{id}","status":"available","createdAt":1704067200}"#,
    r#"{"id":"{id}","status":"available","createdAt":"yesterday"}"#,
    r#"{"id":"{id}","status":"available"}"#,
    r#"{"id":"{id}","status":"available","createdAt":"2024-01-01T00:00:00Z","status":"absent"}"#,
];

#[tokio::test]
async fn an_item_that_cannot_be_understood_stops_nothing_and_is_seen() {
    let mut scene = Scene::new().await;
    let sound = scene.add(6);
    let bad: Vec<RecordingId> = MISUNDERSTOOD
        .iter()
        .map(|raw| {
            let id = scene.add(1)[0];
            let lower = id.to_string();
            let raw = raw.replace("{id}", &lower).replace("{ID}", &lower.to_uppercase());
            scene.workspace.set_raw(id, Some(raw.into()));
            id
        })
        .collect();
    scene.once(3).await;
    scene.expect_archived(&sound);
    assert_eq!(scene.archive.media_files().len(), sound.len());
    let status = scene.status().await;
    assert_eq!(status["set_aside"], MISUNDERSTOOD.len(), "{status}");
    assert_eq!(status["last_walk"]["outcome"], "complete", "{status}");
    let beside: Vec<_> = std::fs::read_dir(scene.archive.root())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(beside.len(), 2, "{beside:?}");

    // Still there, counted once.
    scene.once(3).await;
    assert_eq!(scene.status().await["set_aside"], MISUNDERSTOOD.len());

    for id in &bad {
        scene.workspace.set_raw(*id, None);
    }
    scene.full_walk().await.expect_code(0);
    assert_eq!(scene.status().await["set_aside"], 0);
    scene.expect_archived(&bad);
}

#[tokio::test]
async fn what_upstream_says_beyond_its_documents_is_kept() {
    let scene = Scene::new().await;
    let novel = json!({"b": [1, 2.5, null], "a": "\u{1f4de}"});
    let id = scene.workspace.add(
        RecordingSpec::new()
            .member("novel", novel.clone())
            .member("sha256", "upstream's own")
            .member("endedAt", ZERO_TIME),
    );
    let strange = scene
        .workspace
        .add(RecordingSpec::new().status("transcribing \u{2014} soon"));
    scene.once(0).await;
    scene.expect_archived(&[id]);
    assert_eq!(scene.archive.media_file_of(strange), None);
    assert_eq!(scene.bird.media_requests_of(strange).len(), 0);

    let note = sidecar(&scene.archive, id);
    let upstream = &note["upstream"];
    assert_eq!((&upstream["novel"], &upstream["endedAt"]), (&novel, &json!(ZERO_TIME)));
    assert_eq!(upstream["sha256"], "upstream's own");
    assert_ne!(note["sha256"], upstream["sha256"]);
    let shown = scene.show(id).await;
    assert_eq!(shown["metadata"]["novel"], novel);
    assert_eq!(shown["metadata"]["endedAt"], ZERO_TIME);
    let listed = rows(&scene.archive, &["--status", "transcribing \u{2014} soon"]).await;
    assert_eq!(listed.len(), 1);
    assert_eq!(
        (&listed[0]["id"], &listed[0]["state"]),
        (&json!(strange.to_string()), &json!("waiting"))
    );
}

#[tokio::test]
async fn an_unset_creation_time_falls_back_on_the_start() {
    let scene = Scene::new().await;
    let id = scene.workspace.add(
        RecordingSpec::new()
            .member("createdAt", ZERO_TIME)
            .member("startedAt", "2024-05-06T07:08:09Z"),
    );
    scene.once(0).await;
    scene.expect_archived(&[id]);
    assert_eq!(scene.row(id).await["created_at"], "2024-05-06T07:08:09Z");
    let file = scene.archive.media_file_of(id).unwrap();
    assert_eq!(file, format!("support/2024/05/06/20240506T070809Z_{id}.mp3"));
    assert_eq!(sidecar(&scene.archive, id)["createdAt"], ZERO_TIME);
}
