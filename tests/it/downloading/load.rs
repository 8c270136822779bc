//! Many recordings: links are used while they live, and the API is asked for no more than it must be.

use std::time::Duration;
use std::time::Instant;

use crate::breaking::kit::cpu_of;
use crate::listing::scene::Scene;
use crate::listing::scene::each_case;
use crate::support::bird::At;
use crate::support::bird::BirdOptions;
use crate::support::bird::FaultRule;
use crate::support::bird::MediaAction;
use crate::support::bird::Throttle;
use crate::surviving::kit::place;

#[tokio::test]
async fn a_queue_that_outlasts_its_links_mints_others_in_time() {
    let media_delay = Duration::from_millis(200);
    let mut scene = Scene::with(BirdOptions {
        url_life: Duration::from_secs(2),
        throttle: Throttle {
            media_delay,
            ..Throttle::default()
        },
        ..BirdOptions::default()
    })
    .await;
    scene.archive.set("download.concurrency", "16");
    let ids = scene.add(300);
    scene.once(0).await;
    scene.expect_archived(&ids);
    let expired = scene.bird.expired_media_requests();
    assert!(expired <= 4, "{expired} requests with links past their time");
    // The walk is over within a few pages: whatever else is listed brings links for what outlasted its own.
    let (lists, items) = (scene.bird.list_requests(), scene.bird.item_requests());
    assert!(lists > 4, "the queue did not outlast its links");
    assert!(lists + items <= 100, "{lists} lists, {items} items for 300 recordings");
    assert!(scene.bird.most_media_in_flight() <= 16);
}

/// With every place taken there is nothing to do but wait.
#[tokio::test]
async fn a_full_queue_rests() {
    let (bird, workspace, mut archive) = place().await;
    archive.set("download.concurrency", "2");
    workspace.add_many(12, "2026-03-01T10:00:00Z", Duration::from_mins(1));
    bird.fault(FaultRule::media(MediaAction::Hold(At::Half)));
    let mut running = archive.spawn(&[]);
    bird.wait_until(|bird| bird.media_in_flight() == 2).await;
    let pid = running.pid().unwrap();
    // Beyond the time at which it would look again if there were places.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let (begun, before) = (Instant::now(), cpu_of(pid));
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (spent, passed) = (cpu_of(pid).saturating_sub(before), begun.elapsed());
    assert!(spent * 4 < passed, "{spent:?} on a CPU of {passed:?}");
    running.kill_9().await;
}

#[tokio::test]
async fn links_of_the_list_are_used_instead_of_asking_again() {
    let scene = Scene::new().await;
    let ids = scene.add(400);
    scene.once(0).await;
    scene.expect_archived(&ids);
    // Four hundred on pages of 99.
    assert_eq!(scene.bird.api_requests(), 5);
    assert!(scene.bird.media_requests() <= 400 + 4);
}

#[tokio::test]
async fn a_clock_that_is_hours_off_spoils_no_link() {
    let cases = vec![
        ("ahead", 7_200),
        ("behind", -7_200),
        ("a day ahead", 86_400),
        ("a year behind", -31_536_000),
    ];
    each_case(cases, |name, clock_offset_seconds| async move {
        let scene = Scene::with(BirdOptions {
            clock_offset_seconds,
            ..BirdOptions::default()
        })
        .await;
        let ids = scene.add(40);
        scene.once(0).await;
        scene.expect_archived(&ids);
        assert_eq!(scene.bird.expired_media_requests(), 0, "{name}");
        assert_eq!(scene.bird.item_requests(), 0, "{name}");
        let more = scene.add(3);
        scene.once(0).await;
        scene.expect_archived(&more);
        assert_eq!(scene.bird.expired_media_requests(), 0, "{name}");
    })
    .await;
}

#[tokio::test]
#[ignore = "takes a minute; the smaller case above always runs"]
async fn five_thousand_with_links_of_two_seconds_are_all_archived() {
    let scene = Scene::with(BirdOptions {
        url_life: Duration::from_secs(2),
        ..BirdOptions::default()
    })
    .await;
    let ids = scene.add(5_000);
    scene.once(0).await;
    scene.expect_archived(&ids);
    let (expired, media) = (scene.bird.expired_media_requests(), scene.bird.media_requests());
    eprintln!(
        "{media} media requests, {expired} expired, {} lists, {} items",
        scene.bird.list_requests(),
        scene.bird.item_requests()
    );
    assert!(
        expired * 100 < media,
        "{expired} of {media} downloads began on a dead link"
    );
}
