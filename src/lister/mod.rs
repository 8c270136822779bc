//! One walk over one workspace's listing: page by page into the catalog, links into the book of tickets.
//!
//! While a page is written the next one is on its way, and no more than that one: what is fetched ahead of a walk that
//! ends is as if it had never been asked for.
//!
//! Only a page without a next token ends a walk as complete. Everything else that ends it — a refusal, a page of
//! another shape, a list that repeats itself or never ends — is a failed walk, and what proves nothing moves nothing.
//! Must not know: disks, downloads, when a walk is due.

mod pages;

use std::collections::HashMap;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

pub use self::pages::Ended;
pub use self::pages::Pages;
use crate::api::ApiErrorKind;
use crate::api::Item;
use crate::api::Lane;
use crate::api::ListQuery;
use crate::api::Listed;
use crate::api::Page;
use crate::api::WorkspaceApi;
use crate::catalog::Catalog;
use crate::catalog::CatalogError;
use crate::catalog::Page as CatalogPage;
use crate::domain::clock::SharedClock;
use crate::domain::clock::Timestamp;
use crate::domain::gone::NO_LONGER_KNOWN;
use crate::domain::ids::RecordingId;
use crate::domain::ids::RecordingRef;
use crate::domain::ids::WorkspaceName;
use crate::domain::report::UpsertCounts;
use crate::domain::report::WalkKind;
use crate::domain::report::WalkOutcome;
use crate::domain::report::WalkReport;

/// How far a poll reaches back for recordings that are not final, in rows; older ones are read one by one.
const POLL_REACH_ROWS: u32 = 990;

/// How many recordings that are not final and lie further back a poll reads one by one.
const RECHECKS_A_POLL: u32 = 16;

/// How stale the time a recording was last seen may grow while polls find it unchanged.
const SEEN_GRAIN: Duration = Duration::from_secs(3600);

/// How listings are walked.
#[derive(Debug, Clone)]
pub struct ListerOptions {
    /// How far a poll reaches back behind what is settled.
    pub overlap: Duration,
    /// Recordings created before this are ignored.
    pub since: Option<Timestamp>,
    /// Pages after which a walk ends as failed.
    pub max_pages: u64,
}

/// What whoever schedules walks must know of a failed one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// The credential does not open the workspace.
    Denied,
    /// Upstream asks to come back after this long.
    RateLimited(Duration),
    /// Upstream did not answer, or said that it cannot for now.
    Unreachable,
    /// Anything else.
    Other,
}

/// One walk, as it went.
#[derive(Debug, Clone)]
pub struct Walk {
    /// For the catalog and the log.
    pub report: WalkReport,
    /// Set where the walk failed.
    pub trouble: Option<Trouble>,
    /// Whether it was a poll before the first full walk came to its end: it looked for what is new, and whatever it saw,
    /// it settled nothing and is not among the walks that the catalog remembers.
    pub is_glance: bool,
}

/// Walks listings.
pub struct Lister {
    workspaces: Arc<HashMap<WorkspaceName, WorkspaceApi>>,
    catalog: Catalog,
    clock: SharedClock,
    options: ListerOptions,
    due_hint: Arc<Notify>,
}

impl Lister {
    /// A lister over these workspaces; `due_hint` is told when a page brought something to fetch.
    #[must_use]
    pub const fn new(
        workspaces: Arc<HashMap<WorkspaceName, WorkspaceApi>>,
        catalog: Catalog,
        clock: SharedClock,
        options: ListerOptions,
        due_hint: Arc<Notify>,
    ) -> Self {
        Self {
            workspaces,
            catalog,
            clock,
            options,
            due_hint,
        }
    }

    /// The workspaces this lister walks.
    pub fn workspaces(&self) -> impl Iterator<Item = &WorkspaceName> {
        self.workspaces.keys()
    }

    /// Whether a full walk is due: never completed, longer ago than `interval`, in the future of a wrong clock, or one
    /// that left out what is to be listed now.
    ///
    /// # Errors
    /// The catalog cannot be read.
    pub async fn full_walk_due(&self, workspace: &WorkspaceName, interval: Duration) -> Result<bool, CatalogError> {
        let now = self.clock.now();
        let last = self.catalog.last_full_walk(workspace).await?;
        Ok(last.is_none_or(|last| {
            // `None` is the earliest of all.
            let left_out = last.since > self.options.since;
            left_out || last.started_at > now || now.since(last.started_at) >= interval
        }))
    }

