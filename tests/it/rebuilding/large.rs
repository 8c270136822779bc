//! A large archive: memory does not grow with it. Takes minutes, so it is asked for by name.

use std::fs;
use std::time::Duration;

use birdkeep::domain::clock::Timestamp;
use birdkeep::domain::digest::Sha256Digest;
use birdkeep::domain::ids::RecordingId;
use birdkeep::domain::ids::RecordingRef;
use birdkeep::domain::key::StoreKey;
use birdkeep::domain::recording::Format;
use birdkeep::domain::recording::History;
use birdkeep::store::sidecar::Sidecar;
use birdkeep::store::sidecar::render;
use sha2::Digest as _;
use sha2::Sha256;

use super::kit::lose_catalog;
use crate::support::harness::Archive;
use crate::surviving::kit::WORKSPACE;
use crate::surviving::kit::place;

const RECORDINGS: u128 = 100_000;
const MOST_KIB: u64 = 128 * 1024;

/// Puts a recording into the archive, as birdkeep would have.
fn plant(archive: &Archive, number: u128, from: Timestamp) {
    let created_at = from.after(Duration::from_secs(60) * u32::try_from(number).unwrap());
    let id = RecordingId::from_bytes(number.to_be_bytes());
    let recording = RecordingRef {
        workspace: "support".parse().unwrap(),
        id,
    };
    let key = StoreKey::new(&recording, created_at, Format::Mp3);
    let body = id.to_string();
    let sidecar = Sidecar {
        workspace: recording.workspace.clone(),
        sha256: Sha256Digest(Sha256::digest(&body).into()),
        size_bytes: body.len() as u64,
        content_type: None,
        etag: None,
        archived_at: created_at,
        archiver_version: "0.1.0".to_owned(),
        remark: None,
        history: Some(History {
            workspace_id: WORKSPACE.parse().unwrap(),
            created_at,
            first_seen_at: created_at,
            attempts: 0,
            versions: Vec::new(),
        }),
        metadata: format!(
            "{{\"id\":\"{id}\",\"status\":\"available\",\"createdAt\":\"{created_at}\",\"format\":\"mp3\",\"note\":\"{}\"}}",
            "n".repeat(2_000)
        ),
    };
    let folder = archive.dir().join(key.folders().collect::<std::path::PathBuf>());
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(key.file_name()), body).unwrap();
    fs::write(folder.join(key.sidecar_name()), render(&sidecar).unwrap()).unwrap();
}

/// The most memory a process has held so far, in KiB.
fn peak_kib(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

#[tokio::test]
#[ignore = "makes 200,000 files"]
async fn a_rebuild_holds_no_more_for_a_hundred_thousand_recordings() {
    let (_bird, _workspace, archive) = place().await;
    archive.run(&["--once"]).await.expect_code(0);
    lose_catalog(&archive);
    let from = "2020-01-01T00:00:00Z".parse().unwrap();
    for number in 0..RECORDINGS {
        plant(&archive, number, from);
    }
    let mut running = archive.spawn(&["rebuild", "--format", "json"]);
    let mut peak = 0;
    let finished = loop {
        peak = running.pid().and_then(peak_kib).unwrap_or(0).max(peak);
        if let Some(finished) = running.exit_within(Duration::from_millis(20)).await {
            break finished;
        }
    };
    let report = finished.expect_code(0).json();
    assert_eq!(report["recordings"], 100_000, "{report}");
    eprintln!("{peak} KiB at most");
    assert!(peak > 0 && peak < MOST_KIB, "{peak} KiB");
}
