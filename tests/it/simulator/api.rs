//! Lists, items, keys, tokens, filters.

use std::collections::BTreeSet;
use std::time::Duration;

use birdkeep::domain::clock::Timestamp;
use serde_json::json;

use super::KEY;
use super::WORKSPACE;
use super::bird;
use super::bird_with;
use super::client;
use super::get;
use super::get_json;
use super::walk;
use crate::support::bird::ApiAction;
use crate::support::bird::Bird;
use crate::support::bird::BirdOptions;
use crate::support::bird::FaultRule;
use crate::support::bird::PageOrder;
use crate::support::bird::Paging;
use crate::support::bird::RecordingSpec;
use crate::support::bird::RequestKind;
use crate::support::bird::Rights;

#[tokio::test]
async fn paging_covers_everything_once_in_any_order() {
    for page_order in [PageOrder::NewestFirst, PageOrder::OldestFirst, PageOrder::Shuffled] {
        for paging in [Paging::ByPosition, Paging::ByOffset] {
            let (bird, workspace) = bird_with(BirdOptions {
                page_order,
                paging,
                ..BirdOptions::default()
            })
            .await;
            workspace.add_many(57, "2024-05-01T00:00:00Z", Duration::from_secs(1));
            // Several with one and the same time: position must not rest on time alone.
            for _ in 0..13 {
                workspace.add(RecordingSpec::at("2024-05-02T00:00:00Z"));
            }
            let (ids, pages) = walk(&bird, "limit=7").await;
            assert_eq!(pages, 10, "{page_order:?} {paging:?}");
            assert_eq!(ids.len(), 70);
            assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 70);
            assert_eq!(bird.list_requests(), 10);
        }
    }
}

