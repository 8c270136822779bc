//! Links and objects.

use std::time::Duration;

use birdkeep::domain::audio::Mp3Scanner;
use birdkeep::domain::digest::Md5Digest;
use md5::Digest as _;
use md5::Md5;
use reqwest::Method;
use reqwest::Response;

use super::WORKSPACE;
use super::bird;
use super::bird_with;
use super::client;
use super::get;
use super::get_json;
use crate::support::bird::BirdOptions;
use crate::support::bird::Etag;
use crate::support::bird::MissingMedia;
use crate::support::bird::RecordingSpec;
use crate::support::bird::RequestKind;
use crate::support::bird::Throttle;
use crate::support::mp3::Mp3;

async fn fetch(link: &str, headers: &[(&str, &str)]) -> Response {
    request(Method::GET, link, headers).await
}

async fn request(method: Method, link: &str, headers: &[(&str, &str)]) -> Response {
    let mut request = client().request(method, link);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.unwrap()
}

async fn refusal(response: Response) -> (u16, String) {
    let status = response.status().as_u16();
    assert!(response.headers().contains_key("x-amz-request-id"));
    (status, response.text().await.unwrap())
}

fn md5_hex(body: &[u8]) -> String {
    Md5Digest(Md5::digest(body).into()).to_string()
}

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

