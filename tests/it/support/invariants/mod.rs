//! What must hold of an archive at any time, judged from outside: its files, its catalog, and traces of its calls.
//!
//! Shares no code with birdkeep: files are read with std, the catalog with SQLite, sums are taken anew. Every finding is
//! a sentence that begins with the invariant it breaks:
//!
//! | | |
//! |---|---|
//! | I1 | a row in state archived has its file: regular, one link, inside, of its size and sum; and a true sidecar |
//! | I2 | every file in `recordings/` belongs to one row |
//! | I3 | what stands under a final name is whole; nothing stays in `staging/` |
//! | I4, I5, I10 | what was archived stays so, the same file ([`Ledger`]) |
//! | I6 | the catalog is sound, and its counts are right |
//! | I7 | everything offered is archived |
//! | I8 | what counts as settled has its rows |
//! | I9 | one row a recording |
//! | I13 | the order of durable calls ([`order`]) |
//! | I15 | nothing is open to others |
//! | I16 | only files and folders, and nothing touched outside ([`confined`]) |

mod catalog;
mod files;
mod ledger;
mod order;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::Path;
use std::path::PathBuf;

use serde_json::Value;

pub use catalog::Row;
pub use files::Body;
pub use files::sum;
pub use ledger::Ledger;
pub use order::confined;
pub use order::no_sync_again;
pub use order::order;
pub use order::order_of_rows;

use files::Files;

/// What upstream offers: what may be archived, and as what.
#[derive(Debug, Clone)]
pub struct Offered {
    /// The name in the configuration.
    pub workspace: String,
    /// As a UUID in lower case.
    pub id: String,
    /// Microseconds since 1970.
    pub created_at: i64,
    /// SHA-256 of the body in hex, if it is available.
    pub sha256: Option<String>,
}

/// An archive and its catalog.
#[derive(Debug, Clone)]
pub struct Place {
    pub archive: PathBuf,
    /// The database file; it may lie anywhere.
    pub catalog: PathBuf,
}

/// How much is demanded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Demand {
    /// What must hold at any moment of a run.
    Running,
    /// What must hold of an archive whose writer has just died, before anything was healed.
    Crashed,
    /// What must hold once a run ended by itself: as `Crashed`, and nothing is left over.
    Rest,
    /// What must hold once a run ended that had nothing in its way: as `Rest`, and everything offered is archived.
    Complete,
}

/// What was seen and what was wrong with it.
#[derive(Debug, Default)]
pub struct Findings {
    /// One sentence each; empty where all held.
    pub violations: Vec<String>,
    pub rows: Vec<Row>,
    /// The files under final names by their path from the archive, sidecars not included.
    pub bodies: BTreeMap<String, Body>,
}

impl Place {
    /// An archive with its catalog at the usual place.
    pub fn new(archive: impl Into<PathBuf>) -> Self {
        let archive = archive.into();
        Self {
            catalog: archive.join("catalog.sqlite"),
            archive,
        }
    }

    /// Holds everything against the invariants. `offered` is all that upstream ever offered, or `None` where that is
    /// not known: then I7 and I8 are not judged, and of I3 less.
    ///
    /// The archive is not changed: unless it is running, a copy of the catalog is read.
    pub async fn check(&self, demand: Demand, offered: Option<&[Offered]>) -> Findings {
        let mut findings = Findings::default();
        let catalog = catalog::read(&self.catalog, demand == Demand::Running).await;
        // After the catalog: files may run ahead of it, and never the other way round.
        let files = Files::read(&self.archive);
        findings.violations.extend(catalog.faults);
        findings.violations.extend(files.unlike(&self.catalog));
        findings.violations.extend(truth(&catalog.rows, &files));
        findings
            .violations
            .extend(whole(&files, offered, demand == Demand::Running));
        if !catalog.exists && !files.bodies.is_empty() {
            findings
                .violations
                .push("I6: there are recordings and no catalog".to_owned());
        }
        if matches!(demand, Demand::Rest | Demand::Complete) {
            findings.violations.extend(strays(&catalog.rows, &files));
            findings
                .violations
                .extend(files.staged.iter().map(|name| format!("I3: {name} is left in staging")));
        }
        if let Some(offered) = offered {
            findings
                .violations
                .extend(settled(&catalog.settled, &catalog.rows, offered));
            if demand == Demand::Complete {
                findings.violations.extend(complete(&catalog.rows, offered));
            }
        }
        findings.rows = catalog.rows;
        findings.bodies = files.bodies;
        findings
    }
}