#[tokio::test]
async fn the_order_is_the_one_asked_for() {
    for (page_order, sorted) in [(PageOrder::NewestFirst, false), (PageOrder::OldestFirst, true)] {
        let (bird, workspace) = bird_with(BirdOptions {
            page_order,
            ..BirdOptions::default()
        })
        .await;
        let mut added = workspace.add_many(20, "1969-12-31T23:59:55Z", Duration::from_secs(1));
        let (ids, _) = walk(&bird, "limit=9").await;
        if !sorted {
            added.reverse();
        }
        assert_eq!(ids, added.iter().map(ToString::to_string).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn offset_paging_slides_and_position_paging_does_not() {
    for (paging, seen) in [(Paging::ByPosition, 20), (Paging::ByOffset, 19)] {
        let (bird, workspace) = bird_with(BirdOptions {
            paging,
            ..BirdOptions::default()
        })
        .await;
        let added = workspace.add_many(20, "2024-05-01T00:00:00Z", Duration::from_secs(1));
        let first = get_json(&bird, "recordings?limit=10").await;
        workspace.remove(added[19]);
        let token = first["nextPageToken"].as_str().unwrap();
        let second = get_json(&bird, &format!("recordings?limit=10&pageToken={token}")).await;
        let listed = |page: &serde_json::Value| page["results"].as_array().unwrap().len();
        assert_eq!(listed(&first) + listed(&second), seen, "{paging:?}");
    }
}

#[tokio::test]
async fn limits_and_tokens_are_held_to() {
    let (bird, workspace) = bird().await;
    workspace.add_many(25, "2024-05-01T00:00:00Z", Duration::from_secs(1));
    assert_eq!(
        get_json(&bird, "recordings").await["results"].as_array().unwrap().len(),
        10
    );
    for bad in [
        "limit=0",
        "limit=100",
        "limit=-1",
        "limit=ten",
        "startAt=yesterday",
        "pageToken=AAAA",
        "pageToken=",
    ] {
        let response = get(&bird, &format!("recordings?{bad}")).await;
        assert_eq!(response.status(), 422, "{bad}");
        let body: serde_json::Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
        assert!(body["code"].as_str().unwrap().len() >= 5 && body["message"].as_str().unwrap().len() >= 5);
    }
    let page = get_json(&bird, "recordings?limit=5&status=available").await;
    let token = page["nextPageToken"].as_str().unwrap();
    let altered = token.replacen(|digit| digit != '0', "0", 1);
    for (query, status) in [
        (format!("limit=99&status=available&pageToken={token}"), 200),
        (format!("limit=5&pageToken={token}"), 422),
        (format!("limit=5&status=available&pageToken={altered}"), 422),
        (format!("limit=5&status=available&pageToken={token}~x"), 422),
        (format!("limit=5&status=available&pageToken={}", "a".repeat(8001)), 422),
    ] {
        assert_eq!(
            get(&bird, &format!("recordings?{query}")).await.status(),
            status,
            "{query}"
        );
    }
}

#[tokio::test]
async fn filters_admit_what_they_say() {
    let (bird, workspace) = bird().await;
    let at = |hour: u32| RecordingSpec::at(&format!("2024-05-01T{hour:02}:00:00Z"));
    let first = workspace.add(at(1).status("ongoing").direction("incoming").caller("31970000001"));
    let second = workspace.add(at(2).direction("outgoing").called("31970000001"));
    let third = workspace.add(at(3).status("failed").direction("outgoing"));
    let member = |id, name| workspace.member(id, name).unwrap().as_str().unwrap().to_owned();
    for (query, expected) in [
        ("startAt=2024-05-01T02:00:00Z".to_owned(), vec![third, second]),
        ("endAt=2024-05-01T02:00:00Z".to_owned(), vec![first]),
        (
            "startAt=2024-05-01T02:00:00Z&endAt=2024-05-01T03:00:00Z".to_owned(),
            vec![second],
        ),
        (
            "startAt=2024-05-01T04:00:00%2B02:00&endAt=2024-05-01T03:00:00Z".to_owned(),
            vec![second],
        ),
        ("status=available".to_owned(), vec![second]),
        ("status=failed&status=ongoing".to_owned(), vec![third, first]),
        ("direction=outgoing".to_owned(), vec![third, second]),
        ("from=%2B31970000001".to_owned(), vec![first]),
        ("to=31970000001".to_owned(), vec![second]),
        (format!("sourceId={}", member(third, "sourceId")), vec![third]),
        (format!("id={}", member(first, "sourceId")), vec![first]),
        (format!("id={first}"), vec![]),
        (format!("channelId={}", member(second, "channelId")), vec![second]),
    ] {
        let (ids, _) = walk(&bird, &query).await;
        assert_eq!(
            ids,
            expected.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "{query}"
        );
    }
}

#[tokio::test]
async fn keys_open_their_own_workspace_only() {
    let (bird, workspace) = bird().await;
    let other = bird.add_workspace("other", "key-of-the-other-workspace");
    other.set_bearer_token("token-of-the-other-workspace");
    let id = workspace.add(RecordingSpec::new());
    for (workspace, authorization, status) in [
        (WORKSPACE, Some(format!("AccessKey {KEY}")), 200),
        (WORKSPACE, Some(format!("Bearer {KEY}")), 401),
        (WORKSPACE, Some(format!("AccessKey {KEY}x")), 401),
        (WORKSPACE, None, 401),
        (WORKSPACE, Some("AccessKey key-of-the-other-workspace".to_owned()), 403),
        ("other", Some("Bearer token-of-the-other-workspace".to_owned()), 200),
        ("other", Some(format!("AccessKey {KEY}")), 403),
        ("nobody", Some(format!("AccessKey {KEY}")), 404),
        ("nobody", Some("AccessKey nothing".to_owned()), 401),
    ] {
        for path in [
            "recordings".to_owned(),
            "recording-metrics".to_owned(),
            format!("recordings/{id}"),
        ] {
            let mut request = client().get(format!("{}/workspaces/{workspace}/{path}", bird.base_url()));
            if let Some(authorization) = &authorization {
                request = request.header("Authorization", authorization);
            }
            let answered = request.send().await.unwrap().status();
            let elsewhere = workspace == "other" && status == 200 && path.contains('/');
            assert_eq!(
                answered,
                if elsewhere { 404 } else { status },
                "{workspace}/{path} {authorization:?}"
            );
        }
    }
    workspace.set_key("a new key");
    assert_eq!(get(&bird, "recordings").await.status(), 401);
    let post = client().post(format!("{}/workspaces/{WORKSPACE}/recordings/{id}", bird.base_url()));
    let response = post.header("Authorization", "AccessKey a new key").send().await;
    assert_eq!(response.unwrap().status(), 405);
}

#[tokio::test]
async fn rights_are_a_keys_own_and_deleting_takes_one() {
    let (bird, workspace) = bird().await;
    let id = workspace.add(RecordingSpec::new());
    let delete = |key: &'static str, id: String| {
        let request = client().delete(format!("{}/workspaces/{WORKSPACE}/recordings/{id}", bird.base_url()));
        async move {
            let request = request.header("Authorization", format!("AccessKey {key}"));
            request.send().await.unwrap().status()
        }
    };
    assert_eq!(delete("nobody's", id.to_string()).await, 401);
    assert_eq!(delete(KEY, id.to_string()).await, 403);
    assert_eq!(workspace.available(), [id]);
    let rights = Rights {
        delete: true,
        metrics: false,
        ..Rights::default()
    };
    workspace.set_rights(rights);
    assert_eq!(get(&bird, "recording-metrics").await.status(), 403);
    assert_eq!(
        delete(KEY, "00000000-0000-0000-0000-000000000000".to_owned()).await,
        404
    );
    assert_eq!(workspace.available(), [id]);
    assert_eq!(delete(KEY, id.to_string()).await, 204);
    let item = get_json(&bird, &format!("recordings/{id}")).await;
    assert_eq!((item["status"].as_str(), item.get("url")), (Some("absent"), None));
}

#[tokio::test]
async fn an_item_is_like_the_published_example_and_follows_its_changes() {
    let (bird, workspace) = bird().await;
    let id = workspace.add(RecordingSpec::at("2023-10-23T15:55:08.234Z").duration_seconds(29));
    let item = get_json(&bird, &format!("recordings/{id}")).await;
    for name in [
        "id",
        "source",
        "sourceId",
        "channelId",
        "status",
        "direction",
        "origin",
        "format",
        "url",
        "updatedAt",
    ] {
        assert!(item[name].is_string(), "{name}");
    }
    assert_eq!(item["createdAt"], "2023-10-23T15:55:08.234Z");
    assert_eq!(item["duration"], 29);
    assert!(item["url"].as_str().unwrap().len() > 1400);
    assert!((2000..3000).contains(&item.to_string().len()));

    workspace.set_status(id, "absent");
    workspace.edit(id, |members| {
        drop(members.insert("surprise".to_owned(), json!([1])));
    });
    let item = get_json(&bird, &format!("recordings/{id}")).await;
    assert_eq!(
        (item.get("url"), &item["status"], &item["surprise"]),
        (None, &json!("absent"), &json!([1]))
    );
    assert_eq!(workspace.available(), []);
    assert_eq!(get(&bird, &format!("recordings/{id}.mp3")).await.status(), 404);

    workspace.unlist(id);
    assert_eq!(walk(&bird, "").await.0, Vec::<String>::new());
    assert_eq!(get(&bird, &format!("recordings/{id}")).await.status(), 200);
    workspace.remove(id);
    assert_eq!(get(&bird, &format!("recordings/{id}")).await.status(), 404);
    workspace.add(RecordingSpec::new().raw("not JSON at all"));
    let page = get(&bird, "recordings").await.bytes().await.unwrap();
    assert_eq!(page, "{\"results\":[not JSON at all]}");
}

#[tokio::test]
async fn the_seed_decides_everything() {
    let mut worlds = Vec::new();
    for seed in [1, 1, 2] {
        let (bird, workspace) = bird_with(BirdOptions {
            seed,
            ..BirdOptions::default()
        })
        .await;
        workspace.add_many(5, "2024-05-01T00:00:00Z", Duration::from_mins(1));
        workspace.add(RecordingSpec::new());
        let ids = workspace.listed();
        let bodies: Vec<_> = ids
            .iter()
            .map(|id| (workspace.body(*id), workspace.member(*id, "originator")))
            .collect();
        let credentials = bird
            .secrets()
            .into_iter()
            .map(|(_, secret)| secret)
            .take(4)
            .collect::<Vec<_>>();
        worlds.push((ids, bodies, credentials));
    }
    assert_eq!(worlds[0], worlds[1]);
    assert_ne!(worlds[0].0, worlds[2].0);
    assert_ne!(worlds[0].1, worlds[2].1);
    assert_ne!(worlds[0].2, worlds[2].2);
}

#[tokio::test]
async fn the_clock_is_the_servers_own() {
    let options = BirdOptions {
        clock_offset_seconds: -7 * 86_400,
        ..BirdOptions::default()
    };
    let (bird, workspace) = bird_with(options).await;
    let id = workspace.add(RecordingSpec::new());
    let before = bird.now().before(Duration::from_secs(1));
    bird.advance(Duration::from_hours(1));
    let response = get(&bird, &format!("recordings/{id}")).await;
    let date = response.headers()["date"].to_str().unwrap().to_owned();
    let date = Timestamp::from_http_date(&date).unwrap();
    assert!((3600..3630).contains(&date.since(before).as_secs()));
    let item = super::json(response).await;
    let url = url::Url::parse(item["url"].as_str().unwrap()).unwrap();
    let (_, signed_at) = url.query_pairs().find(|(name, _)| name == "X-Amz-Date").unwrap();
    assert!(Timestamp::from_amz_date(&signed_at).unwrap().since(date) < Duration::from_secs(30));
    assert_eq!(client().get(url).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn what_was_asked_is_known_afterwards() {
    let (bird, workspace) = bird().await;
    let id = workspace.add(RecordingSpec::new());
    get(&bird, "recordings?limit=5&startAt=2024-01-01T00:00:00Z").await;
    get(&bird, &format!("recordings/{id}")).await;
    get(&bird, &format!("recordings/{id}.mp3")).await;
    assert_eq!(get_json(&bird, "recording-metrics").await["counter"], 1);
    get(&bird, "recordings/nonsense").await;
    assert_eq!(
        (
            bird.api_requests(),
            bird.list_requests(),
            bird.item_requests(),
            bird.media_requests()
        ),
        (5, 1, 1, 0)
    );
    let log = bird.requests();
    assert!(matches!(
        &log[0].kind,
        RequestKind::List { page: 1, limit: Some(limit), token: None, start_at: Some(start), .. }
            if limit == "5" && start == "2024-01-01T00:00:00Z"
    ));
    assert_eq!(
        log[1].kind,
        RequestKind::Item {
            workspace: WORKSPACE.to_owned(),
            id
        }
    );
    assert_eq!(
        log.iter().map(|seen| seen.status).collect::<Vec<_>>(),
        [200, 200, 307, 200, 404].map(Some)
    );
    assert!(log.iter().all(|seen| seen.had_authorization));
    bird.forget_requests();
    assert_eq!((bird.api_requests(), bird.requests().len()), (0, 0));
}

#[tokio::test]
async fn metrics_count_what_is_stored_and_take_what_is_documented() {
    let (bird, workspace) = bird().await;
    let ids = workspace.add_many(3, "2026-03-01T08:00:00Z", Duration::from_mins(1));
    workspace.add(RecordingSpec::new().status("absent"));
    workspace.delete_media(ids[0]);
    let metrics = get_json(&bird, "recording-metrics?limit=99").await;
    assert_eq!(metrics["counter"], 2);
    assert!(
        metrics["dailyStorageUsage"].is_object() && metrics["updatedAt"].is_string(),
        "{metrics}"
    );
    let source = workspace.member(ids[1], "sourceId").unwrap();
    let of_source = format!("recording-metrics?sourceId={}", source.as_str().unwrap());
    assert_eq!(get_json(&bird, &of_source).await["counter"], 1);
    for bad in [
        "limit=0",
        "limit=100",
        "limit=x",
        "pageToken=t",
        "sourceId=7",
        "startAt=2026-03-01T08:00:00Z",
    ] {
        assert_eq!(
            get(&bird, &format!("recording-metrics?{bad}")).await.status(),
            422,
            "{bad}"
        );
    }
    let fault = bird.fault(FaultRule::other_api(ApiAction::status(403)));
    assert_eq!(get(&bird, "recording-metrics").await.status(), 403);
    assert_eq!(get(&bird, "recordings").await.status(), 200);
    assert_eq!(bird.fault_strikes(fault), 1);
}

#[tokio::test]
async fn a_rate_can_be_set() {
    let bird = Bird::start(BirdOptions {
        requests_per_second: Some(1),
        ..BirdOptions::default()
    })
    .await;
    bird.add_workspace(WORKSPACE, KEY);
    let mut refused = 0;
    for _ in 0..10 {
        refused += u32::from(get(&bird, "recordings").await.status() == 429);
    }
    assert!(refused > 0);
}
