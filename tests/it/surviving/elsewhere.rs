//! A catalog that lies elsewhere than the recordings, as on a volume of its own: each without the other is refused.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use super::kit::assert_complete;
use super::kit::place;

#[tokio::test]
async fn a_catalog_may_lie_elsewhere_and_neither_place_is_taken_for_a_new_one() {
    let (bird, workspace, mut archive) = place().await;
    workspace.add_many(3, "2026-03-01T10:00:00Z", Duration::from_mins(1));
    let elsewhere = archive.root().join("elsewhere");
    archive.set_text("catalog.path", &elsewhere.join("calls.sqlite").to_string_lossy());
    let finished = archive.run(&["--once"]).await.expect_code(1);
    assert!(finished.stderr.contains("calls.sqlite"), "{}", finished.stderr);

    fs::create_dir(&elsewhere).unwrap();
    fs::set_permissions(&elsewhere, fs::Permissions::from_mode(0o777)).unwrap();
    let finished = archive.run(&["--once"]).await.expect_code(1);
    assert!(
        finished.stderr.contains("elsewhere") && finished.stderr.contains("o-w"),
        "{}",
        finished.stderr
    );
    assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
    fs::set_permissions(&elsewhere, fs::Permissions::from_mode(0o755)).unwrap();
    archive.run(&["--once"]).await.expect_code(0);
    assert_complete(&archive, &workspace).await;
    assert!(elsewhere.join("calls.sqlite").is_file() && !archive.dir().join("catalog.sqlite").exists());

    // The recordings' volume is not mounted: nothing is made in its place.
    let away = archive.root().join("away");
    fs::rename(archive.dir(), &away).unwrap();
    for exists in [false, true] {
        if exists {
            fs::create_dir(archive.dir()).unwrap();
        }
        bird.forget_requests();
        let finished = archive.run(&["--once"]).await.expect_code(1);
        assert!(
            finished.stderr.contains("Is its volume mounted?"),
            "{}",
            finished.stderr
        );
        assert_eq!(archive.dir().exists(), exists);
        assert!(!exists || fs::read_dir(archive.dir()).unwrap().next().is_none());
        assert_eq!(bird.api_requests(), 0);
    }
    fs::remove_dir(archive.dir()).unwrap();
    fs::rename(&away, archive.dir()).unwrap();

    // The catalog's volume is not mounted.
    fs::rename(elsewhere.join("calls.sqlite"), archive.root().join("calls.sqlite")).unwrap();
    let finished = archive.run(&["--once"]).await.expect_code(1);
    assert!(finished.stderr.contains("birdkeep rebuild"), "{}", finished.stderr);
    assert!(!elsewhere.join("calls.sqlite").exists());
    fs::rename(archive.root().join("calls.sqlite"), elsewhere.join("calls.sqlite")).unwrap();
    archive.run(&["--once"]).await.expect_code(0);
    assert_complete(&archive, &workspace).await;
}
