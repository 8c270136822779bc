//! Builds the house from a configuration and runs it: as a daemon, as one pass, or only to look.
//!
//! The only room that knows all others. Must not know: the command line, how results are shown.

mod backup;
mod build;
mod dry_run;
mod key_file;
mod notices;
mod preflight;
mod rebuild;
mod verify;
mod view;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use anyhow::anyhow;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use backup::Backup;
pub use backup::backup;
pub use build::App;
pub use dry_run::DryRunReport;
pub use dry_run::dry_run;
pub use notices::notifier;
pub use preflight::Finding;
pub use preflight::Level;
pub use preflight::preflight;
pub use rebuild::rebuild;
pub use verify::verify;
pub use verify::verify_and_repair;
pub use view::ArchiveView;

use crate::catalog::WorkspaceSummary;
use crate::domain::explain::chain;
use crate::domain::ids::WorkspaceName;
use crate::domain::report::DrainReport;
use crate::domain::report::WalkOutcome;
use crate::domain::state::State;
use crate::lifecycle;
use crate::lifecycle::Lifecycle;
pub use crate::notify::Notifier;
use crate::notify::Watching;
use crate::queue::QueueError;
use crate::queue::Stop;
use crate::queue::Until;
pub use crate::rebuild::Progress as RebuildProgress;
pub use crate::rebuild::RebuildReport;
pub use crate::standing::Observer;
use crate::standing::Phase;

/// After the hard stop, how long what cannot be broken off (a publish, its row) may take.
const LAST_WAIT: Duration = Duration::from_secs(10);

/// How often systemd is told in words what goes on.
const STATUS_INTERVAL: Duration = Duration::from_secs(5);

/// How one pass over everything went.
pub struct OnceReport {
    /// Workspaces whose walk failed or was stopped, with the reason.
    pub walks_failed: Vec<(WorkspaceName, String)>,
    /// What was fetched.
    pub drained: DrainReport,
    /// How the workspaces of this pass stand now.
    pub workspaces: Vec<WorkspaceSummary>,
}

impl OnceReport {
    /// Whether nothing is left to do and nothing was set aside.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let settled = self.workspaces.iter().all(|workspace| {
            let open = [State::Due, State::Claimed, State::GivenUp];
            workspace.set_aside == 0
                && open
                    .into_iter()
                    .all(|state| workspace.counts.get(&state).is_none_or(|count| *count == 0))
        });
        settled && self.walks_failed.is_empty()
    }
}

impl App {
    /// Runs until `life` says stop. Ends with nothing in flight.
    ///
    /// # Errors
    /// A part ended unasked: the catalog cannot be used, or a fault in the program.
    pub async fn run(self, life: &Lifecycle, notifier: &Arc<Notifier>) -> anyhow::Result<()> {
        let stop = Stop {
            soft: life.soft().clone(),
            hard: life.hard().clone(),
        };
        let is_copy = self.is_copy().await?;
        let observer = Arc::clone(&self.observer);
        if is_copy {
            observer.phase_is(Phase::Reconciling);
            // It may take longer than systemd waits for a start.
            life.ready("bringing a restored catalog level with the archive");
        }
        if !self.reconcile(life.soft()).await? {
            self.close().await;
            return Ok(());
        }
        observer.phase_is(Phase::Running);
        let over = CancellationToken::new();
        let watching = self.watching(notifier).await;
        let watched = tokio::spawn(watching.run(life.soft().clone(), over.clone()));
        let (scheduler, soft) = (Arc::clone(&self.scheduler), life.soft().clone());
        let walks = tokio::spawn(async move { scheduler.run(&soft).await });
        let queue = Arc::clone(&self.queue);
        let fetches = tokio::spawn(async move { queue.run(Until::Stopped, &stop).await });
        let told = tokio::spawn(tell_status(self.progress(), life.soft().clone()));
        if !is_copy {
            life.ready("running");
        }

        let both = async { tokio::join!(stop_after(walks, life), end_of(fetches, life)) };
        let ended = tokio::select! {
            (walks, fetches) = both => walks
                .map_err(|error| part_died("scheduler", &error))
                .and(fetches.map(drop)),
            () = overdue(life) => Err(anyhow!("what was in flight did not end within {LAST_WAIT:?} of the hard stop")),
        };
        told.abort();
        over.cancel();
        drop(watched.await);
        self.close().await;
        ended
    }

