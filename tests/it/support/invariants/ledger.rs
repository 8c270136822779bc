//! What was seen archived, over time: I4, I5 and I10.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use super::Findings;

/// Remembers what was archived at each look, and says what has changed since.
#[derive(Debug, Default)]
pub struct Ledger {
    ever: BTreeMap<(String, String), Kept>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Kept {
    path: Option<String>,
    sha256: Option<String>,
    size_bytes: Option<i64>,
    archived_at: Option<i64>,
    inode: Option<u64>,
}

impl Ledger {
    /// Takes in what was found; the violations are what it said earlier and is no longer so.
    pub fn observe(&mut self, findings: &Findings) -> Vec<String> {
        let mut seen = BTreeMap::new();
        for row in findings.rows.iter().filter(|row| row.state == "archived") {
            let body = row.path.as_ref().and_then(|path| findings.bodies.get(path));
            let archived = Kept {
                path: row.path.clone(),
                sha256: row.sha256.clone(),
                size_bytes: row.size_bytes,
                archived_at: row.archived_at,
                inode: body.map(|body| body.inode),
            };
            seen.insert((row.workspace.clone(), row.id.clone()), archived);
        }
        let mut violations = Vec::new();
        for (recording, before) in &self.ever {
            match seen.get(recording) {
                Some(now) if now == before => {}
                Some(now) => violations.push(format!("I4: {recording:?} was {before:?} and is {now:?}")),
                None => violations.push(format!("I10: {recording:?} was archived and is no longer")),
            }
        }
        self.ever.extend(seen);
        violations
    }

    /// The paths of all bodies that were ever seen archived.
    pub fn paths(&self) -> BTreeSet<String> {
        self.ever.values().filter_map(|kept| kept.path.clone()).collect()
    }

    /// How many recordings were ever seen archived.
    pub fn len(&self) -> usize {
        self.ever.len()
    }
}