    /// Walks one workspace and records how it went. `soft` ends it at a page boundary.
    ///
    /// # Errors
    /// The catalog cannot be written. What upstream does wrong is in the walk's report instead.
    pub async fn walk(
        &self,
        workspace: &WorkspaceName,
        kind: WalkKind,
        soft: &CancellationToken,
    ) -> Result<Walk, CatalogError> {
        let started_at = self.clock.now();
        let mut pass = Pass {
            counts: UpsertCounts::default(),
            listed: 0,
            pages: 0,
            started_at,
            begun: Instant::now(),
            kind,
            is_glance: false,
        };
        let ended = match self.workspaces.get(workspace) {
            Some(api) => self.walk_pages(api, &mut pass, soft).await?,
            None => Ended::Stopped,
        };
        let (outcome, trouble) = match ended {
            Ended::Complete => (WalkOutcome::Complete, None),
            Ended::Stopped => (WalkOutcome::Stopped, None),
            Ended::Failed(error) => (WalkOutcome::Failed(error.what), Some(trouble(error.kind))),
        };
        let report = WalkReport {
            kind,
            started_at,
            finished_at: pass.now(),
            asked_at: self.asked_at(workspace, &pass),
            since: self.options.since,
            outcome,
            listed: pass.listed,
            pages: pass.pages,
            changes: pass.counts,
        };
        if !pass.is_glance {
            self.catalog.finish_walk(workspace, &report).await?;
        }
        Ok(Walk {
            report,
            trouble,
            is_glance: pass.is_glance,
        })
    }

    /// When a walk began, by upstream's clock, which it has measured meanwhile, or by ours if that is earlier: the
    /// walk settles nothing that either had not reached.
    fn asked_at(&self, workspace: &WorkspaceName, pass: &Pass) -> Timestamp {
        self.workspaces.get(workspace).map_or(pass.started_at, |api| {
            let now = api.shared().clock().earliest_now();
            now.before(pass.begun.elapsed()).min(pass.started_at)
        })
    }

    async fn walk_pages(
        &self,
        api: &WorkspaceApi,
        pass: &mut Pass,
        soft: &CancellationToken,
    ) -> Result<Ended, CatalogError> {
        let (start_at, recheck) = match pass.kind {
            WalkKind::Full => (None, Vec::new()),
            WalkKind::Poll => self.plan_poll(api, pass).await?,
        };
        let query = ListQuery {
            start_at: start_at.max(self.options.since),
            end_at: None,
            lane: pass.lane(),
        };
        let mut pages = Pages::new(api, query, self.options.max_pages);
        let mut page = pages.next(soft).await;
        loop {
            let at_hand = match page {
                Ok(page) => page,
                Err(Ended::Complete) => return self.recheck(api, recheck, pass, soft).await,
                Err(ended) => return Ok(ended),
            };
            // Asked for before anything else is done; let go where the page at hand cannot be kept.
            let ahead = async { Ok(pages.next(soft).await) };
            (page, ()) = tokio::try_join!(biased; ahead, self.take_page(api, at_hand, pass))?;
        }
    }

    /// From where a poll lists, and what it reads one by one. Before the first full walk has come to its end nothing is
    /// settled that a poll could begin at: then it only looks for what is new.
    async fn plan_poll(
        &self,
        api: &WorkspaceApi,
        pass: &mut Pass,
    ) -> Result<(Option<Timestamp>, Vec<RecordingId>), CatalogError> {
        let (clock, overlap) = (api.shared().clock(), self.options.overlap);
        let plan = self
            .catalog
            .plan_poll(
                api.name(),
                clock.latest_now(),
                overlap,
                POLL_REACH_ROWS,
                RECHECKS_A_POLL,
            )
            .await?;
        if plan.start_at.is_none() && self.catalog.last_full_walk(api.name()).await?.is_none() {
            pass.is_glance = true;
            return Ok((Some(clock.earliest_now().before(overlap)), Vec::new()));
        }
        Ok((plan.start_at, plan.recheck))
    }

    async fn take_page(&self, api: &WorkspaceApi, page: Page, pass: &mut Pass) -> Result<(), CatalogError> {
        pass.pages += 1;
        let touch_before = pass.touch_before();
        let listed = page.items.len();
        let page = self.wanted(page);
        pass.listed += (listed - page.items.len()) as u64;
        self.keep_page(api, page, pass, touch_before).await
    }

    /// A page of the list without what was created too early: it is not asked for, and may be listed all the same.
    fn wanted(&self, mut page: Page) -> Page {
        if let Some(since) = self.options.since {
            page.items
                .retain(|item| !matches!(item, Item::Understood(listed) if listed.recording.created_at < since));
        }
        page
    }

