//! Repairs: what was damaged is kept aside, what upstream still has is fetched again, and every step survives a crash.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;
use serde_json::json;

use super::scene::Scene;
use crate::support::bird::RecordingSpec;
use crate::surviving::kit::assert_complete;
use crate::surviving::kit::sql;

fn kept_folders(scene: &Scene) -> Vec<PathBuf> {
    let folders = fs::read_dir(scene.archive.dir().join("damaged"));
    folders.map_or_else(
        |_| Vec::new(),
        |folders| folders.map(|folder| folder.unwrap().path()).collect(),
    )
}

#[tokio::test]
async fn damaged_bytes_are_kept_and_the_recording_is_had_again() {
    let scene = Scene::of(6).await;
    let damaged = scene.flip(0);
    let path = scene.body(0);
    let sidecar = fs::read(scene.sidecar(0)).unwrap();
    fs::remove_file(scene.body(1)).unwrap();
    fs::write(scene.sidecar(2), "").unwrap();
    let was = scene.show(0).await;

    let report = scene.verify(&["--repair"], 3).await;
    let repaired = report["repaired"].as_array().unwrap();
    assert_eq!((repaired.len(), &report["not_repaired"]), (3, &json!([])));
    assert!(!path.exists());
    let kept = repaired.iter().find(|repair| repair["id"] == scene.id(0)).unwrap();
    let kept = scene.archive.dir().join(kept["kept"].as_str().unwrap());
    assert!(fs::read(kept.join(path.file_name().unwrap())).unwrap() == damaged);
    assert!(fs::read(kept.join(path.with_extension("json").file_name().unwrap())).unwrap() == sidecar);

    let shown = scene.show(0).await;
    assert_eq!(
        (&shown["state"], &shown["sha256"], &shown["finding"]),
        (&json!("due"), &Value::Null, &Value::Null)
    );
    let entry = &shown["repairs"][0];
    assert_eq!((&entry["kind"], &entry["sha256"]), (&json!("damaged"), &was["sha256"]));
    assert!(entry["finished_at"].is_string() && entry["detail"].as_str().unwrap().contains("SHA-256"));
    // A sidecar is written anew at once: nothing of it need be fetched.
    assert_eq!(scene.show(2).await["state"], "archived");
    assert!(fs::metadata(scene.sidecar(2)).unwrap().len() > 100);

    scene.bird.forget_requests();
    scene.archive.run(&["--once"]).await.expect_code(0);
    assert_eq!(scene.bird.media_requests(), 2);
    assert_complete(&scene.archive, &scene.workspace).await;
    let report = scene.verify(&[], 0).await;
    assert_eq!((&report["checked"], &report["ok"]), (&json!(6), &json!(6)));
    assert_eq!(scene.show(0).await["sha256"], was["sha256"]);
    assert_eq!(kept_folders(&scene).len(), 2, "what was kept is gone");
    assert_eq!(scene.verify(&["--repair"], 0).await["repaired"], json!([]));
}

