//! Bodies that play shorter than the list says: what upstream holds is archived and flagged, once it is known to be all.

use crate::listing::scene::Scene;
use crate::listing::scene::sidecar;
use crate::support::bird::At;
use crate::support::bird::Etag;
use crate::support::bird::FaultRule;
use crate::support::bird::MediaAction;
use crate::support::bird::RecordingSpec;
use crate::support::mp3::FRAME_BYTES;

#[tokio::test]
async fn a_body_shorter_than_stated_is_archived_and_flagged_once_it_is_known_to_be_whole() {
    let scene = Scene::new().await;
    let bodies = [
        ("proven", 200 * FRAME_BYTES, Etag::Md5, 1),
        ("proven, inside a frame", 200 * FRAME_BYTES + 9, Etag::Md5, 1),
        ("not proven", 200 * FRAME_BYTES, Etag::Multipart, 2),
        ("not proven, inside a frame", 200 * FRAME_BYTES + 9, Etag::Kms, 2),
        ("no ETag", 200 * FRAME_BYTES, Etag::None, 2),
    ];
    let ids = bodies.map(|(_, len_bytes, etag, _)| {
        let whole = scene.workspace.add(RecordingSpec::new().body_bytes(400 * FRAME_BYTES));
        let body = scene.workspace.body(whole).slice(..usize::try_from(len_bytes).unwrap());
        scene.workspace.remove(whole);
        let spec = RecordingSpec::new().body(body).duration_seconds(600).etag(etag);
        scene.workspace.add(spec)
    });
    scene.once(0).await;
    scene.expect_archived(&ids);
    for (id, (name, _, _, requests)) in ids.into_iter().zip(bodies) {
        assert_eq!(scene.bird.media_requests_of(id).len(), requests, "{name}");
        let remark = scene.show(id).await["remark"].as_str().unwrap_or_default().to_owned();
        assert!(remark.contains("600"), "{name}: {remark:?}");
        assert_eq!(sidecar(&scene.archive, id)["remark"], remark, "{name}");
    }
}

/// Too short to be far from anything: half of it is, within a second, what was stated. Of 55 frames, half ends inside one,
/// and plays a second with it, which is what is stated.
#[tokio::test]
async fn a_short_body_whose_length_is_told_too_low_is_not_taken_for_the_whole() {
    let scene = Scene::new().await;
    let mut ids = Vec::new();
    for etag in [Etag::None, Etag::Multipart, Etag::Kms] {
        for (frames, half) in [20, 30, 60, 100]
            .map(|frames| (frames, frames / 2 * FRAME_BYTES))
            .into_iter()
            .chain([(55, 55 * FRAME_BYTES / 2), (56, 28 * FRAME_BYTES + 4)])
        {
            let spec = RecordingSpec::new().body_bytes(frames * FRAME_BYTES).etag(etag);
            for spec in [spec.clone(), spec.without("duration")] {
                let id = scene.workspace.add(spec);
                let half = MediaAction::LengthTooLow(At::Byte(half));
                scene.bird.fault(FaultRule::media(half).recording(id).times(1));
                ids.push(id);
            }
        }
    }
    scene.once(0).await;
    scene.expect_archived(&ids);
}

#[tokio::test]
async fn a_body_longer_than_stated_is_archived_and_flagged() {
    let scene = Scene::new().await;
    let spec = RecordingSpec::new().body_bytes(1_000 * FRAME_BYTES);
    let long = scene.workspace.add(spec.clone().member("duration", 1));
    let unstated = scene.workspace.add(spec.clone().without("duration"));
    let zero = scene.workspace.add(spec.clone().member("duration", 0));
    let odd = scene.workspace.add(spec.member("duration", "thirty"));
    scene.once(0).await;
    scene.expect_archived(&[long, unstated, zero, odd]);
    assert!(scene.show(long).await["remark"].is_string());
    for id in [unstated, zero, odd] {
        assert!(scene.show(id).await["remark"].is_null());
    }
    assert_eq!(scene.bird.media_requests(), 4);
}
