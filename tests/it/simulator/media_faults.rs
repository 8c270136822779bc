//! Faults of the bucket, as they show on the wire.

use std::time::Duration;

use birdkeep::domain::ids::RecordingId;
use reqwest::Response;

use super::client;
use super::one;
use super::raw;
use crate::support::bird::At;
use crate::support::bird::Bird;
use crate::support::bird::FaultRule;
use crate::support::bird::MediaAction;
use crate::support::bird::RedirectTo;
use crate::support::bird::WorkspaceHandle;

async fn raw_media(
    bird: &Bird,
    workspace: &WorkspaceHandle,
    id: RecordingId,
    action: MediaAction,
) -> (String, Vec<u8>, bool) {
    let fault = bird.fault(FaultRule::media(action));
    let (bytes, in_order) = raw(&workspace.link(id), "").await;
    assert_eq!(bird.fault_strikes(fault), 1);
    bird.clear_fault(fault);
    let end = bytes
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .map_or(bytes.len(), |at| at + 4);
    (
        String::from_utf8(bytes[..end].to_vec()).unwrap(),
        bytes[end..].to_vec(),
        in_order,
    )
}

async fn media(
    bird: &Bird,
    workspace: &WorkspaceHandle,
    id: RecordingId,
    action: MediaAction,
) -> reqwest::Result<Response> {
    let fault = bird.fault(FaultRule::media(action));
    let answer = client().get(workspace.link(id)).send().await;
    bird.clear_fault(fault);
    answer
}

#[tokio::test]
async fn lengths_that_lie() {
    let (bird, workspace, id) = one().await;
    let body = workspace.body(id);
    for (action, head, sent) in [
        (
            MediaAction::Truncate(At::Byte(0)),
            "Content-Length: 20000\r\n",
            &body[..0],
        ),
        (
            MediaAction::Truncate(At::Half),
            "Content-Length: 20000\r\n",
            &body[..10_000],
        ),
        (
            MediaAction::Truncate(At::AllBut(1)),
            "Content-Length: 20000\r\n",
            &body[..19_999],
        ),
        (
            MediaAction::LengthTooLow(At::Half),
            "Content-Length: 10000\r\n",
            &body[..],
        ),
        (
            MediaAction::LengthTooHigh { more_bytes: 7 },
            "Content-Length: 20007\r\n",
            &body[..],
        ),
        (MediaAction::NegativeLength, "Content-Length: -5\r\n", &body[..]),
        (
            MediaAction::HugeLength,
            "Content-Length: 18446744073709551615\r\n",
            &body[..],
        ),
        (
            MediaAction::UntilClose(At::Half),
            "Connection: close\r\n",
            &body[..10_000],
        ),
        (
            MediaAction::UntilClose(At::AllBut(0)),
            "Connection: close\r\n",
            &body[..],
        ),
    ] {
        let name = format!("{action:?}");
        let (head_sent, body_sent, in_order) = raw_media(&bird, &workspace, id, action).await;
        assert!(head_sent.contains(head), "{name}: {head_sent}");
        assert!(in_order, "{name}");
        assert_eq!(body_sent, sent, "{name}");
    }
}

#[tokio::test]
async fn framing_that_breaks() {
    let (bird, workspace, id) = one().await;
    let body = workspace.body(id);
    let (head, _, _) = raw_media(&bird, &workspace, id, MediaAction::TwoLengths).await;
    assert!(head.contains("Content-Length: 20000\r\n") && head.contains("Content-Length: 10000\r\n"));
    let (head, _, _) = raw_media(&bird, &workspace, id, MediaAction::ContinueFlood { count: 100 }).await;
    assert_eq!(head, "HTTP/1.1 100 Continue\r\n\r\n");
    let (head, _, _) = raw_media(&bird, &workspace, id, MediaAction::Reset(At::Half)).await;
    assert!(head.contains("Content-Length: 20000\r\n"));
    let whole = media(&bird, &workspace, id, MediaAction::Chunked).await.unwrap();
    assert!(whole.content_length().is_none());
    assert_eq!(whole.bytes().await.unwrap(), body);
    for action in [
        MediaAction::ChunkedCut(At::Half),
        MediaAction::ChunkedCut(At::AllBut(0)),
        MediaAction::GzipCut,
        MediaAction::Reset(At::Half),
    ] {
        let name = format!("{action:?}");
        assert!(
            media(&bird, &workspace, id, action)
                .await
                .unwrap()
                .bytes()
                .await
                .is_err(),
            "{name}"
        );
    }
}

