//! Pages and walks: what proves the end of a list and what does not, tokens, orders, where a poll begins.

use std::time::Duration;

use bytes::Bytes;

use super::scene::NAME;
use super::scene::Scene;
use super::scene::add_small;
use super::scene::archive_of;
use super::scene::each_case;
use super::scene::expect_archived;
use super::scene::lists;
use super::scene::rows;
use super::scene::sidecar;
use super::scene::status_of;
use crate::support::bird::ApiAction;
use crate::support::bird::Bird;
use crate::support::bird::BirdOptions;
use crate::support::bird::Endless;
use crate::support::bird::FaultRule;
use crate::support::bird::PageOrder;
use crate::support::bird::Paging;
use crate::support::bird::RecordingSpec;
use crate::support::bird::Shape;

/// Every way in which a second page is none.
fn bad_second_pages() -> Vec<(&'static str, FaultRule)> {
    let second = |action| FaultRule::list(action).page(2);
    let shape = |shape| second(ApiAction::Shape(shape));
    let endless = |kind| FaultRule::list(ApiAction::Endless(kind)).after(1);
    vec![
        ("malformed JSON", second(ApiAction::malformed_json())),
        ("truncated JSON", second(ApiAction::TruncatedJson)),
        ("not UTF-8", second(ApiAction::bad_utf8())),
        ("HTML with 200", second(ApiAction::html())),
        ("items for results", shape(Shape::ItemsForResults)),
        ("results is an object", shape(Shape::ResultsIsObject)),
        ("results is null", shape(Shape::ResultsIsNull)),
        ("no results", shape(Shape::NoResults)),
        ("an array", shape(Shape::Array)),
        ("null", shape(Shape::Null)),
        ("the token is a number", shape(Shape::TokenIsNumber)),
        ("204", second(ApiAction::status(204))),
        ("404", second(ApiAction::status(404))),
        ("422", second(ApiAction::status(422))),
        ("500", second(ApiAction::status(500))),
        ("302", second(ApiAction::status(302))),
        ("same token", endless(Endless::SameToken)),
        ("same page", endless(Endless::SamePage)),
        ("empty pages", endless(Endless::EmptyPages)),
        ("new items for ever", endless(Endless::NewItems)),
    ]
}

/// Every way in which a second page does not arrive as it was sent.
fn broken_second_pages() -> Vec<(&'static str, FaultRule)> {
    let second = |action| FaultRule::list(action).page(2);
    let wrapped = |before: &'static str, after: &'static str| {
        second(ApiAction::Wrapped {
            before: Bytes::from_static(before.as_bytes()),
            after: Bytes::from_static(after.as_bytes()),
        })
    };
    vec![
        ("cut", second(ApiAction::Cut)),
        ("stalled", second(ApiAction::StallHalfway)),
        ("reset", second(ApiAction::Reset)),
        ("closed", second(ApiAction::Close)),
        ("a byte order mark", wrapped("\u{feff}", "")),
        ("trailing bytes", wrapped("", "]}")),
        ("a second page behind it", wrapped("", "{\"results\":[]}")),
        (
            "results twice",
            second(ApiAction::json(&b"{\"results\":[],\"results\":[]}"[..])),
        ),
        (
            "more items than configured",
            second(ApiAction::ManyItems { count: 1_000 }),
        ),
        ("silence", second(ApiAction::Silence)),
        (
            "a head a byte at a time",
            second(ApiAction::SlowHead(Duration::from_millis(50))),
        ),
        (
            "a body a byte at a time",
            second(ApiAction::SlowBody { bytes_per_second: 1 }),
        ),
        ("not HTTP", second(ApiAction::Raw(Bytes::from_static(b"SSH-2.0-x\r\n")))),
        (
            "a head that breaks off",
            second(ApiAction::Raw(Bytes::from_static(b"HTTP/1.1 200 OK\r\nContent-Le"))),
        ),
        (
            "a body that breaks off after a byte",
            second(ApiAction::Raw(Bytes::from_static(
                b"HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n{",
            ))),
        ),
        (
            "a body that breaks off before its last byte",
            second(ApiAction::Raw(Bytes::from_static(
                b"HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n{\"results\":[]",
            ))),
        ),
    ]
}

