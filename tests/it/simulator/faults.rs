//! Faults as they show on the wire.

use std::io::Read as _;
use std::io::Write as _;
use std::net::TcpStream;
use std::time::Duration;
use std::time::Instant;

use birdkeep::domain::ids::RecordingId;
use reqwest::Response;

use super::KEY;
use super::WORKSPACE;
use super::bird;
use super::client;
use super::get;
use super::get_json;
use super::walk;
use crate::support::bird::ApiAction;
use crate::support::bird::At;
use crate::support::bird::Bird;
use crate::support::bird::BirdOptions;
use crate::support::bird::Endless;
use crate::support::bird::FaultRule;
use crate::support::bird::LinkAction;
use crate::support::bird::MediaAction;
use crate::support::bird::RecordingSpec;
use crate::support::bird::RedirectTo;
use crate::support::bird::RequestKind;
use crate::support::bird::Shape;
use crate::support::bird::WorkspaceHandle;

const BODY_BYTES: u64 = 20_000;

/// A server with one recording of 20,000 bytes.
async fn one() -> (Bird, WorkspaceHandle, RecordingId) {
    let (bird, workspace) = bird().await;
    let id = workspace.add(RecordingSpec::new().body_bytes(BODY_BYTES));
    (bird, workspace, id)
}

/// Everything that comes back on a connection of its own until the server closes it, and whether it did so in order.
async fn raw(url: &str, headers: &str) -> (Vec<u8>, bool) {
    let url = url::Url::parse(url).unwrap();
    let host = url.socket_addrs(|| None).unwrap()[0];
    let target = url[url::Position::BeforePath..].to_owned();
    let request = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n");
    let exchange = move || {
        let mut stream = TcpStream::connect(host).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut bytes = Vec::new();
        let in_order = stream.read_to_end(&mut bytes).is_ok();
        (bytes, in_order)
    };
    tokio::task::spawn_blocking(exchange).await.unwrap()
}

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
async fn rules_strike_where_and_as_often_as_they_say() {
    let (bird, workspace) = bird().await;
    let other = bird.add_workspace("other", "key-of-the-other");
    let ids = workspace.add_many(30, "2024-05-01T00:00:00Z", Duration::from_secs(1));
    other.add(RecordingSpec::new());
    let fail = || ApiAction::status(503);

    bird.fault(FaultRule::list(fail()).workspace("other"));
    assert_eq!(walk(&bird, "").await.0.len(), 30);
    bird.clear_faults();

    let second = bird.fault(FaultRule::list(fail()).page(2).times(1));
    let first = get_json(&bird, "recordings").await;
    let next = format!("recordings?pageToken={}", first["nextPageToken"].as_str().unwrap());
    assert_eq!(get(&bird, &next).await.status(), 503);
    assert_eq!(get(&bird, &next).await.status(), 200);
    assert_eq!(bird.fault_strikes(second), 1);
    bird.clear_fault(second);

    bird.fault(FaultRule::item(fail()).times_each(1));
    for id in &ids[..3] {
        assert_eq!(get(&bird, &format!("recordings/{id}")).await.status(), 503);
        assert_eq!(get(&bird, &format!("recordings/{id}")).await.status(), 200);
    }
    bird.clear_faults();

    bird.fault(FaultRule::media(MediaAction::slow_down()).recording(ids[0]).after(1));
    for (id, status) in [
        (ids[1], 200),
        (ids[0], 200),
        (ids[0], 503),
        (ids[0], 503),
        (ids[1], 200),
    ] {
        assert_eq!(client().get(workspace.link(id)).send().await.unwrap().status(), status);
    }
    bird.clear_faults();

    let often = bird.fault(FaultRule::api(fail()).probability(0.5));
    for _ in 0..100 {
        get(&bird, "recording-metrics").await;
    }
    assert!((25..75).contains(&bird.fault_strikes(often)));
}

