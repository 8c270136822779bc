//! The simulator is what it claims to be: strict where Bird and S3 are documented, repeatable, and faulty on the wire.

mod api;
mod faults;
mod harness;
mod media;

use reqwest::Client;
use reqwest::Response;

use crate::support::bird::Bird;
use crate::support::bird::BirdOptions;
use crate::support::bird::WorkspaceHandle;

const WORKSPACE: &str = "8bc02f53-87ac-48d2-b4fd-c2cf856a305f";
const KEY: &str = "key-of-the-support-workspace";

/// A client that follows nothing and tries nothing twice.
#[expect(
    clippy::disallowed_methods,
    reason = "birdkeep's own clients would hide what is on the wire"
)]
fn client() -> Client {
    Client::builder()
        .no_proxy()
        .no_gzip()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .build()
        .unwrap()
}

async fn bird() -> (Bird, WorkspaceHandle) {
    bird_with(BirdOptions::default()).await
}

async fn bird_with(options: BirdOptions) -> (Bird, WorkspaceHandle) {
    let bird = Bird::start(options).await;
    let workspace = bird.add_workspace(WORKSPACE, KEY);
    (bird, workspace)
}

/// A page of the list, or whatever else is below the workspace.
async fn get(bird: &Bird, below: &str) -> Response {
    let url = format!("{}/workspaces/{WORKSPACE}/{below}", bird.base_url());
    client()
        .get(url)
        .header("Authorization", format!("AccessKey {KEY}"))
        .send()
        .await
        .unwrap()
}

async fn get_json(bird: &Bird, below: &str) -> serde_json::Value {
    json(get(bird, below).await).await
}

async fn json(response: Response) -> serde_json::Value {
    assert_eq!(response.status(), 200);
    serde_json::from_slice(&response.bytes().await.unwrap()).unwrap()
}

/// All ids of a list, page by page, and how many pages there were.
async fn walk(bird: &Bird, query: &str) -> (Vec<String>, usize) {
    let mut ids = Vec::new();
    let mut token = String::new();
    for pages in 1..1000 {
        let page = get_json(bird, &format!("recordings?{query}{token}")).await;
        ids.extend(
            page["results"]
                .as_array()
                .unwrap()
                .iter()
                .map(|item| item["id"].as_str().unwrap().to_owned()),
        );
        match page.get("nextPageToken") {
            Some(next) => token = format!("&pageToken={}", next.as_str().unwrap()),
            None => return (ids, pages),
        }
    }
    panic!("the list does not end");
}