#[tokio::test]
async fn a_list_whose_end_is_not_proven_is_a_failed_walk() {
    let mut cases = bad_second_pages();
    cases.extend(broken_second_pages());
    each_case(cases, |name, rule| async move {
        let mut scene = Scene::new().await;
        let ids = scene.add(12);
        scene.archive.set("api.page_size", "5");
        scene.archive.set("sync.max_pages", "8");
        scene.archive.set_text("api.timeout", "500ms");
        scene.bird.fault(rule);
        let finished = scene.once(3).await;
        assert!(
            finished.stdout.contains("the list was not read to its end"),
            "{name}: {}",
            finished.stdout
        );
        // Newest first, so the first page holds the last five.
        scene.expect_archived(&ids[7..]);
        let status = scene.status().await;
        let outcome = status["last_walk"]["outcome"].as_str().unwrap_or_default().to_owned();
        assert!(outcome.starts_with("failed"), "{name}: {status}");
        assert_eq!(status["last_complete_walk_at"], serde_json::Value::Null, "{name}");
        assert!(
            scene.bird.list_requests() <= 9,
            "{name}: {}",
            scene.bird.list_requests()
        );

        scene.bird.clear_faults();
        scene.once(0).await;
        scene.expect_archived(&ids);
        let status = scene.status().await;
        assert_eq!(status["last_walk"]["outcome"], "complete", "{name}");
        assert!(status["last_complete_walk_at"].is_string(), "{name}");
    })
    .await;
}

/// Over days, so that no overlap makes up for what was settled wrongly.
#[tokio::test]
async fn what_a_broken_walk_did_not_reach_is_listed_by_the_next() {
    let mut scene = Scene::new().await;
    let (one_day, ten) = (Duration::from_secs(86_400), 10);
    let mut ids = Vec::new();
    scene.archive.set("api.page_size", "4");
    scene.archive.set_text("sync.overlap", "30m");
    for (kind, start) in [("full", "2024-03-01T00:00:00Z"), ("poll", "2024-05-01T00:00:00Z")] {
        ids.extend(scene.workspace.add_many(ten, start, one_day));
        scene.bird.fault(FaultRule::list(ApiAction::status(422)).page(2));
        scene.once(3).await;
        let walk = scene.status().await["last_walk"].clone();
        assert_eq!(walk["kind"], kind);
        // Newest first.
        scene.expect_archived(&ids[ids.len() - 4..]);
        assert!(scene.archive.media_files().len() < ids.len(), "{kind}");

        scene.bird.clear_faults();
        scene.once(0).await;
        scene.expect_archived(&ids);
    }
}

#[tokio::test]
async fn tokens_come_back_as_they_are() {
    let odd = |padding: &str| ApiAction::OddToken(padding.to_owned());
    let cases = vec![
        ("8,000 characters", ApiAction::LongToken),
        ("ampersand", odd("&limit=1&pageToken=x")),
        ("hash", odd("#fragment")),
        ("line ends", odd("\r\nX-Injected: 1\r\n\r\n")),
        ("NUL", odd("\0")),
        ("percent and plus", odd("%00%2f+ /?=\u{e9}\u{1f4de}")),
    ];
    each_case(cases, |_, action| async move {
        let mut scene = Scene::new().await;
        let ids = scene.add(12);
        scene.archive.set("api.page_size", "5");
        scene.bird.fault(FaultRule::list(action));
        scene.once(0).await;
        scene.expect_archived(&ids);
        assert_eq!(scene.bird.list_requests(), 3);
    })
    .await;
}

