//! What is found, and that nothing is changed by finding it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use serde_json::json;

use super::scene::Scene;
use crate::support::faultio;
use crate::surviving::kit::LONG;
use crate::surviving::kit::end_within;
use crate::surviving::kit::snapshot;

fn of_kind(report: &Value, kind: &str) -> Vec<String> {
    let mut ids: Vec<String> = report[kind]
        .as_array()
        .unwrap()
        .iter()
        .map(|id| id.as_str().unwrap().to_owned())
        .collect();
    ids.sort();
    ids
}

#[tokio::test]
async fn a_sound_archive_is_sound_beside_a_running_daemon_too() {
    let scene = Scene::of(5).await;
    assert_eq!(scene.status().await["last_scope"], Value::Null);
    let bytes: u64 = scene.ids.iter().map(|id| scene.workspace.body_len_bytes(*id)).sum();
    let before = snapshot(&scene.archive.dir().join("recordings"));
    for beside_a_daemon in [false, true] {
        let daemon = beside_a_daemon.then(|| scene.archive.spawn(&[]));
        let report = scene.verify(&[], 0).await;
        assert_eq!(
            (&report["checked"], &report["ok"], &report["bytes"]),
            (&json!(5), &json!(5), &json!(bytes))
        );
        for none in [
            "missing",
            "damaged",
            "unreadable",
            "sidecars",
            "unknown_files",
            "repaired",
        ] {
            assert_eq!(report[none], json!([]), "{none}");
        }
        assert_eq!(report["complete"], true);
        drop(daemon);
    }
    assert!(snapshot(&scene.archive.dir().join("recordings")) == before);
    let status = scene.status().await;
    assert_eq!((&status["missing"], &status["damaged"]), (&json!(0), &json!(0)));
    assert!(scene.show(0).await["verified_at"].is_string());
    let text = scene.archive.run(&["verify"]).await.expect_code(0).stdout;
    assert!(text.contains("5 re-read") && text.contains("5 as archived"), "{text}");
}

/// Damages twelve recordings: the first six bodies each in its way, one body gone, three sidecars wrong; and puts five
/// strangers beside the last. Returns the names of the strangers.
fn damage(scene: &Scene) -> Vec<String> {
    scene.flip(0);
    let cut = fs::read(scene.body(1)).unwrap();
    fs::write(scene.body(1), &cut[..cut.len() - 1]).unwrap();
    fs::write(scene.body(2), "").unwrap();
    let (link, pipe, twice) = (scene.body(3), scene.body(4), scene.body(5));
    fs::rename(&link, scene.archive.root().join("elsewhere")).unwrap();
    symlink(scene.archive.root().join("elsewhere"), &link).unwrap();
    fs::remove_file(&pipe).unwrap();
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    fs::hard_link(&twice, scene.archive.root().join("another name")).unwrap();
    fs::remove_file(scene.body(6)).unwrap();
    fs::remove_file(scene.sidecar(7)).unwrap();
    fs::write(scene.sidecar(8), "{}").unwrap();
    fs::copy(scene.sidecar(9), scene.sidecar(10)).unwrap();
    let day = scene.body(11).parent().unwrap().to_owned();
    fs::write(day.join("thesis.txt"), "years of work").unwrap();
    fs::create_dir(day.join("deeper")).unwrap();
    fs::write(day.join("deeper/notes"), "").unwrap();
    symlink("/etc/passwd", day.join("link")).unwrap();
    // A body and a sidecar of a recording that nobody listed.
    let stray = day.join("20260301T100000Z_00000000-0000-4000-8000-000000000000.mp3");
    fs::copy(scene.body(11), &stray).unwrap();
    // The body of a recording that is archived, under another format's name.
    let wav = scene.body(11).with_extension("wav");
    fs::copy(scene.body(11), &wav).unwrap();
    let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    let mut strangers = vec![name(&stray), name(&wav)];
    strangers.extend(["notes", "link", "thesis.txt"].map(str::to_owned));
    strangers.sort();
    strangers
}

