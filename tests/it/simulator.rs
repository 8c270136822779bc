//! The simulator is what it claims to be: strict where Bird and S3 are documented, repeatable, and faulty on the wire.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod api;
mod faults;
mod harness;
mod media;
mod media_faults;

use std::io::Read as _;
use std::io::Write as _;
use std::net::TcpStream;
use std::sync::OnceLock;
use std::time::Duration;

use birdkeep::domain::ids::RecordingId;
use reqwest::Client;
use reqwest::Response;

use crate::support::bird::Bird;
use crate::support::bird::BirdOptions;
use crate::support::bird::RecordingSpec;
use crate::support::bird::WorkspaceHandle;

const WORKSPACE: &str = "8bc02f53-87ac-48d2-b4fd-c2cf856a305f";
const KEY: &str = "key-of-the-support-workspace";

/// A client that follows nothing and tries nothing twice.
fn client() -> Client {
    static CLIENT: OnceLock<Client> = OnceLock::new();
    CLIENT.get_or_init(new_client).clone()
}

#[expect(
    clippy::disallowed_methods,
    reason = "birdkeep's own clients would hide what is on the wire"
)]
fn new_client() -> Client {
    Client::builder()
        .no_proxy()
        .no_gzip()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        // A connection lives on the runtime of the test that opened it: no other test may be given it.
        .pool_max_idle_per_host(0)
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

const BODY_BYTES: u64 = 20_000;

/// A server with one recording of 20,000 bytes.
async fn one() -> (Bird, WorkspaceHandle, RecordingId) {
    let (bird, workspace) = bird().await;
    let id = workspace.add(RecordingSpec::new().body_bytes(BODY_BYTES));
    (bird, workspace, id)
}

/// Everything that comes back on a connection of its own until the server closes it, and whether it did so in order.
async fn raw(url: &str, headers: &str) -> (Vec<u8>, bool) {
    raw_keeping(url, &format!("Connection: close\r\n{headers}")).await
}

/// The same without asking the server to close it.
async fn raw_keeping(url: &str, headers: &str) -> (Vec<u8>, bool) {
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
