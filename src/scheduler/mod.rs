//! Decides when a workspace is walked, and how: polls at an interval, full walks now and then, rests after trouble.
//!
//! Each workspace runs by itself: the trouble of one stays there. A pass takes no input but what the catalog and the
//! options say, so that the first, the hourly and the one after a crash are the same. Must not know: pages, downloads.

mod course;
mod health;

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use futures::future::join_all;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use self::course::Course;
use self::health::Health;
use crate::domain::explain::chain;
use crate::domain::ids::WorkspaceName;
use crate::domain::one_voice::OneVoice;
use crate::domain::report::WalkKind;
use crate::domain::report::WalkOutcome;
use crate::domain::tally::Tallies;
use crate::domain::tally::WalkEnd;
use crate::domain::tally::WorkspaceTally;
use crate::lister::Lister;
use crate::lister::Trouble;
use crate::lister::Walk;
use crate::sweep::Sweep;
use crate::sweep::SweepReport;
use crate::verify::Scrub;

/// How often the catalog is swept.
const SWEEP_INTERVAL: Duration = Duration::from_secs(600);

/// When workspaces are walked.
#[derive(Debug, Clone)]
pub struct SchedulerOptions {
    /// Time between the end of a poll and the beginning of the next, before jitter. A walk over everything takes the place
    /// of a poll when it begins; while it lasts, polls go on.
    pub interval: Duration,
    /// Time between the beginnings of full walks.
    pub full_walk_interval: Duration,
}

/// A pass over one workspace, as it went.
pub struct Pass {
    /// The workspace.
    pub workspace: WorkspaceName,
    /// What kind of walk it was to be.
    pub kind: WalkKind,
    /// How its walk went, or why the catalog could not take it.
    pub result: Result<Walk, PassError>,
}

/// The catalog could not be read or written during a pass.
#[derive(Debug, thiserror::Error)]
#[error("cannot keep what was listed")]
pub struct PassError {
    #[source]
    source: Box<dyn std::error::Error + Send + Sync>,
}

impl PassError {
    fn new(source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self {
            source: Box::new(source),
        }
    }
}

/// Walks workspaces when they are due.
pub struct Scheduler {
    lister: Arc<Lister>,
    sweep: Sweep,
    scrub: Option<Scrub>,
    options: SchedulerOptions,
    tallies: Arc<Tallies>,
    /// Which workspace tells of an outage that hits several.
    voice: Mutex<OneVoice<WorkspaceName>>,
    /// Rung when a walk brought metadata that sidecars may lack.
    changed: Notify,
}

impl Scheduler {
    /// A scheduler over the lister's workspaces.
    #[must_use]
    pub fn new(
        lister: Arc<Lister>,
        sweep: Sweep,
        scrub: Option<Scrub>,
        options: SchedulerOptions,
        tallies: Arc<Tallies>,
    ) -> Self {
        Self {
            lister,
            sweep,
            scrub,
            options,
            tallies,
            voice: Mutex::default(),
            changed: Notify::new(),
        }
    }

    /// Heals what a crash left. To be called before anything else runs.
    ///
    /// # Errors
    /// The catalog cannot be written.
    pub async fn sweep(&self) -> Result<SweepReport, PassError> {
        self.sweep.run().await.map_err(PassError::new)
    }

    /// Brings sidecars level with the catalog; see [`Sweep::refresh_sidecars`].
    ///
    /// # Errors
    /// The catalog cannot be read or written.
    pub async fn refresh_sidecars(&self, stop: &CancellationToken) -> Result<u64, PassError> {
        self.sweep.refresh_sidecars(stop).await.map_err(PassError::new)
    }

    /// One pass over one workspace: a full walk where one is due, a poll otherwise.
    pub async fn pass(&self, workspace: &WorkspaceName, soft: &CancellationToken) -> Pass {
        match self.full_walk_due(workspace).await {
            Ok(true) => self.walk(workspace, WalkKind::Full, soft).await,
            Ok(false) => self.walk(workspace, WalkKind::Poll, soft).await,
            Err(failed) => failed,
        }
    }

    /// Whether a walk over everything is due, or the pass that failed because nobody can tell.
    async fn full_walk_due(&self, workspace: &WorkspaceName) -> Result<bool, Pass> {
        let due = self.lister.full_walk_due(workspace, self.options.full_walk_interval);
        due.await.map_err(|error| {
            self.tallies.workspace(workspace).passes_begun.add(1);
            Pass {
                workspace: workspace.clone(),
                kind: WalkKind::Poll,
                result: Err(PassError::new(error)),
            }
        })
    }

