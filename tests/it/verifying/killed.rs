//! `verify --repair` killed before every durable call: what was damaged is never lost, and the next repair comes to its end.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use super::scene::Scene;
use crate::support::faultio;
use crate::surviving::kit::assert_complete;

/// More calls than a repair of three recordings makes.
const MOST_CALLS: usize = 400;

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(copied.success());
}

/// Every file below a place.
fn files(place: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![place.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            if entry.file_type().unwrap().is_dir() {
                open.push(entry.path());
            } else {
                found.push(entry.path());
            }
        }
    }
    found
}

/// Whether these bytes are still somewhere among the recordings or what was kept.
fn is_kept(scene: &Scene, bytes: &[u8]) -> bool {
    let places = ["recordings", "damaged"].map(|name| scene.archive.dir().join(name));
    places
        .iter()
        .flat_map(|place| files(place))
        .any(|file| fs::read(file).unwrap() == bytes)
}

#[tokio::test]
async fn a_repair_killed_before_any_call_loses_nothing() {
    let mut scene = Scene::of(3).await;
    let damaged = scene.flip(0);
    fs::remove_file(scene.body(1)).unwrap();
    fs::write(scene.sidecar(2), "{}").unwrap();
    let (archive, saved) = (scene.archive.dir(), scene.archive.root().join("saved"));
    copy(&archive, &saved);
    let trace = scene.archive.root().join("trace");
    let mut struck = 0;
    for nth in 1..MOST_CALLS {
        fs::remove_dir_all(&archive).unwrap();
        copy(&saved, &archive);
        // Every third call: the numbers move a little from run to run, so that all kinds are struck.
        let rule = format!("under={} nth={} act=KILL", archive.display(), nth * 3);
        let faults = match faultio::environment(&rule, &trace) {
            Ok(faults) => faults,
            Err(why) => return eprintln!("SKIPPED: repairs that are killed: {why}"),
        };
        for (name, value) in faults {
            scene.archive.env(name, value);
        }
        let killed = scene.archive.run(&["verify", "--repair"]).await;
        scene.archive.env("FAULTIO", "under=/nowhere");
        assert!(is_kept(&scene, &damaged), "lost after call {nth}");
        assert!(!killed.stderr.contains("panicked"), "{}", killed.stderr);
        if killed.code.is_some() {
            assert_eq!(killed.code, Some(3), "{}", killed.stderr);
            break;
        }
        struck += 1;
        scene.archive.run(&["--once"]).await.expect_code(0);
        assert!(is_kept(&scene, &damaged), "lost after call {nth} and a pass");
        let again = scene.archive.run(&["verify", "--repair"]).await;
        assert!(matches!(again.code, Some(0 | 3)), "{}", again.stderr);
        scene.archive.run(&["--once"]).await.expect_code(0);
        assert_complete(&scene.archive, &scene.workspace).await;
        scene.verify(&[], 0).await;
        assert!(is_kept(&scene, &damaged), "lost after call {nth} and a repair");
    }
    assert!((10..MOST_CALLS - 1).contains(&struck), "{struck} calls were struck");
}
