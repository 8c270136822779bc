//! "Too many requests": waits that upstream asks for are kept, and one that is absurd ends the walk, not the pass.

use std::time::Duration;
use std::time::Instant;

use super::scene::Scene;
use super::scene::between;
use super::scene::each_case;
use super::scene::lists;
use crate::support::bird::ApiAction;
use crate::support::bird::FaultRule;

/// An HTTP date so many seconds from now.
fn http_date(scene: &Scene, seconds: u64) -> String {
    let at = scene.bird.now().after(Duration::from_secs(seconds));
    jiff::Timestamp::from_microsecond(at.as_microseconds())
        .unwrap()
        .strftime("%a, %d %b %Y %H:%M:%S GMT")
        .to_string()
}

#[tokio::test]
async fn a_wait_that_is_asked_for_is_kept() {
    let cases = vec![
        ("one second", (Some("1"), Duration::from_secs(1))),
        ("two seconds", (Some("2"), Duration::from_secs(2))),
        ("nothing asked", (None, Duration::from_millis(400))),
        ("not a time", (Some("soon"), Duration::from_millis(400))),
        ("negative", (Some("-1"), Duration::from_millis(400))),
    ];
    each_case(cases, |name, (asked, least)| async move {
        let mut scene = Scene::new().await;
        let ids = scene.add(12);
        scene.archive.set("api.page_size", "5");
        let action = asked.map_or_else(
            || ApiAction::status(429),
            |asked| ApiAction::status_retry_after(429, asked),
        );
        scene.bird.fault(FaultRule::list(action).page(2).times(1));
        scene.once(0).await;
        scene.expect_archived(&ids);
        let asked = lists(&scene.bird);
        let limited = asked.iter().position(|list| list.seen.status == Some(429)).unwrap();
        let gap = between(&asked[limited].seen, &asked[limited + 1].seen);
        assert!(gap >= least, "{name}: {gap:?}");
        assert_eq!(asked[limited + 1].page, 2, "{name}");
        assert_eq!(asked.len(), 4, "{name}");
    })
    .await;
}

#[tokio::test]
async fn a_wait_until_a_date_is_kept() {
    let scene = Scene::new().await;
    let ids = scene.add(3);
    let date = http_date(&scene, 3);
    scene
        .bird
        .fault(FaultRule::list(ApiAction::status_retry_after(429, &date)).times(1));
    scene.once(0).await;
    scene.expect_archived(&ids);
    let asked = lists(&scene.bird);
    let until = birdkeep::domain::clock::Timestamp::from_http_date(&date).unwrap();
    assert_eq!(asked.len(), 2);
    assert!(asked[1].seen.at >= until, "{} is before {until}", asked[1].seen.at);
}

#[tokio::test]
async fn a_wait_that_is_absurd_ends_the_walk_quickly() {
    let cases = vec![
        ("a day", "86400"),
        ("for ever", "99999999999999999999999"),
        ("a date far away", "Wed, 21 Oct 2099 07:28:00 GMT"),
    ];
    each_case(cases, |name, asked| async move {
        let mut scene = Scene::new().await;
        let ids = scene.add(8);
        scene.archive.set("api.page_size", "5");
        let fault = ApiAction::status_retry_after(429, asked);
        scene.bird.fault(FaultRule::list(fault).page(2));
        let begun = Instant::now();
        scene.once(3).await;
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "{name}: {:?}",
            begun.elapsed()
        );
        scene.expect_archived(&ids[3..]);
        assert_eq!(
            scene.bird.list_requests(),
            2,
            "{name}: nothing is asked inside the time"
        );
        assert!(
            scene.status().await["last_walk"]["outcome"]
                .as_str()
                .unwrap()
                .contains("429")
        );
        scene.bird.clear_faults();
        scene.once(0).await;
        scene.expect_archived(&ids);
    })
    .await;
}
