//! All that can go wrong at once, each a little: nothing wrong is archived, and in the end everything is.

use std::collections::BTreeSet;

use birdkeep::domain::ids::RecordingId;

use super::modes;
use crate::listing::scene::archive_of;
use crate::listing::scene::expect_archived;
use crate::listing::scene::status_of;
use crate::support::bird::Bird;
use crate::support::bird::BirdOptions;
use crate::support::bird::Etag;
use crate::support::bird::FaultRule;
use crate::support::bird::RecordingSpec;
use crate::support::bird::WorkspaceHandle;
use crate::support::harness::Archive;

const ONE_IN_A_HUNDRED: f64 = 0.01;
const RECORDINGS_EACH: usize = 300;
const ROUNDS: usize = 3;
const NAMES: [(&str, &str); 3] = [
    ("support", "8bc02f53-87ac-48d2-b4fd-c2cf856a305f"),
    ("sales", "1f0e6f52-0c55-4b3b-9a52-7a44d1fb7b6e"),
    ("claims", "72a4f5f1-3a0d-4a58-9c34-0f2c8b7f7a11"),
];

type Place = (&'static str, WorkspaceHandle, Vec<RecordingId>);

fn mix_in(bird: &Bird) -> usize {
    let mut rules = Vec::new();
    rules.extend(modes::lists().into_iter().map(FaultRule::list));
    for action in modes::api() {
        rules.push(FaultRule::list(action.clone()));
        rules.push(FaultRule::item(action));
    }
    rules.extend(modes::media().into_iter().map(FaultRule::media));
    // What only an MD5 tells strikes where there is one.
    for (_, proven) in &NAMES[..2] {
        let flips = modes::bit_flips().into_iter().map(FaultRule::media);
        rules.extend(flips.map(|rule| rule.workspace(proven)));
    }
    rules.extend(modes::links().into_iter().map(FaultRule::link));
    let count = rules.len();
    for rule in rules {
        bird.fault(rule.probability(ONE_IN_A_HUNDRED));
    }
    count
}

/// Every media file is upstream's body of the recording it is named after. Says how many there are.
fn expect_nothing_wrong(bird: &Bird, archive: &Archive, places: &[Place], seen: &mut BTreeSet<String>) -> usize {
    let files = archive.media_files();
    for file in &files {
        // Write once: what was right in an earlier round is looked at again at the end.
        if !seen.insert(file.clone()) {
            continue;
        }
        let (name, rest) = file.split_once('/').unwrap();
        let (_, workspace, ids) = places.iter().find(|(own, ..)| *own == name).unwrap();
        let id = ids.iter().find(|id| rest.contains(&id.to_string()));
        let id = id.unwrap_or_else(|| panic!("{file} is no recording"));
        let (found, wanted) = (archive.read(file), workspace.body(*id));
        let differs_at = found.iter().zip(&wanted).position(|(one, other)| one != other);
        assert!(
            found == wanted,
            "{file}: {} bytes, upstream has {}, the first other one at {differs_at:?}; ETag {:?}; {:?}",
            found.len(),
            wanted.len(),
            workspace.etag(*id),
            bird.media_requests_of(*id)
        );
    }
    files.len()
}

/// No signature in all that was printed, nor in the catalog and its log.
fn expect_no_signature(archive: &Archive) {
    let catalog = archive.catalog_path();
    let beside = |end: &str| std::fs::read(format!("{}{end}", catalog.display())).unwrap_or_default();
    for (place, bytes) in [
        ("output", archive.output()),
        ("catalog", beside("")),
        ("log of the catalog", beside("-wal")),
    ] {
        let needle = b"X-Amz-Signature=";
        let found = bytes
            .windows(needle.len() + 3)
            .find(|window| window.starts_with(needle) && !window.ends_with(b"***"));
        assert_eq!(found, None, "in the {place}");
    }
}

#[tokio::test]
async fn one_percent_of_everything_archives_nothing_wrong_and_loses_nothing() {
    let bird = Bird::start(BirdOptions {
        seed: 20_261_124,
        ..BirdOptions::default()
    })
    .await;
    let places = NAMES.map(|(name, id)| {
        let workspace = bird.add_workspace(id, &format!("key-of-{name}-0123456789"));
        let etags = match name {
            "claims" => [Etag::Multipart, Etag::Kms, Etag::None, Etag::Md5],
            _ => [Etag::Md5; 4],
        };
        let ids: Vec<RecordingId> = (0..RECORDINGS_EACH)
            .map(|n| {
                let spec = RecordingSpec::new().body_bytes(2_880 + 144 * (n as u64 % 50));
                workspace.add(spec.etag(etags[n % etags.len()]))
            })
            .collect();
        (name, workspace, ids)
    });
    let named: Vec<_> = places.iter().map(|(name, workspace, _)| (*name, workspace)).collect();
    let mut archive = archive_of(&bird, &named);
    archive.set_text("api.timeout", "1s");
    archive.set_text("download.stall_timeout", "500ms");
    archive.set_text("download.total_timeout", "4s");
    archive.set_text("download.max_bytes", "1 MiB");
    archive.set("download.concurrency", "32");
    archive.set("sync.max_pages", "40");
    let modes = mix_in(&bird);
    let mut seen = BTreeSet::new();
    for _ in 0..ROUNDS {
        let run = archive.run(&["--once", "--log-level", "debug"]).await;
        assert!(matches!(run.code, Some(0 | 3)), "{:?}: {}", run.code, run.stderr);
        expect_nothing_wrong(&bird, &archive, &places, &mut seen);
        assert_eq!(archive.staging_files(), Vec::<String>::new());
        archive.run(&["retry", "--all"]).await.expect_code(0);
    }
    let requests = bird.api_requests() + bird.media_requests();
    eprintln!("{requests} requests under {modes} modes; {} archived", seen.len());
    assert!(requests > 1_000, "{requests}");
    assert_eq!(bird.foreign_requests(), 0);

    bird.clear_faults();
    // What an endless list invented is known and never comes to anything; what was set aside is listed well again.
    archive.set_text("sync.interval", "1s");
    archive.set_text("sync.full_walk_interval", "1s");
    let mut last = archive.run(&["--once"]).await;
    for _ in 0..4 {
        if last.code == Some(0) {
            break;
        }
        archive.run(&["retry", "--all"]).await.expect_code(0);
        last = archive.run(&["--once"]).await;
    }
    last.expect_code(0);
    assert_eq!(
        expect_nothing_wrong(&bird, &archive, &places, &mut BTreeSet::new()),
        NAMES.len() * RECORDINGS_EACH
    );
    for (name, workspace, ids) in &places {
        expect_archived(&archive, workspace, ids);
        assert_eq!(status_of(&archive, name).await["counts"]["archived"], RECORDINGS_EACH);
    }
    assert_eq!(archive.staging_files(), Vec::<String>::new());
    let output = String::from_utf8_lossy(&archive.output()).into_owned();
    assert!(!output.contains("panicked at"));
    expect_no_signature(&archive);
}