#[tokio::test]
async fn api_statuses_and_bodies() {
    let (bird, _, _) = one().await;
    let mut strike = async |action: ApiAction| {
        let fault = bird.fault(FaultRule::list(action));
        let response = get(&bird, "recordings").await;
        bird.clear_fault(fault);
        response
    };
    let limited = strike(ApiAction::status_retry_after(429, "Wed, 21 Oct 2099 07:28:00 GMT")).await;
    assert_eq!(limited.status(), 429);
    assert_eq!(limited.headers()["retry-after"], "Wed, 21 Oct 2099 07:28:00 GMT");
    assert!(limited.headers().contains_key("date"));
    let html = strike(ApiAction::html()).await;
    assert!(html.status() == 200 && html.text().await.unwrap().starts_with("<!DOCTYPE"));
    for (action, expected) in [
        (ApiAction::Shape(Shape::ItemsForResults), "{\"items\":[]}"),
        (ApiAction::Shape(Shape::ResultsIsNull), "{\"results\":null}"),
        (ApiAction::malformed_json(), "{\"results\":[{\"id\":}]}"),
    ] {
        assert_eq!(strike(action).await.text().await.unwrap(), expected);
    }
    let cut = strike(ApiAction::TruncatedJson).await.bytes().await.unwrap();
    assert!(cut.starts_with(b"{\"results\":[") && !cut.ends_with(b"}"));
    assert!(strike(ApiAction::Cut).await.bytes().await.is_err());
    let wrapped = ApiAction::Wrapped {
        before: "\u{feff}".into(),
        after: "tail".into(),
    };
    let wrapped = strike(wrapped).await.text().await.unwrap();
    assert!(wrapped.starts_with("\u{feff}{\"results\":[") && wrapped.ends_with("]}tail"));
    let date = strike(ApiAction::Date(Some("Thu, 01 Jan 1970 00:00:00 GMT".to_owned()))).await;
    assert_eq!(date.headers()["date"], "Thu, 01 Jan 1970 00:00:00 GMT");
    assert!(!strike(ApiAction::Date(None)).await.headers().contains_key("date"));
    let deep = strike(ApiAction::deep_json(5)).await.text().await.unwrap();
    assert!(deep.contains(",\"deep\":[[[[[]]]]]}"));
    let number = strike(ApiAction::huge_number(4000)).await.text().await.unwrap();
    assert!(number.contains(&"9".repeat(4000)));
    let huge = strike(ApiAction::HugePage {
        ballast_bytes: 3_000_000,
    })
    .await
    .bytes()
    .await
    .unwrap();
    let huge: serde_json::Value = serde_json::from_slice(&huge).unwrap();
    assert_eq!(
        (
            huge["ballast"].as_str().unwrap().len(),
            huge["results"].as_array().unwrap().len()
        ),
        (3_000_000, 1)
    );
    let many = strike(ApiAction::ManyItems { count: 500 }).await.bytes().await.unwrap();
    let many: serde_json::Value = serde_json::from_slice(&many).unwrap();
    assert_eq!(many["results"].as_array().unwrap().len(), 501);
    let twice = super::json(strike(ApiAction::ItemsTwice).await).await;
    assert_eq!(twice["results"][0]["id"], twice["results"][1]["id"]);
}

#[tokio::test]
async fn api_connections_that_fail() {
    let (bird, _, _) = one().await;
    let list = format!("{}/workspaces/{WORKSPACE}/recordings", bird.base_url());
    let auth = format!("Authorization: AccessKey {KEY}\r\n");
    for (action, in_order) in [(ApiAction::Close, true), (ApiAction::Reset, false)] {
        bird.fault(FaultRule::list(action).times(1));
        assert_eq!(raw(&list, &auth).await, (Vec::new(), in_order));
    }
    bird.fault(FaultRule::list(ApiAction::Raw("HTTP/1.1 200 OK\r\nContent-Le".into())).times(1));
    assert_eq!(raw(&list, &auth).await.0, b"HTTP/1.1 200 OK\r\nContent-Le");

    let impatient = |request: reqwest::RequestBuilder| request.header("Authorization", format!("AccessKey {KEY}"));
    for action in [
        ApiAction::Silence,
        ApiAction::StallHalfway,
        ApiAction::SlowHead(Duration::from_millis(50)),
    ] {
        bird.fault(FaultRule::list(action).times(1));
        let request = impatient(client().get(&list)).timeout(Duration::from_millis(300));
        let error = async { request.send().await?.bytes().await }.await.unwrap_err();
        assert!(error.is_timeout(), "{error:?}");
    }
    bird.fault(FaultRule::list(ApiAction::Delay(Duration::from_millis(120))).times(1));
    let began = Instant::now();
    assert_eq!(get(&bird, "recordings").await.status(), 200);
    assert!(began.elapsed() >= Duration::from_millis(120));
    assert_eq!(bird.list_requests(), 7);
}

