//! The order of durable calls, as a run makes them: synced before it has a name, named before a row speaks of it.

use std::path::Path;

use tempfile::TempDir;

use crate::breaking::kit::Ended;
use crate::breaking::kit::Scene;
use crate::breaking::kit::run;
use crate::breaking::kit::run_traced;
use crate::breaking::kit::wants;
use crate::support::faultio;
use crate::support::invariants;
use crate::support::invariants::Demand;
use crate::support::invariants::Place;

/// A run over three recordings under these rules, for calls below its own place; `None`, loudly, where calls cannot be
/// traced.
fn traced(scene: &Scene, dir: &Path, rule: &str) -> Option<(Place, Ended)> {
    if let Err(why) = faultio::library() {
        assert!(!wants("BIRDKEEP_MUST_WALK", "1"), "{why}");
        eprintln!("SKIPPED: tracing calls: {why}");
        return None;
    }
    let place = Place::new(dir.join("archive"));
    let config = scene.install(&place, 2, "");
    let under = format!("under={} not=-shm", dir.display());
    let ended = run_traced(scene, &config, &format!("{under} {rule};{under}"));
    Some((place, ended))
}

#[test]
fn what_a_row_calls_archived_was_synced_then_named_then_its_folders_synced() {
    let (scene, dir) = (Scene::of_three(), TempDir::with_prefix("birdkeep-order-").unwrap());
    let Some((place, ended)) = traced(&scene, dir.path(), "op=fsync") else {
        return;
    };
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let named = ended.trace.iter().filter(|call| call.touches(".mp3")).count();
    assert!(named >= 3, "{:#?}", ended.trace);
    assert_eq!(invariants::order(&ended.trace, &place), Vec::<String>::new());
}

#[test]
fn a_file_whose_sync_failed_is_not_synced_again_nor_named() {
    let scene = Scene::of_three();
    for nth in 1.. {
        let dir = TempDir::with_prefix("birdkeep-order-").unwrap();
        let rule = format!("op=fsync path=/staging/ nth={nth} act=EIO");
        let Some((place, ended)) = traced(&scene, dir.path(), &rule) else {
            return;
        };
        let struck = faultio::struck(&ended.trace);
        assert_eq!(invariants::no_sync_again(&ended.trace), Vec::<String>::new(), "{nth}");
        if struck.is_none() {
            assert!(nth > 6, "three bodies and three sidecars are synced, and {nth} was not");
            return;
        }
        let config = scene.install(&place, 2, "");
        let healed = run(&config, &["--once"], &[] as &[(&str, &str)]);
        assert_eq!(healed.code, Some(0), "{nth}: {}", healed.stderr);
        assert_eq!(
            scene.check(&place, Demand::Complete).violations,
            Vec::<String>::new(),
            "{nth}"
        );
    }
}
