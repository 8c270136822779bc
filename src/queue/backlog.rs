//! Which claims without a link form a backlog, whose links one listing of a span of time brings all at once.
//!
//! Must not know: how the span is listed.

use std::collections::HashMap;

use super::Queue;
use crate::catalog::Claim;
use crate::domain::ids::RecordingRef;
use crate::domain::ids::WorkspaceName;
use crate::fetcher::Window;

/// Claims of one workspace without a link at hand, from which on links are fetched for many at once.
const BACKLOG_CLAIMS: usize = 4;

/// The backlogs of all workspaces, as far as they were met.
#[derive(Default)]
pub(super) struct Backlogs {
    /// How many recordings were claimed without a link at hand since there was last nothing more to claim. It is not asked
    /// how many are claimed at a time: where few are, each is one of many all the same.
    without_link: HashMap<WorkspaceName, usize>,
}

impl Backlogs {
    /// For each claim that is one of many without a link at hand: a span of time that begins with the oldest of them, and
    /// holds no more recordings than one listing brings links for, whatever the order of the list. A claim outside of that
    /// span begins another. Where there is not `more` to claim, whatever is claimed from now on just came.
    pub async fn windows<T>(
        &mut self,
        queue: &Queue,
        claims: &[Claim],
        tickets: &HashMap<RecordingRef, T>,
        more: bool,
    ) -> HashMap<RecordingRef, Window> {
        if !more {
            self.without_link.clear();
        }
        let mut lacking: HashMap<&WorkspaceName, Vec<&Claim>> = HashMap::new();
        for claim in claims.iter().filter(|claim| !tickets.contains_key(&claim.recording)) {
            lacking.entry(&claim.recording.workspace).or_default().push(claim);
        }
        for (workspace, claims) in &lacking {
            *self.without_link.entry((*workspace).clone()).or_default() += claims.len();
        }
        let rows = queue.fetcher.links_at_once(self.without_link.len());
        let mut windows = HashMap::new();
        for (workspace, mut claims) in lacking {
            if self
                .without_link
                .get(workspace)
                .is_none_or(|count| *count < BACKLOG_CLAIMS)
            {
                continue;
            }
            claims.sort_by_key(|claim| claim.history.created_at);
            let mut window: Option<Window> = None;
            for claim in claims {
                let created_at = claim.history.created_at;
                if window.is_none_or(|window| !window.holds(created_at)) {
                    // Only a saving: where the span cannot be told, links are asked for one by one.
                    let Ok(until) = queue.catalog.span_end(workspace, created_at, rows).await else {
                        break;
                    };
                    window = Some(Window {
                        from: created_at,
                        until,
                    });
                }
                windows.extend(window.map(|window| (claim.recording.clone(), window)));
            }
        }
        windows
    }
}
