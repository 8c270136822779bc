//! What the archive holds and no catalog can be made of: told, with the reason, and left as it is.

use std::fs;
use std::path::Path;
use std::time::Duration;

use rustix::fs::FileType;
use rustix::fs::Mode;
use serde_json::Value;
use serde_json::json;

use super::kit::ask;
use super::kit::body_of;
use super::kit::lose_catalog;
use super::kit::rebuild;
use super::kit::rebuild_with;
use super::kit::sidecar_of;
use crate::support::bird::Bird;
use crate::support::bird::WorkspaceHandle;
use crate::support::harness::Archive;
use crate::surviving::kit::place;
use crate::surviving::kit::rows;
use crate::surviving::kit::snapshot;

async fn archived(recordings: usize) -> (Bird, WorkspaceHandle, Archive) {
    let (bird, workspace, archive) = place().await;
    workspace.add_many(recordings, "2026-03-01T10:00:00Z", Duration::from_mins(1));
    archive.run(&["--once"]).await.expect_code(0);
    lose_catalog(&archive);
    (bird, workspace, archive)
}

fn set(path: &Path, name: &str, value: &Value) {
    change(path, |sidecar| {
        sidecar.insert(name.to_owned(), value.clone());
    });
}

fn change(path: &Path, change: impl FnOnce(&mut serde_json::Map<String, Value>)) {
    let mut sidecar: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    change(sidecar.as_object_mut().unwrap());
    fs::write(path, sidecar.to_string()).unwrap();
}

#[track_caller]
fn reason<'a>(report: &'a Value, file: &str) -> &'a str {
    let unusable = report["unusable"].as_array().unwrap();
    let found = unusable
        .iter()
        .find(|entry| entry["path"].as_str().unwrap().contains(file));
    found.unwrap_or_else(|| panic!("{file} in {report}"))["reason"]
        .as_str()
        .unwrap()
}

#[tokio::test]
async fn sidecars_that_are_none_or_contradict_themselves_are_not_believed() {
    let (bird, workspace, archive) = archived(9).await;
    let ids = workspace.available();
    let path = |at: usize| sidecar_of(&archive, ids[at]);
    fs::write(path(0), "{\"workspace\": \"support\"").unwrap();
    fs::write(path(1), b"\xff\xfe").unwrap();
    set(&path(2), "workspace", &json!("sales"));
    set(&path(3), "id", &json!(ids[4].to_string()));
    set(&path(4), "created_at", &json!("2026-03-02T10:03:00Z"));
    set(&path(5), "status", &json!(7));
    // A sidecar alone in a place that is not its own.
    let copied = path(6);
    let elsewhere = copied.parent().unwrap().with_file_name("07");
    fs::create_dir(&elsewhere).unwrap();
    fs::copy(&copied, elsewhere.join(copied.file_name().unwrap())).unwrap();
    fs::remove_file(path(7)).unwrap();
    let files = snapshot(&archive.dir().join("recordings"));
    let report = rebuild(&archive, 3).await;
    assert_eq!(report["recordings"], 2, "{report}");
    for (at, words) in [
        (0, "no sidecar"),
        (1, "no sidecar"),
        (2, "another workspace"),
        (3, "another recording"),
        (4, "time of creation"),
        (5, "cannot be understood"),
    ] {
        let why = reason(&report, path(at).file_name().unwrap().to_str().unwrap());
        assert!(why.contains(words), "{why}");
    }
    assert!(reason(&report, "/07/").contains("not named"), "{report}");
    let mut lone: Vec<_> = [0, 1, 2, 3, 4, 5, 7].map(|at| ids[at].to_string()).to_vec();
    lone.retain(|id| !report["bodies_without_sidecar"].to_string().contains(id));
    assert_eq!(lone, Vec::<String>::new(), "{report}");
    assert!(snapshot(&archive.dir().join("recordings")) == files);
    // Upstream lists them all: what is not known is fetched, and the body that is there is kept.
    bird.forget_requests();
    let _ = archive.run(&["--once"]).await;
    let rows = rows(&archive).await;
    assert_eq!(rows.len(), 9);
    for (file, was) in &files {
        let is_body = file.extension().is_some_and(|extension| extension == "mp3");
        assert!(!is_body || snapshot(file.parent().unwrap())[file] == *was);
    }
}

