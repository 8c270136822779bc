//! Input without measure: refused or processed, within 128 MiB and 4 MiB for each download at once.

use bytes::Bytes;

use super::bounded::Bounded;
use super::bounded::allowance_bytes;
use crate::listing::scene::KEY;
use crate::listing::scene::NAME;
use crate::listing::scene::WORKSPACE;
use crate::listing::scene::add_small;
use crate::listing::scene::each_case;
use crate::listing::scene::expect_archived;
use crate::support::bird::ApiAction;
use crate::support::bird::Bird;
use crate::support::bird::BirdOptions;
use crate::support::bird::FaultRule;
use crate::support::bird::LinkAction;
use crate::support::bird::MediaAction;
use crate::support::bird::RecordingSpec;
use crate::support::bird::WorkspaceHandle;

const MIB: usize = 1 << 20;
/// A little less than the longest reply that is read unless configured otherwise.
const NEARLY_A_PAGE: usize = 15 * MIB;

async fn place(downloads: u64) -> (Bird, WorkspaceHandle, Bounded) {
    let bird = Bird::start(BirdOptions::default()).await;
    let workspace = bird.add_workspace(WORKSPACE, KEY);
    let mut bounded = Bounded::new(&bird, &[(NAME, &workspace)], allowance_bytes(downloads));
    bounded.archive.set("download.concurrency", &downloads.to_string());
    bounded.archive.set("api.requests_per_second", "1000");
    (bird, workspace, bounded)
}

/// `head`, then this over and over up to so many bytes, then `tail`.
fn repeated(head: &str, over_and_over: &str, len_bytes: usize, tail: &str) -> ApiAction {
    let times = len_bytes / over_and_over.len();
    ApiAction::json([head, &over_and_over.repeat(times), tail].concat())
}

/// An object with as many members of different names as fit.
fn many_members(len_bytes: usize) -> String {
    let mut text = String::with_capacity(len_bytes + 16);
    text.push_str("{\"\":0");
    for number in 0_u32.. {
        if text.len() >= len_bytes {
            break;
        }
        text.push_str(&format!(",\"{number:x}\":0"));
    }
    text.push('}');
    text
}

fn headers(count: usize, bytes: usize) -> Vec<(String, String)> {
    let header = |number: usize| (format!("X-{number}"), "h".repeat(bytes));
    (0..count).map(header).collect()
}

/// A first item with this member, in raw JSON.
fn member(json: String) -> ApiAction {
    let name = "odd".to_owned();
    ApiAction::FirstItemMember { name, json }
}

/// Lists of which everything is taken, whatever it takes.
fn lists_that_are_still_lists() -> Vec<(&'static str, ApiAction)> {
    let nulls = format!("[null{}]", ",null".repeat(20_000));
    let ballast_bytes = 15 << 20;
    vec![
        ("15 MiB of ballast", ApiAction::HugePage { ballast_bytes }),
        ("a number of 4,000 digits", ApiAction::huge_number(4_000)),
        ("an item of 15,000 members", member(many_members(120_000))),
        ("an item of 20,000 nulls", member(nulls)),
        ("100,000 interim replies", ApiAction::ContinueFlood { count: 100_000 }),
    ]
}