#[tokio::test]
async fn no_order_is_relied_on() {
    let cases = vec![
        ("oldest first", PageOrder::OldestFirst),
        ("shuffled", PageOrder::Shuffled),
        ("newest first", PageOrder::NewestFirst),
    ];
    each_case(cases, |_, page_order| async move {
        let mut scene = Scene::with(BirdOptions {
            page_order,
            ..BirdOptions::default()
        })
        .await;
        let ids = scene.add(30);
        scene.archive.set("api.page_size", "7");
        scene.once(0).await;
        scene.expect_archived(&ids);
        let more = scene.add(10);
        scene.once(0).await;
        scene.expect_archived(&more);
        assert_eq!(scene.status().await["counts"]["archived"], 40);
    })
    .await;
}

#[tokio::test]
async fn two_workspaces_are_archived_wholly_and_a_second_pass_asks_for_nothing_again() {
    let bird = Bird::start(BirdOptions::default()).await;
    let support = bird.add_workspace("8bc02f53-87ac-48d2-b4fd-c2cf856a305f", "key-of-support-0123456789");
    let sales = bird.add_workspace("1f0e6f52-0c55-4b3b-9a52-7a44d1fb7b6e", "key-of-sales-0123456789");
    let archive = archive_of(&bird, &[("support", &support), ("sales", &sales)]);
    let in_support = add_small(&support, 167);
    let in_sales = add_small(&sales, 100);
    for (workspace, pending, lost) in [(&support, 7, 3), (&sales, 2, 5)] {
        let statuses = ["accepted", "ongoing", "paused", "completed"];
        for status in statuses.iter().cycle().take(pending) {
            workspace.add(RecordingSpec::new().status(status));
        }
        for status in ["failed", "absent"].iter().cycle().take(lost) {
            workspace.add(RecordingSpec::new().status(status));
        }
    }
    archive.run(&["--once"]).await.expect_code(0);
    expect_archived(&archive, &support, &in_support);
    expect_archived(&archive, &sales, &in_sales);
    assert_eq!(archive.media_files().len(), 267);
    for (name, ids, workspace) in [("support", &in_support, &support), ("sales", &in_sales, &sales)] {
        let status = status_of(&archive, name).await;
        assert_eq!(status["counts"]["archived"], ids.len());
        assert_eq!(status["counts"]["waiting"], if name == "support" { 7 } else { 2 });
        assert_eq!(status["counts"]["gone"], if name == "support" { 3 } else { 5 });
        for id in ids {
            let note = sidecar(&archive, *id);
            assert_eq!(note["workspace"], name);
            assert_eq!(note["id"], id.to_string());
            assert_eq!(note["size_bytes"], workspace.body_len_bytes(*id));
            assert_eq!(note["sha256"].as_str().map(str::len), Some(64));
            assert!(note.get("url").is_none());
        }
    }
    let listed = rows(&archive, &["--state", "archived"]).await;
    assert_eq!(listed.len(), 267);
    assert_eq!(archive.grep_secrets(&bird), []);

    let files = archive.files();
    bird.forget_requests();
    archive.run(&["--once"]).await.expect_code(0);
    assert_eq!((bird.media_requests(), bird.item_requests()), (0, 0));
    assert_eq!(archive.files(), files);
}