#[tokio::test]
async fn bodies_that_are_not_the_media() {
    let (bird, workspace, id) = one().await;
    let body = workspace.body(id);
    for (action, status, content_type, begin) in [
        (MediaAction::slow_down(), 503, "application/xml", "<?xml"),
        (MediaAction::expired_token(), 400, "application/xml", "<?xml"),
        (MediaAction::access_denied(), 403, "application/xml", "<?xml"),
        (MediaAction::html_as("text/html"), 200, "text/html", "<!DOCTYPE"),
        (MediaAction::html_as("audio/mpeg"), 200, "audio/mpeg", "<!DOCTYPE"),
        (MediaAction::xml(), 200, "application/xml", "<?xml"),
        (MediaAction::json(), 200, "application/json", "{\"code\""),
        (MediaAction::Empty, 200, "audio/mpeg", ""),
        (MediaAction::NoContent, 204, "", ""),
    ] {
        let name = format!("{action:?}");
        let response = media(&bird, &workspace, id, action).await.unwrap();
        assert_eq!(response.status(), status, "{name}");
        let sent = response
            .headers()
            .get("content-type")
            .map_or("", |value| value.to_str().unwrap());
        assert_eq!(sent, content_type, "{name}");
        let text = response.text().await.unwrap();
        assert!(
            text.starts_with(begin) && text.is_empty() == begin.is_empty(),
            "{name}: {text}"
        );
    }
    let flipped = media(&bird, &workspace, id, MediaAction::BitFlip(At::Half))
        .await
        .unwrap();
    assert_eq!(flipped.headers()["etag"].to_str().unwrap(), workspace.etag(id).unwrap());
    let flipped = flipped.bytes().await.unwrap();
    let differing: Vec<_> = (0..body.len()).filter(|&at| flipped[at] != body[at]).collect();
    assert_eq!(differing, [9_999]);

    let headers = vec![(
        "Content-Disposition".to_owned(),
        "attachment; filename=../../x".to_owned(),
    )];
    let dressed = media(&bird, &workspace, id, MediaAction::Headers(headers))
        .await
        .unwrap();
    assert!(dressed.headers().contains_key("content-disposition"));
    let mut endless = media(&bird, &workspace, id, MediaAction::Endless { chunked: true })
        .await
        .unwrap();
    let mut received = 0;
    while received < 5_000_000 {
        received += endless.chunk().await.unwrap().unwrap().len();
    }
}

#[tokio::test]
async fn a_gzip_bomb_is_a_valid_gzip_stream() {
    let (bird, workspace, id) = one().await;
    let bomb = media(
        &bird,
        &workspace,
        id,
        MediaAction::GzipBomb {
            unpacked_bytes: 50_000_000,
        },
    )
    .await
    .unwrap();
    assert_eq!(bomb.headers()["content-encoding"], "gzip");
    let packed = bomb.bytes().await.unwrap();
    assert!(packed.len() < 400_000);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("bomb.gz");
    std::fs::write(&file, packed).unwrap();
    let unpacked = tokio::process::Command::new("gzip")
        .arg("-dc")
        .arg(file)
        .output()
        .await
        .unwrap();
    assert!(
        unpacked.status.success(),
        "{}",
        String::from_utf8_lossy(&unpacked.stderr)
    );
    assert!((50_000_000..50_010_000).contains(&unpacked.stdout.len()));
    assert!(unpacked.stdout.starts_with(&workspace.body(id)));
}

