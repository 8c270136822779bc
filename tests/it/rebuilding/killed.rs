//! Killed at any moment, a rebuild has made all of a catalog or none, and a reconciliation begins again.

use std::fs;
use std::time::Duration;
use std::time::Instant;

use super::kit::ask;
use super::kit::assert_clean;
use super::kit::dump;
use super::kit::lose_catalog;
use super::kit::rebuild;
use super::kit::with_suffix;
use crate::support::random::Random;
use crate::surviving::kit::assert_rows_true;
use crate::surviving::kit::count;
use crate::surviving::kit::place;
use crate::surviving::kit::rows;
use crate::surviving::kit::snapshot;
use crate::surviving::kit::sql;

const RECORDINGS: usize = 150;
const KILLS: u32 = 16;
const MINUTE: Duration = Duration::from_mins(1);

/// A moment in the part of a run that comes `nth`, of as many parts as there are kills. Nothing is held to it.
fn moment(whole: Duration, nth: u32, random: &mut Random) -> Duration {
    let part = whole / KILLS;
    part * nth + part.mul_f64(f64::from(u32::try_from(random.below(1000)).unwrap()) / 1000.0)
}

#[tokio::test]
async fn a_rebuild_makes_a_whole_catalog_or_none() {
    let (bird, workspace, archive) = place().await;
    workspace.add_many(RECORDINGS, "2026-03-01T10:00:00Z", MINUTE * 60);
    archive.run(&["--once"]).await.expect_code(0);
    let before = dump(&archive.catalog_path()).await;
    let files = snapshot(&archive.dir().join("recordings"));
    lose_catalog(&archive);
    let begun = Instant::now();
    assert_clean(&rebuild(&archive, 0).await, RECORDINGS);
    let whole = begun.elapsed();
    let mut random = Random::new(0x5eed_0003);
    let (mut unfinished, mut left) = (0, 0);
    for kill in 0..KILLS {
        lose_catalog(&archive);
        let mut running = archive.spawn(&["rebuild"]);
        if running.exit_within(moment(whole, kill, &mut random)).await.is_none() {
            running.kill_9().await;
        }
        if archive.catalog_path().exists() {
            // It needs no log to be whole.
            assert!(!with_suffix(&archive.catalog_path(), "-wal").exists());
            assert_eq!(dump(&archive.catalog_path()).await, before);
        } else {
            unfinished += 1;
            left += u32::from(with_suffix(&archive.catalog_path(), ".rebuild").exists());
            let refused = archive.run(&["--once"]).await.expect_code(1);
            assert!(refused.stderr.contains("birdkeep rebuild"), "{}", refused.stderr);
        }
    }
    assert!(
        unfinished > 0 && left > 0,
        "{unfinished} of {KILLS} kills struck before the end, {left} in the middle"
    );
    lose_catalog(&archive);
    assert_clean(&rebuild(&archive, 0).await, RECORDINGS);
    assert_eq!(dump(&archive.catalog_path()).await, before);
    assert!(!with_suffix(&archive.catalog_path(), ".rebuild").exists());
    bird.forget_requests();
    archive.run(&["--once"]).await.expect_code(0);
    assert_eq!(bird.media_requests(), 0);
    assert!(snapshot(&archive.dir().join("recordings")) == files);
}

#[tokio::test]
async fn told_to_stop_a_rebuild_leaves_nothing() {
    let (_bird, workspace, archive) = place().await;
    let id = workspace.add(crate::support::bird::RecordingSpec::new());
    archive.run(&["--once"]).await.expect_code(0);
    lose_catalog(&archive);
    super::restored::make_huge(&archive, id);
    let mut running = archive.spawn(&["rebuild"]);
    let building = with_suffix(&archive.catalog_path(), ".rebuild");
    crate::surviving::kit::eventually("a catalog is being made", || building.exists()).await;
    running.sigint();
    let finished = crate::surviving::kit::end_within(&mut running, Duration::from_secs(30)).await;
    assert_eq!(finished.code, Some(1));
    assert!(
        finished.stderr.contains("stopped before the end"),
        "{}",
        finished.stderr
    );
    assert!(!building.exists() && !archive.catalog_path().exists());
}

#[tokio::test]
async fn a_reconciliation_that_is_killed_begins_again() {
    let (bird, workspace, archive) = place().await;
    workspace.add_many(5, "2026-03-01T10:00:00Z", MINUTE);
    archive.run(&["--once"]).await.expect_code(0);
    let older = fs::read(archive.catalog_path()).unwrap();
    let ids = workspace.add_many(RECORDINGS, "2026-03-02T10:00:00Z", MINUTE * 60);
    archive.run(&["--once"]).await.expect_code(0);
    let before = dump(&archive.catalog_path()).await;
    let files = snapshot(&archive.dir().join("recordings"));
    // Only the archive knows of them any more.
    for id in ids {
        workspace.remove(id);
    }
    bird.forget_requests();
    let restore = async || {
        lose_catalog(&archive);
        fs::write(archive.catalog_path(), &older).unwrap();
        sql(&archive, "UPDATE archive SET copied_at = 1772359200000000").await;
    };
    restore().await;
    let begun = Instant::now();
    archive.run(&["--once"]).await.expect_code(0);
    let whole = begun.elapsed();
    assert_eq!(dump(&archive.catalog_path()).await, before);
    let mut random = Random::new(0x5eed_0004);
    let mut unfinished = 0;
    for kill in 0..KILLS {
        restore().await;
        let mut running = archive.spawn(&["--once"]);
        if running.exit_within(moment(whole, kill, &mut random)).await.is_none() {
            running.kill_9().await;
        }
        let rows = rows(&archive).await;
        assert_rows_true(&archive, &rows);
        assert!(count(&rows, "archived") >= 5);
        let copied = ask(
            &archive.catalog_path(),
            &["SELECT 'a copy' FROM archive WHERE copied_at IS NOT NULL"],
        )
        .await;
        unfinished += u32::from(!copied.is_empty());
        assert!(!copied.is_empty() || count(&rows, "archived") == RECORDINGS + 5);
        archive.run(&["--once"]).await.expect_code(0);
        assert_eq!(dump(&archive.catalog_path()).await, before);
    }
    assert!(unfinished > 0, "no kill struck before the end");
    assert_eq!(bird.media_requests(), 0);
    assert!(snapshot(&archive.dir().join("recordings")) == files);
}