    /// One pass over each workspace, and everything fetched that is due by the end of it.
    ///
    /// # Errors
    /// The work could not be done: the catalog or the disk cannot be used.
    pub async fn run_once(self, life: &Lifecycle, notifier: &Arc<Notifier>) -> anyhow::Result<OnceReport> {
        let stop = Stop {
            soft: life.soft().clone(),
            hard: life.hard().clone(),
        };
        if !self.reconcile(life.soft()).await? {
            self.close().await;
            return Err(anyhow!(
                "stopped before the restored catalog was level with the archive"
            ));
        }
        let watching = self.watching(notifier).await;
        let walks_over = CancellationToken::new();
        let (queue, until) = (Arc::clone(&self.queue), Until::Drained(walks_over.clone()));
        let fetches = tokio::spawn(async move { queue.run(until, &stop).await });
        let walks = async {
            let passes = self.scheduler.run_once(life.soft()).await;
            walks_over.cancel();
            passes
        };
        let joined = async { tokio::join!(walks, end_of(fetches, life)) };
        let (passes, drained) = tokio::select! {
            joined = joined => joined,
            () = overdue(life) => {
                return Err(anyhow!("what was in flight did not end within {LAST_WAIT:?} of the hard stop"));
            }
        };
        let walks_failed = passes
            .into_iter()
            .filter_map(|pass| match pass.result {
                Err(error) => Some((pass.workspace, chain(&error))),
                Ok(walk) if walk.report.outcome == WalkOutcome::Complete => None,
                Ok(walk) => Some((pass.workspace, walk.report.outcome.to_text())),
            })
            .collect();
        watching.end().await;
        let drained = match drained {
            Ok(drained) => drained,
            Err(error) => {
                self.close().await;
                return Err(error);
            }
        };
        // Only a saving of work for the next run: where it fails now, it is done then.
        if let Err(error) = self.scheduler.refresh_sidecars(life.soft()).await {
            tracing::debug!(error = %error, "sidecars could not be brought up to date");
        }
        let mut workspaces = self
            .reader
            .workspaces()
            .await
            .context("cannot read how the workspaces stand")?;
        workspaces.retain(|summary| self.names.contains(&summary.name));
        self.close().await;
        Ok(OnceReport {
            walks_failed,
            drained,
            workspaces,
        })
    }

    async fn watching(&self, notifier: &Arc<Notifier>) -> Watching {
        let (notifier, observer) = (Arc::clone(notifier), Arc::clone(&self.observer));
        let archive_id = self.store.archive_id().to_owned();
        Watching::begin(notifier, observer, self.reader(), archive_id).await
    }

    /// What has been fetched so far, as it is.
    #[must_use]
    pub fn progress(&self) -> watch::Receiver<DrainReport> {
        self.queue.progress()
    }
}

/// The end of the queue; if it was not asked for, everything else ends too.
async fn end_of(fetches: JoinHandle<Result<DrainReport, QueueError>>, life: &Lifecycle) -> anyhow::Result<DrainReport> {
    match fetches.await {
        Ok(Ok(report)) => Ok(report),
        Ok(Err(error)) => {
            life.stop();
            Err(error.into())
        }
        Err(error) => {
            life.stop();
            Err(part_died("queue", &error))
        }
    }
}

async fn stop_after<T>(part: impl Future<Output = T>, life: &Lifecycle) -> T {
    let ended = part.await;
    life.stop();
    ended
}

async fn overdue(life: &Lifecycle) {
    life.hard().cancelled().await;
    tokio::time::sleep(LAST_WAIT).await;
}

fn part_died(part: &str, error: &tokio::task::JoinError) -> anyhow::Error {
    let how = if error.is_panic() { "panicked" } else { "was cancelled" };
    anyhow!("the {part} {how}; this is a fault in birdkeep")
}

/// Keeps systemd's one line about us up to date.
async fn tell_status(mut progress: watch::Receiver<DrainReport>, soft: CancellationToken) {
    while !soft.is_cancelled() {
        let report = *progress.borrow_and_update();
        lifecycle::status(&format!(
            "running: {} archived ({} bytes), {} failed since the start",
            report.archived, report.archived_bytes, report.failed
        ));
        tokio::time::sleep(STATUS_INTERVAL).await;
        if progress.changed().await.is_err() {
            return;
        }
    }
}
