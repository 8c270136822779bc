//! One pass over everything: each workspace walked once, and fetched what is due by the end of it.
//!
//! Must not know: how its report is shown.

use std::sync::Arc;

use anyhow::Context;
use anyhow::anyhow;
use tokio_util::sync::CancellationToken;

use super::App;
use super::LAST_WAIT;
use super::overdue;
use super::part_died;
use crate::catalog::WorkspaceSummary;
use crate::domain::explain::chain;
use crate::domain::ids::WorkspaceName;
use crate::domain::report::DrainReport;
use crate::domain::report::WalkOutcome;
use crate::domain::state::State;
use crate::lifecycle::Lifecycle;
use crate::notify::Notifier;
use crate::queue::QueueError;
use crate::queue::Stop;
use crate::queue::Until;

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
    /// One pass over each workspace, and everything fetched that is due by the end of it.
    ///
    /// # Errors
    /// The work could not be done: the catalog or the disk cannot be used.
    pub async fn run_once(self, life: &Lifecycle, notifier: &Arc<Notifier>) -> anyhow::Result<OnceReport> {
        let stop = Stop {
            soft: life.soft().clone(),
            leaving: life.soft().clone(),
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
        let (queue, until) = (Arc::clone(&self.generation.queue), Until::Drained(walks_over.clone()));
        let fetches = tokio::spawn(async move { queue.run(until, &stop).await });
        let walks = async {
            let passes = self.generation.scheduler.run_once(life.soft()).await;
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
        if let Err(error) = self.generation.scheduler.refresh_sidecars(life.soft()).await {
            tracing::debug!(error = %error, "sidecars could not be brought up to date");
        }
        let mut workspaces = self
            .reader()
            .workspaces()
            .await
            .context("cannot read how the workspaces stand")?;
        workspaces.retain(|summary| self.generation.names.contains(&summary.name));
        self.close().await;
        Ok(OnceReport {
            walks_failed,
            drained,
            workspaces,
        })
    }
}

/// The end of the queue; if it was not asked for, everything else ends too.
async fn end_of(
    fetches: tokio::task::JoinHandle<Result<DrainReport, QueueError>>,
    life: &Lifecycle,
) -> anyhow::Result<DrainReport> {
    match fetches.await {
        Ok(Ok(report)) => Ok(report),
        Ok(Err(error)) => {
            life.stop();
            Err(error.into())
        }
        Err(error) => {
            life.stop();
            Err(part_died("the queue", &error))
        }
    }
}
