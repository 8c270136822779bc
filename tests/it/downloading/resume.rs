//! Faults that strike once: what came is kept, the rest is asked for, and two bodies are never glued together.

use std::time::Duration;

use birdkeep::domain::ids::RecordingId;

use crate::listing::scene::Scene;
use crate::listing::scene::each_case;
use crate::support::bird::At;
use crate::support::bird::Etag;
use crate::support::bird::FaultRule;
use crate::support::bird::MediaAction;
use crate::support::bird::RecordingSpec;
use crate::support::bird::RequestKind;

const BODY_BYTES: u64 = 200_000;

/// `Range` and `If-Match` of each request for a recording's body.
fn asked(scene: &Scene, id: RecordingId) -> Vec<(Option<String>, Option<String>)> {
    let parts = |kind| match kind {
        RequestKind::Media { range, if_match, .. } => (range, if_match),
        _ => (None, None),
    };
    let seen = scene.bird.media_requests_of(id);
    seen.into_iter().map(|seen| parts(seen.kind)).collect()
}

#[tokio::test]
async fn a_body_that_breaks_off_once_is_resumed_in_the_same_pass() {
    let cases = vec![
        ("cut", (MediaAction::Truncate(At::Half), Etag::Md5)),
        ("cut, multipart", (MediaAction::Truncate(At::Half), Etag::Multipart)),
        (
            "cut before the last byte",
            (MediaAction::Truncate(At::AllBut(1)), Etag::Md5),
        ),
        ("reset", (MediaAction::Reset(At::Half), Etag::Md5)),
        ("stall", (MediaAction::Stall(At::Half), Etag::Md5)),
        ("chunks cut", (MediaAction::ChunkedCut(At::Half), Etag::Kms)),
    ];
    each_case(cases, |name, (action, etag)| async move {
        let scene = Scene::new().await;
        let healthy = scene.add(2);
        let id = scene
            .workspace
            .add(RecordingSpec::new().body_bytes(BODY_BYTES).etag(etag));
        scene.bird.fault(FaultRule::media(action).recording(id).times(1));
        scene.once(0).await;
        scene.expect_archived(&healthy);
        scene.expect_archived(&[id]);
        let asked = asked(&scene, id);
        assert_eq!(asked.len(), 2, "{name}: {asked:?}");
        assert_eq!(asked[0], (None, None), "{name}");
        let (range, if_match) = &asked[1];
        let from = range
            .as_deref()
            .and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-'));
        let from: u64 = from.unwrap_or_else(|| panic!("{name}: {range:?}")).parse().unwrap();
        // A reset may overtake bytes that were sent before it.
        assert!((1..BODY_BYTES).contains(&from), "{name}: {from}");
        assert_eq!(*if_match, scene.workspace.etag(id), "{name}");
        scene.expect_empty_staging();
        assert_eq!(scene.row(id).await["attempts"], 0, "{name}");
    })
    .await;
}

#[tokio::test]
async fn two_bodies_are_never_glued_together() {
    let changed = |honour_if_match| MediaAction::NewEtagOnResume { honour_if_match };
    let cases = vec![
        ("the whole instead of the rest", (MediaAction::RangeIgnored, Etag::Md5)),
        (
            "the whole instead of the rest, multipart",
            (MediaAction::RangeIgnored, Etag::Multipart),
        ),
        ("another part", (MediaAction::RangeWrong, Etag::Md5)),
        ("another part, multipart", (MediaAction::RangeWrong, Etag::Multipart)),
        ("another object, 412", (changed(true), Etag::Md5)),
        ("another object, 206", (changed(false), Etag::Md5)),
        ("another object, 206, multipart", (changed(false), Etag::Multipart)),
    ];
    each_case(cases, |name, (action, etag)| async move {
        let scene = Scene::new().await;
        let id = scene
            .workspace
            .add(RecordingSpec::new().body_bytes(BODY_BYTES).etag(etag));
        scene
            .bird
            .fault(FaultRule::media(MediaAction::Truncate(At::Half)).recording(id).times(1));
        scene.bird.fault(FaultRule::media(action).recording(id));
        scene.once(0).await;
        scene.expect_archived(&[id]);
        scene.expect_empty_staging();
        let asked = asked(&scene, id);
        assert!(asked[1].0.is_some() && asked.len() <= 3, "{name}: {asked:?}");
        assert!(asked.len() == 2 || asked[2].0.is_none(), "{name}: {asked:?}");
    })
    .await;
}

/// What came looks whole and is asked after; that nothing names the object the first time is no leave to take any other.
#[tokio::test]
async fn a_part_under_an_etag_is_not_the_rest_of_a_body_without_one() {
    let scene = Scene::new().await;
    let spec = RecordingSpec::new().body_bytes(BODY_BYTES).etag(Etag::None);
    let id = scene.workspace.add(spec);
    let short = MediaAction::LengthTooLow(At::Half);
    scene.bird.fault(FaultRule::media(short).recording(id).times(1));
    let other = MediaAction::NewEtagOnResume { honour_if_match: false };
    scene.bird.fault(FaultRule::media(other).recording(id));
    scene.once(0).await;
    scene.expect_archived(&[id]);
    let asked = asked(&scene, id);
    assert!(
        asked.len() == 3 && asked[1].0.is_some() && asked[2].0.is_none(),
        "{asked:?}"
    );
}

#[tokio::test]
async fn a_body_without_an_etag_is_begun_again() {
    let scene = Scene::new().await;
    let id = scene
        .workspace
        .add(RecordingSpec::new().body_bytes(BODY_BYTES).etag(Etag::None));
    scene
        .bird
        .fault(FaultRule::media(MediaAction::Truncate(At::Half)).recording(id).times(1));
    scene.once(0).await;
    scene.expect_archived(&[id]);
    assert_eq!(asked(&scene, id), [(None, None), (None, None)]);
}

#[tokio::test]
async fn a_link_that_runs_out_between_two_parts_is_replaced_and_the_body_resumed() {
    let scene = Scene::new().await;
    let id = scene.workspace.add(RecordingSpec::new().body_bytes(BODY_BYTES));
    scene
        .bird
        .fault(FaultRule::media(MediaAction::Truncate(At::Half)).recording(id).times(1));
    scene
        .bird
        .fault(FaultRule::media(MediaAction::expired_token()).recording(id).times(1));
    scene.once(0).await;
    scene.expect_archived(&[id]);
    let asked = asked(&scene, id);
    assert_eq!(asked.len(), 3, "{asked:?}");
    assert!(asked[1].0.is_some() && asked[1] == asked[2], "{asked:?}");
    assert_eq!(scene.bird.item_requests(), 1);
}

#[tokio::test]
async fn passing_trouble_heals_within_the_pass() {
    let cases = vec![
        ("500", MediaAction::error(500, "InternalError")),
        ("503", MediaAction::slow_down()),
        ("silence", MediaAction::Silence),
        ("close", MediaAction::Close),
        ("a late head", MediaAction::Delay(Duration::from_secs(3))),
        ("a slow head", MediaAction::SlowHead(Duration::from_millis(20))),
    ];
    each_case(cases, |name, action| async move {
        let scene = Scene::new().await;
        let id = scene.add(1)[0];
        scene.bird.fault(FaultRule::media(action).times(2));
        scene.once(0).await;
        scene.expect_archived(&[id]);
        assert_eq!(scene.row(id).await["attempts"], 0, "{name}");
        assert!(scene.bird.media_requests() <= 3, "{name}");
    })
    .await;
}