#[tokio::test]
async fn missing_damaged_wrong_sidecars_and_strangers_are_told_apart() {
    let scene = Scene::of(12).await;
    let day = scene.body(11).parent().unwrap().to_owned();
    let strangers = damage(&scene);
    let before = snapshot(&day);
    let report = scene.verify(&[], 3).await;
    let ids = |numbers: &[usize]| {
        let mut ids: Vec<String> = numbers.iter().map(|number| scene.id(*number)).collect();
        ids.sort();
        ids
    };
    assert_eq!(of_kind(&report, "damaged"), ids(&[0, 1, 2, 3, 4, 5]));
    assert_eq!(of_kind(&report, "missing"), ids(&[6]));
    assert_eq!(of_kind(&report, "sidecars"), ids(&[7, 8, 10]));
    assert_eq!(of_kind(&report, "unreadable"), ids(&[]));
    assert_eq!((&report["checked"], &report["ok"]), (&json!(12), &json!(2)));
    let unknown = of_kind(&report, "unknown_files");
    let mut names: Vec<&str> = unknown.iter().map(|path| path.rsplit_once('/').unwrap().1).collect();
    names.sort_unstable();
    assert_eq!(names, strangers);
    assert!(snapshot(&day) == before, "something was changed");

    let status = scene.status().await;
    assert_eq!(
        (
            &status["damaged"],
            &status["missing"],
            &status["sidecars"],
            &status["unknown_files"]
        ),
        (&json!(6), &json!(1), &json!(3), &json!(5))
    );
    let shown = scene.show(0).await;
    assert_eq!(
        (&shown["state"], &shown["finding"]["kind"]),
        (&json!("archived"), &json!("damaged"))
    );
    let text = scene.archive.run(&["verify"]).await.expect_code(3).stdout;
    for words in [
        "6 damaged",
        "1 missing",
        "birdkeep verify --found --repair",
        "(a symbolic link)",
    ] {
        assert!(text.contains(words), "{words} in\n{text}");
    }
    let text = scene.archive.run(&["status"]).await.expect_code(0).stdout;
    assert!(text.contains("FOUND: 1 missing, 6 damaged"), "{text}");
}

#[tokio::test]
async fn what_is_put_right_by_hand_is_found_right() {
    let scene = Scene::of(3).await;
    let good = fs::read(scene.body(1)).unwrap();
    scene.flip(1);
    scene.flip(2);
    scene.verify(&[], 3).await;
    fs::write(scene.body(1), &good).unwrap();
    let again = scene.verify(&["--found"], 3).await;
    assert_eq!(
        (&again["checked"], of_kind(&again, "damaged")),
        (&json!(2), vec![scene.id(2)])
    );
    assert_eq!(scene.status().await["damaged"], 1);
    let one = scene.verify(&[&scene.id(1)], 0).await;
    assert_eq!((&one["checked"], &one["ok"]), (&json!(1), &json!(1)));
    let stranger = ["verify", "00000000-0000-4000-8000-000000000000"];
    let finished = scene.archive.run(&stranger).await.expect_code(1);
    assert!(finished.stderr.contains("no archived recording"), "{}", finished.stderr);
    let others = scene.verify(&[&scene.id(1), &scene.id(2)], 3).await;
    assert_eq!(
        (&others["checked"], of_kind(&others, "damaged")),
        (&json!(2), vec![scene.id(2)])
    );
}

#[tokio::test]
async fn as_many_samples_as_there_are_parts_read_everything() {
    let scene = Scene::of(10).await;
    let damaged = 7;
    scene.flip(damaged);
    let mut found = Vec::new();
    let mut checked = 0;
    for _ in 0..3 {
        let args = ["verify", "--format", "json", "--sample", "1/3"];
        let finished = scene.archive.run(&args).await;
        let report = finished.json();
        assert!(report["checked"].as_u64().unwrap() <= 4, "{report}");
        checked += report["checked"].as_u64().unwrap();
        found.extend(of_kind(&report, "damaged"));
    }
    assert!(checked >= 10);
    found.dedup();
    assert_eq!(found, [scene.id(damaged)]);
    for number in 0..10 {
        assert!(
            scene.show(number).await["verified_at"].is_string(),
            "{number} was left out"
        );
    }
}

