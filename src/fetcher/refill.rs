//! Links for many recordings by one request, for a backlog whose links ran out while it waited.
//!
//! A listing of the time the backlog was created in brings a page of links at the price of one. Which time the listing
//! goes by is not documented, so it is only tried: where it brings none of that time, links are asked for one by one for
//! a while. A recording that it alone leaves out is asked for by itself. Must not know: what is due.

use std::collections::HashMap;
use std::collections::HashSet;
use std::collections::VecDeque;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use super::Window;
use crate::api::Item;
use crate::api::Lane;
use crate::api::ListQuery;
use crate::api::Ticket;
use crate::api::WorkspaceApi;
use crate::domain::clock::Timestamp;
use crate::domain::ids::RecordingId;
use crate::domain::ids::RecordingRef;
use crate::domain::ids::WorkspaceName;

/// How long links are asked for one by one after a listing brought nothing of the time it was asked for.
const REST: Duration = Duration::from_secs(60);

/// How far the listing reaches beyond the window on both sides: its bounds may or may not belong to it.
const MARGIN: Duration = Duration::from_secs(1);

/// How many listings are remembered: claims are taken ahead, so that those of the next window may come before the last of one.
const LISTINGS: usize = 4;

/// One gate for each workspace: while one fetch lists, the others of the backlog wait for what it brings.
pub(super) struct Refills(HashMap<WorkspaceName, Mutex<Gate>>);

/// What is known of a workspace's listings.
#[derive(Default)]
struct Gate {
    useless_until: Option<Instant>,
    /// The last few, the newest behind.
    last: VecDeque<Listing>,
}

/// A listing of a window that came to its end on one page.
struct Listing {
    window: Window,
    ids: HashSet<RecordingId>,
}

impl Listing {
    fn leaves_out(&self, id: RecordingId, created_at: Timestamp) -> bool {
        self.window.holds(created_at) && !self.ids.contains(&id)
    }
}

impl Refills {
    /// Gates for these workspaces.
    pub fn new<'a>(workspaces: impl Iterator<Item = &'a WorkspaceName>) -> Self {
        Self(workspaces.map(|name| (name.clone(), Mutex::default())).collect())
    }

    /// The link of a recording that was created in this window, out of a listing of it that also brings links for others;
    /// `None` where that brings nothing for it. Cancel-safe.
    pub async fn link(
        &self,
        workspace: &WorkspaceApi,
        recording: &RecordingRef,
        created_at: Timestamp,
        window: Window,
        margin: Duration,
    ) -> Option<Ticket> {
        let (clock, tickets) = (workspace.shared().clock(), workspace.shared().tickets());
        let mut gate = self.0.get(&recording.workspace)?.lock().await;
        if let Some(ticket) = tickets.take(recording, clock, margin) {
            return Some(ticket);
        }
        let is_left_out = |last: &Listing| last.leaves_out(recording.id, created_at);
        if gate.useless_until.is_some_and(|until| Instant::now() < until) || gate.last.iter().any(is_left_out) {
            return None;
        }
        let query = ListQuery {
            start_at: Some(window.from.before(MARGIN)),
            end_at: window.until.map(|until| until.after(MARGIN)),
            lane: Lane::Backlog,
        };
        // A refusal is met again, and told, by the request for this one link that follows.
        let page = workspace.list_page(query, None).await.ok()?;
        tracing::debug!(workspace.name = %recording.workspace, listed = page.items.len(), "listed a backlog for its links");
        let (mut ids, mut is_of_the_time) = (HashSet::new(), false);
        for item in page.items {
            if let Item::Understood(listed) = item
                && let Some(ticket) = listed.ticket
            {
                let of = RecordingRef {
                    workspace: recording.workspace.clone(),
                    id: listed.recording.id,
                };
                ids.insert(of.id);
                is_of_the_time |= window.holds(listed.recording.created_at);
                // Held, not offered: the backlog is claimed in the order in which it is listed here, and those that wait
                // at this gate must find theirs.
                tickets.hold(of, ticket, Lane::Backlog, clock);
            }
        }
        let ticket = tickets.take(recording, clock, margin);
        let is_whole = page.next.is_none() && is_of_the_time;
        gate.useless_until = (ticket.is_none() && !is_whole).then(|| Instant::now() + REST);
        if is_whole {
            if gate.last.len() == LISTINGS {
                gate.last.pop_front();
            }
            gate.last.push_back(Listing { window, ids });
        }
        ticket
    }
}