    async fn walk(&self, workspace: &WorkspaceName, kind: WalkKind, soft: &CancellationToken) -> Pass {
        self.tallies.workspace(workspace).passes_begun.add(1);
        let result = self.lister.walk(workspace, kind, soft).await;
        Pass {
            workspace: workspace.clone(),
            kind,
            result: result.map_err(PassError::new),
        }
    }

    /// One pass over each workspace, at the same time.
    pub async fn run_once(&self, soft: &CancellationToken) -> Vec<Pass> {
        let mut names: Vec<&WorkspaceName> = self.lister.workspaces().collect();
        names.sort();
        let passes = join_all(names.into_iter().map(|name| self.pass(name, soft))).await;
        for pass in &passes {
            let is_well = Health::default().note(pass, &mut OneVoice::default());
            tally(&self.tallies.workspace(&pass.workspace), pass, is_well);
        }
        passes
    }

    /// Passes over every workspace, again and again until `soft`.
    pub async fn run(&self, soft: &CancellationToken) {
        let loops = self.lister.workspaces().map(|name| Course::new(self, name, soft).run());
        tokio::join!(
            join_all(loops),
            self.keep_sweeping(soft),
            self.keep_refreshing(soft),
            self.keep_scrubbing(soft)
        );
    }

    fn voice(&self) -> MutexGuard<'_, OneVoice<WorkspaceName>> {
        self.voice.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn keep_sweeping(&self, soft: &CancellationToken) {
        loop {
            tokio::select! {
                () = soft.cancelled() => return,
                () = tokio::time::sleep(SWEEP_INTERVAL) => {}
            }
            if let Err(error) = self.sweep().await {
                tracing::debug!(error = %error, "the catalog could not be swept");
            }
        }
    }
}

impl Scheduler {
    /// Re-reads a part of the archive when it is time.
    async fn keep_scrubbing(&self, soft: &CancellationToken) {
        let Some(scrub) = &self.scrub else {
            return;
        };
        let mut is_told = false;
        while !soft.is_cancelled() {
            let done = scrub.run_if_due(soft).await;
            let failed = done.is_err();
            match done {
                Ok(Some(report)) if !report.stopped => {
                    let (progress, unknown) = (report.progress, report.unknown_files.map_or(0, |files| files.len()));
                    tracing::info!(
                        checked = progress.checked,
                        bytes = progress.bytes,
                        unsound = progress.unsound,
                        unknown_files = unknown,
                        "re-read a part of the archive"
                    );
                }
                Ok(_) => {}
                Err(error) if is_told => tracing::debug!(error = %chain(&error), "the archive could not be re-read"),
                Err(error) => {
                    tracing::warn!(error = %chain(&error), "the archive could not be re-read; tried again every ten minutes");
                }
            }
            is_told = failed;
            tokio::select! {
                () = soft.cancelled() => {}
                () = tokio::time::sleep(SWEEP_INTERVAL) => {}
            }
        }
    }

    /// Sidecars follow the catalog: at the start, after each walk that changed something, and now and then, for bodies
    /// that were adopted since.
    async fn keep_refreshing(&self, soft: &CancellationToken) {
        while !soft.is_cancelled() {
            match self.refresh_sidecars(soft).await {
                Ok(0) => {}
                Ok(sidecars) => tracing::debug!(sidecars, "sidecars brought up to date"),
                Err(error) => tracing::debug!(error = %error, "sidecars could not be brought up to date"),
            }
            tokio::select! {
                () = soft.cancelled() => {}
                () = self.changed.notified() => {}
                () = tokio::time::sleep(SWEEP_INTERVAL) => {}
            }
        }
    }
}

/// Counts a pass, and notes what troubles its workspace now. `is_well`: whether nothing does, after this pass.
fn tally(workspace: &WorkspaceTally, pass: &Pass, is_well: bool) {
    let walk = match &pass.result {
        Ok(walk) => {
            workspace.not_kept.over();
            walk
        }
        Err(error) => {
            workspace.failing.met(&chain(error));
            workspace.not_kept.met(&chain(error));
            workspace.passes_ended.add(1);
            return;
        }
    };
    let end = match &walk.report.outcome {
        WalkOutcome::Complete => {
            workspace.list_denied.over();
            if is_well {
                workspace.failing.over();
            }
            WalkEnd::Complete
        }
        WalkOutcome::Failed(why) if walk.trouble == Some(Trouble::Denied) => {
            workspace.list_denied.met(why);
            workspace.failing.over();
            WalkEnd::Failed
        }
        WalkOutcome::Failed(why) => {
            workspace.list_denied.over();
            workspace.failing.met(why);
            WalkEnd::Failed
        }
        WalkOutcome::Stopped => WalkEnd::Stopped,
    };
    if walk.is_glance {
        return;
    }
    workspace.walk(walk.report.kind, end);
    workspace.passes_ended.add(u64::from(end != WalkEnd::Stopped));
}
