//! The hot parts alone, without network, and but for the catalog without a disk: `docs/performance.md`.

#![expect(clippy::expect_used, reason = "a part that cannot be set up is not to be measured")]

use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use birdkeep::api::Item;
use birdkeep::api::ItemLimits;
use birdkeep::api::Ticket;
use birdkeep::api::UpstreamClock;
use birdkeep::api::wire::parse_page;
use birdkeep::catalog::Catalog;
use birdkeep::catalog::CatalogOptions;
use birdkeep::catalog::Page;
use birdkeep::domain::audio::Mp3Scanner;
use birdkeep::domain::clock::Clock as _;
use birdkeep::domain::clock::SystemClock;
use birdkeep::domain::ids::RecordingRef;
use birdkeep::domain::ids::WorkspaceName;
use birdkeep::domain::key::StoreKey;
use birdkeep::domain::recording::Format;
use birdkeep::domain::recording::Recording;
use divan::Bencher;
use divan::counter::BytesCount;
use divan::counter::ItemsCount;
use sha2::Digest as _;
use sha2::Sha256;

use items::Items;
use items::Links;
use sets::Kind;
use sets::Noise;
use sets::Set;

#[path = "peers/items.rs"]
#[expect(dead_code, reason = "what is listed is of use here, not how it is served")]
mod items;
#[path = "peers/sets.rs"]
#[expect(dead_code, reason = "one set is enough")]
mod sets;

const WORKSPACE: &str = "8bc02f53-87ac-48d2-b4fd-c2cf856a305f";
const PAGE: usize = 99;
const SET: Set = Set {
    kind: Kind::Mix,
    count: 10_000_000,
};

fn main() {
    divan::main();
}

/// The page of a listing that begins with this recording, as it comes.
fn page_bytes(from: usize) -> Vec<u8> {
    let media = "https://bucket.s3.eu-west-1.amazonaws.com".to_owned();
    let mut bytes = Vec::new();
    let from = i64::try_from(from).expect("not that far");
    // Only what dies of age is remembered for each recording of a set.
    Items::new(SET, media, Links::Alive).write_page(WORKSPACE, (None, None), Some(from), PAGE as u64, &mut bytes);
    bytes
}

fn recordings(from: usize) -> Vec<Recording> {
    let page = parse_page(&page_bytes(from), Instant::now(), &ItemLimits::default()).expect("a page");
    let understood = page.items.into_iter().filter_map(|item| match item {
        Item::Understood(listed) => Some(listed.recording),
        Item::SetAside(_) => None,
    });
    understood.collect()
}

/// A page of 99 recordings, from its bytes to what is known of each, with its ticket.
#[divan::bench]
fn parse_page_of_99(bencher: Bencher) {
    let bytes = page_bytes(0);
    let limits = ItemLimits::default();
    bencher
        .counter(ItemsCount::new(PAGE))
        .counter(BytesCount::of_slice(&bytes))
        .bench(|| parse_page(divan::black_box(&bytes), Instant::now(), &limits));
}

/// The same into a catalog that grows by it, a transaction each.
#[divan::bench(sample_count = 200, sample_size = 1)]
fn upsert_99_new(bencher: Bencher) {
    let kept = Kept::new();
    let mut from = 0;
    bencher
        .counter(ItemsCount::new(PAGE))
        .with_inputs(|| {
            from += PAGE;
            recordings(from)
        })
        .bench_local_refs(|recordings| kept.upsert(recordings));
}

/// The same where the catalog knows them all and nothing has changed: what a poll does.
#[divan::bench(sample_count = 200, sample_size = 1)]
fn upsert_99_known(bencher: Bencher) {
    let kept = Kept::new();
    let recordings = recordings(0);
    kept.upsert(&recordings);
    bencher
        .counter(ItemsCount::new(PAGE))
        .bench_local(|| kept.upsert(&recordings));
}

/// How long a presigned link lives, from its text.
#[divan::bench]
fn life_of_a_link(bencher: Bencher) {
    let page = String::from_utf8(page_bytes(0)).expect("text");
    let link = page.split("\"url\":\"").nth(1).and_then(|rest| rest.split('"').next());
    let link = link.expect("a link").to_owned();
    let clock = UpstreamClock::new(Arc::new(SystemClock));
    bencher.bench(|| {
        let ticket = Ticket::new(divan::black_box(&link), Instant::now());
        ticket.map(|ticket| ticket.is_fresh(&clock, Duration::from_secs(20)))
    });
}

/// A recording's place in the archive, as text.
#[divan::bench]
fn key_of_a_recording(bencher: Bencher) {
    let drawn = SET.recording(7);
    let recording = RecordingRef {
        workspace: workspace(),
        id: drawn.id,
    };
    bencher.bench(|| StoreKey::new(divan::black_box(&recording), drawn.created_at, Format::Mp3).to_string());
}

/// What a body of 1 MiB costs in buffers of 256 KiB: hashed, and its frames followed.
#[divan::bench]
fn hash_and_scan_1_mib(bencher: Bencher) {
    let body = body();
    bencher.counter(BytesCount::of_slice(&body)).bench(|| {
        let (mut hash, mut scanner) = (Sha256::new(), Mp3Scanner::default());
        for buffer in divan::black_box(&body).chunks(256 * 1024) {
            hash.update(buffer);
            scanner.update(buffer);
        }
        hash.finalize()
    });
}

/// The hash alone.
#[divan::bench]
fn hash_1_mib(bencher: Bencher) {
    let body = body();
    let counted = bencher.counter(BytesCount::of_slice(&body));
    counted.bench(|| Sha256::digest(divan::black_box(&body)));
}

fn body() -> Vec<u8> {
    let mut body = Vec::new();
    let recording = sets::Recording {
        size_bytes: 1 << 20,
        ..SET.recording(7)
    };
    recording.write_body(&Noise::new(), &mut body).expect("memory takes it");
    body
}

fn workspace() -> WorkspaceName {
    "bench".parse().expect("a name")
}

/// A catalog in a folder of its own.
struct Kept {
    runtime: tokio::runtime::Runtime,
    catalog: Catalog,
    _dir: tempfile::TempDir,
}

impl Kept {
    fn new() -> Self {
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let options = CatalogOptions {
            path: dir.path().join("catalog.sqlite"),
            archive_id: "bench".to_owned(),
            recordings_exist: false,
            group_readable: false,
            clock: Arc::new(SystemClock),
            run_id: 1,
        };
        let catalog = runtime.block_on(async {
            let catalog = Catalog::open(options).await.expect("a catalog");
            let known = [(workspace(), WORKSPACE.parse().expect("an id"))];
            catalog.register_workspaces(&known).await.expect("a workspace");
            catalog
        });
        Self {
            runtime,
            catalog,
            _dir: dir,
        }
    }

    fn upsert(&self, recordings: &[Recording]) {
        let now = SystemClock.now();
        let page = Page {
            recordings,
            set_aside: &[],
            seen_at: now,
            touch_before: now.before(Duration::from_secs(3600)),
        };
        let workspace = workspace();
        let done = self.catalog.upsert_page(&workspace, page);
        self.runtime.block_on(done).expect("it is taken");
    }
}