#[tokio::test]
async fn redirects_lead_where_they_say() {
    let (bird, workspace, id) = one().await;
    let to = async |to: RedirectTo| {
        let link = workspace.link(id);
        let fault = bird.fault(FaultRule::media(MediaAction::Redirect { status: 302, to }));
        let response = client().get(&link).send().await.unwrap();
        assert_eq!(response.status(), 302);
        let location = response.headers()["location"].to_str().unwrap().to_owned();
        // The fault is still in force for whoever follows.
        let followed = if location.starts_with("http://127.0.0.1") {
            Some(client().get(&location).send().await.unwrap().status().as_u16())
        } else {
            None
        };
        bird.clear_fault(fault);
        (link, location, followed)
    };
    let (link, location, followed) = to(RedirectTo::Itself).await;
    assert_eq!((location, followed), (link, Some(302)));
    let (link, location, followed) = to(RedirectTo::Right).await;
    assert!(location != link && followed == Some(200));
    assert!(
        to(RedirectTo::Foreign)
            .await
            .1
            .starts_with(&format!("http://{}/", bird.foreign_host()))
    );
    assert_eq!(
        to(RedirectTo::Other("file:///etc/passwd".to_owned())).await.1,
        "file:///etc/passwd"
    );
    assert_eq!(bird.foreign_requests(), 0);
}

#[tokio::test]
async fn resuming_can_go_wrong() {
    let (bird, workspace, id) = one().await;
    let body = workspace.body(id);
    let etag = workspace.etag(id).unwrap();
    let resume = async |action: MediaAction| {
        let fault = bird.fault(FaultRule::media(action));
        assert_eq!(client().get(workspace.link(id)).send().await.unwrap().status(), 200);
        assert_eq!(bird.fault_strikes(fault), 0);
        let request = client()
            .get(workspace.link(id))
            .header("Range", "bytes=15000-")
            .header("If-Match", &etag);
        let response = request.send().await.unwrap();
        bird.clear_fault(fault);
        response
    };
    let ignored = resume(MediaAction::RangeIgnored).await;
    assert_eq!(ignored.status(), 200);
    assert_eq!(ignored.bytes().await.unwrap(), body);
    let wrong = resume(MediaAction::RangeWrong).await;
    assert_eq!(wrong.status(), 206);
    assert_eq!(wrong.headers()["content-range"], "bytes 0-4999/20000");
    let honest = resume(MediaAction::NewEtagOnResume { honour_if_match: true }).await;
    assert_eq!(honest.status(), 412);
    let changed = resume(MediaAction::NewEtagOnResume { honour_if_match: false }).await;
    assert_eq!(changed.status(), 206);
    assert_ne!(changed.headers()["etag"].to_str().unwrap(), etag);
    assert_ne!(changed.bytes().await.unwrap(), &body[15_000..]);
}

#[tokio::test]
async fn bodies_that_stall_or_wait_to_be_released() {
    let (bird, workspace, id) = one().await;
    for action in [
        MediaAction::Stall(At::Half),
        MediaAction::Slow { bytes_per_second: 1 },
        MediaAction::Silence,
    ] {
        bird.fault(FaultRule::media(action).times(1));
        let request = client().get(workspace.link(id)).timeout(Duration::from_millis(300));
        let error = async { request.send().await?.bytes().await }.await.unwrap_err();
        assert!(error.is_timeout(), "{error:?}");
    }
    bird.wait_until(|bird| bird.media_in_flight() == 0).await;
    bird.fault(FaultRule::media(MediaAction::Hold(At::Half)));
    let links: Vec<_> = (0..3).map(|_| workspace.link(id)).collect();
    let fetches = links
        .into_iter()
        .map(|link| tokio::spawn(async { client().get(link).send().await.unwrap().bytes().await }));
    let fetches: Vec<_> = fetches.collect();
    bird.wait_until(|bird| bird.media_in_flight() == 3).await;
    assert!(
        !bird
            .wait_until_within(Duration::from_millis(100), |bird| bird.media_in_flight() < 3)
            .await
    );
    bird.release_held();
    for fetch in fetches {
        assert_eq!(fetch.await.unwrap().unwrap(), workspace.body(id));
    }
    assert_eq!(bird.most_media_in_flight(), 3);
}
