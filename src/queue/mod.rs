//! Claims what is due, has it fetched, and writes down how each claim ended.
//!
//! The catalog is the queue: no list of work lives here beyond what is in flight and the few claims that go next. Claims are
//! taken and endings written many at a time. Must not know: HTTP, disks, listings.

mod backlog;
mod local_fault;
mod local_faults;
mod outage;
mod ready;
mod run;

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use tokio::sync::Notify;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use self::local_faults::LocalFaults;
use self::outage::FirstFailure;
use self::outage::News;
use self::run::Run;
use crate::catalog::Catalog;
use crate::catalog::CatalogError;
use crate::catalog::Claim;
use crate::catalog::ClaimEnd;
use crate::domain::clock::SharedClock;
use crate::domain::ids::WorkspaceName;
use crate::domain::report::DrainReport;
use crate::domain::tally::Cause;
use crate::domain::tally::DownloadOutcome;
use crate::domain::tally::Tallies;
use crate::fetcher::Fetcher;

/// How the queue works.
#[derive(Debug, Clone)]
pub struct QueueOptions {
    /// Attempts after which a recording is given up, and only tried again slowly.
    pub max_attempts: u32,
}

/// The queue came to an end it was not asked for.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// The catalog cannot be used.
    #[error("cannot use the catalog")]
    Catalog(#[source] CatalogError),
    /// In a pass that ends: the disk does not take what is fetched.
    #[error("stopped: {0}")]
    Local(String),
}

/// When a run of the queue ends by itself.
#[derive(Clone)]
pub enum Until {
    /// When asked to stop.
    Stopped,
    /// Also when this token is cancelled (all walks of the pass are over) and nothing is due now.
    Drained(CancellationToken),
}

/// Ends a run from outside, gently or not.
#[derive(Clone)]
pub struct Stop {
    /// Claim nothing more; finish what is in flight.
    pub soft: CancellationToken,
    /// The process ends: what cannot be written down is not waited for for long. Without it, a run that was asked to stop
    /// waits for as long as it takes, as one does whose place another has taken.
    pub leaving: CancellationToken,
    /// Break off what is in flight.
    pub hard: CancellationToken,
}

/// What the queues of one process have in common: one may still be finishing what it claimed when the next begins.
#[derive(Clone)]
pub struct Shared {
    places: Arc<Places>,
    progress: watch::Sender<DrainReport>,
    faults: LocalFaults,
    tallies: Arc<Tallies>,
}

impl Shared {
    /// Nothing done yet. What is done is counted in `tallies` too.
    #[must_use]
    pub fn new(tallies: Arc<Tallies>) -> Self {
        Self {
            places: Arc::default(),
            progress: watch::Sender::default(),
            faults: LocalFaults::new(Arc::clone(&tallies)),
            tallies,
        }
    }

    /// What was done so far, as it is done.
    #[must_use]
    pub fn progress(&self) -> watch::Receiver<DrainReport> {
        self.progress.subscribe()
    }

    /// Takes one place of this many, if one is free.
    fn take_place(&self, of: usize) -> Option<Place> {
        let more = |taken| (taken < of).then_some(taken + 1);
        let taken = self
            .places
            .taken
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        taken.ok().map(|_| Place(Arc::clone(&self.places)))
    }

    fn taken_places(&self) -> usize {
        self.places.taken.load(Ordering::Relaxed)
    }

    /// Told whenever a place becomes free.
    fn freed_places(&self) -> watch::Receiver<()> {
        self.places.freed.subscribe()
    }
}

/// The places for downloads at once.
#[derive(Default)]
struct Places {
    taken: AtomicUsize,
    freed: watch::Sender<()>,
}

/// A download's place among those at once, free again when it is dropped.
struct Place(Arc<Places>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::Relaxed);
        self.0.freed.send_replace(());
    }
}

/// Fetches what is due.
pub struct Queue {
    catalog: Catalog,
    fetcher: Arc<Fetcher>,
    clock: SharedClock,
    options: QueueOptions,
    workspaces: Vec<WorkspaceName>,
    due_hint: Arc<Notify>,
    shared: Shared,
}

