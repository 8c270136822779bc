//! Where a copy may lie, who may read it, and what is left where it could not be made.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use crate::support::harness::Archive;
use crate::surviving::kit::place;
use crate::surviving::kit::snapshot;
use crate::surviving::kit::sql;
use crate::surviving::kit::wrapper;

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

async fn assert_refused(archive: &Archive, destination: &Path, says: &str) {
    let finished = archive
        .run(&["backup", destination.to_str().unwrap()])
        .await
        .expect_code(1);
    assert!(finished.stderr.contains(says), "{}", finished.stderr);
}

#[tokio::test]
async fn nothing_is_replaced_and_nothing_is_put_into_the_archive() {
    let (_bird, workspace, mut archive) = place().await;
    let catalogs = archive.root().join("catalogs");
    fs::create_dir(&catalogs).unwrap();
    archive.set_text("catalog.path", catalogs.join("catalog.sqlite").to_str().unwrap());
    workspace.add_many(2, "2026-03-01T10:00:00Z", Duration::from_mins(1));
    archive.run(&["--once"]).await.expect_code(0);
    let kept = archive.root().join("kept");
    fs::create_dir(&kept).unwrap();
    fs::write(kept.join("there"), "mine").unwrap();
    symlink("nowhere", kept.join("link")).unwrap();
    symlink(archive.dir(), kept.join("into")).unwrap();
    let before = (snapshot(&archive.dir()), snapshot(&catalogs), names(&kept));
    assert_refused(&archive, &kept.join("there"), "never replaces").await;
    assert_refused(&archive, &kept.join("link"), "never replaces").await;
    assert_refused(&archive, &kept.join("into"), "in the archive itself").await;
    assert_refused(&archive, &archive.dir().join("a.sqlite"), "in the archive itself").await;
    assert_refused(&archive, &archive.catalog_path(), "own name").await;
    assert_refused(&archive, &catalogs.join("catalog.sqlite-wal"), "own name").await;
    assert_refused(&archive, &archive.root().join("none/a.sqlite"), "directory").await;
    assert!((snapshot(&archive.dir()), snapshot(&catalogs), names(&kept)) == before);
    archive
        .run(&["--workspace", "support", "backup", kept.to_str().unwrap()])
        .await
        .expect_code(64);
    archive.run(&["backup"]).await.expect_code(64);
}

#[tokio::test]
async fn a_copy_is_one_private_file_whatever_the_umask() {
    for (umask, group_readable, wanted) in [("000", "false", 0o600), ("077", "true", 0o640)] {
        let (bird, workspace, plain) = place().await;
        let program = wrapper(&plain, &format!("umask {umask}; exec \"$B\" \"$@\""));
        let mut archive = Archive::new(program, &bird, &[("support", &workspace)]);
        archive.set("archive.group_readable", group_readable);
        workspace.add_many(2, "2026-03-01T10:00:00Z", Duration::from_mins(1));
        archive.run(&["--once"]).await.expect_code(0);
        let kept = archive.root().join("kept");
        fs::create_dir(&kept).unwrap();
        let before = snapshot(&archive.dir());
        archive.run(&["backup", kept.to_str().unwrap()]).await.expect_code(0);
        assert!(snapshot(&archive.dir()) == before, "the archive was changed");
        let found = names(&kept);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found[0].starts_with("catalog-") && found[0].ends_with("Z.sqlite"),
            "{found:?}"
        );
        let mode = fs::metadata(kept.join(&found[0])).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode, wanted, "umask {umask}: {mode:o}");
    }
}

#[tokio::test]
async fn a_catalog_whose_copy_fails_its_test_makes_no_backup() {
    let (_bird, workspace, archive) = place().await;
    workspace.add_many(2, "2026-03-01T10:00:00Z", Duration::from_mins(1));
    archive.run(&["--once"]).await.expect_code(0);
    let kept = archive.root().join("kept");
    fs::create_dir(&kept).unwrap();
    sql(&archive, "UPDATE counts SET recordings = recordings + 1").await;
    assert_refused(&archive, &kept, "counts by state").await;
    assert_eq!(names(&kept), Vec::<String>::new());
    sql(&archive, "UPDATE counts SET recordings = recordings - 1").await;
    archive.run(&["backup", kept.to_str().unwrap()]).await.expect_code(0);
}

#[tokio::test]
async fn killed_or_stopped_midway_it_leaves_nothing_under_a_final_name() {
    let (_bird, workspace, archive) = place().await;
    workspace.add_many(2, "2026-03-01T10:00:00Z", Duration::from_mins(1));
    archive.run(&["--once"]).await.expect_code(0);
    // Large enough that it is being written for a while.
    sql(
        &archive,
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40000)
        INSERT INTO metadata_versions (seq, superseded_at, metadata)
        SELECT (SELECT min(seq) FROM recordings), i, hex(randomblob(1000)) FROM n",
    )
    .await;
    for kill in [true, false] {
        let kept = archive.root().join(format!("kept-{kill}"));
        fs::create_dir(&kept).unwrap();
        let destination = kept.join("copy.sqlite");
        let mut running = archive.spawn(&["backup", destination.to_str().unwrap()]);
        crate::surviving::kit::eventually("it is being written", || {
            names(&kept).iter().any(|name| {
                name.contains(".partial-") && fs::metadata(kept.join(name)).is_ok_and(|file| file.len() > 0)
            })
        })
        .await;
        if kill {
            running.kill_9().await;
            assert!(
                names(&kept).iter().all(|name| name.contains(".partial-")),
                "{:?}",
                names(&kept)
            );
        } else {
            running.sigterm();
            let finished = crate::surviving::kit::end_within(&mut running, crate::surviving::kit::LONG).await;
            finished.expect_code(1);
            assert_eq!(names(&kept), Vec::<String>::new());
        }
        archive
            .run(&["backup", destination.to_str().unwrap()])
            .await
            .expect_code(0);
    }
}
