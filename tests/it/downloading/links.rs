//! Links: expired, missing, altered or leading elsewhere; and media that are gone while the list says otherwise.

use birdkeep::domain::ids::RecordingId;

use crate::listing::scene::Scene;
use crate::listing::scene::each_case;
use crate::support::bird::BirdOptions;
use crate::support::bird::FaultRule;
use crate::support::bird::LinkAction;
use crate::support::bird::MediaAction;
use crate::support::bird::MissingMedia;

/// A victim among healthy recordings.
async fn victim(options: BirdOptions) -> (Scene, Vec<RecordingId>, RecordingId) {
    let scene = Scene::with(options).await;
    let healthy = scene.add(5);
    let victim = scene.add(1)[0];
    (scene, healthy, victim)
}

/// A pass after everything was set right.
async fn heals(scene: &Scene, ids: &[RecordingId]) {
    scene.bird.clear_faults();
    scene.archive.run(&["retry", "--all"]).await.expect_code(0);
    scene.once(0).await;
    scene.expect_archived(ids);
}

#[tokio::test]
async fn links_that_are_always_expired_cost_no_attempt_and_few_requests() {
    let (scene, healthy, id) = victim(BirdOptions::default()).await;
    scene
        .bird
        .fault(FaultRule::link(LinkAction::ExpiredAtBirth).recording(id));
    scene.once(3).await;
    scene.expect_archived(&healthy);
    let row = scene.row(id).await;
    assert_eq!((&row["state"], &row["attempts"]), (&"due".into(), &0.into()), "{row}");
    assert!(
        row["last_error"].as_str().is_some_and(|why| why.contains("expired")),
        "{row}"
    );
    assert!(scene.bird.media_requests_of(id).len() <= 6);
    assert!(scene.bird.item_requests() <= 6);
    scene.expect_no_secrets();
    heals(&scene, &[id]).await;
}

#[tokio::test]
async fn a_link_that_is_no_good_is_replaced_by_a_fresh_one() {
    let link = |action| FaultRule::link(action).times(1);
    let media = |action| FaultRule::media(action).times(1);
    let cases = vec![
        ("expired at birth", link(LinkAction::ExpiredAtBirth)),
        ("none in the list", link(LinkAction::Missing)),
        ("not a URL in the list", link(LinkAction::Replaced("soon".to_owned()))),
        ("another credential's end", media(MediaAction::expired_token())),
        ("denied once", media(MediaAction::access_denied())),
        ("not there once", media(MediaAction::error(404, "NoSuchKey"))),
    ];
    each_case(cases, |name, rule| async move {
        let (scene, healthy, id) = victim(BirdOptions::default()).await;
        scene.bird.fault(rule.recording(id));
        scene.once(0).await;
        scene.expect_archived(&healthy);
        scene.expect_archived(&[id]);
        assert_eq!(scene.row(id).await["attempts"], 0, "{name}");
        assert_eq!(scene.bird.item_requests(), 1, "{name}");
        assert!(scene.bird.media_requests_of(id).len() <= 2, "{name}");
    })
    .await;
}