impl Queue {
    /// A queue over these workspaces. `due_hint` says that something may be due; losing it costs a couple of seconds.
    #[must_use]
    pub fn new(
        catalog: Catalog,
        fetcher: Arc<Fetcher>,
        clock: SharedClock,
        options: QueueOptions,
        workspaces: Vec<WorkspaceName>,
        due_hint: Arc<Notify>,
        shared: Shared,
    ) -> Self {
        Self {
            catalog,
            fetcher,
            clock,
            options,
            workspaces,
            due_hint,
            shared,
        }
    }

    /// Claims, fetches and writes down until `until`, then ends with nothing in flight and nothing unwritten.
    ///
    /// # Errors
    /// The catalog cannot be used, or, in a run that ends by itself, the disk.
    pub async fn run(&self, until: Until, stop: &Stop) -> Result<DrainReport, QueueError> {
        Run::new(self, until, stop).drive().await?;
        Ok(*self.shared.progress.borrow())
    }
}

impl Queue {
    /// Counts and logs an ending that is on stable storage.
    fn tell(&self, claim: &Claim, end: &ClaimEnd, cause: Cause) {
        let outcome = match end {
            ClaimEnd::Completed(_) => DownloadOutcome::Archived,
            ClaimEnd::Failed { spent: true, .. } => DownloadOutcome::GivenUp,
            ClaimEnd::Failed { .. } => DownloadOutcome::Failed,
            ClaimEnd::Gone { .. } => DownloadOutcome::Gone,
            ClaimEnd::Released { .. } => DownloadOutcome::Released,
        };
        let tally = self.shared.tallies.workspace(&claim.recording.workspace);
        tally.download(outcome, cause);
        if outcome == DownloadOutcome::GivenUp && !claim.was_given_up {
            tally.gave_up(claim.recording.id);
        }
        let (workspace, id) = (&claim.recording.workspace, &claim.recording.id);
        match end {
            ClaimEnd::Completed(object) => tracing::info!(
                workspace.name = %workspace, recording.id = %id, path = %object.key, size_bytes = object.size_bytes,
                remark = object.remark, "archived"
            ),
            ClaimEnd::Failed {
                reason,
                attempts,
                spent: true,
                ..
            } => tracing::error!(
                workspace.name = %workspace, recording.id = %id, attempt = attempts, error = %reason,
                "given up for now; tried again once a day while upstream lists it"
            ),
            ClaimEnd::Failed { reason, attempts, .. } => tracing::debug!(
                workspace.name = %workspace, recording.id = %id, attempt = attempts, error = %reason, "a fetch failed"
            ),
            ClaimEnd::Gone { reason, .. } => tracing::warn!(
                workspace.name = %workspace, recording.id = %id, error = %reason, "upstream has no media"
            ),
            ClaimEnd::Released { reason, .. } => tracing::debug!(
                workspace.name = %workspace, recording.id = %id, error = reason, "claim given back"
            ),
        }
        self.shared.progress.send_modify(|report| match end {
            ClaimEnd::Completed(object) => {
                report.archived += 1;
                report.archived_bytes += object.size_bytes;
            }
            ClaimEnd::Failed { .. } => report.failed += 1,
            ClaimEnd::Gone { .. } => report.gone += 1,
            ClaimEnd::Released { .. } => report.released += 1,
        });
    }
}

/// Logs what changed in how fetches go.
fn tell_news(news: News) {
    match news {
        News::Failed(FirstFailure { recording, reason }) => tracing::warn!(
            workspace.name = %recording.workspace, recording.id = %recording.id, error = %reason,
            "not archived yet; tried again"
        ),
        News::Begun(workspace, reason) => tracing::warn!(
            workspace.name = %workspace, error = %reason, "bodies cannot be fetched; tried again until they can"
        ),
        News::Ended(workspace, recordings, lasted) => tracing::info!(
            workspace.name = %workspace, recordings, elapsed_seconds = lasted.as_secs(), "bodies are fetched again"
        ),
        News::Denied(workspace, reason) => tracing::warn!(
            workspace.name = %workspace, error = %reason,
            "the credential may not view single recordings; tried again each minute"
        ),
        News::Allowed(workspace) => tracing::info!(
            workspace.name = %workspace, "the credential is no longer refused for single recordings"
        ),
    }
}
