//! Which claims without a link form a backlog, whose links one listing of a span of time brings all at once.
//!
//! Must not know: how the span is listed.

use std::collections::HashMap;

use crate::catalog::Catalog;
use crate::catalog::Claim;
use crate::domain::clock::Timestamp;
use crate::domain::ids::RecordingRef;
use crate::domain::ids::WorkspaceName;
use crate::fetcher::Window;

/// Claims of one workspace without a link at hand, from which on links are fetched for many at once.
const BACKLOG_CLAIMS: usize = 4;

/// How many recordings' links are fetched at once: as many as a page of the listing holds, less some for those that
/// upstream lists and the catalog does not know yet.
const BACKLOG_ROWS: u32 = 90;

/// For each workspace of which many claims have no link at hand: a span of time that begins with the oldest of them
/// and holds no more recordings than a page of the listing, so that one request brings the links of all of them,
/// whatever the order of the list.
pub(super) async fn windows<T>(
    catalog: &Catalog,
    claims: &[Claim],
    tickets: &HashMap<RecordingRef, T>,
) -> HashMap<WorkspaceName, Window> {
    let mut lacking: HashMap<&WorkspaceName, (usize, Timestamp)> = HashMap::new();
    for claim in claims.iter().filter(|claim| !tickets.contains_key(&claim.recording)) {
        let (count, from) = lacking
            .entry(&claim.recording.workspace)
            .or_insert((0, claim.history.created_at));
        *count += 1;
        *from = claim.history.created_at.min(*from);
    }
    let mut windows = HashMap::new();
    for (workspace, (count, from)) in lacking {
        if count < BACKLOG_CLAIMS {
            continue;
        }
        // Only a saving: where the span cannot be told, links are asked for one by one.
        if let Ok(until) = catalog.span_end(workspace, from, BACKLOG_ROWS).await {
            windows.insert(workspace.clone(), Window { from, until });
        }
    }
    windows
}