#[tokio::test]
async fn the_last_copy_is_left_where_it_is() {
    let scene = Scene::of(3).await;
    let damaged = scene.flip(0);
    let sidecar = scene.sidecar(1);
    fs::remove_file(scene.body(1)).unwrap();
    for number in [0, 1] {
        scene.workspace.set_status(scene.ids[number], "absent");
    }
    scene.archive.run(&["--once"]).await.expect_code(0);
    let report = scene.verify(&["--repair"], 3).await;
    assert_eq!(report["repaired"], json!([]));
    assert_eq!(report["not_repaired"].as_array().unwrap().len(), 2);
    assert!(fs::read(scene.body(0)).unwrap() == damaged && sidecar.exists());
    for (number, kind) in [(0, "damaged"), (1, "missing")] {
        let shown = scene.show(number).await;
        assert_eq!(
            (&shown["state"], &shown["finding"]["kind"]),
            (&json!("archived"), &json!(kind))
        );
    }
    assert_eq!(kept_folders(&scene), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn what_upstream_was_not_asked_about_counts_as_not_listed() {
    let scene = Scene::of(2).await;
    let damaged = scene.flip(0);
    scene.workspace.unlist(scene.ids[0]);
    fs::remove_file(scene.archive.catalog_path()).unwrap();
    // Made again from the sidecars, the catalog has never seen a list.
    scene.archive.run(&["rebuild"]).await.expect_code(3);
    let report = scene.verify(&["--repair"], 3).await;
    assert_eq!(
        (&report["repaired"], &report["not_repaired"][0]["id"]),
        (&json!([]), &json!(scene.id(0)))
    );
    assert!(fs::read(scene.body(0)).unwrap() == damaged);
    scene.archive.run(&["--once"]).await.expect_code(0);
    assert_eq!(scene.verify(&["--repair"], 3).await["repaired"], json!([]));
    assert!(fs::read(scene.body(0)).unwrap() == damaged);
}

#[tokio::test]
async fn nothing_is_repaired_beside_a_daemon() {
    let scene = Scene::of(1).await;
    let damaged = scene.flip(0);
    let mut daemon = scene.archive.spawn(&[]);
    assert!(daemon.stderr_holds("birdkeep runs", crate::surviving::kit::LONG).await);
    let finished = scene.archive.run(&["verify", "--repair"]).await.expect_code(1);
    assert!(finished.stderr.contains("in use by"), "{}", finished.stderr);
    assert!(fs::read(scene.body(0)).unwrap() == damaged);
    daemon.kill_9().await;
}

/// A repair of the first recording that was entered, and then a crash came.
const BEGUN: &str = "INSERT INTO repairs (seq, begun_at, kind, detail, path, size_bytes, sha256, kept_path)
    SELECT seq, 0, 'damaged', 'it was', path, size_bytes, sha256, 'damaged/somewhere' FROM recordings";

#[tokio::test]
async fn a_repair_that_a_crash_cut_short_is_ended_at_the_next_start() {
    for moved in [false, true] {
        let scene = Scene::of(1).await;
        sql(&scene.archive, BEGUN).await;
        if moved {
            fs::rename(scene.body(0), scene.archive.root().join("kept")).unwrap();
        }
        scene.bird.forget_requests();
        scene.archive.run(&["--once"]).await.expect_code(0);
        assert_complete(&scene.archive, &scene.workspace).await;
        assert_eq!(scene.bird.media_requests(), u64::from(moved));
        let repairs = scene.show(0).await["repairs"].as_array().unwrap().len();
        assert_eq!(repairs, usize::from(moved));
        scene.verify(&[], 0).await;
    }
}

/// Takes all rows but the oldest out of the catalog, as an older copy of it would lack them.
const FORGET: &str = "DELETE FROM recordings WHERE created_at > (SELECT min(created_at) FROM recordings)";

#[tokio::test]
async fn a_body_that_only_its_sidecar_knows_is_archived_again() {
    let scene = Scene::of(3).await;
    let before = scene.show(1).await;
    sql(&scene.archive, FORGET).await;
    for forgotten in [1, 2] {
        scene.workspace.unlist(scene.ids[forgotten]);
    }
    fs::write(scene.sidecar(2), "{}").unwrap();
    let report = scene.verify(&[], 0).await;
    assert_eq!(report["unknown_files"].as_array().unwrap().len(), 4);
    let report = scene.verify(&["--repair"], 0).await;
    let adopted = report["adopted"].as_array().unwrap();
    assert_eq!(adopted.len(), 1);
    assert_eq!(adopted[0], before["path"]);
    let after = scene.show(1).await;
    for same in ["state", "sha256", "archived_at", "first_seen_at", "metadata", "path"] {
        assert_eq!(after[same], before[same], "{same}");
    }
    let report = scene.verify(&[], 0).await;
    assert_eq!(
        (&report["checked"], report["unknown_files"].as_array().unwrap().len()),
        (&json!(2), 2)
    );
}

#[tokio::test]
async fn a_folder_that_was_swapped_for_a_link_stops_no_other_repair() {
    let mut scene = Scene::of(1).await;
    let other = scene.workspace.add(RecordingSpec::at("2026-03-05T10:00:00Z"));
    scene.ids.push(other);
    scene.archive.run(&["--once"]).await.expect_code(0);
    let day = scene.body(1).parent().unwrap().to_owned();
    let moved = scene.archive.root().join("moved");
    fs::rename(&day, &moved).unwrap();
    std::os::unix::fs::symlink(&moved, &day).unwrap();
    let outside = crate::surviving::kit::snapshot(&moved);
    scene.flip(0);
    let report = scene.verify(&["--repair"], 3).await;
    let repaired = report["repaired"].as_array().unwrap();
    assert!(repaired.iter().any(|repair| repair["id"] == scene.id(0)), "{report}");
    assert_eq!(report["missing"], json!([scene.id(1)]));
    assert!(
        crate::surviving::kit::snapshot(&moved) == outside,
        "the link was followed"
    );
}
