//! Every input of the fuzz targets' corpus, judged by the fuzz targets' own oracles: what a fuzzer once found stays found.

#[path = "../../fuzz/src/lib.rs"]
mod oracles;

use std::fs;
use std::panic;
use std::path::Path;

/// Judges the corpus of one target.
fn judge(target: &str, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut failed = Vec::new();
    let mut judged = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let input = fs::read(&path).unwrap();
        if panic::catch_unwind(|| check(&input)).is_err() {
            failed.push(path);
        }
        judged += 1;
    }
    assert!(judged >= 5, "{judged} inputs in {}", folder.display());
    assert!(failed.is_empty(), "{failed:?}");
}

#[test]
fn pages_are_read_as_they_stand() {
    judge("page", oracles::page::check);
}

#[test]
fn links_live_no_longer_than_they_say_and_lead_where_they_may() {
    judge("link", oracles::link::check);
}

#[test]
fn keys_stay_inside_and_apart() {
    judge("key", oracles::key::check);
}

#[test]
fn configurations_are_within_their_ranges_and_repeat_no_secret() {
    judge("config", oracles::config::check);
}

#[test]
fn refusals_and_ranges_are_read_to_the_letter() {
    judge("range", oracles::range::check);
}
