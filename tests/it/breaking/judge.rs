//! The judge itself on trial: each thing it must find is planted in a sound archive, and in a sound trace.

use std::fs;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::path::PathBuf;

use sqlx::ConnectOptions as _;
use sqlx::Connection as _;
use sqlx::sqlite::SqliteConnectOptions;

use super::kit::Scene;
use super::kit::run_traced;
use super::walk::heal;
use crate::support::faultio;
use crate::support::faultio::Traced;
use crate::support::invariants;
use crate::support::invariants::Demand;
use crate::support::invariants::Ledger;
use crate::support::invariants::Offered;
use crate::support::invariants::Place;

fn sql(place: &Place, statement: &'static str) {
    let run = async {
        let mut connection = SqliteConnectOptions::new().filename(&place.catalog).connect().await?;
        sqlx::raw_sql(statement).execute(&mut connection).await?;
        connection.close().await
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.unwrap().block_on(run).unwrap();
}

/// The first file below `recordings/` with this extension.
fn file(place: &Place, extension: &str) -> PathBuf {
    let mut open = vec![place.archive.join("recordings")];
    while let Some(at) = open.pop() {
        if at.is_dir() {
            open.extend(fs::read_dir(at).unwrap().map(|entry| entry.unwrap().path()));
        } else if at.extension() == Some(extension.as_ref()) {
            return at;
        }
    }
    panic!("no .{extension} in {}", place.archive.display());
}

fn private(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
}

/// What is planted, and what the finding begins with.
type Plant = (&'static str, fn(&Place));

const PLANTS: [Plant; 16] = [
    ("I1", |place| {
        fs::remove_file(file(place, "mp3")).unwrap();
    }),
    ("I1", |place| {
        fs::remove_file(file(place, "json")).unwrap();
    }),
    ("I1", |place| {
        let path = file(place, "mp3");
        let mut bytes = fs::read(&path).unwrap();
        bytes[9_000] ^= 1;
        private(&path, &bytes);
    }),
    ("I1", |place| {
        sql(place, "UPDATE recordings SET size_bytes = size_bytes + 1");
    }),
    ("I2", |place| {
        private(&file(place, "mp3").with_file_name("20260301T100000Z_x.mp3"), b"x");
    }),
    ("I2", |place| {
        private(&file(place, "mp3").with_file_name("lone.json"), b"{}");
    }),
    ("I3", |place| {
        private(&file(place, "mp3").with_file_name("never_offered.mp3"), b"x");
    }),
    ("I3", |place| {
        private(&file(place, "json"), b"{");
    }),
    ("I3", |place| {
        private(&place.archive.join("staging/left.part"), b"x");
    }),
    ("I6", |place| {
        private(&place.catalog, &[b'x'; 8192]);
    }),
    ("I6", |place| {
        fs::remove_file(&place.catalog).unwrap();
    }),
    ("I6", |place| {
        sql(place, "UPDATE counts SET recordings = recordings + 1");
    }),
    ("I7", |place| {
        sql(
            place,
            "UPDATE recordings SET state = 'due', path = NULL, size_bytes = NULL, sha256 = NULL, archived_at = NULL,
                content_type = NULL, etag = NULL, remark = NULL WHERE seq = 1",
        );
    }),
    ("I15", |place| {
        fs::set_permissions(file(place, "mp3"), Permissions::from_mode(0o640)).unwrap();
    }),
    ("I16", |place| {
        std::os::unix::fs::symlink("/", place.archive.join("recordings/out")).unwrap();
    }),
    ("I16", |place| {
        fs::hard_link(file(place, "mp3"), place.archive.join("second")).unwrap();
    }),
];

#[test]
fn what_is_planted_in_an_archive_is_found() {
    let mut scene = Scene::of_three();
    for (number, (invariant, plant)) in PLANTS.into_iter().enumerate() {
        let place = Place::new(scene.scratch().join(format!("archive-{number}")));
        assert_eq!(heal(&scene.install(&place, 2, "")), None);
        let sound = scene.check(&place, Demand::Complete).violations;
        assert_eq!(sound, Vec::<String>::new());
        plant(&place);
        let found = scene.check(&place, Demand::Complete).violations;
        assert!(
            found.iter().any(|found| found.starts_with(&format!("{invariant}: "))),
            "{number}: {invariant} was not found, but {found:?}"
        );
    }
    // What counts as settled although it has no row; what was archived and changed.
    let place = Place::new(scene.scratch().join("archive-0"));
    let mut ledger = Ledger::default();
    drop(fs::remove_dir_all(&place.archive));
    assert_eq!(heal(&scene.install(&place, 2, "")), None);
    assert_eq!(
        ledger.observe(&scene.check(&place, Demand::Complete)),
        Vec::<String>::new()
    );
    sql(
        &place,
        "UPDATE recordings SET archived_at = archived_at + 1 WHERE seq = 1",
    );
    let found = ledger.observe(&scene.check(&place, Demand::Complete));
    assert!(found.len() == 1 && found[0].starts_with("I4: "), "{found:?}");
    let early = scene.offered.iter().map(|offer| offer.created_at).min().unwrap();
    scene.offered.push(Offered {
        workspace: "support".to_owned(),
        id: "00000000-0000-4000-8000-000000000000".to_owned(),
        created_at: early - 1,
        sha256: None,
    });
    let found = scene.check(&place, Demand::Crashed).violations;
    assert!(found.len() == 1 && found[0].starts_with("I8: "), "{found:?}");
}

#[test]
fn what_is_wrong_in_a_trace_is_found() {
    if let Err(why) = faultio::library() {
        eprintln!("SKIPPED: traces: {why}");
        return;
    }
    let scene = Scene::of_three();
    let place = Place::new(scene.scratch().join("archive"));
    let ended = run_traced(&scene, &scene.install(&place, 2, ""), "under=/");
    assert_eq!((ended.code, ended.archived().len()), (Some(0), 3), "{}", ended.stderr);
    let trace = ended.trace;
    assert_eq!(invariants::order(&trace, &place), Vec::<String>::new());
    assert_eq!(invariants::no_sync_again(&trace), Vec::<String>::new());
    assert_eq!(invariants::confined(&trace, &[&place.archive]), Vec::<String>::new());
    assert!(!invariants::confined(&trace, &[&place.archive.join("recordings")]).is_empty());
    let without = |gone: &dyn Fn(&Traced) -> bool| {
        let kept: Vec<_> = trace.iter().filter(|call| !gone(call)).cloned().collect();
        invariants::order(&kept, &place)
    };
    let sync_of = |call: &Traced, what: &str| call.op == "fsync" && call.path.to_string_lossy().contains(what);
    let staged = without(&|call| sync_of(call, "/staging/"));
    assert!(staged.len() >= 6, "{staged:?}");
    assert!(!without(&|call| sync_of(call, "/recordings/support/2026/03/01")).is_empty());
    // The parent of a day's folder, which one file system's log may bring along by itself.
    assert!(!without(&|call| call.op == "fsync" && call.touches("/recordings/support/2026/03")).is_empty());
    assert!(!without(&|call| sync_of(call, "catalog.sqlite")).is_empty());
    // A sync that failed, tried again.
    let first = trace.iter().position(|call| sync_of(call, "/staging/")).unwrap();
    let mut again = trace.clone();
    let failed = Traced {
        result: -1,
        errno: Some("EIO".to_owned()),
        ..trace[first].clone()
    };
    again.insert(first, failed);
    let found = invariants::no_sync_again(&again);
    assert!(!found.is_empty() && found[0].starts_with("I13: "), "{found:?}");
}
