//! What requests for media carry, and what they must not.

use crate::listing::scene::Scene;
use crate::support::bird::At;
use crate::support::bird::BirdOptions;
use crate::support::bird::FaultRule;
use crate::support::bird::MediaAction;
use crate::support::bird::RedirectTo;
use crate::support::bird::RequestKind;

#[tokio::test]
async fn media_hosts_see_a_plain_get_and_no_credential() {
    let scene = Scene::new().await;
    let ids = scene.add(12);
    let right = MediaAction::Redirect {
        status: 302,
        to: RedirectTo::Right,
    };
    scene.bird.fault(FaultRule::media(right).recording(ids[0]));
    let cut = MediaAction::Truncate(At::Half);
    scene.bird.fault(FaultRule::media(cut).recording(ids[1]).times(1));
    let expired = MediaAction::expired_token();
    scene.bird.fault(FaultRule::media(expired).recording(ids[2]).times(1));
    scene.once(0).await;
    scene.expect_archived(&ids);
    let mut media = 0;
    for seen in scene.bird.requests() {
        let is_media = matches!(seen.kind, RequestKind::Media { .. });
        media += usize::from(is_media);
        assert_eq!(seen.method, "GET", "{seen:?}");
        assert_eq!(seen.had_authorization, !is_media, "{seen:?}");
        assert!(!seen.had_referer && seen.amz_headers.is_empty(), "{seen:?}");
        assert!(
            seen.user_agent
                .as_deref()
                .is_some_and(|agent| agent.starts_with("birdkeep/")),
            "{seen:?}"
        );
    }
    assert_eq!(media, ids.len() + 3);
}

/// Not even with its secrets blanked: that is the last line of defence, not the first.
#[tokio::test]
async fn no_link_is_told_to_the_log() {
    let scene = Scene::new().await;
    let ids = scene.add(6);
    for (id, action) in ids.iter().zip([
        MediaAction::Truncate(At::Half),
        MediaAction::expired_token(),
        MediaAction::slow_down(),
        MediaAction::Close,
        MediaAction::Redirect {
            status: 302,
            to: RedirectTo::Foreign,
        },
    ]) {
        scene.bird.fault(FaultRule::media(action).recording(*id).times(1));
    }
    let told = scene.archive.run(&["--once", "--log-level", "trace"]).await.stderr;
    assert!(
        told.contains("archived") && told.contains("will be asked for again"),
        "{told}"
    );
    let links = ["x-amz-", ".mp3?", "signature="];
    let shown = told.to_ascii_lowercase();
    for link in links {
        assert!(!shown.contains(link), "{link} in {told}");
    }
    scene.expect_no_secrets();
}

#[tokio::test]
async fn a_link_that_demands_a_checksum_gets_its_header() {
    let scene = Scene::with(BirdOptions {
        checksum_mode_links: true,
        ..BirdOptions::default()
    })
    .await;
    let ids = scene.add(12);
    let cut = MediaAction::Truncate(At::Half);
    scene.bird.fault(FaultRule::media(cut).recording(ids[0]).times(1));
    scene.once(0).await;
    scene.expect_archived(&ids);
    let media = scene.bird.media_requests_of(ids[0]);
    assert_eq!(media.len(), 2);
    assert!(
        media.iter().all(|seen| seen.amz_headers == ["x-amz-checksum-mode"]),
        "{media:?}"
    );
}
