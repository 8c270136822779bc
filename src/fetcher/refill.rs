//! Links for many recordings by one request, for a backlog whose links ran out while it waited.
//!
//! A listing of the time the backlog was created in brings a page of links at the price of one. Which time the listing
//! goes by is not documented, so it is only tried: where it does not bring the link that was needed, links are asked
//! for one by one for a while. Must not know: what is due.

use std::collections::HashMap;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use super::Window;
use crate::api::Item;
use crate::api::Lane;
use crate::api::ListQuery;
use crate::api::Ticket;
use crate::api::WorkspaceApi;
use crate::domain::ids::RecordingRef;
use crate::domain::ids::WorkspaceName;

/// How long links are asked for one by one after a listing did not bring the one that was needed.
const REST: Duration = Duration::from_secs(60);

/// How far the listing reaches beyond the window on both sides: its bounds may or may not belong to it.
const MARGIN: Duration = Duration::from_secs(1);

/// One gate for each workspace: while one fetch lists, the others of the backlog wait for what it brings.
pub(super) struct Refills(HashMap<WorkspaceName, Mutex<Option<Instant>>>);

impl Refills {
    /// Gates for these workspaces.
    pub fn new<'a>(workspaces: impl Iterator<Item = &'a WorkspaceName>) -> Self {
        Self(workspaces.map(|name| (name.clone(), Mutex::new(None))).collect())
    }

    /// The recording's link, out of a listing of the window that also brings links for others; `None` where that
    /// brings nothing for it. Cancel-safe.
    pub async fn link(
        &self,
        workspace: &WorkspaceApi,
        recording: &RecordingRef,
        window: Window,
        margin: Duration,
    ) -> Option<Ticket> {
        let (clock, tickets) = (workspace.shared().clock(), workspace.shared().tickets());
        let mut useless_until = self.0.get(&recording.workspace)?.lock().await;
        if let Some(ticket) = tickets.take(recording, clock, margin) {
            return Some(ticket);
        }
        if useless_until.is_some_and(|until| Instant::now() < until) {
            return None;
        }
        let query = ListQuery {
            start_at: Some(window.from.before(MARGIN)),
            end_at: window.until.map(|until| until.after(MARGIN)),
        };
        // A refusal is met again, and told, by the request for this one link that follows.
        let page = workspace.list_page(query, None).await.ok()?;
        tracing::debug!(workspace.name = %recording.workspace, listed = page.items.len(), "listed a backlog for its links");
        for item in page.items {
            if let Item::Understood(listed) = item
                && let Some(ticket) = listed.ticket
            {
                let of = RecordingRef {
                    workspace: recording.workspace.clone(),
                    id: listed.recording.id,
                };
                // Held, not offered: the backlog is claimed in the order in which it is listed here, and those that wait
                // at this gate must find theirs.
                tickets.hold(of, ticket, Lane::Backlog, clock);
            }
        }
        let ticket = tickets.take(recording, clock, margin);
        *useless_until = ticket.is_none().then(|| Instant::now() + REST);
        ticket
    }
}
