//! What `check` finds in the catalog: damage, another archive's, another schema, what should be looked at.

use std::fs;
use std::time::Duration;

use super::check;
use super::line;
use crate::support::bird::FaultRule;
use crate::support::bird::MediaAction;
use crate::surviving::kit::place;
use crate::surviving::kit::sql;

const FROM: &str = "2026-03-01T10:00:00Z";

#[tokio::test]
async fn a_sound_one_is_read_whole() {
    let (_bird, workspace, archive) = place().await;
    workspace.add_many(3, FROM, Duration::from_mins(1));
    archive.run(&["--once"]).await.expect_code(0);
    let printed = check(&archive, 0).await;
    assert!(line(&printed, "ok", "catalog: schema").contains("every page read and sound"));
    line(&printed, "ok", "support: recordings: 3 archived, 0 due");
}

#[tokio::test]
async fn damage_is_told_with_the_way_out() {
    let (_bird, workspace, archive) = place().await;
    workspace.add_many(40, FROM, Duration::from_mins(1));
    archive.run(&["--once"]).await.expect_code(0);
    let sound = fs::read(archive.catalog_path()).unwrap();
    let mut damaged = sound.clone();
    let middle = damaged.len() / 2;
    damaged[middle..].fill(0x55);
    fs::write(archive.catalog_path(), damaged).unwrap();
    let printed = check(&archive, 1).await;
    assert!(
        line(&printed, "FAIL", "catalog").contains("birdkeep rebuild"),
        "{printed}"
    );
    // Everything else is looked at all the same.
    line(&printed, "ok", "support: media");

    fs::write(
        archive.catalog_path(),
        b"no database at all, but long enough to be looked at",
    )
    .unwrap();
    line(&check(&archive, 1).await, "FAIL", "catalog");
    fs::remove_file(archive.catalog_path()).unwrap();
    let printed = check(&archive, 1).await;
    assert!(line(&printed, "FAIL", "catalog").contains("missing or empty although recordings exist"));
    fs::write(archive.catalog_path(), sound).unwrap();
    check(&archive, 0).await;
}

#[tokio::test]
async fn one_of_another_archive_or_program_or_version_is_told() {
    let (_bird, workspace, archive) = place().await;
    workspace.add_many(1, FROM, Duration::ZERO);
    archive.run(&["--once"]).await.expect_code(0);
    let sound = fs::read(archive.catalog_path()).unwrap();
    for (statements, told) in [
        (
            "UPDATE archive SET archive_id = '01890a5d-ac96-474b-8cce-b302099a8057'",
            "belongs to archive",
        ),
        ("PRAGMA application_id = 7", "another program"),
        ("PRAGMA user_version = 99", "schema 99"),
    ] {
        sql(&archive, statements).await;
        let printed = check(&archive, 1).await;
        assert!(line(&printed, "FAIL", "catalog").contains(told), "{printed}");
        fs::write(archive.catalog_path(), &sound).unwrap();
    }
}

#[tokio::test]
async fn what_waits_for_somebody_is_a_warning_with_the_command_to_look() {
    let (bird, workspace, mut archive) = place().await;
    let ids = workspace.add_many(2, FROM, Duration::from_mins(1));
    archive.set("download.max_attempts", "1");
    bird.fault(FaultRule::media(MediaAction::access_denied()).recording(ids[0]));
    workspace.set_raw(
        workspace.add_many(1, "2026-03-02T10:00:00Z", Duration::ZERO)[0],
        Some("{\"id\":7}".into()),
    );
    archive.run(&["--once"]).await.expect_code(3);
    let body = archive
        .dir()
        .join("recordings")
        .join(archive.media_file_of(ids[1]).unwrap());
    fs::remove_file(body).unwrap();
    archive.run(&["verify"]).await.expect_code(3);
    let printed = check(&archive, 0).await;
    assert!(
        line(&printed, "warn", "support: recordings: 1 given up")
            .contains("birdkeep list --workspace support --state given_up"),
        "{printed}"
    );
    line(&printed, "warn", "support: recordings: 1 list items are not understood");
    assert!(
        line(&printed, "warn", "1 missing").contains("birdkeep verify --repair"),
        "{printed}"
    );
}

#[tokio::test]
async fn one_that_lies_elsewhere_has_its_folder_looked_at() {
    let (_bird, workspace, mut archive) = place().await;
    workspace.add_many(1, FROM, Duration::ZERO);
    let folder = archive.root().join("catalog");
    archive.set_text("catalog.path", &folder.join("catalog.sqlite").to_string_lossy());
    fs::create_dir(archive.dir()).unwrap();
    let printed = check(&archive, 1).await;
    assert!(
        line(&printed, "FAIL", "catalog's folder").contains("does not exist"),
        "{printed}"
    );
    fs::create_dir(&folder).unwrap();
    archive.run(&["--once"]).await.expect_code(0);
    let printed = check(&archive, 0).await;
    line(&printed, "ok", "catalog's folder");
    line(&printed, "ok", "catalog: schema");
}