/// Lists of which a part, or all, is refused.
fn lists_without_measure() -> Vec<(&'static str, ApiAction)> {
    let page = |head, over_and_over, tail| repeated(head, over_and_over, NEARLY_A_PAGE, tail);
    let ballast_bytes = 64 << 20;
    let links = format!("\"{}\"", "x-amz-signature=a&".repeat(NEARLY_A_PAGE / 18));
    let bomb = ApiAction::GzipBomb {
        beginning: Bytes::from_static(b"{"),
        unpacked_bytes: 4 << 30,
    };
    let endless = ApiAction::EndlessBody {
        beginning: Bytes::from_static(b"{\"results\":["),
        pattern: Bytes::from_static(b"null,"),
    };
    vec![
        ("64 MiB", ApiAction::HugePage { ballast_bytes }),
        ("200,000 items", ApiAction::ManyItems { count: 200_000 }),
        ("8 million items", page("{\"results\":[0", ",0", "]}")),
        ("100,000 objects", repeated("{\"results\":[{}", ",{}", 300_000, "]}")),
        ("200,000 deep", ApiAction::deep_json(200_000)),
        ("50,000 deep", ApiAction::deep_json(50_000)),
        ("15 million deep", page("{\"results\":[],\"odd\":[", "[", "")),
        ("a number of 10 million digits", ApiAction::huge_number(10_000_000)),
        ("an item of a million members", member(many_members(NEARLY_A_PAGE))),
        ("an item full of signed links", member(links)),
        (
            "a token of 15 MiB",
            page("{\"results\":[],\"nextPageToken\":\"", "\\n", "\"}"),
        ),
        ("a gzip bomb", bomb),
        ("never an end", endless),
        ("a header of 2 MiB", ApiAction::Headers(headers(1, 2 * MIB))),
        ("5,000 headers", ApiAction::Headers(headers(5_000, 10))),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_list_takes_more_memory_than_is_allowed() {
    let with = |complete| move |(name, action)| (name, (action, complete));
    let mut cases: Vec<_> = lists_that_are_still_lists().into_iter().map(with(true)).collect();
    cases.extend(lists_without_measure().into_iter().map(with(false)));
    each_case(cases, |name, (action, complete)| async move {
        let (bird, workspace, bounded) = place(1).await;
        let ids = add_small(&workspace, 3);
        let fault = bird.fault(FaultRule::list(action));
        let run = bounded.run(&["--once", "--log-level", "debug"]).await;
        let expected = if complete { 0 } else { 3 };
        assert!(bird.fault_strikes(fault) > 0, "{name}");
        run.finished.expect_code(expected);
        if complete {
            expect_archived(&bounded.archive, &workspace, &ids);
            for format in ["table", "json"] {
                let show = ["show", &ids[2].to_string(), "--format", format];
                bounded.run(&show).await.finished.expect_code(0);
            }
        }
        bird.clear_faults();
        bounded.run(&["--once"]).await.finished.expect_code(0);
        expect_archived(&bounded.archive, &workspace, &ids);
        eprintln!("{name}: {} MiB", run.peak_bytes >> 20);
    })
    .await;
}

/// As much as a page may hold, all of it well: it goes through the catalog, twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_as_large_as_may_be_is_processed_within_the_allowance() {
    let (bird, workspace, bounded) = place(1).await;
    let specs = |n: usize| {
        // Escapes and quotes, which grow where a text is put into a text.
        let note = "\"\\".repeat(29_000 + n);
        RecordingSpec::new().status("completed").member("note", note)
    };
    let ids: Vec<_> = (0..99).map(|n| workspace.add(specs(n))).collect();
    let first = bounded.run(&["--once"]).await;
    first.finished.expect_code(0);
    for id in &ids {
        workspace.edit(*id, |members| {
            members.insert("origin".to_owned(), "changed".into());
        });
    }
    let second = bounded.run(&["--once"]).await;
    second.finished.expect_code(0);
    let rows = bounded.run(&["list", "--format", "json"]).await.finished.expect_code(0);
    assert_eq!(rows.json_lines().len(), 99);
    eprintln!(
        "new: {} MiB, changed: {} MiB",
        first.peak_bytes >> 20,
        second.peak_bytes >> 20
    );
    drop(bird);
}

/// Large pages of many workspaces at once are read one at a time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_workspaces_with_large_pages_share_one_allowance() {
    let bird = Bird::start(BirdOptions::default()).await;
    let workspaces: Vec<(String, WorkspaceHandle)> = (0..8)
        .map(|n| {
            let id = format!("8bc02f53-87ac-48d2-b4fd-00000000000{n}");
            (format!("w{n}"), bird.add_workspace(&id, &format!("{KEY}{n}")))
        })
        .collect();
    let named: Vec<_> = workspaces
        .iter()
        .map(|(name, workspace)| (name.as_str(), workspace))
        .collect();
    let mut bounded = Bounded::new(&bird, &named, allowance_bytes(1));
    bounded.archive.set("download.concurrency", "1");
    let ids: Vec<_> = named.iter().map(|(_, workspace)| add_small(workspace, 2)).collect();
    let note = "n".repeat(120_000);
    for (_, workspace) in &named {
        for _ in 0..90 {
            workspace.add(RecordingSpec::new().status("completed").member("note", note.as_str()));
        }
    }
    let run = bounded.run(&["--once"]).await;
    run.finished.expect_code(0);
    for ((_, workspace), ids) in named.iter().zip(&ids) {
        expect_archived(&bounded.archive, workspace, ids);
    }
    eprintln!("eight workspaces: {} MiB", run.peak_bytes >> 20);
}