    /// One page into the catalog, in one transaction. Its links are at hand before that, so that whoever finds a
    /// recording due finds its link too, and are offered after it, so that whoever is offered a link finds its
    /// recording due.
    async fn keep_page(
        &self,
        api: &WorkspaceApi,
        page: Page,
        pass: &mut Pass,
        touch_before: Timestamp,
    ) -> Result<(), CatalogError> {
        let mut recordings = Vec::with_capacity(page.items.len());
        let (mut set_aside, mut held) = (Vec::new(), Vec::new());
        let (tickets, clock) = (api.shared().tickets(), api.shared().clock());
        // `room` until the page is in the catalog.
        let Page { items, room: _room, .. } = page;
        pass.listed += items.len() as u64;
        for item in items {
            match item {
                Item::SetAside(item) => set_aside.push(item),
                Item::Understood(listed) => {
                    let Listed { recording, ticket } = *listed;
                    if let Some(ticket) = ticket {
                        let of = RecordingRef {
                            workspace: api.name().clone(),
                            id: recording.id,
                        };
                        tickets.hold(of.clone(), ticket, pass.lane(), clock);
                        held.push(of);
                    }
                    recordings.push(recording);
                }
            }
        }
        for item in &set_aside {
            tracing::debug!(workspace.name = %api.name(), reason = %item.reason, "a list item is set aside");
        }
        let upsert = CatalogPage {
            recordings: &recordings,
            set_aside: &set_aside,
            seen_at: pass.now(),
            touch_before,
        };
        let outcome = self.catalog.upsert_page(api.name(), upsert).await;
        let claimable: HashSet<RecordingId> = outcome.iter().flat_map(|outcome| &outcome.claimable).copied().collect();
        for of in held {
            if claimable.contains(&of.id) {
                tickets.offer(&of);
            } else {
                tickets.discard(&of);
            }
        }
        pass.counts += outcome?.counts;
        if !claimable.is_empty() {
            self.due_hint.notify_one();
        }
        Ok(())
    }

    /// Reads one by one the recordings that are not final and lie further back than the poll reached.
    async fn recheck(
        &self,
        api: &WorkspaceApi,
        ids: Vec<RecordingId>,
        pass: &mut Pass,
        soft: &CancellationToken,
    ) -> Result<Ended, CatalogError> {
        for id in ids {
            let asked = tokio::select! {
                biased;
                () = soft.cancelled() => return Ok(Ended::Stopped),
                asked = api.recording(id, pass.lane()) => asked,
            };
            match asked {
                Ok(listed) => {
                    let page = Page {
                        items: vec![Item::Understood(Box::new(listed))],
                        next: None,
                        room: None,
                    };
                    let now = pass.now();
                    self.keep_page(api, page, pass, now).await?;
                }
                Err(error) if error.kind == ApiErrorKind::NotFound => {
                    self.catalog.note_deleted(api.name(), id, NO_LONGER_KNOWN).await?;
                }
                Err(error) => return Ok(Ended::Failed(error)),
            }
        }
        Ok(Ended::Complete)
    }
}

const fn trouble(kind: ApiErrorKind) -> Trouble {
    match kind {
        ApiErrorKind::Denied => Trouble::Denied,
        ApiErrorKind::RateLimited(wait) => Trouble::RateLimited(wait),
        ApiErrorKind::Unavailable => Trouble::Unreachable,
        ApiErrorKind::NotFound | ApiErrorKind::Malformed | ApiErrorKind::Refused => Trouble::Other,
    }
}

/// A walk under way.
struct Pass {
    kind: WalkKind,
    /// See [`Walk::is_glance`].
    is_glance: bool,
    started_at: Timestamp,
    begun: Instant,
    counts: UpsertCounts,
    listed: u64,
    pages: u64,
}

impl Pass {
    const fn lane(&self) -> Lane {
        match self.kind {
            WalkKind::Poll => Lane::Fresh,
            WalkKind::Full => Lane::Backlog,
        }
    }

    /// The time within the walk: our clock may jump meanwhile, and what the walk saw must lie between its start and its
    /// end.
    fn now(&self) -> Timestamp {
        self.started_at.after(self.begun.elapsed())
    }

    /// A full walk marks all it sees as seen; a poll only now and then, so that an idle one writes nothing.
    fn touch_before(&self) -> Timestamp {
        match self.kind {
            WalkKind::Full => self.started_at,
            WalkKind::Poll => self.started_at.before(SEEN_GRAIN),
        }
    }
}
