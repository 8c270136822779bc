//! What a trace of durable calls must show: I13 and I16.
//!
//! A line is written once its call is over and before it returns, so that of two calls where the second depends on the
//! first, the first stands first.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::Path;
use std::path::PathBuf;

use super::super::faultio::Traced;
use super::Place;
use super::Row;

/// I13 for every file that got a final name: its last write, a sync that succeeded, its name, then a sync of its folder
/// and of the parent of every folder made on the way, then a sync of the catalog's log. Of a run that ended by itself.
pub fn order(trace: &[Traced], place: &Place) -> Vec<String> {
    let mut violations = Vec::new();
    let recordings = place.archive.join("recordings");
    for (at, call) in trace.iter().enumerate() {
        let Some(name) = named(call, &recordings) else {
            continue;
        };
        violations.extend(before_its_name(&trace[..at], &call.path, name));
        let Some(durable) = name_is_durable(trace, at, name) else {
            violations.push(format!("I13: the name {} was never made durable", name.display()));
            continue;
        };
        let logged = trace[durable..]
            .iter()
            .any(|later| later.op == "fsync" && later.is_fine() && is_log(&later.path, place));
        if !logged {
            violations.push(format!("I13: no row was synced after {}", name.display()));
        }
    }
    violations
}

/// I13 at a crash: what the catalog called archived at that moment was synced, named, and its name synced, before. What
/// had its name already when the traced run began was synced once more, with its folder. `known` are the paths of bodies
/// that were archived when it began.
pub fn order_of_rows(trace: &[Traced], place: &Place, rows: &[Row], known: &BTreeSet<String>) -> Vec<String> {
    let recordings = place.archive.join("recordings");
    let synced = |path: &Path| {
        trace
            .iter()
            .any(|call| call.op == "fsync" && call.is_fine() && call.path == path)
    };
    let mut violations = Vec::new();
    for path in rows.iter().filter_map(|row| row.path.as_ref()) {
        if known.contains(path) {
            continue;
        }
        let body = place.archive.join(path);
        for name in [body.with_extension("json"), body] {
            let at = trace
                .iter()
                .position(|call| named(call, &recordings) == Some(name.as_path()));
            let durable = match at {
                Some(at) => name_is_durable(trace, at, &name).is_some(),
                None => synced(&name) && name.parent().is_some_and(synced),
            };
            if !durable {
                violations.push(format!("I13: a row was archived before {} was durable", name.display()));
            }
        }
    }
    violations
}

/// The end of I13: a file whose sync failed is neither synced again nor named, and a folder whose sync failed is
/// followed by no sync of the log that could call a recording in it archived, unless a sync of it succeeds first.
pub fn no_sync_again(trace: &[Traced]) -> Vec<String> {
    let mut failed: BTreeMap<&Path, &Traced> = BTreeMap::new();
    let mut violations = Vec::new();
    for call in trace {
        let is_staged = call.path.to_string_lossy().contains("/staging/");
        if is_staged
            && let Some(first) = failed.get(call.path.as_path())
            && matches!(call.op.as_str(), "fsync" | "rename" | "link")
        {
            violations.push(format!("I13: after {first:?} came {call:?}"));
        }
        if call.op == "fsync" && call.result < 0 && call.errno.as_deref() != Some("EINTR") {
            failed.insert(&call.path, call);
        }
    }
    violations
}

/// I16: what was changed outside of these places.
pub fn confined(trace: &[Traced], places: &[&Path]) -> Vec<String> {
    let outside = |path: &PathBuf| !places.iter().any(|place| path.starts_with(place));
    let names = |call: &Traced| [Some(call.path.clone()), call.target.clone()];
    trace
        .iter()
        .filter(|call| {
            call.op != "fsync" && names(call).iter().flatten().any(outside) && !call.path.starts_with("/dev/null")
        })
        .map(|call| format!("I16: outside of the archive: {call:?}"))
        .collect()
}

/// The final name that a call gave, if it gave one.
fn named<'a>(call: &'a Traced, recordings: &Path) -> Option<&'a Path> {
    let name = call.target.as_deref()?;
    let gives = matches!(call.op.as_str(), "rename" | "link") && call.is_fine();
    (gives && name.starts_with(recordings)).then_some(name)
}

fn before_its_name(earlier: &[Traced], staged: &Path, name: &Path) -> Option<String> {
    let of_it = |call: &&Traced| call.path == staged;
    let written = earlier.iter().rposition(|call| of_it(&call) && call.op == "write");
    let synced = earlier
        .iter()
        .rposition(|call| of_it(&call) && call.op == "fsync" && call.is_fine());
    match (written, synced) {
        (Some(written), Some(synced)) if written < synced => None,
        _ => Some(format!(
            "I13: {} got its name without being synced after its last write",
            name.display()
        )),
    }
}

/// Where in the trace the name given at `at` had become durable: its folder was synced after it, and the parent of each
/// folder on the way that this run made was synced after that.
fn name_is_durable(trace: &[Traced], at: usize, name: &Path) -> Option<usize> {
    let synced_after = |from: usize, folder: &Path| {
        let is_it = |call: &Traced| call.op == "fsync" && call.is_fine() && call.path == folder;
        trace[from..].iter().position(is_it).map(|found| from + found)
    };
    let mut durable = synced_after(at + 1, name.parent()?)?;
    for folder in name.ancestors().skip(1) {
        let made = trace
            .iter()
            .position(|call| call.op == "mkdir" && call.is_fine() && call.path == folder);
        if let (Some(made), Some(parent)) = (made, folder.parent()) {
            durable = durable.max(synced_after(made + 1, parent)?);
        }
    }
    Some(durable)
}

fn is_log(path: &Path, place: &Place) -> bool {
    let text = path.to_string_lossy();
    text.starts_with(&*place.catalog.to_string_lossy())
}