#[tokio::test]
async fn a_poll_reaches_back_from_what_is_settled_and_no_further() {
    let mut scene = Scene::new().await;
    let start = "2024-03-01T00:00:00Z";
    scene.workspace.add_many(5, start, Duration::from_secs(3600));
    scene.archive.set_text("sync.overlap", "30m");
    scene.once(0).await;
    let full = lists(&scene.bird);
    assert!(full.iter().all(|list| list.start_at.is_none() && list.end_at.is_none()));

    let begins = async |scene: &Scene| {
        scene.bird.forget_requests();
        scene.once(0).await;
        let asked = lists(&scene.bird);
        assert!(asked.iter().all(|list| list.end_at.is_none() && list.page == 1));
        assert_eq!(asked.len(), 1);
        asked[0].start_at.clone().unwrap()
    };
    assert_eq!(begins(&scene).await, "2024-03-01T03:30:00Z");
    let unfinished = scene
        .workspace
        .add(RecordingSpec::at("2024-03-01T03:45:00Z").status("ongoing"));
    assert_eq!(begins(&scene).await, "2024-03-01T03:30:00Z");
    assert_eq!(
        begins(&scene).await,
        "2024-03-01T03:15:00Z",
        "reaches what is unfinished"
    );
    scene.workspace.set_status(unfinished, "available");
    begins(&scene).await;
    scene.expect_archived(&[unfinished]);
    assert_eq!(begins(&scene).await, "2024-03-01T03:30:00Z");
}

#[tokio::test]
async fn what_is_older_than_since_is_left_alone() {
    let mut scene = Scene::new().await;
    let ids = scene
        .workspace
        .add_many(4, "2024-03-01T00:00:00Z", Duration::from_secs(86_400));
    scene.archive.set_text("sync.since", "2024-03-03T00:00:00Z");
    scene.once(0).await;
    scene.expect_archived(&ids[2..]);
    assert_eq!(rows(&scene.archive, &[]).await.len(), 2);
    assert_eq!(lists(&scene.bird)[0].start_at.as_deref(), Some("2024-03-03T00:00:00Z"));
    assert_eq!(status_of(&scene.archive, NAME).await["counts"]["archived"], 2);
}

#[tokio::test]
async fn pages_that_are_odd_and_still_pages_are_read() {
    let date = |date: &str| ApiAction::Date(Some(date.to_owned()));
    let cases = vec![
        ("every item twice", ApiAction::ItemsTwice),
        ("more items than asked for", ApiAction::ManyItems { count: 300 }),
        (
            "three megabytes of ballast",
            ApiAction::HugePage { ballast_bytes: 3 << 20 },
        ),
        ("a nested member", ApiAction::deep_json(100)),
        ("a number of 4,000 digits", ApiAction::huge_number(4_000)),
        ("no date", ApiAction::Date(None)),
        ("a date that is none", date("yesterday")),
        ("a late reply", ApiAction::Delay(Duration::from_millis(300))),
        (
            "a slow reply",
            ApiAction::SlowBody {
                bytes_per_second: 40_000,
            },
        ),
    ];
    each_case(cases, |name, action| async move {
        let mut scene = Scene::new().await;
        let ids = scene.add(12);
        scene.archive.set("api.page_size", "5");
        scene.bird.fault(FaultRule::list(action));
        scene.once(0).await;
        scene.expect_archived(&ids);
        assert_eq!(scene.bird.media_requests(), 12, "{name}");
        assert_eq!(scene.status().await["counts"]["archived"], 12, "{name}");
    })
    .await;
}

/// Items slide while pages are read: some come twice, some not at all, and what slid through is found later.
#[tokio::test]
async fn what_slides_between_pages_is_found_by_the_next_full_walk() {
    let mut scene = Scene::with(BirdOptions {
        paging: Paging::ByOffset,
        requests_per_connection: Some(1),
        ..BirdOptions::default()
    })
    .await;
    let ids = scene.add(20);
    scene.archive.set("api.page_size", "5");
    scene
        .bird
        .fault(FaultRule::list(ApiAction::Delay(Duration::from_millis(700))).page(2));
    let pass = scene.archive.spawn(&["--once"]);
    scene.bird.wait_until(|bird| bird.list_requests() >= 2).await;
    // While page two is on its way one is taken off page one: the first of page three slides onto page two.
    scene.workspace.unlist(ids[19]);
    let mut pass = pass;
    pass.exit_within(Duration::from_secs(60)).await.unwrap().expect_code(0);
    assert_eq!(scene.archive.media_files().len(), 19, "one slid through");
    scene.full_walk().await.expect_code(0);
    scene.expect_archived(&ids);
}
