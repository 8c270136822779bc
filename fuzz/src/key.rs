//! Where a recording lies: below `recordings/`, in a closed alphabet, and no two at one place.
//!
//! Input: for each of two recordings four lines, its workspace, its id, its time and its format. Must not know: the
//! file system.

use std::path::Component;
use std::path::Path;

use birdkeep::domain::clock::Timestamp;
use birdkeep::domain::ids::RecordingRef;
use birdkeep::domain::key::StoreKey;
use birdkeep::domain::recording::Format;

/// Panics if a key leads elsewhere, or if two recordings share a place.
pub fn check(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let mut lines = text.split('\n');
    let first = read(&mut lines);
    let second = read(&mut lines);
    for (recording, key, at) in first.iter().chain(&second) {
        check_key(recording, key, *at);
    }
    if let (Some((a, key_a, _)), Some((b, key_b, _))) = (first, second)
        && a != b
    {
        // No volume tells them apart by case alone.
        let folded = |key: &StoreKey| [key.to_string(), sidecar(key)].map(|path| path.to_lowercase());
        for path in folded(&key_a) {
            assert!(!folded(&key_b).contains(&path), "{a:?} and {b:?} share {path}");
        }
    }
}

fn read<'a>(lines: &mut impl Iterator<Item = &'a str>) -> Option<(RecordingRef, StoreKey, Timestamp)> {
    let mut line = || lines.next().unwrap_or_default();
    let (workspace, id, at, format) = (line(), line(), line(), line());
    let recording = RecordingRef {
        workspace: workspace.parse().ok()?,
        id: id.parse().ok()?,
    };
    assert_eq!(
        (recording.workspace.as_str(), recording.id.to_string().as_str()),
        (workspace, id)
    );
    let at = at.parse().ok()?;
    let key = StoreKey::new(&recording, at, Format::from_upstream(format));
    Some((recording, key, at))
}

fn sidecar(key: &StoreKey) -> String {
    let folders: Vec<&str> = key.folders().collect();
    format!("{}/{}", folders.join("/"), key.sidecar_name())
}

fn check_key(recording: &RecordingRef, key: &StoreKey, at: Timestamp) {
    let body = key.to_string();
    assert_ne!(body, sidecar(key));
    for path in [&body, &sidecar(key)] {
        assert!(path.len() <= 200, "{path}");
        let inside = Path::new(path)
            .components()
            .all(|part| matches!(part, Component::Normal(_)));
        assert!(
            inside && path.starts_with("recordings/") && path.split('/').count() == 6,
            "{path}"
        );
        for part in path.split('/') {
            assert!(
                (1..=80).contains(&part.len()) && !part.starts_with(['.', '-']),
                "{path}"
            );
            assert!(
                part.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)),
                "{path}"
            );
        }
        // The time's own text, cut into the layout.
        let time = at.to_string();
        let day = time[..10].replace('-', "/");
        let stem = time[..19].replace(['-', ':'], "");
        let stated = format!("recordings/{}/{day}/{stem}Z_{}.", recording.workspace, recording.id);
        assert!(path.starts_with(&stated), "{path} for {time}");
    }
    assert!(
        body.rsplit('.')
            .next()
            .is_some_and(|ending| ending != "json" && ending.len() <= 4)
    );
}
