//! Faults of the API and of links, as they show on the wire, and the rules by which they strike.

use std::time::Duration;
use std::time::Instant;

use super::KEY;
use super::WORKSPACE;
use super::bird;
use super::bird_with;
use super::client;
use super::get;
use super::get_json;
use super::one;
use super::raw;
use super::raw_keeping;
use super::walk;
use crate::support::bird::ApiAction;
use crate::support::bird::BirdOptions;
use crate::support::bird::Endless;
use crate::support::bird::FaultRule;
use crate::support::bird::LinkAction;
use crate::support::bird::MediaAction;
use crate::support::bird::RecordingSpec;
use crate::support::bird::RequestKind;
use crate::support::bird::Shape;

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
    let strike = async |action: ApiAction| {
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
    workspace.edit(id, |members| {
        drop(members.insert("url".to_owned(), "data:,x".into()));
    });
    assert_eq!(get_json(&bird, &format!("recordings/{id}")).await["url"], "data:,x");
}

#[tokio::test]
async fn connections_can_be_short_lived() {
    for (requests_per_connection, answered) in [(None, 3), (Some(2), 2)] {
        let options = BirdOptions {
            requests_per_connection,
            ..BirdOptions::default()
        };
        let (bird, _) = bird_with(options).await;
        let list = format!("{}/workspaces/{WORKSPACE}/recordings", bird.base_url());
        let request = format!("GET /workspaces/{WORKSPACE}/recordings HTTP/1.1\r\nAuthorization: AccessKey {KEY}\r\n");
        // What follows the first request's headers is two more requests; the last one asks for the end.
        let rest = format!("\r\n{request}\r\n{request}Connection: close\r\n");
        let (bytes, in_order) = raw_keeping(&list, &format!("Authorization: AccessKey {KEY}\r\n{rest}")).await;
        let text = String::from_utf8(bytes).unwrap();
        assert!(in_order);
        assert_eq!(text.matches("HTTP/1.1 200 OK").count(), answered);
        assert_eq!(bird.list_requests(), answered as u64);
    }
}