#[tokio::test]
async fn links_that_lead_elsewhere_are_not_followed() {
    let replaced = |text: &str| LinkAction::Replaced(text.to_owned());
    let cases = vec![
        ("none", (LinkAction::Missing, "link")),
        ("another host", (LinkAction::Foreign, "allowed_hosts")),
        ("altered", (LinkAction::Altered, "SignatureDoesNotMatch")),
        ("a file", (replaced("file:///etc/passwd"), "allowed_hosts")),
        (
            "data",
            (replaced("data:audio/mpeg;base64,SUQzBAAAAAAAAA=="), "allowed_hosts"),
        ),
        ("ftp", (replaced("ftp://127.0.0.1/x.mp3"), "allowed_hosts")),
        (
            "the metadata service",
            (replaced("http://169.254.169.254/"), "allowed_hosts"),
        ),
        (
            "a user",
            (replaced("http://127.0.0.1:80@127.0.0.2/x.mp3"), "allowed_hosts"),
        ),
        ("a number", (replaced("http://2130706434/x.mp3"), "allowed_hosts")),
        ("a hex number", (replaced("http://0x7f000002/x.mp3"), "allowed_hosts")),
        ("wide digits", (replaced("http://１２７.0.0.2/x.mp3"), "allowed_hosts")),
        ("mapped", (replaced("http://[::ffff:127.0.0.1]/x.mp3"), "allowed_hosts")),
        (
            "backslashes",
            (replaced("http:\\\\127.0.0.2\\@127.0.0.1/x.mp3"), "allowed_hosts"),
        ),
        (
            "another script",
            (replaced("https://b.аmazonaws.com/x.mp3"), "allowed_hosts"),
        ),
        (
            "70,000 characters",
            (replaced(&format!("http://127.0.0.1/{}", "k".repeat(70_000))), "link"),
        ),
        ("relative", (replaced("/x.mp3"), "link")),
        ("empty", (replaced(""), "link")),
    ];
    each_case(cases, |name, (action, word)| async move {
        let (scene, healthy, id) = victim(BirdOptions::default()).await;
        scene.bird.fault(FaultRule::link(action).recording(id));
        let run = scene.archive.run(&["--once", "--log-level", "trace"]).await;
        run.expect_code(3);
        scene.expect_archived(&healthy);
        assert_eq!(scene.archive.media_file_of(id), None, "{name}");
        let row = scene.row(id).await;
        assert_eq!(
            (&row["state"], &row["attempts"]),
            (&"due".into(), &1.into()),
            "{name}: {row}"
        );
        let error = row["last_error"].as_str().unwrap_or_default().to_owned();
        assert!(error.contains(word) && !error.contains("X-Amz"), "{name}: {row}");
        assert_eq!(scene.bird.foreign_requests(), 0, "{name}");
        scene.expect_empty_staging();
        scene.expect_no_secrets();
        heals(&scene, &[id]).await;
    })
    .await;
}

#[tokio::test]
async fn media_that_are_gone_while_the_list_says_available_are_reported() {
    let cases = vec![
        ("404", (MissingMedia::NoSuchKey, "NoSuchKey")),
        ("403", (MissingMedia::AccessDenied, "AccessDenied")),
    ];
    each_case(cases, |name, (missing_media, word)| async move {
        let (scene, healthy, id) = victim(BirdOptions {
            missing_media,
            ..BirdOptions::default()
        })
        .await;
        scene.workspace.delete_media(id);
        scene.once(3).await;
        scene.expect_archived(&healthy);
        let row = scene.row(id).await;
        assert_eq!(
            (&row["state"], &row["attempts"]),
            (&"due".into(), &1.into()),
            "{name}: {row}"
        );
        assert!(
            row["last_error"].as_str().is_some_and(|why| why.contains(word)),
            "{name}: {row}"
        );
        assert!(scene.bird.media_requests_of(id).len() <= 2, "{name}");

        // Then upstream says so itself.
        scene.workspace.set_status(id, "absent");
        scene.once(0).await;
        let row = scene.row(id).await;
        assert_eq!(row["state"], "gone", "{name}: {row}");
        assert!(row["last_error"].is_string(), "{name}: the reason is kept; {row}");
    })
    .await;
}

/// What a recording becomes between the page that listed it and the request for its body.
#[tokio::test]
async fn media_that_vanish_after_being_listed_are_gone_with_a_reason() {
    let cases = vec![
        ("absent", ("absent", "absent")),
        ("failed", ("failed", "failed")),
        ("removed", ("", "404")),
    ];
    each_case(cases, |name, (status, word)| async move {
        let (scene, healthy, id) = victim(BirdOptions::default()).await;
        // Listed once as available, never fetched; what comes after is asked for by its id.
        scene
            .bird
            .fault(FaultRule::link(LinkAction::ExpiredAtBirth).recording(id));
        scene.once(3).await;
        scene.expect_archived(&healthy);
        scene.bird.clear_faults();
        if status.is_empty() {
            scene.workspace.remove(id);
        } else {
            scene.workspace.set_status(id, status);
            // Not listed, so that the item alone tells.
            scene.workspace.unlist(id);
        }
        scene.archive.run(&["retry", &id.to_string()]).await.expect_code(0);
        scene.once(0).await;
        let row = scene.row(id).await;
        assert_eq!(row["state"], "gone", "{name}: {row}");
        assert!(
            row["last_error"].as_str().is_some_and(|why| why.contains(word)),
            "{name}: {row}"
        );
        assert_eq!(scene.archive.media_file_of(id), None);
    })
    .await;
}