#[tokio::test]
async fn bodies_that_are_missing_or_not_what_they_were_are_told() {
    let (bird, workspace, archive) = archived(6).await;
    let ids = workspace.available();
    fs::remove_file(body_of(&archive, ids[0])).unwrap();
    let flipped = body_of(&archive, ids[1]);
    let mut bytes = fs::read(&flipped).unwrap();
    bytes[100] ^= 1;
    fs::write(&flipped, bytes).unwrap();
    let cut = body_of(&archive, ids[2]);
    fs::File::options().write(true).open(&cut).unwrap().set_len(50).unwrap();
    let linked = body_of(&archive, ids[3]);
    fs::hard_link(&linked, archive.root().join("second name")).unwrap();
    let aside = archive.root().join("aside.mp3");
    let replaced = body_of(&archive, ids[4]);
    fs::rename(&replaced, &aside).unwrap();
    std::os::unix::fs::symlink(&aside, &replaced).unwrap();
    for quick in [true, false] {
        let more: &[&str] = if quick { &["--quick"] } else { &[] };
        let report = rebuild_with(&archive, more, 3).await.json();
        assert_eq!(report["recordings"], 6);
        assert_eq!(report["without_body"], json!([ids[0].to_string()]));
        let damaged = report["damaged"].to_string();
        for (at, id) in ids.iter().enumerate() {
            // A quick look sees no flipped bit.
            let is_damaged = matches!(at, 2..=4) || at == 1 && !quick;
            assert_eq!(damaged.contains(&id.to_string()), is_damaged, "{at} in {report}");
        }
        assert!(reason(&report, replaced.file_name().unwrap().to_str().unwrap()).contains("symbolic link"));
        let findings = ask(&archive.catalog_path(), &["SELECT kind FROM findings"]).await;
        assert_eq!(findings, vec!["damaged"; if quick { 3 } else { 4 }]);
        let rows = rows(&archive).await;
        let missing = rows.iter().find(|row| row["id"] == ids[0].to_string()).unwrap();
        assert_eq!(missing["state"], "due");
        assert!(
            missing["last_error"].as_str().unwrap().contains("was not there"),
            "{missing}"
        );
        if quick {
            lose_catalog(&archive);
        }
    }
    // What is missing is asked for again, and nothing else.
    bird.forget_requests();
    archive.run(&["--once"]).await.expect_code(0);
    assert_eq!(bird.media_requests(), 1);
    assert_eq!(fs::read(body_of(&archive, ids[0])).unwrap(), workspace.body(ids[0]));
}

#[tokio::test]
async fn what_was_planted_is_named_and_never_followed() {
    let (_bird, workspace, archive) = archived(2).await;
    let day = body_of(&archive, workspace.available()[0]).parent().unwrap().to_owned();
    let recordings = archive.dir().join("recordings");
    let outside = archive.root().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("canary.json"), "{}").unwrap();
    let fifo = |path: &Path| {
        rustix::fs::mknodat(rustix::fs::CWD, path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    };
    let planted = "20260301T120000Z_5b74ee9e-9d45-473a-82cd-f1f7feea6bbd";
    fifo(&day.join(format!("{planted}.json")));
    fs::write(day.join(format!("{planted}.mp3")), "a body").unwrap();
    fifo(&day.join("pipe"));
    std::os::unix::fs::symlink(&outside, day.join("link")).unwrap();
    std::os::unix::fs::symlink(&outside, recordings.join("sales")).unwrap();
    fs::write(recordings.join("notes.txt"), "notes").unwrap();
    fs::write(day.join("\u{1b}[31mred\n"), "red").unwrap();
    fs::create_dir_all(day.join("deep/er")).unwrap();
    fs::write(day.join("deep/er/file.json"), "{}").unwrap();
    let files = fs::read_dir(&day).unwrap().count();
    let report = rebuild(&archive, 3).await;
    assert_eq!(report["recordings"], 2, "{report}");
    assert!(reason(&report, "pipe").contains("named pipe"));
    assert!(reason(&report, "/link").contains("symbolic link"));
    assert!(reason(&report, "recordings/sales").contains("symbolic link"));
    assert!(reason(&report, "notes.txt").contains("not named"));
    assert!(reason(&report, "deep/er/file.json").contains("not named"));
    assert!(reason(&report, &format!("{planted}.json")).contains("named pipe"));
    assert!(reason(&report, "red").contains("not named"));
    assert_eq!(report["unusable"].as_array().unwrap().len(), 7, "{report}");
    let lone = report["bodies_without_sidecar"].as_array().unwrap();
    assert_eq!(lone.len(), 1);
    assert!(lone[0].as_str().unwrap().ends_with(&format!("{planted}.mp3")));
    assert!(!report.to_string().contains("canary"));
    assert_eq!(fs::read_dir(&day).unwrap().count(), files);

    lose_catalog(&archive);
    let text = archive.run(&["rebuild"]).await.expect_code(3).stdout;
    assert!(!text.contains('\u{1b}') && text.contains("2 recordings"), "{text:?}");
}

#[tokio::test]
async fn of_two_sidecars_of_one_recording_one_is_used_and_the_other_told() {
    let (_bird, workspace, archive) = archived(2).await;
    let id = workspace.available()[0];
    let (body, sidecar) = (body_of(&archive, id), sidecar_of(&archive, id));
    let day = body.parent().unwrap().with_file_name("03");
    fs::create_dir(&day).unwrap();
    let renamed = |path: &Path| {
        let name = path.file_name().unwrap().to_str().unwrap();
        day.join(name.replacen("20260301", "20260303", 1))
    };
    fs::copy(&body, renamed(&body)).unwrap();
    fs::copy(&sidecar, renamed(&sidecar)).unwrap();
    change(&renamed(&sidecar), |sidecar| {
        let created_at = sidecar["created_at"]
            .as_str()
            .unwrap()
            .replacen("2026-03-01", "2026-03-03", 1);
        sidecar.insert("created_at".to_owned(), json!(created_at));
    });
    let report = rebuild(&archive, 3).await;
    assert_eq!(report["recordings"], 2);
    assert!(reason(&report, "/03/").contains("another sidecar of the same recording"));
    assert!(report["bodies_without_sidecar"].to_string().contains("/03/"));
    let rows = rows(&archive).await;
    assert!(
        rows.iter().all(|row| row["path"].as_str().unwrap().contains("/01/")),
        "{rows:?}"
    );
}