#[tokio::test]
async fn a_good_link_gives_the_object() {
    let (bird, workspace) = bird().await;
    let id = workspace.add(RecordingSpec::new());
    let link = get_json(&bird, &format!("recordings/{id}")).await["url"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(link.starts_with(&format!("http://{}/", bird.media_host())));
    let redirect = get(&bird, &format!("recordings/{id}.mp3")).await;
    assert_eq!(redirect.status(), 307);
    for link in [link, header(&redirect, "location").to_owned()] {
        let response = fetch(&link, &[]).await;
        assert_eq!(response.status(), 200);
        assert_eq!(header(&response, "content-type"), "audio/mpeg");
        assert_eq!(header(&response, "accept-ranges"), "bytes");
        assert_eq!(
            header(&response, "content-length"),
            workspace.body_len_bytes(id).to_string()
        );
        let etag = header(&response, "etag").to_owned();
        let body = response.bytes().await.unwrap();
        assert_eq!(body, workspace.body(id));
        assert_eq!(etag, format!("\"{}\"", md5_hex(&body)));
    }
    assert_eq!(bird.media_requests(), 2);
    assert_eq!(bird.most_media_in_flight(), 1);
}

#[tokio::test]
async fn links_expire_when_the_request_begins() {
    let (bird, workspace) = bird_with(BirdOptions {
        url_life: Duration::from_mins(1),
        ..BirdOptions::default()
    })
    .await;
    let id = workspace.add(RecordingSpec::new().body_bytes(200_000));
    let link = workspace.link(id);
    bird.advance(Duration::from_secs(40));
    bird.set_throttle(Throttle {
        media_bytes_per_second: Some(1_000_000),
        ..Throttle::default()
    });
    let response = fetch(&link, &[]).await;
    bird.advance(Duration::from_secs(30));
    assert_eq!(response.bytes().await.unwrap().len(), 200_000);
    let (status, xml) = refusal(fetch(&link, &[]).await).await;
    assert_eq!(status, 403);
    for part in [
        "<Code>AccessDenied<",
        "<Message>Request has expired<",
        "<X-Amz-Expires>60<",
        "<Expires>2",
        "<ServerTime>2",
    ] {
        assert!(xml.contains(part), "{part} in {xml}");
    }
    assert_eq!((bird.media_requests(), bird.expired_media_requests()), (2, 1));
    let seen = bird.media_requests_of(id);
    assert!(matches!(seen[1].kind, RequestKind::Media { expired: true, .. }));
}

#[tokio::test]
async fn links_that_are_altered_are_refused() {
    let (bird, workspace) = bird().await;
    let id = workspace.add(RecordingSpec::new());
    let other = workspace.add(RecordingSpec::new());
    let link = workspace.link(id);
    for altered in [
        link.replace("X-Amz-Expires=600", "X-Amz-Expires=6000"),
        link.replace(&id.to_string(), &other.to_string()),
        link.replace("X-Amz-Security-Token=IQ", "X-Amz-Security-Token=QI"),
        link.replace("X-Amz-Signature=", "X-Amz-Signature=0"),
        link.replace("x-id=GetObject", "x-id=PutObject"),
        format!("{link}&response-content-type=text/html"),
    ] {
        let (status, xml) = refusal(fetch(&altered, &[]).await).await;
        assert_eq!(status, 403);
        assert!(xml.contains("<Code>SignatureDoesNotMatch</Code>"), "{xml}");
    }
    let (status, xml) = refusal(fetch(link.split('?').next().unwrap(), &[]).await).await;
    assert!(status == 403 && xml.contains("<Code>AccessDenied</Code>"), "{xml}");
    assert_eq!(request(Method::HEAD, &link, &[]).await.status(), 403);
    let put = request(Method::PUT, &link, &[]).await;
    assert!(refusal(put).await.1.contains("SignatureDoesNotMatch"));
    // The same link in another spelling is the same link.
    assert_eq!(fetch(&link.replace("%3A", ":"), &[]).await.status(), 200);
    assert_eq!(bird.media_requests_of(id).last().unwrap().status, Some(200));
}

#[tokio::test]
async fn headers_can_spoil_a_good_link() {
    let (bird, workspace) = bird().await;
    let link = workspace.link(workspace.add(RecordingSpec::new()));
    let (status, xml) = refusal(fetch(&link, &[("Authorization", "AccessKey x")]).await).await;
    assert!(
        status == 400 && xml.contains("InvalidArgument") && xml.contains("Only one auth mechanism"),
        "{xml}"
    );
    let (status, xml) = refusal(fetch(&link, &[("x-amz-checksum-mode", "ENABLED")]).await).await;
    assert!(
        status == 403 && xml.contains("<HeadersNotSigned>x-amz-checksum-mode<"),
        "{xml}"
    );
    assert!(bird.requests()[0].had_authorization);
    assert_eq!(bird.requests()[1].amz_headers, ["x-amz-checksum-mode"]);
    assert_eq!(fetch(&link, &[("Accept", "*/*"), ("X-Other", "1")]).await.status(), 200);

    let (_bird, workspace) = bird_with(BirdOptions {
        checksum_mode_links: true,
        ..BirdOptions::default()
    })
    .await;
    let link = workspace.link(workspace.add(RecordingSpec::new()));
    assert!(
        refusal(fetch(&link, &[]).await)
            .await
            .1
            .contains("SignatureDoesNotMatch")
    );
    assert_eq!(fetch(&link, &[("x-amz-checksum-mode", "ENABLED")]).await.status(), 200);
}

#[tokio::test]
async fn ranges_and_conditions() {
    let (_bird, workspace) = bird().await;
    let body: Vec<u8> = (0..=255).collect();
    let id = workspace.add(RecordingSpec::new().body(body.clone()));
    let link = workspace.link(id);
    for (range, status, content_range, expected) in [
        ("bytes=0-9", 206, "bytes 0-9/256", &body[..10]),
        ("bytes=250-", 206, "bytes 250-255/256", &body[250..]),
        ("bytes=-6", 206, "bytes 250-255/256", &body[250..]),
        ("bytes=250-999", 206, "bytes 250-255/256", &body[250..]),
        ("bytes=5-4", 200, "", &body[..]),
        ("lines=1-2", 200, "", &body[..]),
        ("bytes=0-1,4-5", 200, "", &body[..]),
    ] {
        let response = fetch(&link, &[("Range", range)]).await;
        assert_eq!(response.status(), status, "{range}");
        assert_eq!(header(&response, "content-range"), content_range, "{range}");
        assert_eq!(response.bytes().await.unwrap(), expected, "{range}");
    }
    for range in ["bytes=256-", "bytes=1000-2000", "bytes=-0"] {
        let response = fetch(&link, &[("Range", range)]).await;
        assert_eq!(header(&response, "content-range"), "bytes */256");
        let (status, xml) = refusal(response).await;
        assert!(status == 416 && xml.contains("InvalidRange"), "{xml}");
    }
    let etag = workspace.etag(id).unwrap();
    let resume = [("Range", "bytes=200-"), ("If-Match", etag.as_str())];
    assert_eq!(fetch(&link, &resume).await.status(), 206);
    workspace.replace_media(id, &b"something else"[..]);
    let (status, xml) = refusal(fetch(&link, &resume).await).await;
    assert!(status == 412 && xml.contains("PreconditionFailed"), "{xml}");
}

#[tokio::test]
async fn objects_that_are_gone_and_odd_etags() {
    for (missing_media, status, code) in [
        (MissingMedia::NoSuchKey, 404, "NoSuchKey"),
        (MissingMedia::AccessDenied, 403, "AccessDenied"),
    ] {
        let (_bird, workspace) = bird_with(BirdOptions {
            missing_media,
            ..BirdOptions::default()
        })
        .await;
        let id = workspace.add(RecordingSpec::new());
        let link = workspace.link(id);
        workspace.delete_media(id);
        let (answered, xml) = refusal(fetch(&link, &[]).await).await;
        assert!(
            answered == status && xml.contains(&format!("<Code>{code}<")) && !xml.contains("Expires"),
            "{xml}"
        );
    }
    let (_bird, workspace) = bird().await;
    for (etag, fits) in [
        (Etag::Md5, Some(34)),
        (Etag::Multipart, Some(36)),
        (Etag::Kms, Some(34)),
        (Etag::None, None),
    ] {
        let id = workspace.add(RecordingSpec::new().etag(etag));
        let response = fetch(&workspace.link(id), &[]).await;
        let sent = response
            .headers()
            .get("etag")
            .map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(sent.as_ref().map(String::len), fits);
        let expected = if etag == Etag::Kms { "aws:kms" } else { "AES256" };
        assert_eq!(header(&response, "x-amz-server-side-encryption"), expected);
        let md5 = md5_hex(&workspace.body(id));
        assert_eq!(sent == Some(format!("\"{md5}\"")), etag == Etag::Md5);
    }
}

#[tokio::test]
async fn bodies_are_whole_frames_of_the_stated_length() {
    let (_bird, workspace) = bird().await;
    let mut ids = workspace.add_many(20, "2024-05-01T00:00:00Z", Duration::from_mins(1));
    ids.push(workspace.add(RecordingSpec::new().duration_seconds(7)));
    ids.push(workspace.add(RecordingSpec::new().body_bytes(100_003)));
    let mut bodies = std::collections::BTreeSet::new();
    for id in ids {
        let body = workspace.body(id);
        let mut scanner = Mp3Scanner::default();
        scanner.update(&body);
        let summary = scanner.finish().unwrap();
        assert!(!summary.ends_inside_frame);
        assert_eq!(
            summary.duration.as_secs(),
            workspace.member(id, "duration").unwrap().as_u64().unwrap()
        );
        bodies.insert(body);
    }
    assert_eq!(bodies.len(), 22);
    assert!(bodies.iter().any(|body| body.len() == 100_003));
}

#[tokio::test]
async fn a_large_body_is_streamed_and_read_in_parts() {
    let (_bird, workspace) = bird().await;
    let id = workspace.add(RecordingSpec::new().body_bytes(8_000_000));
    let whole = workspace.body(id);
    let part = fetch(&workspace.link(id), &[("Range", "bytes=7000001-7000300")])
        .await
        .bytes()
        .await
        .unwrap();
    assert_eq!(part, &whole[7_000_001..7_000_301]);
    assert_eq!(fetch(&workspace.link(id), &[]).await.bytes().await.unwrap(), whole);
    assert_eq!(workspace.id(), WORKSPACE);
}

proptest::proptest! {
    #[test]
    fn a_body_is_the_same_however_it_is_read(seed: u64, length in 0_u64..3000, chunk in 1_usize..700) {
        let body = Mp3::of_len(seed, length);
        let mut whole = vec![0; 4000];
        proptest::prop_assert_eq!(body.read(0, &mut whole) as u64, length);
        let mut offset = 0;
        while offset < length {
            let mut part = vec![0; chunk];
            let read = body.read(offset, &mut part);
            let at = usize::try_from(offset).unwrap();
            proptest::prop_assert_eq!(&part[..read], &whole[at..at + read]);
            offset += read as u64;
        }
    }
}