/// Replies for one recording, as many at once as there are downloads, may each be no longer than an item.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replies_for_single_recordings_are_bounded_each() {
    let (bird, workspace, bounded) = place(16).await;
    let ids = add_small(&workspace, 32);
    bird.fault(FaultRule::link(LinkAction::Missing));
    let large = repeated("{\"odd\":\"", "x", NEARLY_A_PAGE, "\"}");
    let error = ApiAction::Status {
        status: 503,
        retry_after: None,
        body: Some("e".repeat(NEARLY_A_PAGE)),
    };
    bird.fault(FaultRule::item(error).probability(0.5));
    bird.fault(FaultRule::item(large));
    let run = bounded.run(&["--once"]).await;
    run.finished.expect_code(3);
    bird.clear_faults();
    bounded.run(&["retry", "--all"]).await.finished.expect_code(0);
    bounded.run(&["--once"]).await.finished.expect_code(0);
    expect_archived(&bounded.archive, &workspace, &ids);
    eprintln!("replies for single recordings: {} MiB", run.peak_bytes >> 20);
}

/// All at once, as many as there are downloads.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_body_takes_more_memory_than_is_allowed() {
    let modes = [
        MediaAction::Endless { chunked: true },
        MediaAction::Endless { chunked: false },
        MediaAction::GzipBomb {
            unpacked_bytes: 4 << 30,
        },
        MediaAction::HeaderFlood { bytes: 4 << 20 },
        MediaAction::Headers(headers(99, 4_000)),
        MediaAction::Headers(headers(5_000, 500)),
        MediaAction::ContinueFlood { count: 400_000 },
        MediaAction::HugeLength,
        MediaAction::Raw("HTTP/1.1 100 Continue\r\nX: y\r\n\r\n".repeat(400_000).into()),
        MediaAction::Error {
            status: 503,
            code: "c".repeat(8 << 20),
            message: "m".repeat(8 << 20),
            retry_after: None,
        },
    ];
    let (bird, workspace, mut bounded) = place(8).await;
    bounded.archive.set_text("download.max_bytes", "16 MiB");
    bounded.archive.set_text("download.stall_timeout", "3s");
    let mut ids = Vec::new();
    for mode in modes.iter().flat_map(|mode| [mode.clone(), mode.clone()]) {
        let id = workspace.add(RecordingSpec::new().body_bytes(28_800));
        bird.fault(FaultRule::media(mode).recording(id));
        ids.push(id);
    }
    let run = bounded.run(&["--once"]).await;
    run.finished.expect_code(3);
    assert_eq!(bounded.archive.staging_files(), Vec::<String>::new());
    bird.clear_faults();
    bounded.run(&["retry", "--all"]).await.finished.expect_code(0);
    bounded.run(&["--once"]).await.finished.expect_code(0);
    expect_archived(&bounded.archive, &workspace, &ids);
    eprintln!("bodies: {} MiB", run.peak_bytes >> 20);
}