#[tokio::test]
async fn a_slow_verification_can_be_stopped_and_says_so() {
    let scene = Scene::of(3).await;
    let mut running = scene.archive.spawn(&["verify", "--rate", "1 KiB"]);
    // The rate holds it for minutes; the entry says that it has begun.
    let begun = || async { scene.status().await["last_scope"] == "all" };
    let deadline = std::time::Instant::now() + LONG;
    while !begun().await {
        assert!(std::time::Instant::now() < deadline);
    }
    running.sigint();
    let finished = end_within(&mut running, LONG).await.expect_code(1);
    assert!(
        finished.stdout.contains("stopped before the end"),
        "{}",
        finished.stdout
    );
    let status = scene.status().await;
    assert_eq!(status["last_finished_at"], Value::Null);
    assert!(
        scene.archive.run(&["status"]).await.stdout.contains("not finished"),
        "an unfinished one passes for finished"
    );
}

#[tokio::test]
async fn what_cannot_be_done_is_said() {
    let scene = Scene::of(1).await;
    for (args, words) in [
        (&["verify", "--sample", "2/3"][..], "such as 1/30"),
        (&["verify", "--sample", "1/0"], "such as 1/30"),
        (&["verify", "--rate", "0"], "a size"),
        (&["verify", "--sample", "1/2", "--found"], "cannot be used with"),
    ] {
        let finished = scene.archive.run(args).await.expect_code(64);
        assert!(finished.stderr.contains(words), "{args:?}: {}", finished.stderr);
    }
    fs::remove_dir_all(scene.archive.dir().join("recordings")).unwrap();
    let finished = scene.archive.run(&["verify"]).await.expect_code(1);
    assert!(finished.stderr.contains("recordings"), "{}", finished.stderr);
    assert!(!finished.stderr.contains("panicked"), "{}", finished.stderr);
}

#[tokio::test]
async fn a_body_that_the_disk_does_not_give_back_is_neither_missing_nor_damaged() {
    let mut scene = Scene::of(3).await;
    let trace = scene.archive.root().join("trace");
    let rule = format!(
        "under={} op=read path={} nth=1+ act=EIO",
        scene.archive.dir().display(),
        scene.body(1).file_name().unwrap().to_string_lossy()
    );
    let faults = match faultio::environment(&rule, &trace) {
        Ok(faults) => faults,
        Err(why) => return eprintln!("SKIPPED: reads that fail: {why}"),
    };
    for (name, value) in faults {
        scene.archive.env(name, value);
    }
    let before = snapshot(&scene.archive.dir().join("recordings"));
    let report = scene.verify(&[], 3).await;
    assert_eq!(of_kind(&report, "unreadable"), [scene.id(1)]);
    assert_eq!((&report["missing"], &report["damaged"]), (&json!([]), &json!([])));
    assert_eq!((&report["checked"], &report["ok"]), (&json!(3), &json!(2)));
    assert!(snapshot(&scene.archive.dir().join("recordings")) == before);
    let shown = scene.show(1).await;
    assert_eq!(
        (&shown["state"], &shown["finding"]["kind"]),
        (&json!("archived"), &json!("unreadable"))
    );
    assert!(
        shown["finding"]["detail"]
            .as_str()
            .unwrap()
            .contains("Input/output error")
    );

    // Once the disk gives it back, nothing is wrong with it.
    scene.archive.env("FAULTIO", "under=/nowhere");
    assert_eq!(scene.verify(&["--found"], 0).await["ok"], 1);
    assert_eq!(scene.status().await["unreadable"], 0);
}