#[tokio::test]
async fn lists_that_never_end() {
    let (bird, workspace) = bird().await;
    workspace.add_many(25, "2024-05-01T00:00:00Z", Duration::from_secs(1));
    for (kind, new_ids, tokens_differ) in [
        (Endless::SameToken, true, false),
        (Endless::SamePage, false, true),
        (Endless::EmptyPages, false, true),
        (Endless::NewItems, true, true),
    ] {
        let fault = bird.fault(FaultRule::list(ApiAction::Endless(kind)));
        let mut pages = vec![get_json(&bird, "recordings").await];
        for _ in 0..9 {
            let token = pages.last().unwrap()["nextPageToken"].as_str().unwrap();
            let next = get_json(&bird, &format!("recordings?pageToken={token}")).await;
            pages.push(next);
        }
        let tokens: Vec<_> = pages.iter().map(|page| page["nextPageToken"].to_string()).collect();
        assert_eq!(tokens[4] != tokens[5], tokens_differ, "{kind:?}");
        let id = |page: usize| pages[page]["results"][0]["id"].to_string();
        assert_eq!(id(0) != id(1), new_ids, "{kind:?}");
        assert_eq!(
            pages[5]["results"].as_array().unwrap().is_empty(),
            kind == Endless::EmptyPages
        );
        bird.clear_fault(fault);
    }
}

#[tokio::test]
async fn tokens_of_every_kind_come_back_as_they_are() {
    let (bird, workspace) = bird().await;
    workspace.add_many(25, "2024-05-01T00:00:00Z", Duration::from_secs(1));
    let odd = "&limit=1#?/%00+ \u{e9}\r\nX-Injected: 1\0";
    for action in [ApiAction::LongToken, ApiAction::OddToken(odd.to_owned())] {
        let fault = bird.fault(FaultRule::list(action.clone()));
        let page = get_json(&bird, "recordings").await;
        let token = page["nextPageToken"].as_str().unwrap();
        match action {
            ApiAction::LongToken => assert_eq!(token.len(), 8000),
            _ => assert!(token.ends_with(odd)),
        }
        let encoded: String = url::form_urlencoded::byte_serialize(token.as_bytes()).collect();
        let next = get_json(&bird, &format!("recordings?pageToken={encoded}")).await;
        assert_ne!(next["results"][0]["id"], page["results"][0]["id"]);
        let cut = &encoded[..encoded.len() - 1];
        assert_eq!(get(&bird, &format!("recordings?pageToken={cut}")).await.status(), 422);
        bird.clear_fault(fault);
    }
}

#[tokio::test]
async fn links_that_are_wrong_from_birth() {
    let (bird, workspace, id) = one().await;
    let link = async |action: LinkAction| {
        bird.fault(FaultRule::link(action).recording(id).times(1));
        let listed = get_json(&bird, "recordings").await;
        listed["results"][0]
            .get("url")
            .map(|url| url.as_str().unwrap().to_owned())
    };
    let status = async |link: Option<String>| {
        let response = client().get(link.unwrap()).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap_or_default())
    };
    let (code, xml) = status(link(LinkAction::ExpiredAtBirth).await).await;
    assert!(code == 403 && xml.contains("Request has expired"), "{xml}");
    let (code, xml) = status(link(LinkAction::Altered).await).await;
    assert!(code == 403 && xml.contains("SignatureDoesNotMatch"), "{xml}");
    assert!(
        link(LinkAction::LifeSeconds(3))
            .await
            .unwrap()
            .contains("X-Amz-Expires=3&")
    );
    assert_eq!(link(LinkAction::Missing).await, None);
    let passwd = LinkAction::Replaced("file:///etc/passwd".to_owned());
    assert_eq!(link(passwd).await.unwrap(), "file:///etc/passwd");
    let foreign = link(LinkAction::Foreign).await.unwrap();
    assert!(foreign.starts_with("http://127.0.0.2:"));
    assert_eq!(bird.foreign_requests(), 0);
    assert_eq!(client().get(foreign).send().await.unwrap().status(), 200);
    assert_eq!(bird.foreign_requests(), 1);
    assert!(matches!(
        bird.requests().last().unwrap().kind,
        RequestKind::Foreign { .. }
    ));
    workspace.edit(id, |members| drop(members.insert("url".to_owned(), "data:,x".into())));
    assert_eq!(get_json(&bird, &format!("recordings/{id}")).await["url"], "data:,x");
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
        let followed = match location.starts_with("http://127.0.0.1") {
            true => Some(client().get(&location).send().await.unwrap().status().as_u16()),
            false => None,
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

#[tokio::test]
async fn connections_can_be_short_lived() {
    let bird = Bird::start(BirdOptions {
        requests_per_connection: Some(2),
        ..BirdOptions::default()
    })
    .await;
    bird.add_workspace(WORKSPACE, KEY);
    let url = format!("{}/workspaces/{WORKSPACE}/recordings", bird.base_url());
    let client = client();
    let mut statuses = Vec::new();
    for _ in 0..2 {
        let response = client
            .get(&url)
            .header("Authorization", format!("AccessKey {KEY}"))
            .send()
            .await
            .unwrap();
        statuses.push(response.status().as_u16());
        response.bytes().await.unwrap();
    }
    assert_eq!(statuses, [200, 200]);
}