/// I1.
fn truth(rows: &[Row], files: &Files) -> Vec<String> {
    let mut found = Vec::new();
    for row in rows.iter().filter(|row| row.state == "archived") {
        let (Some(path), Some(size), Some(sha256)) = (&row.path, row.size_bytes, &row.sha256) else {
            found.push(format!("I1: {} is archived without a path, a size or a sum", row.id));
            continue;
        };
        let Some(body) = files.bodies.get(path) else {
            found.push(format!("I1: {} is archived and {path} is not there", row.id));
            continue;
        };
        if (body.size_bytes, &body.sha256) != (size.cast_unsigned(), sha256) {
            found.push(format!("I1: {path} is not what its row says: {body:?}, {row:?}"));
        }
        if body.links != 1 {
            found.push(format!("I1: {path} has {} links", body.links));
        }
        let beside = Path::new(path).with_extension("json").to_string_lossy().into_owned();
        match files.sidecars.get(&beside) {
            Some(Ok(sidecar)) => {
                let says = [
                    ("workspace", Value::from(row.workspace.clone())),
                    ("id", Value::from(row.id.clone())),
                    ("sha256", Value::from(sha256.clone())),
                    ("size_bytes", Value::from(size)),
                ];
                for (member, wanted) in says {
                    if sidecar[member] != wanted {
                        found.push(format!(
                            "I1: {beside} says {member} is {}, not {wanted}",
                            sidecar[member]
                        ));
                    }
                }
            }
            Some(Err(why)) => found.push(format!("I1: {beside}: {why}")),
            None => found.push(format!("I1: {path} has no sidecar")),
        }
    }
    found
}

/// I2.
fn strays(rows: &[Row], files: &Files) -> Vec<String> {
    let named: BTreeSet<&str> = rows.iter().filter_map(|row| row.path.as_deref()).collect();
    let stray = |path: &String| format!("I2: no row names {path}");
    let beside = |path: &&str| Path::new(path).with_extension("json").to_string_lossy().into_owned();
    let sidecars: BTreeSet<String> = named.iter().map(beside).collect();
    let bodies = files.bodies.keys().filter(|path| !named.contains(path.as_str()));
    let lone = files.sidecars.keys().filter(|path| !sidecars.contains(*path));
    bodies.chain(lone).map(stray).collect()
}

/// I3: nothing under a final name is half-done, whatever the catalog knows of it.
fn whole(files: &Files, offered: Option<&[Offered]>, running: bool) -> Vec<String> {
    let mut found = Vec::new();
    let by_id: BTreeMap<&str, &Offered> = offered.into_iter().flatten().map(|offer| (&*offer.id, offer)).collect();
    for (path, body) in &files.bodies {
        let offer = id_in(path).and_then(|id| by_id.get(id));
        match (offered, offer.map(|offer| &offer.sha256)) {
            (None, _) => {}
            (Some(_), None) => found.push(format!("I3: {path} was never offered")),
            (Some(_), Some(sha256)) if sha256.as_ref() == Some(&body.sha256) => {}
            (Some(_), Some(_)) => found.push(format!("I3: {path} differs from upstream ({} bytes)", body.size_bytes)),
        }
    }
    for (path, sidecar) in &files.sidecars {
        match sidecar {
            Ok(_) => {}
            // It may have gone, or been replaced, between its name being read and itself.
            Err(_) if running => {}
            Err(why) => found.push(format!("I3: {path}: {why}")),
        }
    }
    found
}

/// The recording's id in a body's path: `…/TIME_ID.FORMAT`.
fn id_in(path: &str) -> Option<&str> {
    let stem = Path::new(path).file_stem()?.to_str()?;
    stem.split_once('_').map(|(_, id)| id)
}

/// I7.
fn complete(rows: &[Row], offered: &[Offered]) -> Vec<String> {
    let mut found = Vec::new();
    let by_id: BTreeMap<_, &Row> = rows.iter().map(|row| ((&row.workspace, &row.id), row)).collect();
    for offer in offered {
        let row = by_id.get(&(&offer.workspace, &offer.id));
        match (row, &offer.sha256) {
            (None, _) => found.push(format!("I7: {} has no row", offer.id)),
            (Some(row), Some(_)) if row.state != "archived" => {
                found.push(format!("I7: {} is {}: {:?}", offer.id, row.state, row.last_error));
            }
            _ => {}
        }
    }
    found
}

/// I8.
fn settled(settled: &BTreeMap<String, i64>, rows: &[Row], offered: &[Offered]) -> Vec<String> {
    let known: BTreeSet<(&str, &str)> = rows.iter().map(|row| (&*row.workspace, &*row.id)).collect();
    offered
        .iter()
        .filter(|offer| {
            settled
                .get(&offer.workspace)
                .is_some_and(|until| *until >= offer.created_at)
        })
        .filter(|offer| !known.contains(&(&*offer.workspace, &*offer.id)))
        .map(|offer| format!("I8: {} has no row and counts as settled", offer.id))
        .collect()
}
